"""The one error a user sees: what is wrong, where, and what to do. Exit code 2, no traceback."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class BenchError(Exception):
    """A user's mistake or an outside failure, said in one line with its remedy."""

    exit_code = 2


def unknown(kind: str, name: str, known: Iterable[str]) -> BenchError:
    """The error for a name that is in no table, with the nearest match and all that is known."""
    names = sorted(known)
    near = get_close_matches(name, names, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}? " if near else ""
    return BenchError(f"unknown {kind} {name!r}; {hint}({', '.join(names)})")
