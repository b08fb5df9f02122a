"""Where things lie in storage, and a sweep's own part of it for as long as its driver runs.

STORAGE/sweeps/NAME/trials/0007/   a trial's files
STORAGE/sweeps/NAME/journal/       the journal in segments; driver.json beside it
STORAGE/cache/DIGEST/              the decoded data
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.errors import BenchError
from bench.storage import folders, segments
from bench.storage.ended import Ended
from bench.storage.place import Place
from bench.storage.segments import SegmentMirror

Listener = Callable[[dict[str, Any]], None]


def sweep_place(url: str, sweep: str) -> Place:
    return Place(f"{url}/sweeps/{sweep}")


def trial_place(url: str, sweep: str, number: int) -> Place:
    return Place(f"{url}/sweeps/{sweep}/trials/{number:04d}")


def cache_place(url: str, digest: str) -> Place:
    return Place(f"{url}/cache/{digest}")


def check(url: str, scratch: Path, new_sweep: str | None = None) -> None:
    """Try the storage before anything rests on it.

    Raises:
        BenchError: it cannot be used, or holds a sweep of the new one's name.
    """
    Place(url).check(scratch)
    if new_sweep is not None and segments.is_stored(Place(f"{url}/sweeps/{new_sweep}")):
        raise BenchError(
            f"storage {url} holds a sweep {new_sweep!r}; choose another --name, or bench resume "
            f"{new_sweep} --storage {url}"
        )


def share_cache(url: str, cache: Path) -> int:
    """Put the decoded data and what was computed beside it into storage; files uploaded."""
    return folders.share(cache, cache_place(url, cache.name))


def bring_back(url: str, sweep: str, journal: Path) -> int:
    """The journal here as far as storage knows it; records added. See segments.rebuild."""
    return segments.rebuild(sweep_place(url, sweep), journal)


def fetch_cache(url: str, digest: str, root: Path) -> Path:
    """The decoded data in `root`, downloaded unless it is there; its folder."""
    folders.fetch(cache_place(url, digest), root / digest)
    return root / digest


@contextmanager
def followed(
    url: str,
    sweep: str,
    folder: Path,
    say: Callable[[str], None],
    every_sec: float = segments.SEGMENT_SEC,
) -> Iterator[tuple[Listener, ...]]:
    """A driver's hold on its sweep in storage; yields the listeners that its engine needs.

    `folder` is the sweep's here, with or without a journal in it yet. At the end storage has the
    whole journal, or what it lacks is said.

    Raises:
        BenchError: another driver has the sweep, or storage knows more of it or another one.
    """
    journal = folder / "journal.jsonl"
    place = sweep_place(url, sweep)
    mirror = SegmentMirror(place, journal, folder.parent, say, every_sec)
    mirror.claim()
    ended = Ended(place.at("trials"), folder / "trials", say, live_from=mirror.records)
    mirror.start()
    try:
        yield mirror.check, ended
    finally:
        ended.close()
        if not mirror.close():
            say(f"storage {url} lacks the last records of the journal, which are in {journal}")
