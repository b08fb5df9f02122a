"""What the driver does in storage when a trial has ended: fetch pictures, delete weights.

A listener of journal records. What a board or MLflow shows (pictures, logs) comes to the sweep's
own folder before the record goes on to them; checkpoints, and without a score all weights, are
deleted in storage from a thread of its own, since until its end is in the journal they are the
way back.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from bench.files import PART
from bench.storage.place import Place, StorageError
from leaderboards.rows import ON_ITS_WAY

WEIGHTS, CHECKPOINTS = "*.safetensors", "checkpoint-*.safetensors"
WAITS_SEC = (0.5, 2.0)  # the driver waits for these: pictures are not worth more


class Ended:
    """`live_from`: the first record of this session; what is older is done in the background."""

    def __init__(
        self, trials: Place, folder: Path, say: Callable[[str], None], live_from: int = 0
    ) -> None:
        self._trials, self._folder, self._say = trials, folder, say
        self._live_from = live_from
        self._background = ThreadPoolExecutor(1, "storage")
        self._failed = False

    def __call__(self, record: dict[str, Any]) -> None:
        if record["kind"] != "outcome" or record["outcome"] in ON_ITS_WAY:
            return
        name, kept = f"{record['trial']:04d}", record["outcome"] == "completed"
        if record["n"] < self._live_from:
            if not kept or not (self._folder / name).is_dir():
                self._background.submit(self._told, self._fetch, name)
        else:
            self._told(self._fetch, name)
        self._background.submit(self._told, self._tidy, name, CHECKPOINTS if kept else WEIGHTS)

    def close(self) -> None:
        """Finish what is begun."""
        self._background.shutdown(cancel_futures=False)

    def _told(self, call: Callable[..., None], *args: str) -> None:
        try:
            call(*args)
        except (StorageError, OSError) as error:
            if not self._failed:
                self._say(f"not all of the ended trials was fetched or tidied: {error}")
            self._failed = True

    def _fetch(self, name: str) -> None:
        place = Place(f"{self._trials.url}/{name}", WAITS_SEC)
        for file in place.sizes():
            if not fnmatch(file, WEIGHTS):
                place.get(file, self._folder / name / file)

    def _tidy(self, name: str, pattern: str) -> None:
        place = Place(f"{self._trials.url}/{name}", WAITS_SEC)
        for file in place.sizes(parts=True):  # what a killed process was uploading goes, too
            if fnmatch(file, pattern) or file.startswith(PART):
                place.delete(file)
