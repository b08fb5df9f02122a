"""Averages of the weights: two power-function averages and a short exponential one.

Power-function averages (Karras et al. 2024, arXiv 2312.02696, section 3.1): the average at time t
weighs the weights at time s as s^gamma, so its length grows with the run; for a step of d images
beta(t) = (1 - d/t)^(gamma+1). Two of them, stored at a few moments, let any other length be
reconstructed after training. The short one, of fixed half-life, is for early rungs, where a long
average still holds the initialisation.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from bench.train.flat import FlatParameters

Weights = dict[str, Tensor]


def gamma_of(sigma_rel: float) -> float:
    """The exponent whose average has relative width `sigma_rel`: the positive real root of
    sigma_rel^2 (gamma+2)^2 (gamma+3) = gamma+1 (equation 126 of the paper, solved exactly)."""
    v = sigma_rel**2
    roots = np.roots([v, 7 * v, 16 * v - 1, 12 * v - 1])
    real = roots[np.abs(roots.imag) < 1e-9].real
    return float(real.max())


class Averages:
    """The averages of one network, float32, updated once a step. Owns its tensors."""

    def __init__(
        self, net: nn.Module, flat: FlatParameters, sigma_rel: tuple[float, ...], short_nimg: int
    ) -> None:
        """`flat`: the buffers of this network."""
        self.names = [name for name, _ in net.named_parameters()]
        self.gammas = {self.key_of(s): gamma_of(s) for s in sigma_rel}
        self.short_nimg = short_nimg
        self._live = [b.detach() for b in flat.buffers]
        self._flat = {
            key: [b.clone().float() for b in self._live] for key in (*self.gammas, "short")
        }
        self.weights: dict[str, list[Tensor]] = {  # by parameter, as views
            key: flat.views(average) for key, average in self._flat.items()
        }

    @staticmethod
    def key_of(sigma_rel: float) -> str:
        """The key of the power-function average of this relative width."""
        return f"power{sigma_rel:g}"

    @torch.no_grad()
    def update(self, nimg: int, step_nimg: int, kept: Tensor | None = None) -> None:
        """After a step that brought the run to `nimg` images, `step_nimg` of them in the step.

        `kept`: a float32 number on the device, 1, or 0 for a step that is left out.
        """
        for key, average in self._flat.items():
            share = 1.0 - self._beta(key, nimg, step_nimg)
            away = share if kept is None else kept * share
            for a, live in zip(average, self._live, strict=True):
                a.lerp_(live.float(), away)

    def _beta(self, key: str, nimg: int, step_nimg: int) -> float:
        if key == "short":
            # never longer than the run: the early average must not hold the initialisation
            return min(0.5 ** (step_nimg / self.short_nimg), 1 - step_nimg / nimg)
        return float((1 - step_nimg / nimg) ** (self.gammas[key] + 1))

    def named(self, key: str) -> Weights:
        """One average by parameter name."""
        return dict(zip(self.names, self.weights[key], strict=True))

    def loadable(self, key: str, net: nn.Module) -> Weights:
        """A whole state of `net`: the average, and the buffers (not averaged) as they are."""
        names = dict(net.named_buffers())
        buffers = {name: v for name, v in net.state_dict().items() if name in names}
        return self.named(key) | buffers

    @torch.no_grad()
    def copy_to(self, key: str, net: nn.Module) -> None:
        for p, average in zip(net.parameters(), self.weights[key], strict=True):
            p.copy_(average)
