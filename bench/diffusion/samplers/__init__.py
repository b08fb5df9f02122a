"""The table of samplers, one class each. Imports nothing heavy.

A new one is a file beside this with a subclass of `solver.Solver`, and one line here;
`bench.diffusion.sampler_conformance` then runs on it, as it does on a user's own "file.py:Class".
The loop that drives them is `bench.diffusion.sampling`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from bench.doors import Family
from bench.errors import BenchError

if TYPE_CHECKING:
    from bench.diffusion.samplers.solver import Solver

SAMPLERS = Family(
    kind="sampler",
    table={
        "ddim": "bench.diffusion.samplers.ddim:DDIM",
        "ddpm": "bench.diffusion.samplers.ddim:DDPM",
        "dpmpp_2m": "bench.diffusion.samplers.dpmpp_2m:DPMSolverPP2M",
        "euler": "bench.diffusion.samplers.euler:Euler",
        "heun": "bench.diffusion.samplers.heun:Heun",
    },
    suite="bench.diffusion.sampler_conformance:check",
)


def load(name: str) -> type[Solver]:
    """The class of one sampler, of the table or of a user's file.

    Raises:
        BenchError: the name is unknown (with the nearest match) or the class breaks the contract.
    """
    solver: type[Solver] = SAMPLERS.load(name)
    return solver


def build(sampler: str | type[Solver], settings: Mapping[str, float]) -> Solver:
    """A solver for one run, with settings that it reads.

    Raises:
        BenchError: as `load`; or the solver does not read one of the settings.
    """
    solver = load(sampler) if isinstance(sampler, str) else sampler
    for key, value in settings.items():
        if key not in solver.settings:
            readers = [name for name in SAMPLERS.table if key in load(name).settings]
            raise BenchError(
                f"sampler {sampler!r} does not read {key}={value:g}; leave {key} out, or take a "
                f"sampler that reads it ({', '.join(readers) or 'none in the table does'})"
            )
    return solver(**settings)


def nfe(name: str, steps: int) -> int:
    """Denoiser evaluations per image of `steps` steps, the last one to sigma = 0, unguided.

    `sampling.nfe` counts the passes of a guidance as well, which may depend on the grid.
    """
    return load(name).nfe(steps)
