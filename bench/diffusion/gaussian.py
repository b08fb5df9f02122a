"""The optimal linear-Gaussian denoiser of a data set: a reference for D, and an exact oracle.

For y ~ N(mu, U diag(l) U^T), the posterior mean given x = y + sigma n is
D(x; sigma) = mu + U diag(l / (l + sigma^2)) U^T (x - mu), with expected squared error per pixel
sum_i l_i sigma^2 / (l_i + sigma^2) / dim: the Wiener filter. No network beats it on such data;
on real data a good network must. Covariances follow Ledoit and Wolf 2004 (shrinkage towards the
identity, Lemma 3.2 and 3.3): without it a direction that the sample happens not to hold would be
denoised to nothing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file
from torch import Tensor

from bench.conditions import Condition
from bench.errors import BenchError
from bench.files import whole

MAX_FULL_DIM = 4096  # above: at most MAX_LOW_RANK images, evenly spaced, and their span
MAX_LOW_RANK = 1024


@dataclass(frozen=True, eq=False)
class GaussianDenoiser:
    """Mean and covariance of images, kept as an eigen-decomposition. All float64.

    mean [dim]; basis [dim, k], orthonormal columns; eigenvalues [k] >= 0, descending;
    `variance_outside` is that of every direction outside the basis (k < dim only where there were
    few images).
    shape = (C, *spatial). `shrinkage` is the weight the identity got; n_images were read.
    Calling it is D(x, sigma, cond), so samplers take it as a denoiser.
    """

    mean: Tensor
    basis: Tensor
    eigenvalues: Tensor
    variance_outside: float
    shape: tuple[int, ...]
    shrinkage: float
    n_images: int

    @property
    def dim(self) -> int:
        """Channels times pixels."""
        return self.mean.numel()

    def __call__(self, x: Tensor, sigma: Tensor | float, cond: Condition | None = None) -> Tensor:
        """x [N, C, *spatial] at sigma > 0 ([N] or one number) -> posterior mean, float64.

        `cond` is ignored: one Gaussian stands for all cases.

        Raises:
            BenchError: x is of other channels or sides than the images it was fitted to.
        """
        if tuple(x.shape[1:]) != self.shape:
            raise BenchError(
                f"the linear-Gaussian reference is of {self.shape} images, got {tuple(x.shape[1:])}"
            )
        mean, basis, values = (t.to(x.device) for t in (self.mean, self.basis, self.eigenvalues))
        variance = torch.as_tensor(sigma, dtype=torch.float64, device=x.device)
        variance = variance.expand(x.shape[0])[:, None] ** 2
        centred = x.double().flatten(1) - mean
        outside = self.variance_outside / (self.variance_outside + variance)
        gain = values / (values + variance) - outside
        y = mean + outside * centred + (centred @ basis * gain) @ basis.T
        return y.view(x.shape)

    def expected_error(self, sigma: NDArray[np.float64] | float) -> NDArray[np.float64]:
        """E||D(y + sigma n) - y||^2 / dim for y from this Gaussian, at each sigma > 0."""
        variance = np.asarray(sigma, dtype=np.float64)[..., None] ** 2
        values = self.eigenvalues.numpy()
        inside = (values * variance / (values + variance)).sum(-1)
        variance = variance[..., 0]
        outside = (
            (self.dim - len(values))
            * self.variance_outside
            * variance
            / (self.variance_outside + variance)
        )
        error: NDArray[np.float64] = (inside + outside) / self.dim
        return error

    def save(self, path: Path) -> None:
        """Write as safetensors, whole or not at all.

        Raises:
            BenchError: the disk is full or the folder cannot be written.
        """
        scalars = np.array([self.variance_outside, self.shrinkage, self.n_images], dtype=np.float64)
        tensors = {
            "mean": self.mean.numpy(),
            "basis": np.ascontiguousarray(self.basis.numpy()),
            "eigenvalues": self.eigenvalues.numpy(),
            "shape": np.array(self.shape, dtype=np.int64),
            "scalars": scalars,
        }
        with whole(path) as part:
            save_file(tensors, part)

    @classmethod
    def load(cls, path: Path) -> GaussianDenoiser:
        """Read what `save` wrote; equal to the bit."""
        if not path.is_file():
            raise BenchError(f"no linear-Gaussian reference at {path}; fit and save one first")
        data = load_file(path)
        variance_outside, shrinkage, n_images = data["scalars"].tolist()
        return cls(
            mean=torch.from_numpy(data["mean"]),
            basis=torch.from_numpy(data["basis"]),
            eigenvalues=torch.from_numpy(data["eigenvalues"]),
            variance_outside=variance_outside,
            shape=tuple(data["shape"].tolist()),
            shrinkage=shrinkage,
            n_images=int(n_images),
        )

    @classmethod
    def fit(cls, images: NDArray[np.floating] | Tensor, *, shrink: bool = True) -> GaussianDenoiser:
        """The Gaussian of images [N >= 2, C, *spatial] in the network's range (float, not uint8).

        Covariances divide by N. With N > dim/2: `eigh` of the full covariance. With fewer: SVD of
        the centred images, whose span holds all of the sample's covariance. Above 4096 dimensions:
        the same on at most 1024 images, evenly spaced over those given. `shrink=False` is the
        plain sample covariance: exact about the images given, too narrow for others.
        """
        pixels = torch.as_tensor(images)
        if not pixels.is_floating_point():
            raise BenchError(
                f"the linear-Gaussian reference needs images as float in the network's range, "
                f"got {pixels.dtype}"
            )
        shape = tuple(pixels.shape[1:])
        dim = math.prod(shape)
        if dim > MAX_FULL_DIM and len(pixels) > MAX_LOW_RANK:
            pixels = pixels[np.linspace(0, len(pixels) - 1, MAX_LOW_RANK).astype(np.int64)]
        n = len(pixels)
        if n < 2:
            raise BenchError(f"the linear-Gaussian reference needs at least 2 images, got {n}")
        flat = pixels.reshape(n, dim).cpu().double()
        mean = flat.mean(0)
        flat = flat - mean
        if 2 * n > dim and dim <= MAX_FULL_DIM:
            values, basis = torch.linalg.eigh(flat.T @ flat / n)
            values, basis = values.flip(0).clamp(min=0), basis.flip(1).contiguous()
        else:
            _, singular, vh = torch.linalg.svd(flat, full_matrices=False)
            # Centring leaves n - 1 directions; the last right-singular vector is arbitrary.
            values, basis = singular[: n - 1].square() / n, vh[: n - 1].T.contiguous()
        level = float(values.sum()) / dim
        alpha = _ledoit_wolf(flat, values, level) if shrink else 0.0
        return cls(
            mean=mean,
            basis=basis,
            eigenvalues=(1 - alpha) * values + alpha * level,
            variance_outside=alpha * level,
            shape=shape,
            shrinkage=alpha,
            n_images=n,
        )


def _ledoit_wolf(centred: Tensor, values: Tensor, level: float) -> float:
    """The optimal weight of level * I against the sample covariance S with these eigenvalues.

    d^2 = ||S - level I||^2 and b^2 = (mean_k ||x_k||^4 - ||S||^2) / N in squared Frobenius norms;
    the weight is min(b^2, d^2) / d^2.
    """
    square = float(values.square().sum())
    d2 = square - level**2 * centred.shape[1]
    b2 = (float(centred.square().sum(1).square().mean()) - square) / len(centred)
    return min(max(b2 / d2, 0.0), 1.0) if d2 > 0 else 1.0
