"""Reading's checks, and the command-line options that fill it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from bench.cli import main
from bench.commands.reading_options import given, reading_options
from bench.data.reading import Reading
from bench.errors import BenchError
from tests.unit.data.conftest import grey_pictures, write_images


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"size": (16,)}, r"size 16: give \(H, W\)"),
        ({"size": (16, 3)}, "size 16x3 is too small"),
        ({"fit": "stretch"}, "unknown fit 'stretch'"),
        ({"every": 0}, "every 0 is too small"),
        ({"max_subjects": 2}, "max_subjects 2 is too small"),
        ({"max_frames_per_subject": 0}, "max_frames_per_subject 0"),
        ({"value_range": (3.0, 3.0)}, r"value range 3\.\.3"),
        ({"value_range": (0.0, float("inf"))}, "value range"),
        ({"box_padding": -0.1}, "box padding -0.1: give a share"),
        ({"box_padding": 30.0}, "box padding 30: give a share .* 0 to 2; 30 % is 0.3"),
        ({"box_padding": float("nan")}, "box padding nan"),
        ({"parts": "random"}, "unknown parts 'random'"),
    ],
)
def test_impossible_fields_are_errors(fields: dict[str, Any], reason: str) -> None:
    with pytest.raises(BenchError, match=reason):
        Reading(**{"size": (16, 16), **fields})


def _parse(*words: str) -> tuple[dict[str, Any], str]:
    fields: dict[str, Any] = {}

    @click.command()
    @reading_options
    def command(**reading: Any) -> None:
        fields.update(given(reading))

    return fields, CliRunner().invoke(command, list(words)).output


def test_options_that_are_given_become_fields() -> None:
    assert _parse()[0] == {}
    fields, _ = _parse(
        "--size", "8x16x24", "--fit", "pad", "--every", "3", "--reader", "npz", "--include", "a*",
        "--include", "b*", "--exclude", "c", "--group-by", "x", "--label-by", "y",
        "--value-range", "-100:300.5", "--box-padding", "0.25", "--parts", "dealt",
    )  # fmt: skip
    assert fields == {
        "size": (8, 16, 24), "fit": "pad", "every": 3, "reader": "npz", "include": ("a*", "b*"),
        "exclude": ("c",), "group_by": "x", "label_by": "y", "value_range": (-100.0, 300.5),
        "box_padding": 0.25, "parts": "dealt",
    }  # fmt: skip
    assert Reading(**fields).size_text == "8x16x24"


@pytest.mark.parametrize(
    "words",
    [
        *[("--size", "16"), ("--size", "16x-2"), ("--size", "axb"), ("--value-range", "1")],
        *[("--value-range", "a:b"), ("--fit", "stretch"), ("--every", "x")],
    ],
)
def test_options_that_make_no_sense_are_usage_errors(words: tuple[str, str]) -> None:
    fields, output = _parse(*words)
    assert fields == {}
    assert "Invalid value" in output


def test_bench_data_shows_what_was_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = write_images(tmp_path / "data", {f"k/{n}": p for n, p in grey_pictures(9).items()})
    with pytest.raises(SystemExit) as left:
        main([
            "data", str(root), "--home", str(tmp_path / "h"), "--size", "12x20",
            "--label-by", "^[^/]+", "--value-range", "0:255", "--scale", "smoke",
        ])  # fmt: skip
    assert not left.value.code
    out = " ".join(capsys.readouterr().out.split())
    assert "shape 9, 1, 12, 20" in out
    assert "of class k" in out
    assert "9 frames have another aspect than 12x20" in out
    assert list((tmp_path / "h" / "thumbnails").glob("*.png"))
