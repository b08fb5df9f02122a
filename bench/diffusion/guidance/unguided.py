"""No guidance: the network's own conditional estimate."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch import Tensor

from bench.conditions import Condition
from bench.diffusion.denoiser import DenoiserFn
from bench.diffusion.guidance.guiding import Guidance


@dataclass(frozen=True, kw_only=True)
class Unguided(Guidance):
    """D as it is; one evaluation."""

    name = "none"

    def estimate(
        self,
        denoise: DenoiserFn,
        x: Tensor,
        sigma: float,
        cond: Condition | None,
        *,
        stage: int,
        others: Mapping[str, Callable[..., Tensor]],
    ) -> Tensor:
        return denoise(x, sigma, cond)
