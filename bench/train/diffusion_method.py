"""The diffusion method: a preconditioned backbone, its loss, and a generator of pictures.

Pictures are drawn from keyed streams: picture i of a purpose starts from the noise of
(seed, purpose, i) and churns with streams of its own, whatever the batch it is drawn in.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

import backbones
from bench.config import TrialConfig
from bench.diffusion import preconditioning, sampling
from bench.diffusion.denoiser import Denoiser, loss
from bench.diffusion.grids import sigma_grid
from bench.diffusion.preconditioning.scheme import Preconditioning
from bench.streams import normal, uniform
from bench.train.loop import Diverged
from bench.train.objective import Batch, Terms


@dataclass(frozen=True, kw_only=True)
class Pictures:
    """Generated pictures and what drawing them took."""

    images: np.ndarray  # uint8 N C *spatial
    nfe: int  # network evaluations for each picture
    clipped_share: float  # of values outside the data range before rounding to uint8


class DiffusionObjective:
    """Network, noise and loss of one trial; see Objective for the contract."""

    def __init__(self, config: TrialConfig) -> None:
        self.config = config
        method, task = config.method, config.task
        self.precond = preconditioning.build(
            method.preconditioning, sigma_data=task.sigma_data, **method.preconditioning_args
        )
        net = backbones.build(
            method.backbone,
            resolution=task.spatial[-1],
            in_channels=task.channels,
            out_channels=task.channels,
            n_classes=task.n_classes,
            **method.backbone_args,
        )
        self.device = torch.device(config.train.device)
        if len(task.spatial) == 2:  # convolutions here are 5 to 60 % faster that way
            net = net.to(memory_format=torch.channels_last)
        self.net: nn.Module = net.to(self.device)
        self.denoiser = Denoiser(net, self.precond)

    def terms(self, batch: Batch, samples: Sequence[int], seed: int) -> Terms:
        u = uniform(seed, "sigma", samples)
        sigma = torch.as_tensor(self.precond.sigma_from_uniform(u), dtype=torch.float32)
        noise = torch.from_numpy(normal(seed, "noise", samples, tuple(batch.target.shape[1:])))
        condition = batch.condition
        out = loss(
            self.denoiser,
            batch.target.to(self.device),
            sigma.to(self.device),
            noise.to(self.device),
            condition if condition is None else condition.to(self.device),
        )
        return Terms(loss=out.weighted, sigma=sigma, sq_error=out.sq_error)

    def predictor(self, net: nn.Module, seed: int) -> Generator:
        judged = copy.deepcopy(net).eval().requires_grad_(False)
        return Generator(self.config, Denoiser(judged, self.precond), self.precond, seed)


class Generator:
    """Draws pictures from, and denoises with, one fixed set of weights."""

    def __init__(
        self,
        config: TrialConfig,
        denoiser: Denoiser,
        precond: Preconditioning,
        seed: int,
    ) -> None:
        self.config, self.denoiser, self.precond, self.seed = config, denoiser, precond, seed
        self.net: nn.Module = denoiser.net
        self.device = torch.device(config.train.device)

    @torch.no_grad()
    def denoise(self, x: Tensor, sigma: Tensor) -> Tensor:
        """D(x; sigma) for x float32 N C *spatial."""
        result: Tensor = self.denoiser(x.to(self.device), sigma.to(self.device))
        return result.cpu()

    def generate(self, count: int, purpose: str) -> Pictures:
        """`count` pictures of a purpose, uint8.

        Raises:
            Diverged: a sample is not finite.
        """
        return self.draw(range(count), purpose)

    @torch.no_grad()
    def draw(self, places: range, purpose: str) -> Pictures:
        """The pictures at these places of a purpose, in order; as `generate`."""
        task, sample = self.config.task, self.config.sample
        shape = (task.channels, *task.spatial)
        sigmas = sigma_grid(self.precond, sample.steps, kind=sample.grid, rho=sample.rho)
        churn = sampling.Churn(
            S_churn=sample.S_churn,
            S_tmin=sample.S_tmin,
            S_tmax=sample.S_tmax,
            S_noise=sample.S_noise,
        )
        low, high = task.data_range
        images, outside, nfe = [np.empty((0, *shape), np.uint8)], 0.0, 0
        for first in range(0, len(places), sample.batch_size):
            rows = places[first : first + sample.batch_size]
            drawn = sampling.sample(
                self.denoiser,
                self._normal(purpose, rows, shape),
                sigmas,
                sampler=sample.sampler,
                churn=churn if sample.S_churn > 0 else None,
                churn_noise=self._churn_noise(purpose, rows, shape),
                round_sigma=self.precond.round_sigma,
            )
            x = drawn.images
            if not bool(torch.isfinite(x).all()):
                raise Diverged("a generated picture is not finite")
            outside += float(((x < low) | (x > high)).float().mean()) * len(rows)
            unit = (x.clamp(low, high) - low) / (high - low)
            images.append((unit * 255).round().to(torch.uint8).cpu().numpy())
            nfe = drawn.nfe
        return Pictures(
            images=np.concatenate(images), nfe=nfe, clipped_share=outside / max(len(places), 1)
        )

    @staticmethod
    def join(parts: Sequence[Pictures]) -> Pictures:
        """What workers drew of one purpose, in their order, as one."""
        count = sum(len(part.images) for part in parts)
        outside = sum(part.clipped_share * len(part.images) for part in parts)
        return Pictures(
            images=np.concatenate([part.images for part in parts]),
            nfe=max(part.nfe for part in parts),
            clipped_share=outside / max(count, 1),
        )

    def _churn_noise(
        self, purpose: str, rows: Sequence[int], shape: tuple[int, ...]
    ) -> Callable[[int], Tensor]:
        return lambda step: self._normal(f"{purpose}/churn{step}", rows, shape)

    def _normal(self, purpose: str, rows: Sequence[int], shape: tuple[int, ...]) -> Tensor:
        return torch.from_numpy(normal(self.seed, purpose, rows, shape)).double().to(self.device)
