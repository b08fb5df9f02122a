"""The decoded cache in storage, and what happens there to a trial that has ended."""

from __future__ import annotations

import multiprocessing
from pathlib import Path

import pytest

from bench.storage import folders
from bench.storage.ended import Ended
from bench.storage.place import Place, StorageError


def content(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in folder.iterdir() if p.name != folders.LIST}


def test_a_shared_folder_comes_whole_and_is_fetched_once(place: Place, tmp_path: Path) -> None:
    cache = tmp_path / "cache" / "abc"
    cache.mkdir(parents=True)
    for name in ("images.bin", "frames.npz", "index.json", "reference-1-train-9.npz"):
        (cache / name).write_bytes(name.encode() * 50)
    with pytest.raises(StorageError, match="nothing is shared"):
        folders.fetch(place, tmp_path / "node" / "abc")
    assert folders.share(cache, place) == 4
    assert folders.share(cache, place) == 0
    node = tmp_path / "node" / "abc"
    assert folders.fetch(place, node) == 4
    assert content(node) == content(cache)
    assert folders.fetch(place, node) == 0
    (cache / "reference-1-train-7.npz").write_bytes(b"of another protocol")
    (node / "images.bin").write_bytes(b"cut")  # a download that was killed
    assert folders.share(cache, place) == 1
    assert folders.fetch(place, node) == 2
    assert content(node) == content(cache)


def _fetch(url: str, folder: Path) -> int:
    return folders.fetch(Place(url), folder)


def test_processes_of_a_node_fetch_it_once_together(tmp_path: Path) -> None:
    cache, url = tmp_path / "cache", str(tmp_path / "shared")
    cache.mkdir()
    for k in range(5):
        (cache / f"file{k}").write_bytes(bytes([k]) * 300_000)
    folders.share(cache, Place(url))
    with multiprocessing.get_context("fork").Pool(3) as pool:
        fetched = pool.starmap(_fetch, [(url, tmp_path / "node")] * 3)
    assert sorted(fetched) == [0, 0, 5]
    assert content(tmp_path / "node") == content(cache)


def test_an_ended_trial_keeps_in_storage_what_its_end_calls_for(
    place: Place, tmp_path: Path
) -> None:
    files = ["checkpoint-01.safetensors", "weights.safetensors", "samples.png", "error.log"]
    for trial in ("0000", "0001", "0002"):
        for name in files:
            place.at(f"trials/{trial}").write(name, b"x", tmp_path)
    said: list[str] = []
    ended = Ended(place.at("trials"), tmp_path / "sweep/trials", said.append, live_from=1)
    for n, outcome in enumerate(("pruned", "completed", "interrupted")):
        ended({"kind": "outcome", "n": n, "trial": n, "outcome": outcome})
        if outcome == "completed":  # at once: what listens next may show them
            assert (tmp_path / "sweep/trials/0001/samples.png").read_bytes() == b"x"
    ended({"kind": "report", "n": 3, "trial": 0})
    ended.close()
    assert sorted(place.sizes("trials/0000")) == ["error.log", "samples.png"]
    assert sorted(place.sizes("trials/0001")) == ["error.log", "samples.png", "weights.safetensors"]
    assert sorted(place.sizes("trials/0002")) == sorted(files)
    assert (tmp_path / "sweep/trials/0000/error.log").exists()
    assert said == []
