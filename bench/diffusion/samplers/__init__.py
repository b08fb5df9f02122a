"""The table of samplers: name -> module with one solver step. Imports nothing heavy.

A new one is a file beside this that defines `step(denoise, x, sigma, sigma_next) -> x_next` and
`NFE_PER_STEP`, and one line here; tests/conformance/test_samplers.py then runs on it. The loop
that drives them is `bench.diffusion.sampling`.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING

from bench.errors import unknown

if TYPE_CHECKING:
    from torch import Tensor

    Denoise = Callable[[Tensor, float], Tensor]
    Step = Callable[[Denoise, Tensor, float, float], Tensor]

TABLE: dict[str, str] = {
    "euler": "bench.diffusion.samplers.euler",
    "heun": "bench.diffusion.samplers.heun",
}


def load(name: str) -> Step:
    """The solver step of one sampler; BenchError with the nearest match for an unknown name."""
    if name not in TABLE:
        raise unknown("sampler", name, TABLE)
    step: Step = import_module(TABLE[name]).step
    return step


def nfe(name: str, n: int) -> int:
    """Network evaluations per image of n steps, the last of them to sigma = 0; without running."""
    if name not in TABLE:
        raise unknown("sampler", name, TABLE)
    per_step: int = import_module(TABLE[name]).NFE_PER_STEP
    return per_step * (n - 1) + 1
