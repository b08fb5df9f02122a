"""`bench show backbone`: a network's blocks, parameters and FLOPs, on the meta device."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from rich.console import Group
from rich.table import Table

from bench.errors import BenchError


def parse_settings(settings: Sequence[str]) -> dict[str, Any]:
    """'width=64' and 'attention=[16,8]' as Python values."""
    args = {}
    for text in settings:
        key, equals, value = text.partition("=")
        if not equals:
            raise BenchError(f"--set {text!r} is not KEY=VALUE, as in --set width=64")
        try:
            parsed = json.loads(value)
        except json.JSONDecodeError:
            raise BenchError(f"--set {text!r}: {value!r} is not a number or a list") from None
        args[key] = tuple(parsed) if isinstance(parsed, list) else parsed
    return args


def describe(
    name: str, resolution: int, channels: int, classes: int, args: dict[str, Any]
) -> dict[str, Any]:
    """Everything about one network; `flops` are of one forward pass of one image."""
    import dataclasses

    import torch

    import backbones
    from backbones import counting

    try:
        with torch.device("meta"):
            net = backbones.build(
                name,
                resolution=resolution,
                in_channels=channels,
                out_channels=channels,
                n_classes=classes,
                **args,
            )
        module = backbones.load(name)
        settings = dataclasses.asdict(module.Args(**args))
    except ValueError as error:
        raise BenchError(str(error)) from error
    return {
        "name": name,
        "resolution": resolution,
        "channels": channels,
        "classes": classes,
        "settings": settings,
        "parameters": counting.parameters(net),
        "flops": counting.forward_flops(net, resolution, channels),
        "training_flops": counting.training_flops(net, resolution, channels),
        "c_noise_range": list(net.c_noise_range),
        "blocks": [dataclasses.asdict(b) for b in counting.blocks(net)],
    }


def to_json(found: dict[str, Any]) -> str:
    return json.dumps(found, indent=1)


def table(found: dict[str, Any]) -> Group:
    """The blocks in the order they run, then the totals."""
    rows = Table(box=None, pad_edge=False, header_style="dim")
    for name in ("block", "kind", "in", "out", "px", "attention", "parameters"):
        rows.add_column(name, justify="left" if name in ("block", "kind") else "right")
    for block in found["blocks"]:
        rows.add_row(
            block["name"],
            block["kind"],
            str(block["channels_in"] or ""),
            str(block["channels_out"] or ""),
            str(block["resolution"] or ""),
            "yes" if block["attention"] else "",
            f"{block['parameters']:,}",
        )
    settings = ", ".join(f"{k} {v}" for k, v in found["settings"].items())
    size = f"{found['resolution']} px, {found['channels']} channels, {found['classes']} classes"
    return Group(
        f"[bold]{found['name']}[/] at {size}",
        settings,
        rows,
        f"parameters      {found['parameters']:,}",
        f"FLOPs an image  {found['flops'] / 1e9:.3f} GFLOP forward, "
        f"{found['training_flops'] / 1e9:.3f} GFLOP in training (multiply-add = 2)",
    )
