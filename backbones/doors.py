"""How a network is found and built: by its name in the table, or from a user's own file."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Mapping
from dataclasses import fields
from difflib import get_close_matches
from pathlib import Path
from types import ModuleType
from typing import Any

from backbones.backbone import Backbone, check_whole


def load(name: str, table: Mapping[str, str]) -> ModuleType:
    """The module behind `name`: see backbones.load."""
    if name in table:
        return importlib.import_module(table[name])
    if ".py:" in name:
        path, _, function = name.rpartition(":")
        return _load_file(Path(path), function)
    raise ValueError(
        f"unknown backbone {name!r}; {_nearest(name, table)}({', '.join(sorted(table))}, "
        "or my_net.py:build for your own)"
    )


def build(
    module: ModuleType,
    name: str,
    *,
    resolution: int,
    in_channels: int,
    out_channels: int,
    n_classes: int,
    args: Mapping[str, Any],
) -> Backbone:
    """The network of `module`, built with the fields `args` of its Args."""
    known = [field.name for field in fields(module.Args)]
    for key in args:
        if key not in known:
            raise ValueError(
                f"{name} has no setting {key!r}; {_nearest(key, known)}({', '.join(known)})"
            )
    try:
        check_whole(1, resolution=resolution, in_channels=in_channels, out_channels=out_channels)
        check_whole(0, n_classes=n_classes)
        net = module.build(
            resolution=resolution,
            in_channels=in_channels,
            out_channels=out_channels,
            n_classes=n_classes,
            args=module.Args(**args),
        )
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error
    if not isinstance(net, Backbone):
        raise ValueError(
            f"{name} built a {type(net).__name__}, not a Backbone; "
            "derive the network from backbones.backbone.Backbone"
        )
    return net


def _load_file(path: Path, function: str) -> ModuleType:
    if not path.is_file():
        raise ValueError(f"no file {path} to take the backbone {function!r} from")
    spec = importlib.util.spec_from_file_location(f"_backbone_{path.stem}", path)
    assert spec is not None  # the name ends in .py
    assert spec.loader is not None
    module = sys.modules[spec.name] = importlib.util.module_from_spec(
        spec
    )  # dataclasses look there
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[spec.name]
        raise ValueError(f"{path} fails to import: {type(error).__name__}: {error}") from error
    for needed, what in ((function, "function"), ("Args", "frozen dataclass of settings")):
        if not hasattr(module, needed):
            raise ValueError(f"{path} has no {needed}; a backbone's file defines it ({what})")
    module.build = getattr(module, function)  # type: ignore[attr-defined]  # our own fresh module
    return module


def _nearest(name: str, known: Mapping[str, str] | list[str]) -> str:
    near = get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f"did you mean {near[0]!r}? " if near else ""
