"""Runs the conformance checks of a family over one of its parts.

A check takes the part and raises BenchError, saying which rule of the contract is broken. What a
user's part raises on its own is a broken rule too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from bench.errors import BenchError


def run(kind: str, name: str, part: Any, checks: Mapping[str, Callable[[Any], None]]) -> int:
    """How many checks the part passed, which is all of them.

    Raises:
        BenchError: the first rule that is broken: `kind` and `name` of the part, the check, the
            cause, in one line.
    """
    for rule, check in checks.items():
        try:
            check(part)
        except Exception as error:
            kind_of_error = "" if isinstance(error, BenchError) else f"{type(error).__name__}: "
            cause = f"{kind_of_error}{error}".partition("\n")[0]
            raise BenchError(f"{kind} {name} breaks its contract ({rule}): {cause}") from error
    return len(checks)


def require(rule: bool, text: str) -> None:
    """BenchError with this text unless the rule holds."""
    if not rule:
        raise BenchError(text)
