"""Networks by name: the table's own, or a user's "my_net.py:build", which passes a suite first.

A user's file defines what a module of `backbones` does: a frozen dataclass `Args`, the named
function (inputs, args) -> Backbone and, if it likes, `SIZES`. It is checked at small sizes, in 2D,
in 3D or in both, as its Backbone says with `spatial_dims`, with the arguments of SIZES["smoke"]
where there are any, else with its defaults.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import backbones
from backbones.inputs import Inputs
from backbones.sizes import Size
from bench.doors import Family, from_file, is_outside
from bench.errors import BenchError, unknown

if TYPE_CHECKING:
    from backbones.backbone import Backbone

BACKBONES = Family(kind="backbone", table=backbones.TABLE, suite="bench.networks:conform")


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """What makes networks of one kind: the class of its settings, its builder, its sizes."""

    name: str
    Args: Any  # a frozen dataclass
    build: Callable[[Inputs, Any], Backbone]
    SIZES: Mapping[str, Size]  # by scale; of a user's own perhaps empty


def load(name: str) -> Architecture:
    """The architecture of a name in the table, or of "path/to/file.py:function".

    Raises:
        BenchError: the name is unknown, the file lacks something, or its network breaks the
            contract.
    """
    return _architecture(name, BACKBONES.load(name))


def build(name: str, inputs: Inputs, **args: Any) -> Backbone:
    """A new network; its weights are drawn from torch's global generator, which the caller seeds.

    Raises:
        BenchError: as `load`; an unknown setting (with the nearest match), or values that cannot
            be built (the rule, the values and the remedy).
    """
    return _build(load(name), inputs, args)


def args_of(name: str) -> list[str]:
    """The names of an architecture's settings."""
    return [field.name for field in fields(load(name).Args)]


def whole_arguments(name: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """All settings of an architecture with these given, defaults included.

    Raises:
        BenchError: as `build`, for unknown settings and values that cannot be.
    """
    return asdict(_settings(load(name), given))


def conform(part: Callable[[Inputs, Any], Backbone], name: str) -> int:
    """How many checks a user's network passes: backbones.conformance.

    Raises:
        BenchError: the first rule that it breaks.
    """
    from backbones import conformance

    architecture = _architecture(name, part)
    smoke = architecture.SIZES.get("smoke")
    settings = _settings(architecture, smoke.arguments() if smoke else {})
    try:
        return conformance.check(lambda inputs: architecture.build(inputs, settings))
    except conformance.ConformanceError as error:
        raise BenchError(f"backbone {name} breaks its contract: {error}") from error


def _architecture(name: str, part: Any) -> Architecture:
    if not is_outside(name):
        return Architecture(name=name, Args=part.Args, build=part.build, SIZES=part.SIZES)
    file, _, function = name.rpartition(":")
    if not function or not callable(part):
        raise BenchError(f"backbone {name} names no function; give {file or name}:build")
    module = from_file(Path(file), "backbone")
    args = getattr(module, "Args", None)
    if not is_dataclass(args):
        raise BenchError(f"backbone file {file} has no Args; it must define that frozen dataclass")
    sizes = getattr(module, "SIZES", {})
    if not isinstance(sizes, Mapping) or not all(isinstance(s, Size) for s in sizes.values()):
        raise BenchError(f"SIZES of {file} must map names of scales to backbones.sizes.Size")
    return Architecture(name=name, Args=args, build=part, SIZES=sizes)


def _settings(architecture: Architecture, args: Mapping[str, Any]) -> Any:
    known = [field.name for field in fields(architecture.Args)]
    for key in args:
        if key not in known:
            raise unknown(f"setting of {architecture.name}", key, known)
    try:
        return architecture.Args(**args)
    except (TypeError, ValueError) as error:
        raise BenchError(f"{architecture.name}: {error}") from error


def _build(architecture: Architecture, inputs: Inputs, args: Mapping[str, Any]) -> Backbone:
    settings = _settings(architecture, args)
    try:
        return architecture.build(inputs, settings)
    except ValueError as error:
        raise BenchError(f"{architecture.name}: {error}") from error
