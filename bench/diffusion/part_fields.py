"""Parts whose settings are the fields of their dataclass: one made from a name and its fields."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from bench.doors import Family
from bench.errors import BenchError, unknown


def build(family: Family, name: str, settings: Mapping[str, Any]) -> Any:
    """The part of that name with these fields; BenchError for unknown fields or bad values."""
    part = family.load(name)
    known = [field.name for field in fields(part)]
    for key in settings:
        if key not in known:
            raise unknown(f"field of {family.kind} {name!r}:", key, known)
    try:
        return part(**settings)
    except TypeError as error:  # a word where a number belongs
        raise BenchError(f"{family.kind} {name!r}: {error}; its fields are numbers") from error
