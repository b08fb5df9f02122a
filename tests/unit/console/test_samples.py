"""What `bench show samples` names: the picture it makes, and the files that the trial left."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bench.cli import main
from tests.unit.sweep.written import outcome, plan_record, report, suggest, write_journal

LEFT = ("cases.csv", "cases.png", "spectrum.csv")


def picture(path: Path) -> None:
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(path)


def artifacts(*names: str) -> list[dict[str, object]]:
    return [{"name": name, "path": name, "real": True} for name in names]


def test_the_tables_of_cases_are_named_beside_the_pictures(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sweep = tmp_path / "sweeps" / "fake-1"
    on_the_way = "samples-000000000008.png"
    records = [
        plan_record(),
        suggest(0),
        report(0, 8, rung=0, artifacts=artifacts(on_the_way)),
        report(0, 24, rung=1),
        report(0, 24, phase="end", artifacts=artifacts(*LEFT, "lost.csv", "samples.png")),
        outcome(0, "completed"),
    ]
    write_journal(sweep / "journal.jsonl", records)
    trial = sweep / "trials" / "0000"
    trial.mkdir(parents=True)
    for path in (sweep / "reference.png", trial / "samples.png", trial / on_the_way):
        picture(path)
    for name in LEFT:
        (trial / name).write_bytes(b"")
    with pytest.raises(SystemExit) as ended:
        main(["show", "samples", "fake-1", "--home", str(tmp_path)])
    assert not ended.value.code
    named = [Path(line) for line in capsys.readouterr().out.splitlines()]
    assert named == [sweep / "samples-0000.png", *(trial / name for name in LEFT)]
