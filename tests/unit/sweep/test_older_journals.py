"""A journal as an earlier bench wrote it: kept, and still read, ranked and gone on from."""

from __future__ import annotations

import json
import shutil
import zlib
from pathlib import Path

import pytest

from bench.errors import BenchError
from bench.sweep.cost import budget, equal
from bench.sweep.record.board_rows import rows
from bench.sweep.record.history import History
from bench.sweep.record.journal import Journal, read
from bench.sweep.running.engine import Engine
from bench.workloads.echo import SMOKE
from leaderboards import board, text
from search_spaces.echo_space import space
from tests.unit.sweep.fakes import frame

SAMPLE = Path(__file__).parent / "samples" / "format-1.jsonl"  # before budgets and storage


def test_it_folds_and_its_board_builds() -> None:
    history = History(read(SAMPLE))
    assert history.plan["sweep"] == "echo-2"
    assert set(history.counts()) <= {"completed", "pruned"}
    assert history.ended is not None
    built = board.build(rows(history), device=history.plan["device"])
    assert history.best() is not None
    assert len(built.rows) == len(history.trials)
    assert json.loads(text.to_json(built))["entries"]


def test_an_engine_takes_it_up_without_the_keys_it_has_not(tmp_path: Path) -> None:
    path = tmp_path / "echo-2" / "journal.jsonl"
    path.parent.mkdir()
    shutil.copy(SAMPLE, path)
    journal = Journal(path)
    engine = Engine(journal, frame(), space, SMOKE.choices)
    assert engine.complete
    assert engine.next() is None
    assert not budget.limited(engine.history)
    assert equal.of_plan(engine.plan) is None
    journal.close()


def test_a_newer_one_is_refused_with_the_remedy(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    shutil.copy(SAMPLE, path)
    forge(path, 99)
    with pytest.raises(BenchError, match=r"newer bench \(format 99.*upgrade bench"):
        read(path)


def forge(path: Path, version: int) -> None:
    record = read(path)[0] | {"version": version}
    line = json.dumps(record).encode()
    path.write_bytes(b"%08x %s\n" % (zlib.crc32(line), line))
