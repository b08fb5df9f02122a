"""`bench show backbone`: any size, a user's own file, what cannot be in one line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

import backbones
from bench.console import network_table
from bench.errors import BenchError
from tests.fakes import volume_net

BRACKETS = """
from dataclasses import dataclass
from tests.fakes import volume_net

@dataclass(frozen=True, kw_only=True)
class Args:
    mode: str = "[/red]"

def build(inputs, args):
    return volume_net.Volumes(inputs, 3)
"""


def _text(description: dict[str, Any]) -> str:
    console = Console(width=200, highlight=False)
    with console.capture() as capture:
        console.print(network_table.table(description))
    return capture.get()


@pytest.mark.parametrize("name", backbones.TABLE)
def test_every_network_is_shown_at_an_oblong_size(name: str) -> None:
    description = network_table.describe(name, (64, 128), 2, 3, {})
    assert json.loads(network_table.to_json(description))["inputs"]["spatial"] == [64, 128]
    assert sum(block["parameters"] for block in description["blocks"]) == description["parameters"]
    text = _text(description)
    assert f"{name} at 64x128, 2 in, 3 classes" in text
    assert "64x128 " in text.split("parameters", 1)[1]  # the sides of a block
    assert f"{description['parameters']:,}" in text


def test_a_users_volumes_are_shown_with_the_verdict() -> None:
    name = f"{volume_net.__file__}:build"
    text = _text(network_table.describe(name, (4, 6, 8), 1, 0, {"width": 3}))
    assert "passes 11 conformance checks" in text
    assert "4x6x8" in text
    assert "width 3" in text


def test_brackets_are_no_markup(tmp_path: Path) -> None:
    (tmp_path / "[").mkdir()
    (tmp_path / "[/red].py").write_text(BRACKETS)
    text = _text(network_table.describe(f"{tmp_path}/[/red].py:build", (8, 8, 8), 1, 0, {}))
    assert "[/red].py:build at 8x8x8" in text
    assert "mode [/red]" in text


def test_sizes_are_read() -> None:
    assert network_table.parse_size("64") == (64, 64)
    assert network_table.parse_size("48X64") == (48, 64)
    assert network_table.parse_size("4x6x8") == (4, 6, 8)
    for text in ("", "x", "1x2x3x4", "-3", "1e3", "8 x 8", "123456", "٣"):
        with pytest.raises(BenchError, match="is not a size in pixels, as in 64, 48x64"):
            network_table.parse_size(text)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"spatial": (0, 8)}, "adm at 0x8: spatial must be"),
        ({"channels": 0}, "a network needs a channel to read"),
        ({"classes": -1}, "n_classes must not be negative"),
        ({"args": {"width": 10**12}}, "adm at 64x64: "),
        ({"args": {"width": 10**20}}, "adm at 64x64: "),
        ({"channels": 10**24}, "adm at 64x64: "),
    ],
)
def test_what_cannot_be_is_said_in_one_line(change: dict[str, Any], message: str) -> None:
    given = {"spatial": (64, 64), "channels": 1, "classes": 0, "args": {}, **change}
    with pytest.raises(BenchError) as caught:
        network_table.describe("adm", **given)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("value", ["[" * 50_000, "1" * 5_000, "x", ""])
def test_settings_that_are_no_json(value: str) -> None:
    with pytest.raises(BenchError, match="is not a number or a list"):
        network_table.parse_settings([f"width={value}"])
