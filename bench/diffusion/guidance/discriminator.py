"""Discriminator guidance: towards where a classifier takes a noised picture for a real one.

Kim et al. 2023 (arXiv 2211.17091), in D: D + w sigma^2 grad_x log(p / (1 - p)), p being the
probability that x at noise sigma is a noised real picture. log(p / (1 - p)) is the classifier's
logit, whose gradient is taken directly; of a perfect classifier it is the log-ratio of the two
noised densities, and w = 1 puts the score right. The authors weigh Heun's two evaluations apart.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from math import inf, isfinite
from typing import Any

import torch
from torch import Tensor

from backbones.inputs import Inputs
from bench.conditions import Condition
from bench.diffusion.denoiser import DenoiserFn
from bench.diffusion.guidance.guiding import Guidance
from bench.errors import BenchError


@dataclass(frozen=True, kw_only=True)
class DiscriminatorGuided(Guidance):
    """Needs a network "discriminator": (x [N, C, *spatial] float64, sigma) -> logits [N].

    `weight` is for a step's first evaluation, `weight_second` for Heun's correction; the defaults
    are the authors' (2 and 0). Only for sigma inside [`sigma_min`, `sigma_max`]; the authors' lower
    end is their VP process at time .01, sigma = .0447. One evaluation more where the weight is not
    0 and sigma is inside.

    `boost` multiplies the weight of the first evaluation for images that are taken for generated
    ones (logit < 0); 1 changes nothing. The authors boost by 2 on every second step, and add noise
    to such images on every fifth; here, where a guidance knows no step's number, it is every step,
    and no noise. An echocardiogram study (Reynaud and Kainz 2023) used a weight of 5 and "a scaling
    of 2 for the Discriminator Guidance vectors", which may be a factor (weight=10) or this boosting
    (weight=5, boost=2).
    """

    name = "discriminator"
    needs = ("discriminator",)
    weight: float = 2.0
    weight_second: float = 0.0
    sigma_min: float = 0.0447
    sigma_max: float = inf
    boost: float = 1.0

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not value >= 0 or not (isfinite(value) or field.name == "sigma_max"):
                raise BenchError(
                    f"guidance {self.name!r}: {field.name}={value} must be finite and >= 0"
                )
        if self.sigma_min > self.sigma_max:
            raise BenchError(
                f"guidance {self.name!r}: 0 <= sigma_min <= sigma_max does not hold for "
                f"{self.sigma_min} and {self.sigma_max}"
            )

    def check(self, inputs: Inputs) -> None:
        """Refused for every task: a trial has no other network than its own."""
        raise BenchError(
            f"guidance {self.name!r} needs a trained discriminator, which no trial has; a study "
            "trains one and samples with it (`bench study`)"
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
        """As the base class says; BenchError too for logits that are not one a picture."""
        D = denoise(x, sigma, cond)
        weight = self.weight if stage == 1 else self.weight_second
        if weight == 0 or not self.sigma_min <= sigma <= self.sigma_max:
            return D
        with torch.enable_grad():
            state = x.detach().clone().requires_grad_()
            logits = others["discriminator"](state, sigma)
            if logits.shape != (len(x),):
                raise BenchError(
                    f"a discriminator gives one logit a picture, {(len(x),)}, not "
                    f"{tuple(logits.shape)}"
                )
            [slope] = torch.autograd.grad(logits.sum(), state)
        factor = x.new_full((len(x), *(1,) * (x.ndim - 1)), weight * sigma**2)
        if stage == 1 and self.boost != 1:
            boosted = (logits.detach() < 0).view(factor.shape)
            factor = torch.where(boosted, self.boost * factor, factor)
        return D + factor * slope

    @classmethod
    def stand_ins(cls) -> Mapping[str, Callable[..., Any]]:
        """That of N(0, 1 + sigma^2), up to a constant, against anything flat."""
        return {
            "discriminator": lambda x, sigma: x.flatten(1).square().sum(1) / (-2 * (1 + sigma**2))
        }
