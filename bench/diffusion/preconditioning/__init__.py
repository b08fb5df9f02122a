"""The table of preconditionings, one class each. Imports nothing heavy.

A new one is a file beside this with a subclass of `scheme.Preconditioning`, and one line here;
`bench.diffusion.preconditioning_conformance` then runs on it, as it does on a user's own
"file.py:Class".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bench.diffusion import part_fields
from bench.doors import Family

if TYPE_CHECKING:
    from bench.diffusion.preconditioning.scheme import Preconditioning

PRECONDITIONINGS = Family(
    kind="preconditioning",
    table={
        "ddpm": "bench.diffusion.preconditioning.ddpm:DDPM",
        "ddpm_cosine": "bench.diffusion.preconditioning.ddpm:CosineDDPM",
        "edm": "bench.diffusion.preconditioning.edm:EDM",
        "fast_ddpm": "bench.diffusion.preconditioning.fast_ddpm:FastDDPM",
        "fast_ddpm_uniform": "bench.diffusion.preconditioning.fast_ddpm:UniformFastDDPM",
        "iddpm": "bench.diffusion.preconditioning.iddpm:IDDPM",
        "ve": "bench.diffusion.preconditioning.ve:VE",
        "vp": "bench.diffusion.preconditioning.vp:VP",
    },
    suite="bench.diffusion.preconditioning_conformance:check",
)


def load(name: str) -> type[Preconditioning]:
    """The class of one preconditioning, of the table or of a user's file.

    Raises:
        BenchError: the name is unknown (with the nearest match) or the class breaks the contract.
    """
    scheme: type[Preconditioning] = PRECONDITIONINGS.load(name)
    return scheme


def build(name: str, **settings: Any) -> Preconditioning:
    """One preconditioning with its fields; BenchError for unknown fields or bad values."""
    scheme: Preconditioning = part_fields.build(PRECONDITIONINGS, name, settings)
    return scheme
