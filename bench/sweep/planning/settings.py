"""Parameters that are given on the command line for all trials: KEY=VALUE."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

from bench.errors import BenchError

TEXT_ONLY = ("[", "{", '"')  # how a JSON value begins that is no plain word


def given_parameters(settings: Sequence[str]) -> dict[str, Any]:
    """'lr=1e-3', 'sampler=euler' and 'attention=[16,8]' as values by name.

    Raises:
        BenchError: a text that is no KEY=VALUE, a value that JSON does not have, a key twice.
    """
    given: dict[str, Any] = {}
    for text in settings:
        key, equals, value = text.partition("=")
        if not equals or not key.isidentifier():
            raise BenchError(f"--set {text!r} is not KEY=VALUE, as in --set sampler=euler")
        if key in given:
            raise BenchError(f"--set {key} is given twice; give it once")
        given[key] = _value(text, value)
    return given


def _value(text: str, value: str) -> Any:
    """A number, list or mapping as JSON has it; any other word is a text."""
    try:
        parsed = json.loads(value)
    except ValueError:
        if value.startswith(TEXT_ONLY) or not value:
            raise BenchError(f"--set {text!r}: {value!r} is no number, word or list") from None
        return value
    if isinstance(parsed, float) and not math.isfinite(parsed):
        raise BenchError(f"--set {text!r}: a value must be finite")
    return parsed
