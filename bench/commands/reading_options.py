"""The options that say how data are read, shared by the commands that read a folder."""

from __future__ import annotations

import re
from typing import Any

import click

from bench.commands.options import Command
from bench.data.reading import BOX_PADDING, FITS, PARTS_FROM


class Size(click.ParamType[tuple[int, ...]]):
    """HxW, or DxHxW of volumes."""

    name = "HxW"

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[int, ...]:
        if isinstance(value, tuple):
            return value
        if not re.fullmatch(r"\d{1,5}(x\d{1,5}){1,2}", value):
            self.fail(f"{value!r}: give HxW as 112x112, or DxHxW for volumes", param, ctx)
        return tuple(int(side) for side in value.split("x"))


class Range(click.ParamType[tuple[float, float]]):
    """LOW:HIGH."""

    name = "LOW:HIGH"

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[float, float]:
        if isinstance(value, tuple):
            return value
        low, _, high = value.partition(":")
        try:
            return float(low), float(high)
        except ValueError:
            self.fail(f"{value!r}: give two numbers, as 0:4095", param, ctx)


def reading_options(command: Command) -> Command:
    """Adds the options; `given` picks their values out of the command's parameters."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


_OPTIONS = (
    click.option("--size", type=Size(), help="Size of the images read.  [default: the scale's]"),
    click.option("--fit", type=click.Choice(FITS), help="How another aspect comes to that size."),
    click.option("--every", type=int, metavar="N", help="Read one frame in N of videos."),
    click.option("--reader", metavar="NAME", help="What the folder is, where it holds several."),
    click.option("--include", multiple=True, metavar="GLOB", help="Read only files like this."),
    click.option("--exclude", multiple=True, metavar="GLOB", help="Leave files like this out."),
    click.option("--group-by", metavar="REGEX", help="What in a file's path names its subject."),
    click.option(
        "--label-by",
        metavar="REGEX",
        help="What in a file's path, or which listed column, names its class.",
    ),
    click.option("--value-range", type=Range(), help="Pixel values that become -1 and 1."),
    click.option(
        "--box-padding",
        type=float,
        metavar="SHARE",
        help=f"Of a box's longer side, around it, where data have boxes.  [default: {BOX_PADDING}]",
    ),
    click.option(
        "--parts",
        type=click.Choice(PARTS_FROM),
        help="Train, select, report: the layout's own, or all subjects dealt anew 60/20/20.",
    ),
)
_NAMES = (
    *("size", "fit", "every", "reader", "include", "exclude"),
    *("group_by", "label_by", "value_range", "box_padding", "parts"),
)


def given(parameters: dict[str, Any]) -> dict[str, Any]:
    """The fields of bench.data.reading.Reading that were given on the command line; they are taken
    out of the command's parameters."""
    values = {name: parameters.pop(name) for name in _NAMES}
    return {name: value for name, value in values.items() if value not in (None, ())}
