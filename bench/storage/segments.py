"""A sweep's journal in storage, in segments, and the claim of the one driver that writes it.

    journal/00000000-00000412.jsonl   records 0 to 412, byte for byte the journal's own lines
    driver.json                       which driver has the sweep, and when it last said so

Every SEGMENT_SEC the records since the last upload follow. A segment that is still small is
uploaded anew with them, under a longer name, and then deleted under its shorter one. So after a
loss of the driver's disk at most the records of the last SEGMENT_SEC and of one upload are gone;
their trials go on from checkpoints, which are in storage before they are heard of.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import socket
import threading
import time
import uuid
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.errors import BenchError
from bench.files import whole
from bench.storage.place import Place, StorageError

SEGMENT_SEC = 30.0
SEGMENT_BYTES = 2**18  # a segment as large as this is closed
CLAIM_SEC = 180.0  # without a word for so long, a driver is taken for dead
FOLDER, CLAIM = "journal", "driver.json"
NAME = re.compile(r"(\d{8})-(\d{8})\.jsonl")


class SegmentMirror:
    """Follows a journal file from a thread of its own; it is fsynced before we read it.

    `claim` first, then `start`; `check` raises in the driver's thread what the driver must know.
    """

    def __init__(
        self,
        place: Place,
        journal: Path,
        scratch: Path,
        say: Callable[[str], None],
        every_sec: float = SEGMENT_SEC,
    ) -> None:
        self.place, self.journal, self._scratch, self._say = place, journal, scratch, say
        self.records = 0  # in the journal here when it was claimed
        self._every, self._token = every_sec, uuid.uuid4().hex
        self._sent = self._first = self._begin = 0  # records stored; the open segment's start
        self._name: str | None = None  # of the open segment
        self._stop = threading.Event()
        self._claimed = False
        self._lost: BenchError | None = None
        self._failing = False
        self._thread = threading.Thread(target=self._follow, name="segments", daemon=True)

    def claim(self) -> None:
        """Take the sweep for this driver.

        Raises:
            BenchError: another driver has it, or the storage holds another sweep's journal.
        """
        refuse_claimed(self.place, CLAIM_SEC)
        stored = _join(self.place)
        mine = self.journal.read_bytes() if self.journal.exists() else b""
        if not mine.startswith(stored) and not stored.startswith(mine):
            raise BenchError(
                f"storage {self.place.url} holds the journal of another sweep of this name; "
                "choose another --name or --storage"
            )
        if len(stored) > len(mine):
            raise BenchError(
                f"storage {self.place.url} knows more of this sweep than the journal here; "
                "bench resume with --storage takes it up from there"
            )
        self._beat()
        self._claimed = True
        self._beat()  # raises it if another driver wrote its claim at the same moment
        self.records = mine.count(b"\n")
        self._sent = self._first = stored.count(b"\n")
        self._begin = len(stored)

    def start(self) -> None:
        self._thread.start()

    def check(self, record: Any = None) -> None:
        """Raise it if another driver has taken the sweep over. A listener of records."""
        if self._lost is not None:
            raise self._lost

    def close(self) -> bool:
        """Upload the rest and give the claim up; whether storage has all of the journal."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()
        done = self._lost is None and self._try()
        if done:
            with contextlib.suppress(StorageError):
                self.place.delete(CLAIM)
        return done

    def _follow(self) -> None:
        self._try()  # the plan: from here on the sweep can be taken up from storage
        while not self._stop.wait(self._every):
            self._try()

    def _try(self) -> bool:
        """One round; a failure is said once and tried again at the next."""
        try:
            self._beat()
            self._upload()
        except (StorageError, OSError) as error:
            if not self._failing:
                self._say(f"journal segments wait: {error}")
            self._failing = True
            return False
        except BenchError as error:
            self._lost = error
            return False
        if self._failing:
            self._say("the storage is back; it has the whole journal")
        self._failing = False
        return True

    def _upload(self) -> None:
        if not self.journal.exists():
            return  # claimed before the sweep began
        with open(self.journal, "rb") as file:
            file.seek(self._begin)
            data = file.read()
        data = data[: data.rfind(b"\n") + 1]
        last = self._first + data.count(b"\n") - 1
        if last < self._sent:
            return
        name, old = f"{FOLDER}/{self._first:08d}-{last:08d}.jsonl", self._name
        self.place.write(name, data, self._scratch)
        self._name, self._sent = name, last + 1
        if old is not None:
            self.place.delete(old)
        if len(data) >= SEGMENT_BYTES:
            self._first, self._begin, self._name = last + 1, self._begin + len(data), None

    def _beat(self) -> None:
        """Say that we are here, unless another driver says so."""
        claim = _claim(self.place)
        if claim and claim["token"] != self._token and self._claimed:
            raise BenchError(
                f"the sweep was taken over by the driver on {claim['host']} (pid {claim['pid']}); "
                "this one stops"
            )
        body = {
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "token": self._token,
            "t": time.time(),
        }
        self.place.write(CLAIM, json.dumps(body).encode(), self._scratch)


def is_stored(place: Place) -> bool:
    """Whether a sweep has its journal there."""
    return any(NAME.fullmatch(name) for name in place.sizes(FOLDER))


def refuse_claimed(place: Place, claim_sec: float = CLAIM_SEC) -> None:
    """Raises BenchError when a driver that may still live has the sweep."""
    claim = _claim(place)
    if not claim or (claim["host"] == socket.gethostname() and not _alive(claim["pid"])):
        return
    ago = time.time() - claim["t"]
    if ago < claim_sec:
        raise BenchError(
            f"the sweep in {place.url} is being run on {claim['host']} (pid {claim['pid']}, heard "
            f"{max(0.0, ago):.0f} s ago); stop it, or wait {claim_sec - ago:.0f} s if it is dead"
        )


def rebuild(place: Place, journal: Path) -> int:
    """Write the local journal from storage where there is none, or a shorter one; records added.

    Raises:
        BenchError: nothing is stored, a driver runs the sweep, or the two journals differ.
    """
    refuse_claimed(place)
    stored = _join(place)
    if not stored:
        raise BenchError(f"storage {place.url} holds no journal; is the sweep's name right?")
    mine = journal.read_bytes() if journal.exists() else b""
    mine = mine[: mine.rfind(b"\n") + 1]  # without a torn last line
    if mine.startswith(stored):
        return 0
    if not stored.startswith(mine):
        raise BenchError(
            f"{journal} and the one in {place.url} differ; they are of different sweeps: move the "
            "local one away, or resume without --storage"
        )
    with whole(journal) as part:
        part.write_bytes(stored)
    return stored.count(b"\n") - mine.count(b"\n")


def _join(place: Place) -> bytes:
    """The stored journal as far as it has no gap."""
    matches = [m for name in place.sizes(FOLDER) if (m := NAME.fullmatch(name))]
    spans = sorted((int(m[1]), int(m[2]), m[0]) for m in matches)
    lines: list[bytes] = []
    while True:
        here = [s for s in spans if s[0] <= len(lines) <= s[1]]
        if not here:
            return b"".join(lines)
        first, last, name = max(here, key=lambda s: s[1])
        data = place.read(f"{FOLDER}/{name}")
        if data is None:  # a longer one has just taken its place
            raise StorageError(f"storage {place.url}: {name} has gone; try again")
        segment_lines = data.splitlines(keepends=True)
        if len(segment_lines) != last - first + 1 or not all(map(_sound, segment_lines)):
            raise BenchError(f"storage {place.url}: segment {name} is damaged")
        lines += segment_lines[len(lines) - first :]


def _sound(line: bytes) -> bool:
    """Whether it is a whole line of a journal: its checksum, a space, the record."""
    crc, _, text = line.rstrip(b"\n").partition(b" ")
    return line.endswith(b"\n") and crc == b"%08x" % zlib.crc32(text)


def _claim(place: Place) -> dict[str, Any]:
    data = place.read(CLAIM)
    if not data:
        return {}
    try:
        body: dict[str, Any] = json.loads(data)
    except ValueError:
        return {}
    return body if {"host", "pid", "token", "t"} <= set(body) else {}


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
