"""A trial mirrored in storage: heard only after its files are there, taken up from there."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.run import steps
from bench.storage.mirror import mirrored, own_folder
from bench.storage.place import Place, StorageError
from tests.fakes.trials import timeless, tiny, write_cache

CHECKPOINTS = {f"checkpoint-{n:012d}.safetensors" for n in (32, 64)}


def test_reports_come_after_the_files_they_rest_on(place: Place, tmp_path: Path) -> None:
    def trial(folder: Path) -> Iterator[int]:
        for nimg in range(1, 5):
            (folder / f"checkpoint-{nimg:012d}.safetensors").write_bytes(bytes([nimg]) * 100)
            (folder / f"checkpoint-{nimg - 2:012d}.safetensors").unlink(missing_ok=True)
            (folder / "samples.png").write_bytes(bytes([nimg]))
            (folder / "part-half").write_bytes(b"half")
            yield nimg

    for nimg in mirrored(trial, tmp_path / "scratch", "0003", place):
        kept = {f"checkpoint-{n:012d}.safetensors": 100 for n in (nimg, nimg - 1) if n > 0}
        assert place.sizes() == {**kept, "samples.png": 1}
        assert place.read("samples.png") == bytes([nimg])
    assert list((tmp_path / "scratch").iterdir()) == []


def test_a_trial_goes_on_elsewhere_from_what_is_in_storage(tmp_path: Path) -> None:
    """Every folder of the first process is lost: reports and files are those of one that ran
    through, bit by bit."""
    config = tiny(write_cache(tmp_path / "cache"))
    whole = [timeless(r) for r in steps(config, tmp_path / "whole")]
    place = Place(str(tmp_path / "shared"), ())

    def run(folder: Path) -> Iterator[object]:
        return steps(config, folder)

    first = mirrored(run, tmp_path / "node1", "0000", place)
    said = [timeless(next(first)) for _ in range(5)]  # the second rung is at the fourth
    first.close()
    assert list((tmp_path / "node1").iterdir()) == []
    again = [timeless(r) for r in mirrored(run, tmp_path / "node2", "0000", place)]
    assert said == whole[:5]
    assert [r["rung"] for r in again[:2]] == [0, 1]  # said again
    assert again[0] == whole[1]
    assert again[1:] == whole[whole.index(again[1]) :]
    for file in ("weights.safetensors", "samples.png", "stability_log.npz"):
        assert place.read(file) == (tmp_path / "whole" / file).read_bytes()
    assert {n for n in place.sizes() if n.startswith("checkpoint")} == CHECKPOINTS


def test_one_that_lags_behind_deletes_nothing_of_one_ahead(tmp_path: Path) -> None:
    """A process thought dead that still runs: the newer checkpoints stay."""
    place = Place(str(tmp_path / "shared"), ())

    def upto(first: int, last: int) -> Iterator[None]:
        def trial(folder: Path) -> Iterator[None]:
            for nimg in range(first, last):
                (folder / f"checkpoint-{nimg:012d}.safetensors").write_bytes(b"x")
                (folder / f"checkpoint-{nimg - 2:012d}.safetensors").unlink(missing_ok=True)
                yield

        return mirrored(trial, tmp_path / "node", "0000", place)

    behind = upto(1, 6)
    next(behind)
    list(upto(2, 9))
    ahead = {f"checkpoint-{n:012d}.safetensors" for n in (7, 8)}
    assert ahead <= set(place.sizes())
    list(behind)
    assert ahead <= set(place.sizes())


def test_a_report_is_not_heard_when_its_files_do_not_arrive(tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    place = Place(str(shared), (0.0,))

    def trial(folder: Path) -> Iterator[int]:
        yield 0
        (folder / "checkpoint-1.safetensors").write_bytes(b"x")
        shared.rmdir() if shared.exists() else None
        shared.write_bytes(b"a file stands where the storage was")
        yield 1

    made = mirrored(trial, tmp_path / "scratch", "0000", place)
    assert next(made) == 0
    with pytest.raises(StorageError, match="cannot write checkpoint-1"):
        next(made)


def test_leftovers_of_a_killed_process_go_and_those_of_a_living_stay(tmp_path: Path) -> None:
    for name in ("0001.aaaa", "0002.bbbb"):
        (tmp_path / name).mkdir()
        (tmp_path / f"{name}.lock").touch()
    with open(tmp_path / "0002.bbbb.lock", "rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with own_folder(tmp_path, "0003") as own:
            assert own.is_dir()
            left = {p.name for p in tmp_path.iterdir() if p.is_dir()}
            assert left == {"0002.bbbb", own.name}
        assert not own.exists()
