"""A one-weight objective for the loop, with faults on request; a method from outside as well."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from bench.methods.diffusion import Diffusion
from bench.streams import normal
from bench.train.objective import Batch, Terms

ALLOCATOR = "[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to"


class Line:
    """Fits y = w x to y = 2 x; x is keyed by the sample. Faults by global sample number."""

    def __init__(
        self,
        *,
        bad_loss: int | None = None,
        bad_gradient: int | None = None,
        fits: int = 10**9,
        error: type[RuntimeError] = torch.OutOfMemoryError,
    ) -> None:
        self.net: nn.Module = nn.Linear(1, 1)
        nn.init.constant_(self.net.weight, 0.5)
        nn.init.zeros_(self.net.bias)
        self.bad_loss, self.bad_gradient = bad_loss, bad_gradient
        self.fits, self.error = fits, error
        self.seen: list[int] = []  # sizes of the micro-batches that fitted

    def terms(self, batch: Batch, samples: Sequence[int], seed: int) -> Terms:
        if len(samples) > self.fits:
            raise self.error(ALLOCATOR)
        self.seen.append(len(samples))
        x = batch.target
        loss = (self.net(x) - 2 * x).square().flatten(1).mean(1)
        if self.bad_loss in samples:
            loss = loss * float("nan")
        if self.bad_gradient in samples:  # sqrt(0) is 0 and its slope is infinite
            w = self.net.get_parameter("weight")
            loss = loss + (w - w.detach()).sqrt().sum()
        return Terms(loss=loss)


class Points:
    """x of a sample: unit normal, keyed."""

    def batch(self, samples: Sequence[int], seed: int) -> Batch:
        return Batch(target=torch.from_numpy(normal(seed, "x", samples, (1,))))


class Greedy(Diffusion):
    """Diffusion that holds two samples at a time; a method of a user's file."""

    def fits(self) -> int:
        return 2

    def terms(self, batch: Batch, samples: Sequence[int], seed: int) -> Terms:
        if len(samples) > self.fits():
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return super().terms(batch, samples, seed)


class Hopeless(Greedy):
    """Diffusion of which not even one sample fits, but in the batches of four of its suite."""

    def fits(self) -> int:
        return 2 if self.config.train.batch_size == 4 else 0


class Exploding(Diffusion):
    """Diffusion whose loss is infinite from the 25th sample on."""

    def terms(self, batch: Batch, samples: Sequence[int], seed: int) -> Terms:
        terms = super().terms(batch, samples, seed)
        bad = torch.tensor([float("inf") if k >= 24 else 1.0 for k in samples])
        return Terms(loss=terms.loss * bad, sigma=terms.sigma, sq_error=terms.sq_error)


class Broken(Diffusion):
    """Diffusion with a mistake in it that shows in the 25th sample."""

    def terms(self, batch: Batch, samples: Sequence[int], seed: int) -> Terms:
        if 24 in samples:
            raise ZeroDivisionError("a mistake\nof two lines")
        return super().terms(batch, samples, seed)
