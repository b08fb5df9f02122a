"""The journal: what was appended is there, a torn end is cut, damage and second writers refused."""

from __future__ import annotations

import errno
import json
import os
import re
import zlib
from pathlib import Path
from typing import Any

import pytest

from bench.errors import BenchError
from bench.sweep.record import journal
from bench.sweep.record.journal import Journal, read


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "echo-1" / "journal.jsonl"


def fill(path: Path, count: int = 4) -> list[dict[str, Any]]:
    with Journal(path, clock=iter(range(100)).__next__) as opened:
        for i in range(count):
            opened.append("fact", value=1 / (i + 3), names=("ä", "b\n"), deep={"k": [1, None]})
        return opened.records


def test_what_was_appended_is_read_back(path: Path) -> None:
    written = fill(path)
    assert read(path) == written
    assert [r["n"] for r in written] == [0, 1, 2, 3]
    assert [r["t"] for r in written] == [0, 1, 2, 3]
    assert written[2]["value"] == 1 / 5  # to the bit: JSON holds the shortest exact text
    assert written[2]["names"] == ["ä", "b\n"]  # memory holds what a reader of the file sees
    # The format, by hand: crc32 of the JSON, a blank, the JSON.
    for line in path.read_bytes().splitlines():
        crc, _, text = line.partition(b" ")
        assert int(crc, 16) == zlib.crc32(text)
        json.loads(text)


def test_every_append_is_on_disk_when_it_returns(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[int] = []
    real = os.fsync

    def spy(handle: int) -> None:
        synced.append(path.stat().st_size)
        real(handle)

    monkeypatch.setattr(os, "fsync", spy)
    with Journal(path) as opened:
        before = len(synced)
        opened.append("fact")
        size = path.stat().st_size
        assert size > 0
        assert synced[before:] == [size]  # synced once, with the whole record in the file


def test_a_torn_last_record_is_cut_off_wherever_it_tore(path: Path) -> None:
    kept = fill(path)[:3]
    whole = path.read_bytes()
    start = whole[:-1].rfind(b"\n") + 1
    for size in range(start, len(whole)):
        path.write_bytes(whole[:size])
        assert read(path) == kept, size
        with Journal(path) as opened:
            assert opened.records == kept
            opened.append("next", size=size)
        after = read(path)
        assert [r["kind"] for r in after] == ["fact"] * 3 + ["next"]
        assert after[3]["n"] == 3


def test_a_last_record_with_wrong_content_is_cut_off(path: Path) -> None:
    kept = fill(path)[:3]
    data = bytearray(path.read_bytes())
    data[-5] ^= 1
    path.write_bytes(data)
    assert read(path) == kept


@pytest.mark.parametrize("record", [0, 1, 2])
def test_damage_before_the_end_is_refused(path: Path, record: int) -> None:
    fill(path)
    lines = path.read_bytes().splitlines(keepends=True)
    lines[record] = lines[record][:20] + b"#" + lines[record][21:]
    path.write_bytes(b"".join(lines))
    for opening in (read, Journal):
        with pytest.raises(BenchError, match=f"damaged at record {record}.*restore it"):
            opening(path)
    # The refusal released the lock and changed nothing.
    assert path.read_bytes() == b"".join(lines)
    assert not journal.is_held(path)


@pytest.mark.parametrize(
    ("version", "said"),
    [
        (1, "was written in format 1 (this one is 3) by an older bench; go on with that one"),
        (2, "was written in format 2 (this one is 3) by an older bench; go on with that one"),
        (99, "was written in format 99 (this one is 3) by a newer bench; upgrade bench"),
    ],
)
def test_another_format_is_refused_with_the_remedy(
    path: Path, monkeypatch: pytest.MonkeyPatch, version: int, said: str
) -> None:
    monkeypatch.setattr(journal, "VERSION", version)
    fill(path)
    monkeypatch.undo()
    for opening in (read, Journal):
        with pytest.raises(BenchError, match=re.escape(said)) as refusal:
            opening(path)
        assert "\n" not in str(refusal.value)
    assert not journal.is_held(path)


def test_a_second_writer_is_refused_and_readers_are_not(path: Path) -> None:
    assert not journal.is_held(path)
    with Journal(path) as opened:
        opened.append("fact")
        assert journal.is_held(path)
        with pytest.raises(BenchError, match="'echo-1' is being run by another process"):
            Journal(path)
        assert [r["kind"] for r in read(path)] == ["fact"]
    assert not journal.is_held(path)
    with Journal(path) as again:
        assert again.append("fact")["n"] == 1


class FullDisk:
    """os.write that takes `room` more bytes, then says that there is no space."""

    def __init__(self, room: int) -> None:
        self.room, self.write = room, os.write

    def __call__(self, handle: int, data: bytes) -> int:
        if self.room == 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        done = self.write(handle, data[: self.room])
        self.room -= done
        return done


@pytest.mark.parametrize("room", [0, 1, 30])
def test_a_full_disk_is_said_and_leaves_whole_records(
    path: Path, monkeypatch: pytest.MonkeyPatch, room: int
) -> None:
    kept = fill(path)
    opened = Journal(path)
    kept.append(opened.append("fact"))
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", FullDisk(room))
        with pytest.raises(BenchError, match=r"the disk is full; free space, then bench resume"):
            opened.append("lost", body="x" * 100)
    assert read(path) == kept
    # Space was freed: the same writer may go on, and nothing of the lost record comes back.
    opened.append("next")
    opened.close()
    assert [r["kind"] for r in read(path)] == ["fact"] * 5 + ["next"]


def test_a_sync_that_fails_takes_the_record_back_even_if_it_cannot_truncate(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = fill(path)

    def refuse(handle: int, *size: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    opened = Journal(path)
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", refuse)
        with pytest.raises(BenchError, match="Input/output error"):
            opened.append("lost")
    assert read(path) == kept
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", FullDisk(20))
        patch.setattr(os, "ftruncate", refuse)
        with pytest.raises(BenchError, match="disk is full"):
            opened.append("lost")
    opened.close()
    assert path.stat().st_size > sum(len(x) for x in path.read_bytes().splitlines(True)[:4])
    assert read(path) == kept
    with Journal(path) as again:
        assert again.records == kept


def test_after_a_torn_end_was_cut_a_full_disk_takes_back_to_the_cut(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = fill(path)
    size = path.stat().st_size
    with open(path, "ab") as file:
        file.write(b"0123456789 torn")
    with Journal(path) as opened:
        monkeypatch.setattr(os, "write", FullDisk(3))
        with pytest.raises(BenchError):
            opened.append("lost")
        assert path.stat().st_size == size  # not the size with the torn line
    assert read(path) == kept


def test_begun_at_is_the_first_records_time_and_none_without_a_whole_one(path: Path) -> None:
    fill(path, 2)
    assert journal.begun_at(path) == 0.0
    whole = path.read_bytes()
    for size in (0, 10, whole.index(b"\n")):
        path.write_bytes(whole[:size])
        assert journal.begun_at(path) is None


def test_no_journal_is_said(path: Path) -> None:
    with pytest.raises(BenchError, match="no journal at"):
        read(path)
