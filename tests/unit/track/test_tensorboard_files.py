"""TensorBoard's files: read back, they hold what the journal says, however they were written."""

from __future__ import annotations

import random
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from bench.errors import BenchError
from bench.track.tensorboard_files import EVENTS, TensorBoardFiles, open_tracker
from bench.track.tracker_conformance import files_below
from tests.unit.track.event_files import (
    events,
    hyperparameters,
    masked_crc,
    pictures,
    scalars,
    texts,
)
from tests.unit.track.records import START, journal, plan, trial_records


@pytest.fixture
def grid(tmp_path: Path) -> Path:
    Image.fromarray(np.arange(24, dtype=np.uint8).reshape(4, 6)).save(tmp_path / "grid.png")
    return tmp_path / "grid.png"


def projected(home: Path, records: list[dict[str, Any]], **named: bool) -> TensorBoardFiles:
    tracker = TensorBoardFiles(home, **named)
    tracker.project(records)
    tracker.close()
    return tracker


def test_the_checksum_of_the_reader_is_the_standards() -> None:
    """RFC 3720, B.4: 32 bytes of zeros, masked."""
    crc = 0x8A9136AA
    assert masked_crc(bytes(32)) == ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def test_curves_are_the_journals(tmp_path: Path) -> None:
    records = journal()
    projected(tmp_path, records)
    for number in range(6):
        file = tmp_path / "tensorboard" / "calm-otter" / f"{number:04d}" / EVENTS
        expected: dict[str, list[tuple[int, float]]] = {}
        for record in records:
            if record["kind"] == "report" and record["trial"] == number:
                for sample in record.get("curve", []):
                    expected.setdefault("train/loss", []).append(
                        (sample["nimg"], float(np.float32(sample["train/loss"])))
                    )
                for tag, value in record["metrics"].items():
                    expected.setdefault(tag, []).append((record["nimg"], float(np.float32(value))))
        read = scalars(file)
        assert {tag: read[tag] for tag in expected} == expected
        assert next(events(file)).file_version == "brain.Event:2"
        assert next(events(file)).wall_time == START + 10 * number


def test_outcomes_causes_and_parameters_are_shown(tmp_path: Path) -> None:
    projected(tmp_path, journal())
    folder = tmp_path / "tensorboard" / "calm-otter"
    shown = [texts(folder / f"{n:04d}" / EVENTS) for n in range(6)]
    assert [s["outcome"] for s in shown] == [
        ["completed"],
        ["pruned: because pruned"],
        ["diverged: because diverged"],
        ["out-of-memory: because out-of-memory"],
        ["failed: because failed"],
        ["interrupted: Ctrl-C", "completed"],
    ]
    assert "| optimizer | adam |" in shown[0]["parameters"][0]
    assert "| data | simulated |" in shown[0]["parameters"][0]
    assert "Simulated data" in texts(folder / EVENTS)["plan"][0]
    experiment, start, end = hyperparameters(folder / "0001" / EVENTS)
    assert experiment.experiment.metric_infos[0].name.tag == "eval/fd_randconv"
    values = start.session_start_info.hparams
    assert values["lr"].number_value == 1e-4
    assert values["optimizer"].string_value == "adam"
    assert end.session_end_info.status == 1  # success: it was pruned as planned
    assert hyperparameters(folder / "0004" / EVENTS)[-1].session_end_info.status == 2
    assert len(hyperparameters(folder / "0005" / EVENTS)) == 3  # interrupted: not its end
    assert scalars(folder / EVENTS)["sweep/completed"] == [(0, 2.0)]


def test_pictures_go_in_by_contract_12(tmp_path: Path, grid: Path) -> None:
    records = [plan(), *trial_records(0, "completed", grid)]
    folder = tmp_path / "tensorboard" / "calm-otter" / "0000"
    tracker = projected(tmp_path, records)
    assert pictures(folder) == {"samples/samples.png": (6, 4, grid.read_bytes())}
    assert tracker.notes == []
    projected(tmp_path, records, share_real=True)
    assert set(pictures(folder)) == {"samples/samples.png", "samples/real.png"}
    grid.unlink()  # what is there stays, though its source goes
    assert projected(tmp_path, records).notes == []
    assert set(pictures(folder)) == {"samples/samples.png", "samples/real.png"}


def test_a_picture_that_is_gone_is_a_note(tmp_path: Path) -> None:
    records = [plan(), *trial_records(0, "completed", tmp_path / "gone.png")]
    assert projected(tmp_path, records).notes == [
        "trial 0: samples.png is gone or no picture, left out"
    ]


def test_no_place_is_in_any_file(tmp_path: Path, grid: Path) -> None:
    records = journal(grid)
    records[1]["params"]["own_net"] = "/home/somebody/nets/net.py:build"
    records[-2]["cause"] = "no cache in /home/somebody/echo dir/cache; put it back"
    projected(tmp_path / "home", records)
    held = b"".join(files_below(tmp_path / "home").values())
    assert held
    for word in (b"somebody", b"patients", b"echo dir", str(tmp_path).encode()):
        assert word not in held


def test_a_torn_or_damaged_file_is_made_whole(tmp_path: Path) -> None:
    records = journal()
    projected(tmp_path, records)
    once = files_below(tmp_path)
    draw = random.Random(7)
    file = tmp_path / "tensorboard" / "calm-otter" / "0000" / EVENTS
    whole = file.read_bytes()
    for _ in range(20):
        at = draw.randrange(len(whole))
        torn = draw.random() < 0.5
        file.write_bytes(whole[:at] if torn else whole[:at] + b"\xff\xfe" + whole[at + 1 :])
        projected(tmp_path, records)
        assert files_below(tmp_path) == once


def test_a_reader_that_follows_a_file_sees_it_grow(tmp_path: Path) -> None:
    records = [plan(), *trial_records(0, "completed")]
    tracker = TensorBoardFiles(tmp_path)
    tracker.project(records[:4])
    file = tmp_path / "tensorboard" / "calm-otter" / "0000" / EVENTS
    with open(file, "rb") as follower:
        begun = follower.read()
        tracker.project(records[4:])
        grown = follower.read()
    assert grown
    assert begun + grown == file.read_bytes()


def test_one_that_is_ahead_is_left_alone(tmp_path: Path) -> None:
    """A sync while the sweep runs: each gives all that it knows, in any order."""
    records = journal()
    ahead, behind = TensorBoardFiles(tmp_path), TensorBoardFiles(tmp_path)
    ahead.project(records)
    once = files_below(tmp_path)
    for record in records:
        behind.project([record])
        assert files_below(tmp_path) == once


def test_another_sweep_of_the_name_is_replaced_and_said(tmp_path: Path) -> None:
    projected(tmp_path, journal())
    later = [{**plan(), "t": START + 5000}, *trial_records(0, "pruned")]
    tracker = projected(tmp_path, later)
    assert tracker.notes == ["another sweep's event files under calm-otter were replaced"]
    folder = tmp_path / "tensorboard" / "calm-otter"
    assert sorted(p.name for p in folder.iterdir()) == ["0000", EVENTS]
    assert texts(folder / "0000" / EVENTS)["outcome"] == ["pruned: because pruned"]


def test_mistakes_are_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BenchError, match="leave out --tracking-uri"):
        open_tracker(tmp_path, "http://here", False)
    (tmp_path / "file").write_text("")
    with pytest.raises(BenchError, match=r"cannot write in .*file/tensorboard"):
        TensorBoardFiles(tmp_path / "file").check()
    monkeypatch.setitem(sys.modules, "tensorboardX", None)  # as where it is not installed
    with pytest.raises(BenchError, match=r"pip install 'diffusion-bench\[tensorboard\]'"):
        open_tracker(tmp_path, None, False)
