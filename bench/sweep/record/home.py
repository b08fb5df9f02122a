"""Where things lie: one folder for sweeps, the decoded cache and the local tracking store.

    HOME/sweeps/NAME/journal.jsonl    the record; NAME/trials/0007/ holds a trial's files
    HOME/cache/                       decoded images, shared by all sweeps
    HOME/mlflow.db, HOME/mlartifacts  the embedded MLflow store

HOME is --home, else BENCH_HOME, else ./bench_runs.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.errors import BenchError, unknown
from bench.sweep.record import journal
from bench.sweep.record.history import History

DEFAULT = "bench_runs"


@dataclass(frozen=True)
class Home:
    """The folder everything of one user or group lies in."""

    path: Path

    @classmethod
    def find(cls, given: Path | None = None) -> Home:
        return cls((given or Path(os.environ.get("BENCH_HOME") or DEFAULT)).expanduser().resolve())

    @property
    def sweeps(self) -> Path:
        return self.path / "sweeps"

    def names(self) -> list[str]:
        """All sweeps, oldest first."""
        found = self.sweeps.glob("*/journal.jsonl") if self.sweeps.is_dir() else []
        begun = [(at, p.parent.name) for p in found if (at := journal.begun_at(p)) is not None]
        return [name for _, name in sorted(begun)]

    def folder(self, name: str) -> Path:
        return self.sweeps / name

    def journal(self, name: str) -> Path:
        return self.folder(name) / "journal.jsonl"

    def taken(self, name: str) -> bool:
        """Whether there is a sweep of this name, or one is being begun.

        A folder without a first record is what a driver left that was killed at once.
        """
        path, folder = self.journal(name), self.folder(name)
        if not path.exists():
            return folder.exists() and any(p.name != "journal.lock" for p in folder.iterdir())
        return not journal.is_empty(path) or journal.is_held(path)

    def history(self, name: str) -> History:
        """A sweep's history, for reading.

        Raises:
            BenchError: there is no such sweep.
        """
        path = self.journal(name)
        if name not in self.names() and (not path.exists() or journal.is_empty(path)):
            if not self.names():
                raise BenchError(f"no sweep {name!r} in {self.path}; start one: bench sweep echo")
            raise unknown("sweep", name, self.names())
        return History(journal.read(path))

    @contextmanager
    def beginning(self) -> Iterator[None]:
        """One process at a time gives a new sweep its folder.

        Raises:
            BenchError: nothing can be written here.
        """
        try:
            self.sweeps.mkdir(parents=True, exist_ok=True)
            lock = open(self.path / ".begin", "w")  # noqa: SIM115  # held while the block runs
            fcntl.flock(lock, fcntl.LOCK_EX)
        except OSError as error:
            raise BenchError(f"cannot write in {self.sweeps}: {error.strerror}") from error
        with lock:
            yield

    def latest(self, workload: str | None = None) -> str:
        """The newest sweep, of a workload if one is named.

        Raises:
            BenchError: there is none.
        """
        for name in reversed(self.names()):
            if workload is None or self.history(name).plan.get("workload") == workload:
                return name
        if workload is not None:
            from bench.workloads.workload import (
                load as load_workload,  # heavy, so only where something is wrong
            )

            load_workload(workload)
        what = f" of {workload}" if workload else ""
        raise BenchError(f"no sweep{what} in {self.path}; start one: bench sweep echo")

    def free_name(self, workload: str) -> str:
        """The next name of a workload's sweeps: echo-1, echo-2, ..."""
        used = {p.name for p in self.sweeps.glob(f"{workload}-*")}
        number = 1
        while f"{workload}-{number}" in used:
            number += 1
        return f"{workload}-{number}"

    def unfinished(self, workload: str) -> list[str]:
        """Sweeps of a workload that have trials left to run and no driver."""
        found = []
        for name in self.names():
            try:
                history = self.history(name)
            except BenchError:
                continue  # a damaged or newer journal is said by what asks for it by name
            left = history.ended is None and history.plan.get("workload") == workload
            if left and not journal.is_held(self.journal(name)):
                found.append(name)
        return found

    def make(self) -> None:
        """Create the folder.

        Raises:
            BenchError: it cannot be written.
        """
        try:
            self.sweeps.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise BenchError(
                f"cannot write in {self.path}: {error.strerror}; choose another with --home"
            ) from error

    def free_bytes(self) -> int:
        return shutil.disk_usage(self.path).free
