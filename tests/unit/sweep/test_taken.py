"""Names: what a driver left that was killed before its first record is no sweep."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.errors import BenchError
from bench.sweep.record.home import Home
from bench.sweep.record.journal import Journal


def damage_first_byte(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes((b"1" if content.startswith(b"0") else b"0") + content[1:])


def test_only_a_sweep_or_one_being_begun_has_its_name(tmp_path: Path) -> None:
    home = Home(tmp_path)
    assert not home.taken("echo-1")
    home.folder("echo-1").mkdir(parents=True)
    assert not home.taken("echo-1")  # killed between the folder and the journal
    journal = Journal(home.journal("echo-1"))
    assert home.taken("echo-1")  # being begun
    journal.close()
    assert not home.taken("echo-1")  # killed before the first record
    with Journal(home.journal("echo-1")) as journal:
        journal.append("plan", sweep="echo-1")
    assert home.taken("echo-1")
    path = home.journal("echo-1")
    damage_first_byte(path)
    assert not home.taken("echo-1")  # torn: its only record
    with Journal(path) as journal:
        journal.append("plan", sweep="echo-1")
        journal.append("session", event="open")
    damage_first_byte(path)
    assert home.taken("echo-1")  # a damaged record, but not the only one: somebody's sweep
    with pytest.raises(BenchError, match="damaged at record 0"):
        home.history("echo-1")
    (home.sweeps / "other").mkdir()
    (home.sweeps / "other" / "something").touch()
    assert home.taken("other")  # not ours to delete
