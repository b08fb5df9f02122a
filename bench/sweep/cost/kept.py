"""What was counted of networks, and timed on a machine, kept in the home's cache for next time.

A file holds results that rest on the same things: the code that is counted or timed, torch, and for
timings the device and its cores. Where one of these is another, so is the file, and all is made
anew. A user's own network is never kept: what its file imports may have changed.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import bench
from bench.config import canonical, digest
from bench.files import whole

if TYPE_CHECKING:
    from bench.sweep.cost.machine import Machine

CODE = ("backbones", "bench/networks.py", "bench/methods", "bench/train", "bench/diffusion",
        "bench/sweep/cost")  # fmt: skip


class NotKept(Exception):
    """A result is not there, and is not to be made now."""


class Kept:
    """Results by what they are of; in memory, and in a file once it has a place.

    make_missing: False: `once` raises NotKept in place of making a result.
    """

    def __init__(self, *, make_missing: bool = True) -> None:
        self.make_missing = make_missing
        self.oldest: float | None = None  # when the oldest result that was asked for was made
        self._path: Path | None = None
        self._found: dict[str, dict[str, Any]] = {}

    def lie_in(self, path: Path) -> None:
        """Take what an earlier process has left in `path`, and leave there what is made."""
        self._path = path
        self._found = _read(path)

    def once(self, what: Mapping[str, Any], make: Callable[[], Any]) -> Any:
        """The result for `what`, a plain value: kept, or made now and kept.

        Raises:
            NotKept: there is none, and none is to be made.
        """
        key = canonical(what)
        if key not in self._found:
            if not self.make_missing:
                raise NotKept
            self._found[key] = {"made": time.time(), "result": make()}
            self._save()
        entry = self._found[key]
        self.oldest = min(entry["made"], self.oldest or entry["made"])
        return entry["result"]

    def _save(self) -> None:
        if self._path is not None:
            with whole(self._path) as part:
                part.write_text(json.dumps(self._found), encoding="utf-8")


COUNTED = Kept()  # of networks: a count is the same wherever and whenever it is made


def counts_file(home: Path) -> Path:
    """Where counts lie in a home."""
    return home / "cache" / f"counted-{digest(_software())}.json"


def timings_of(machine: Machine, home: Path, *, afresh: bool, make_missing: bool) -> Kept:
    """The timings of this machine that lie in a home; `afresh`: without those."""
    rests_on = {**_software(), "device": machine.device_name, "cores": machine.cores}
    path = home / "cache" / f"timed-{digest(rests_on)}.json"
    if afresh:
        path.unlink(missing_ok=True)
    kept = Kept(make_missing=make_missing or afresh)
    kept.lie_in(path)
    return kept


def _read(path: Path) -> dict[str, dict[str, Any]]:
    """What a file holds; nothing where it is damaged, since all of it can be made again."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        whole_entries = all({"made", "result"} <= entry.keys() for entry in found.values())
    except (OSError, ValueError, AttributeError):
        return {}
    return dict(found) if whole_entries else {}


@lru_cache(maxsize=1)
def _software() -> dict[str, str]:
    """The code and the libraries that counts and timings rest on."""
    root = Path(bench.__path__[0]).parent
    code = hashlib.blake2b(digest_size=8)
    for file in _sources(root / place for place in CODE):
        code.update(file.read_bytes())
    return {"code": code.hexdigest(), "torch": version("torch"), "timm": version("timm")}


def _sources(places: Iterable[Path]) -> list[Path]:
    return [
        file
        for place in places
        for file in ([place] if place.suffix == ".py" else sorted(place.rglob("*.py")))
    ]
