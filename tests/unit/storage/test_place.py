"""Files in storage: whole or not at all, the same on every filesystem."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
from fsspec.implementations.local import LocalFileSystem

from bench.storage.place import Place, StorageError


def test_files_come_back_as_they_went(place: Place, tmp_path: Path) -> None:
    place.check(tmp_path)
    data = bytes(range(256)) * 41
    (tmp_path / "one").write_bytes(data)
    assert place.sizes() == {}
    assert place.sizes("trials/0007") == {}
    assert place.read("trials/0007/one") is None
    place.put(tmp_path / "one", "trials/0007/one")
    assert place.at("trials/0007").sizes() == {"one": len(data)}
    assert place.sizes("trials") == {}  # folders are not files
    place.at("trials").get("0007/one", tmp_path / "new" / "two")
    assert (tmp_path / "new" / "two").read_bytes() == data
    (tmp_path / "one").write_bytes(b"less")
    place.put(tmp_path / "one", "trials/0007/one")
    assert place.read("trials/0007/one") == b"less"
    place.delete("trials/0007/one")
    place.delete("trials/0007/one")  # gone already
    assert place.sizes("trials/0007") == {}
    with pytest.raises(StorageError, match="cannot read trials/0007/one"):
        place.get("trials/0007/one", tmp_path / "three")
    assert not (tmp_path / "three").exists()


class Flaky(LocalFileSystem):
    """A remote filesystem that drops the connection after half a file, so many times."""

    protocol = ("flaky",)
    cachable = False
    drops = 0
    tries = 0

    def put_file(self, lpath: str, rpath: str, *args: Any, **kwargs: Any) -> None:
        Flaky.tries += 1
        if Flaky.drops:
            Flaky.drops -= 1
            data = Path(lpath).read_bytes()
            Path(rpath).write_bytes(data[: len(data) // 2])
            raise ConnectionResetError("connection reset by peer")
        super().put_file(lpath, rpath, *args, **kwargs)


@pytest.fixture
def flaky(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Place:
    place = Place(str(tmp_path / "shared"), (0.0, 0.0))
    monkeypatch.setattr(Flaky, "tries", 0)
    open_here = Place._open

    def reconnect(self: Place, name: str) -> tuple[Any, str]:
        _, path = open_here(self, name)
        self._fs = Flaky()
        return self._fs, path

    monkeypatch.setattr(Place, "_open", reconnect)
    return place


def test_a_dropped_upload_is_tried_again_and_never_seen_half(flaky: Place, tmp_path: Path) -> None:
    (tmp_path / "one").write_bytes(b"0123456789")
    Flaky.drops = 2
    flaky.put(tmp_path / "one", "a/one")
    assert Flaky.tries == 3
    assert [p.name for p in (tmp_path / "shared/a").iterdir()] == ["one"]
    assert flaky.read("a/one") == b"0123456789"


def test_a_storage_that_keeps_failing_is_said_with_its_cause(flaky: Place, tmp_path: Path) -> None:
    (tmp_path / "one").write_bytes(b"0123456789")
    Flaky.drops = 100
    with pytest.raises(StorageError, match="cannot write one: connection reset by peer"):
        flaky.put(tmp_path / "one", "one")
    assert Flaky.tries == 3
    assert list((tmp_path / "shared").iterdir()) == []


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("nowhere://x", "Protocol not known: nowhere"),
        ("/proc/bench", "No such file or directory"),
        ("http://127.0.0.1:9/x", "cannot write"),
    ],
)
def test_a_place_that_cannot_be_used_says_why(url: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=said):
        Place(url).check(tmp_path)


def test_a_name_is_never_half_written_while_it_is_replaced(tmp_path: Path) -> None:
    """Readers beside a writer see one content or the other."""
    place = Place(str(tmp_path / "shared"), ())
    contents = [bytes([k]) * 200_000 for k in (1, 2)]
    for k, data in enumerate(contents):
        (tmp_path / str(k)).write_bytes(data)
    place.put(tmp_path / "0", "x")
    done = threading.Event()
    seen: list[bytes | None] = []

    def read() -> None:
        while not done.is_set():
            seen.append(Place(place.url, ()).read("x"))

    reader = threading.Thread(target=read)
    reader.start()
    for k in range(40):
        place.put(tmp_path / str(k % 2), "x")
    done.set()
    reader.join()
    assert seen
    assert all(data in contents for data in seen)
