"""Classifier-free guidance: away from the unconditional estimate, towards the conditional one.

Ho and Salimans 2022 (arXiv 2207.12598), in D: D = D_uncond + weight (D_cond - D_uncond), so weight
1 is the conditional estimate and 0 the unconditional one (the paper's w is weight - 1). Only
inside an interval of sigma, as Kynkäänniemi et al. 2024 (arXiv 2404.07724) found better.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import inf, isfinite

from torch import Tensor

from backbones.inputs import Inputs
from bench.conditions import Condition
from bench.diffusion.denoiser import DenoiserFn
from bench.diffusion.guidance.guiding import Guidance
from bench.errors import BenchError


@dataclass(frozen=True, kw_only=True)
class ClassifierFree(Guidance):
    """`interval` = (low, high), both ends inside; D_cond alone outside it.

    Two evaluations inside the interval, one outside; one everywhere with weight 1, whose second
    would change nothing.
    """

    name = "classifier_free"
    weight: float = 1.5
    interval: tuple[float, float] = (0.0, inf)

    def __post_init__(self) -> None:
        if not isfinite(self.weight) or self.weight < 0:
            raise BenchError(
                f"guidance {self.name!r}: weight={self.weight} must be finite and >= 0"
            )
        if len(self.interval) != 2 or not 0 <= self.interval[0] <= self.interval[1]:
            raise BenchError(
                f"guidance {self.name!r}: interval={self.interval} must be two sigmas, "
                "0 <= low <= high"
            )

    def check(self, inputs: Inputs) -> None:
        if not inputs.n_classes:  # numbers may be augmentation labels, which are all zero here
            raise BenchError(
                f"guidance {self.name!r} needs cases with classes; condition=class gives them "
                "where the data have labels"
            )

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
        if cond is None or (cond.classes is None and cond.vector is None):
            raise BenchError(
                f"guidance {self.name!r} needs cases with classes or a vector condition; "
                "this task gives none: use guidance 'none'"
            )
        conditional = denoise(x, sigma, cond)
        low, high = self.interval
        if self.weight == 1 or not low <= sigma <= high:
            return conditional
        unconditional = denoise(x, sigma, cond.unconditional())
        return unconditional + self.weight * (conditional - unconditional)
