"""`bench show backbone`: a network's blocks, parameters and FLOPs, on the meta device."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from rich.console import Group
from rich.markup import escape
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
        except (ValueError, RecursionError):  # no JSON, or nested or long beyond reason
            raise BenchError(f"--set {text!r}: {value!r} is not a number or a list") from None
        args[key] = tuple(parsed) if isinstance(parsed, list) else parsed
    return args


def parse_size(text: str) -> tuple[int, ...]:
    """'64' as 64x64, '48x64' as height and width, '16x48x64' as depth, height and width."""
    sides = text.lower().split("x")
    valid = all(side.isascii() and side.isdigit() and len(side) <= 5 for side in sides)
    if not valid or len(sides) > 3:
        raise BenchError(f"--size {text!r} is not a size in pixels, as in 64, 48x64 or 16x48x64")
    spatial = tuple(int(side) for side in sides)
    return spatial * 2 if len(spatial) == 1 else spatial


def describe(
    name: str, spatial: tuple[int, ...], channels: int, classes: int, args: dict[str, Any]
) -> dict[str, Any]:
    """Everything about one network; `flops` are of one forward pass of one case."""
    import dataclasses

    import torch

    from backbones import counting
    from backbones.inputs import Inputs
    from bench import networks
    from bench.doors import VERDICTS

    try:
        inputs = Inputs(
            spatial=spatial, channels=channels, out_channels=channels, n_classes=classes
        )
        with torch.device("meta"):
            net = networks.build(name, inputs, **args)
        flops, training_flops = counting.forward_flops(net), counting.training_flops(net)
    except (ValueError, RuntimeError, OverflowError, TypeError) as error:  # sizes torch cannot hold
        size = "x".join(map(str, spatial))
        raise BenchError(f"{name} at {size}: {error}".splitlines()[0]) from error
    return {
        "name": name,
        "inputs": dataclasses.asdict(inputs),
        "inputs_text": inputs.text,
        "conformance": VERDICTS.get(name, ""),
        "settings": dataclasses.asdict(networks.load(name).Args(**args)),
        "parameters": counting.parameters(net),
        "flops": flops,
        "training_flops": training_flops,
        "c_noise_range": list(net.c_noise_range),
        "blocks": [dataclasses.asdict(block) for block in counting.blocks(net)],
    }


def to_json(description: dict[str, Any]) -> str:
    return json.dumps(description, indent=1)


def table(description: dict[str, Any]) -> Group:
    """The blocks in the order they run, then the totals."""
    rows = Table(box=None, pad_edge=False, header_style="dim")
    for name in ("block", "kind", "in", "out", "px", "attention", "parameters"):
        rows.add_column(name, justify="left" if name in ("block", "kind") else "right")
    for block in description["blocks"]:
        rows.add_row(
            escape(block["name"]),
            escape(block["kind"]),
            str(block["channels_in"] or ""),
            str(block["channels_out"] or ""),
            "x".join(map(str, block["spatial"])),
            "yes" if block["attention"] else "",
            f"{block['parameters']:,}",
        )
    settings = ", ".join(f"{key} {value}" for key, value in description["settings"].items())
    return Group(
        f"[bold]{escape(description['name'])}[/] at {description['inputs_text']}",
        *([escape(description["conformance"])] if description["conformance"] else []),
        escape(settings),
        rows,
        f"parameters      {description['parameters']:,}",
        f"FLOPs a case    {description['flops'] / 1e9:.4g} GFLOP forward, "
        f"{description['training_flops'] / 1e9:.4g} GFLOP in training (multiply-add = 2)",
    )
