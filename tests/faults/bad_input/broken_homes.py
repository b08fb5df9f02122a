"""Home folders with two sweeps in them, and the ways in which such a folder breaks."""

from __future__ import annotations

import dataclasses
import json
import os
import random
import shutil
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from bench.config import TrialConfig
from bench.run import Report
from bench.sweep.planning.wish import Wish
from bench.sweep.record.home import Home
from bench.sweep.running import session
from bench.track import store as stores
from tests.unit.sweep import fakes

SWEEPS = ("echo-1", "fake-1")  # one that is unfinished on drawn data, one that is complete
VALUES: tuple[Any, ...] = (None, [], {}, "", "x", "[/red]", 0, -1, 10**30, 1e308, True, [None])


class Measured(fakes.World):
    """Trials that measure their score at the end, too."""

    def steps(self, number: int, config: TrialConfig) -> Iterator[Report]:
        value = 0.0
        for report in super().steps(number, config):
            value = report.value if report.value is not None else value
            last = {"eval/fd_fake": value} if report.phase == "end" else report.metrics
            yield dataclasses.replace(report, metrics=last)


def make(home: Path) -> None:
    """Two sweeps as a driver leaves them, with their data and an MLflow store; none is trained."""
    where = Home(home)
    wish = Wish(workload="echo", trials=20, scale="smoke")
    prepared = session.prepare(wish, where, "echo-1", lambda text: None)
    engine = session.begin(prepared, where, ())
    fakes.drive(engine, fakes.World(fakes.smooth), at_most=4)
    engine.journal.close()
    engine = fakes.finished(where.sweeps, Measured(fakes.smooth), trials=3)
    engine.write("end", summary={})
    engine.journal.close()
    stores.check(stores.resolve(None, home))


def copy(template: Path, home: Path) -> None:
    """The home anew; the cache is shared, since few inputs change it."""
    shutil.copytree(template, home, ignore=shutil.ignore_patterns("cache", "mlflow.db"))
    (home / "cache").symlink_to(template / "cache")
    shutil.copyfile(template / "mlflow.db", home / "mlflow.db")


def own_cache(template: Path, home: Path) -> Path:
    """The cache's own copy in this home, to be damaged."""
    (home / "cache").unlink()
    shutil.copytree(template / "cache", home / "cache")
    return home / "cache"


def damage(draw: random.Random, template: Path, home: Path) -> str:
    """Break something of the home; what was done, in words."""
    ways: tuple[Callable[[random.Random, Path], str], ...] = (
        *(_change_value,) * 6,
        *(_change_lines,) * 3,
        *(_change_bytes,) * 2,
        _replace_journal,
        _replace_folder,
        _damage_store,
    )
    way = draw.choice((*ways, None))
    if way is None:
        return _damage_cache(draw, own_cache(template, home))
    return way(draw, home)


def _journal(draw: random.Random, home: Path) -> Path:
    return home / "sweeps" / draw.choice(SWEEPS) / "journal.jsonl"


def _read(path: Path) -> list[Any]:
    return [json.loads(line.partition(b" ")[2]) for line in path.read_bytes().splitlines()]


def _write(path: Path, records: list[Any]) -> None:
    texts = [json.dumps(record).encode() for record in records]
    path.write_bytes(b"".join(b"%08x %s\n" % (zlib.crc32(text), text) for text in texts))


def _change_value(draw: random.Random, home: Path) -> str:
    """Other JSON values at random places of random records, under right checksums."""
    path = _journal(draw, home)
    records = _read(path)
    done = []
    for _ in range(draw.choice((1, 1, 1, 3))):
        place = draw.choice((0, draw.randrange(len(records))))
        keys: list[Any] = []
        node: Any = records
        key: Any = place
        while True:
            keys.append(key)
            inner = node[key]
            if not isinstance(inner, dict | list) or not inner or draw.random() < 0.3:
                break
            node, key = (
                inner,
                draw.choice(list(inner) if isinstance(inner, dict) else list(range(len(inner)))),
            )
        if draw.random() < 0.2 and len(keys) > 1:
            del node[key]
            done.append(f"{keys} deleted")
        else:
            node[key] = draw.choice(VALUES)
            done.append(f"{keys} = {node[key]!r}")
    _write(path, records)
    return f"{path.parent.name}: {'; '.join(done)}"


def _change_lines(draw: random.Random, home: Path) -> str:
    """Records dropped, moved or doubled, with places counted anew or not."""
    path = _journal(draw, home)
    records = _read(path)
    place = draw.randrange(len(records))
    what = draw.choice(("drop", "double", "swap", "shuffle", "cut", "only"))
    if what == "drop":
        del records[place]
    elif what == "double":
        records.insert(draw.randrange(len(records) + 1), dict(records[place]))
    elif what == "swap":
        other = draw.randrange(len(records))
        records[place], records[other] = records[other], records[place]
    elif what == "shuffle":
        draw.shuffle(records)
    elif what == "cut":
        del records[place + 1 :]
    else:
        records = [records[place]]
    anew = draw.random() < 0.7
    if anew:
        records = [{**record, "n": n} for n, record in enumerate(records)]
    _write(path, records)
    return f"{path.parent.name}: {what} at {place}, {'counted anew' if anew else 'as counted'}"


def _change_bytes(draw: random.Random, home: Path) -> str:
    path = _journal(draw, home)
    data = bytearray(path.read_bytes())
    what = draw.choice(("flip", "cut", "zeros", "empty", "newline", "append"))
    place = draw.randrange(len(data))
    if what == "flip":
        data[place] ^= 1 << draw.randrange(8)
    elif what == "cut":
        del data[place:]
    elif what == "zeros":
        data[place : place + 64] = bytes(64)
    elif what == "empty":
        data.clear()
    elif what == "newline":
        data.insert(place, 10)
    else:
        data += draw.randbytes(draw.randrange(1, 200))
    path.write_bytes(data)
    return f"{path.parent.name}: {what} at byte {place}"


def _replace(draw: random.Random, path: Path) -> str:
    """Something else in place of a file or a folder."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
    what = draw.choice(("folder", "fifo", "loop", "dangling", "file", "device"))
    if what == "folder":
        path.mkdir()
    elif what == "fifo":
        os.mkfifo(path)
    elif what == "loop":
        path.symlink_to(path.name)
    elif what == "dangling":
        path.symlink_to("nowhere")
    elif what == "device":
        path.symlink_to("/dev/full")
    else:
        path.write_bytes(b"hello")
    return f"{path.name} is a {what}"


def _replace_journal(draw: random.Random, home: Path) -> str:
    path = _journal(draw, home)
    return _replace(draw, draw.choice((path, path, path.with_suffix(".lock"))))


def _replace_folder(draw: random.Random, home: Path) -> str:
    name = draw.choice(("sweeps", "sweeps/echo-1", "sweeps/fake-1", "cache", "calibrations"))
    return _replace(draw, home / name)


def _damage_store(draw: random.Random, home: Path) -> str:
    path = home / "mlflow.db"
    data = path.read_bytes()
    what = draw.choice(("empty", "cut", "text", "bytes", "replaced", "gone"))
    if what == "replaced":
        return _replace(draw, path)
    if what == "gone":
        path.unlink()
    elif what == "bytes":
        place = draw.randrange(len(data))
        path.write_bytes(data[:place] + draw.randbytes(512) + data[place + 512 :])
    else:
        path.write_bytes({"empty": b"", "cut": data[: len(data) // 2], "text": b"hello"}[what])
    return f"mlflow.db {what}"


def _damage_cache(draw: random.Random, cache: Path) -> str:
    paths = sorted(p for p in cache.rglob("*") if p.is_file())
    path = draw.choice(paths)
    what = draw.choice(("list", "cut", "empty", "flip", "value", "replaced"))
    if what == "replaced":
        return f"cache: {_replace(draw, path)}"
    data = path.read_bytes()
    if what == "value" and path.suffix == ".json" and isinstance(body := json.loads(data), dict):
        key = draw.choice(sorted(body) or ["x"])
        body[key] = draw.choice(VALUES)
        path.write_text(json.dumps(body))
        return f"cache {path.name}: {key} = {body[key]!r}"
    flipped = bytearray(data)
    if flipped:
        flipped[draw.randrange(len(flipped))] ^= 255
    new = {"list": b"[1, 2]", "cut": data[: len(data) // 2], "empty": b"", "flip": bytes(flipped)}
    path.write_bytes(new.get(what, b"null"))
    return f"cache {path.name}: {what}"
