"""A cache that was damaged is refused by trials and built anew by open_data; never read wrongly."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from bench.data.cache import load_cache
from bench.errors import BenchError
from tests.unit.data.conftest import Open, grey_pictures, write_images


def _index(change: Callable[[dict[str, object]], object]) -> Callable[[Path], None]:
    def damage(cache: Path) -> None:
        body = json.loads((cache / "index.json").read_text())
        (cache / "index.json").write_text(json.dumps(change(body)))

    return damage


def _write(name: str, content: bytes) -> Callable[[Path], None]:
    return lambda cache: (cache / name).write_bytes(content) and None  # type: ignore[func-returns-value]


def _truncate(name: str, size: int) -> Callable[[Path], None]:
    return lambda cache: os.truncate(cache / name, size)


def _flip_middle(name: str) -> Callable[[Path], None]:
    def damage(cache: Path) -> None:
        raw = bytearray((cache / name).read_bytes())
        raw[len(raw) // 4] ^= 0xFF
        (cache / name).write_bytes(raw)

    return damage


def _columns(**columns: np.ndarray) -> Callable[[Path], None]:
    return lambda cache: np.savez(cache / "frames.npz", **columns)  # type: ignore[arg-type]


def _pipe(name: str) -> Callable[[Path], None]:
    def damage(cache: Path) -> None:
        (cache / name).unlink()
        os.mkfifo(cache / name)

    return damage


SUBJECT, PART = np.arange(6, dtype=np.int32), np.array([0, 0, 0, 0, 1, 2], np.uint8)
DAMAGES = {
    "index-list": _write("index.json", b"[]"),
    "index-null": _write("index.json", b"null"),
    "index-text": _write("index.json", b"not json"),
    "index-bytes": _write("index.json", b"\xff\xfe\x00"),
    "index-deep": _write("index.json", b"[" * 100_000),
    "index-empty": _truncate("index.json", 0),
    "index-cut": _truncate("index.json", 200),
    "index-gone": lambda cache: (cache / "index.json").unlink(),
    "index-pipe": _pipe("index.json"),
    "index-folder": lambda cache: ((cache / "index.json").unlink(), (cache / "index.json").mkdir()),
    "index-digit": _index(lambda body: {**body, "sigma_data": 0.5}),
    "index-field": _index(lambda body: {k: v for k, v in body.items() if k != "dtype"}),
    "index-other-format": _index(lambda body: {**body, "format": 1}),
    "frames-gone": lambda cache: (cache / "frames.npz").unlink(),
    "frames-cut": _truncate("frames.npz", 100),
    "frames-flipped": _flip_middle("frames.npz"),
    "frames-text": _write("frames.npz", b"nothing"),
    "frames-pipe": _pipe("frames.npz"),
    "frames-short": _columns(subject=SUBJECT[:5], part=PART[:5]),
    "frames-one-part": _columns(subject=SUBJECT, part=PART * 0),
    "frames-floats": _columns(subject=SUBJECT.astype(float), part=PART),
    "frames-without-parts": _columns(subject=SUBJECT),
    "images-cut": _truncate("images.bin", 100),
    "images-long": lambda cache: (cache / "images.bin").open("ab").write(b"1234"),
    "images-gone": lambda cache: (cache / "images.bin").unlink(),
    "images-pipe": _pipe("images.bin"),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_damage_is_refused_and_then_mended(opened: Open, tmp_path: Path, name: str) -> None:
    root = write_images(tmp_path / "data", grey_pictures(6))
    whole = opened(root)
    pixels, parts = np.array(whole.images), {k: v.tolist() for k, v in whole.parts.items()}
    DAMAGES[name](whole.path)
    with pytest.raises(BenchError, match=r"is damaged|no image cache in") as error:
        load_cache(whole.path)
    assert "\n" not in str(error.value)
    again = opened(root)
    assert again.notes[0].startswith("built anew: ")
    assert np.array_equal(again.images, pixels)
    assert {k: v.tolist() for k, v in again.parts.items()} == parts
    assert again.sigma_data == whole.sigma_data
    assert opened(root).notes == whole.notes, "said once"
    left = {path.name for path in (tmp_path / "home" / "cache").iterdir()}
    assert left == {whole.path.name, "digests.json"}


@pytest.mark.parametrize("place", ["file", "pipe", "empty"])
def test_something_else_in_its_place_is_replaced(opened: Open, tmp_path: Path, place: str) -> None:
    root = write_images(tmp_path / "data", grey_pictures(6))
    path = opened(root).path
    shutil.rmtree(path)
    {"file": path.touch, "pipe": lambda: os.mkfifo(path), "empty": path.mkdir}[place]()
    assert len(opened(root).images) == 6


def test_a_cache_of_other_data_is_not_taken(opened: Open, tmp_path: Path) -> None:
    first = opened(write_images(tmp_path / "a", grey_pictures(6)))
    second = opened(write_images(tmp_path / "b", grey_pictures(6, seed=1)))
    expected = np.array(second.images)
    shutil.rmtree(second.path)
    shutil.copytree(first.path, second.path)
    again = opened(tmp_path / "b")
    assert np.array_equal(again.images, expected)
    assert "that of other data" in again.notes[0]


def test_a_damaged_memory_of_digests_is_forgotten(opened: Open, tmp_path: Path) -> None:
    root = write_images(tmp_path / "data", grey_pictures(6))
    digest = opened(root).digest
    memory = tmp_path / "home" / "cache" / "digests.json"
    for content in ("[]", "{", json.dumps({key: [1] for key in json.loads(memory.read_text())})):
        memory.write_text(content)
        assert opened(root).digest == digest


def test_a_cache_from_before_classes_had_names_still_loads(opened: Open, tmp_path: Path) -> None:
    """mask_names and spacing came later, within the same format."""
    cached = opened(write_images(tmp_path / "data", grey_pictures(6)))
    index = cached.path / "index.json"
    body = json.loads(index.read_text())
    del body["checksum"], body["mask_names"]
    text = json.dumps(body, sort_keys=True)
    checksum = hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
    index.write_text(json.dumps({"checksum": checksum, **body}))
    again = load_cache(cached.path)
    assert again.mask_names == ()
    assert again.spacing is None
    assert again.digest == cached.digest
