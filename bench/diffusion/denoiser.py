"""The Denoiser: a backbone wrapped by a preconditioning into D(x; sigma, cond) -> x0, and its loss.

Karras et al. 2022 (arXiv 2206.00364), Eq. 7 and 8. Ours: c_noise is mapped linearly from the
scheme's range onto the range the network's noise embedding declares, so that any scheme goes with
any backbone (the ranges differ by orders of magnitude). Spatial dimensions are generic. Condition
images go in as further channels behind c_in x, as they are: they carry no noise to be scaled.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from typing import Protocol

import torch
from torch import Tensor, nn

from bench.conditions import Condition
from bench.diffusion.preconditioning.scheme import Preconditioning
from bench.errors import BenchError


class DenoiserFn(Protocol):
    """D(x [N, C, *spatial] float64, sigma, cond) -> x0 of the same shape; a Denoiser is one.

    A denoiser of several networks says in an attribute `evaluations` how many one call runs.
    """

    def __call__(self, x: Tensor, sigma: float, cond: Condition | None, /) -> Tensor: ...


class Denoiser(nn.Module):
    """D(x; sigma, cond) of one network and one scheme; samplers, losses and metrics see only this.

    Owns the network (its parameters are this module's), draws nothing. The network is called as
    `net(x, c_noise [N], classes)`, with `vector` as a fourth argument where the condition has one.
    It declares `c_noise_range: (lo, hi)`; values outside the scheme's range extrapolate linearly.
    Coefficients are computed in float64; the network runs in its parameters' dtype, except
    c_noise, which is float32 at least (16 bits do not resolve it).
    """

    def __init__(self, net: nn.Module, precond: Preconditioning) -> None:
        super().__init__()
        self.net = net
        self.precond = precond
        declared = getattr(net, "c_noise_range", None)
        if declared is None or len(declared) != 2 or not declared[0] < declared[1]:
            raise BenchError(
                f"network {type(net).__name__} must declare c_noise_range = (lo, hi) with lo < hi, "
                f"the range its noise embedding resolves; got {declared!r}"
            )
        low, high = precond.c_noise_range()
        self._scale = (float(declared[1]) - float(declared[0])) / (high - low)
        self._offset = float(declared[0]) - self._scale * low

    def network_c_noise(self, sigma: Tensor) -> Tensor:
        """c_noise as the network gets it: in its declared range, float64, of sigma's shape."""
        c_noise = self.precond.coefficients(sigma.double()).c_noise
        return self._offset + self._scale * c_noise

    def forward(self, x: Tensor, sigma: Tensor | float, cond: Condition | None = None) -> Tensor:
        """x [N, C, *spatial] at noise sigma ([N] or one number) -> x0 [N, C, *spatial].

        The result is float64 for float64 x and float32 otherwise.

        Raises:
            BenchError: the condition is not of these N cases, or its images are of another size.
        """
        n, dtype = x.shape[0], torch.float64 if x.dtype == torch.float64 else torch.float32
        sigma = torch.as_tensor(sigma, dtype=torch.float64, device=x.device).expand(n)
        c_skip, c_out, c_in, c_noise = self.precond.coefficients(sigma)
        shape = (n,) + (1,) * (x.ndim - 1)
        net_dtype = _dtype_of(self.net)
        cond = Condition() if cond is None else cond
        _require_cases(cond, x)
        inputs = (c_in.to(dtype).view(shape) * x).to(net_dtype)
        if cond.images is not None:
            inputs = torch.cat([inputs, cond.images.to(net_dtype)], 1)
        level = (self._offset + self._scale * c_noise).to(
            torch.promote_types(net_dtype, torch.float32)
        )
        numbers = () if cond.vector is None else (cond.vector.to(net_dtype),)
        F = self.net(inputs, level, cond.classes, *numbers)
        return c_skip.to(dtype).view(shape) * x + c_out.to(dtype).view(shape) * F.to(dtype)


@dataclass(frozen=True)
class LossTerms:
    """Per sample, float32 [N]: the training loss, and what is comparable between schemes.

    weighted = lambda(sigma) * sq_error (minimise its mean); sq_error = mean over channels and
    pixels of (D - y)^2.
    """

    weighted: Tensor
    sq_error: Tensor


def loss(
    denoiser: Denoiser,
    images: Tensor,
    sigma: Tensor,
    noise: Tensor,
    cond: Condition | None = None,
) -> LossTerms:
    """Eq. 8 on clean images [N, C, *spatial] in the network's range (float), before the mean.

    sigma [N] > 0 from `precond.sigma_from_uniform`; noise is unit normal, of images' shape. Both
    are drawn by the caller, keyed by sample index. `cond` is of the same N cases.
    """
    sigma = sigma.to(images.device, torch.float64)
    spread = sigma.to(images.dtype).view((-1,) + (1,) * (images.ndim - 1))
    D = denoiser(images + spread * noise, sigma, cond)
    sq_error = (D - images).square().flatten(1).mean(1)
    return LossTerms(denoiser.precond.loss_weight(sigma).to(sq_error.dtype) * sq_error, sq_error)


def _require_cases(cond: Condition, x: Tensor) -> None:
    """BenchError unless the condition fits the states it comes with."""
    for name in ("classes", "images", "vector"):
        part = getattr(cond, name)
        if part is not None and len(part) != len(x):
            raise BenchError(f"condition {name} are of {len(part)} cases, the states of {len(x)}")
    if cond.images is not None and cond.images.shape[2:] != x.shape[2:]:
        raise BenchError(
            f"condition images are {_size(cond.images)}, the states {_size(x)}; "
            "resize them to one size"
        )


def _size(images: Tensor) -> str:
    return "x".join(str(side) for side in images.shape[2:])


def _dtype_of(net: nn.Module) -> torch.dtype:
    """The dtype of the network's first floating parameter or buffer; float32 without any."""
    for tensor in chain(net.parameters(), net.buffers()):
        if tensor.is_floating_point():
            return tensor.dtype
    return torch.float32
