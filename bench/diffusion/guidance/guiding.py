"""What a guidance is: how the estimate a sampler asks for is made from one or more networks."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor

from backbones.inputs import Inputs
from bench.conditions import Condition
from bench.diffusion.denoiser import DenoiserFn


@dataclass(frozen=True, kw_only=True)
class Guidance(ABC):
    """Makes D(x; sigma, cond) of the sampled denoiser and of whatever else it needs.

    Contract. A frozen keyword-only dataclass of its settings, each with a default; ValueError or
    BenchError for bad ones. No state and no randomness: each image's estimate depends on its row
    alone. Called without gradients; a guidance that differentiates a network (a discriminator
    adds w sigma^2 grad_x log(p / (1 - p)) to D) does so under torch.enable_grad and detaches.

    Other networks (a discriminator, a weaker model for autoguidance) come by name: `needs` lists
    the names, `sampling.sample(networks={name: callable})` must bring them, and `estimate` gets
    them as `others`. What such a callable takes and gives is the guidance's to document. Every
    call of the denoiser or of another network counts as one evaluation (an ensemble of K: as K).
    """

    name: ClassVar[str]
    needs: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
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
        """The guided D for x [N, C, *spatial] float64 at sigma > 0, of x's shape.

        `denoise` answers in float64. `stage` is 1 for the first evaluation of a sampler's step, 2
        for Heun's correction, so that they can be guided with weights of their own.

        Raises:
            BenchError: `cond` lacks what the guidance is made of.
        """

    def check(self, inputs: Inputs) -> None:
        """BenchError for a task whose cases, or whose trials, lack what the guidance is made of."""
        return

    @classmethod
    def stand_ins(cls) -> Mapping[str, Callable[..., Any]]:
        """Cheap networks for each name in `needs`, for counting evaluations and for checks."""
        return {}
