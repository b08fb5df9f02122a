"""The table of preconditionings: name -> module that defines it. Imports nothing heavy.

A new one is a file beside this with a subclass of `base.Preconditioning` named `SCHEME`, and one
line here; tests/conformance/test_preconditionings.py then runs on it.
"""

from __future__ import annotations

from dataclasses import fields
from importlib import import_module
from typing import TYPE_CHECKING, Any

from bench.errors import BenchError, unknown

if TYPE_CHECKING:
    from bench.diffusion.preconditioning.scheme import Preconditioning

TABLE: dict[str, str] = {
    "edm": "bench.diffusion.preconditioning.edm",
    "iddpm": "bench.diffusion.preconditioning.iddpm",
    "ve": "bench.diffusion.preconditioning.ve",
    "vp": "bench.diffusion.preconditioning.vp",
}


def load(name: str) -> type[Preconditioning]:
    """The class of one preconditioning; BenchError with the nearest match for an unknown name."""
    if name not in TABLE:
        raise unknown("preconditioning", name, TABLE)
    scheme: type[Preconditioning] = import_module(TABLE[name]).SCHEME
    return scheme


def build(name: str, **args: Any) -> Preconditioning:
    """One preconditioning with its fields; BenchError for unknown fields or bad values."""
    scheme = load(name)
    known = [f.name for f in fields(scheme)]
    for key in args:
        if key not in known:
            raise unknown(f"field of preconditioning {name!r}:", key, known)
    try:
        return scheme(**args)
    except TypeError as error:  # a word where a number belongs
        raise BenchError(f"preconditioning {name!r}: {error}; its fields are numbers") from error
