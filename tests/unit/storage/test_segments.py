"""The journal in storage: what comes back is byte for byte what was written, as far as it got."""

from __future__ import annotations

import json
import socket
import time
from pathlib import Path

import pytest

from bench.errors import BenchError
from bench.storage import segments
from bench.storage.place import Place, StorageError
from bench.storage.segments import SegmentMirror, rebuild
from bench.sweep.record.journal import Journal, read


class Sweep:
    """A journal, its mirror and what the mirror said."""

    def __init__(self, place: Place, folder: Path) -> None:
        self.said: list[str] = []
        self.place, self.path = place, folder / "echo-1" / "journal.jsonl"
        self.journal = Journal(self.path)
        self.mirror = SegmentMirror(place, self.path, folder, self.said.append)

    def write(self, count: int) -> None:
        for _ in range(count):
            self.journal.append("report", trial=1, note="ü" * 40)


def test_rebuilt_elsewhere_it_is_the_same_journal(place: Place, tmp_path: Path) -> None:
    sweep = Sweep(place, tmp_path / "a")
    sweep.mirror.claim()
    for count in (3, 0, 5):
        sweep.write(count)
        assert sweep.mirror._try()
    assert list(place.sizes("journal")) == ["00000000-00000007.jsonl"]
    sweep.write(2)
    assert sweep.mirror.close()
    sweep.journal.close()
    assert segments.CLAIM not in place.sizes()
    other = tmp_path / "b" / "echo-1" / "journal.jsonl"
    assert rebuild(place, other) == 10
    assert other.read_bytes() == sweep.path.read_bytes()
    assert read(other) == sweep.journal.records
    assert rebuild(place, other) == 0  # nothing more to add
    # and the sweep goes on from there, and back again
    again = Sweep(place, tmp_path / "b")
    again.mirror.claim()
    again.write(4)
    assert again.mirror.close()
    assert sorted(place.sizes("journal")) == ["00000000-00000009.jsonl", "00000010-00000013.jsonl"]
    assert rebuild(place, sweep.path) == 4
    assert sweep.path.read_bytes() == other.read_bytes()


def test_a_large_segment_is_closed(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(segments, "SEGMENT_BYTES", 400)
    sweep = Sweep(place, tmp_path)
    sweep.mirror.claim()
    for _ in range(6):
        sweep.write(1)
        assert sweep.mirror._try()
    names = sorted(place.sizes("journal"))
    assert len(names) == 3  # a record is over 200 bytes: two close a segment
    assert rebuild_to(place, tmp_path) == sweep.path.read_bytes()


def rebuild_to(place: Place, folder: Path) -> bytes:
    place.delete(segments.CLAIM)
    path = folder / "rebuilt" / "journal.jsonl"
    rebuild(place, path)
    return path.read_bytes()


def test_only_whole_records_go_and_a_gap_ends_it(tmp_path: Path) -> None:
    place = Place(str(tmp_path / "shared"), ())
    sweep = Sweep(place, tmp_path)
    sweep.mirror.claim()
    sweep.write(3)
    whole = sweep.path.read_bytes()
    with open(sweep.path, "ab") as file:
        file.write(b"0badc0de {half of a rec")
    assert sweep.mirror._try()
    assert rebuild_to(place, tmp_path / "1") == whole
    for first, last in ((2, 3), (5, 6)):  # one that overlaps, one beyond a gap
        lines = b"".join(segment_line(n) for n in range(first, last + 1))
        place.write(f"journal/{first:08d}-{last:08d}.jsonl", lines, tmp_path)
    assert rebuild_to(place, tmp_path / "2") == whole + segment_line(3)
    place.write("journal/00000004-00000004.jsonl", segment_line(4)[:-4] + b"xx}\n", tmp_path)
    with pytest.raises(BenchError, match=r"segment 00000004-.* is damaged"):
        rebuild_to(place, tmp_path / "3")


def segment_line(n: int) -> bytes:
    import zlib

    text = json.dumps({"kind": "report", "n": n}).encode()
    return b"%08x %s\n" % (zlib.crc32(text), text)


def test_another_sweep_of_the_name_is_refused(tmp_path: Path) -> None:
    place = Place(str(tmp_path / "shared"), ())
    one, other = Sweep(place, tmp_path / "a"), Sweep(place, tmp_path / "b")
    one.mirror.claim()
    one.write(3)
    assert one.mirror.close()
    other.write(2)
    with pytest.raises(BenchError, match="holds the journal of another sweep"):
        other.mirror.claim()
    place.delete(segments.CLAIM)
    other.journal.close()
    with pytest.raises(BenchError, match="differ"):
        rebuild(place, other.path)
    with pytest.raises(BenchError, match="holds no journal"):
        rebuild(place.at("nobody"), tmp_path / "c" / "journal.jsonl")


def test_a_living_driver_elsewhere_keeps_the_sweep(tmp_path: Path) -> None:
    place = Place(str(tmp_path / "shared"), ())
    place.write(segments.CLAIM, claim_of("elsewhere", ago=20), tmp_path)
    sweep = Sweep(place, tmp_path)
    with pytest.raises(BenchError, match=r"run on elsewhere \(pid 1, heard 2\d s ago\)"):
        sweep.mirror.claim()
    with pytest.raises(BenchError, match="run on elsewhere"):
        rebuild(place, tmp_path / "journal.jsonl")
    place.write(segments.CLAIM, claim_of("elsewhere", ago=segments.CLAIM_SEC + 1), tmp_path)
    sweep.mirror.claim()
    place.write(segments.CLAIM, claim_of(socket.gethostname(), pid=2**22 + 1), tmp_path)
    Sweep(place, tmp_path / "other").mirror.claim()  # that driver is dead: its pid is nobody's


def claim_of(host: str, ago: float = 0.0, pid: int = 1) -> bytes:
    return json.dumps({"host": host, "pid": pid, "token": "x", "t": time.time() - ago}).encode()


def test_a_driver_that_was_taken_over_is_told_to_stop(tmp_path: Path) -> None:
    place = Place(str(tmp_path / "shared"), ())
    sweep = Sweep(place, tmp_path)
    sweep.mirror.claim()
    sweep.write(1)
    sweep.mirror.check()
    place.write(segments.CLAIM, claim_of("elsewhere"), tmp_path)
    assert not sweep.mirror._try()
    with pytest.raises(BenchError, match="taken over by the driver on elsewhere"):
        sweep.mirror.check()
    assert not sweep.mirror.close()
    assert place.sizes("journal") == {}  # nothing of ours went into theirs


def test_a_storage_away_is_said_once_and_made_up_for(tmp_path: Path) -> None:
    place = Place(str(tmp_path / "shared"), ())
    sweep = Sweep(place, tmp_path)
    sweep.mirror.claim()
    (tmp_path / "shared").rename(tmp_path / "away")
    (tmp_path / "shared").touch()
    sweep.write(2)
    assert not sweep.mirror._try()
    assert not sweep.mirror._try()
    assert len(sweep.said) == 1
    assert "journal segments wait" in sweep.said[0]
    (tmp_path / "shared").unlink()
    (tmp_path / "away").rename(tmp_path / "shared")
    assert sweep.mirror._try()
    assert sweep.said[1:] == ["the storage is back; it has the whole journal"]
    assert rebuild_to(place, tmp_path) == sweep.path.read_bytes()


def test_the_thread_uploads_on_its_own(tmp_path: Path) -> None:
    place = Place(str(tmp_path / "shared"), ())
    sweep = Sweep(place, tmp_path)
    sweep.mirror._every = 0.02
    sweep.mirror.claim()
    sweep.mirror.start()
    sweep.write(4)
    until = time.monotonic() + 10
    while place.sizes("journal") == {} or "3.jsonl" not in max(place.sizes("journal")):
        assert time.monotonic() < until
        time.sleep(0.01)
    assert sweep.mirror.close()


def test_errors_of_storage_are_bench_errors() -> None:
    assert issubclass(StorageError, BenchError)
