"""Where things lie: one folder for sweeps, the decoded cache and the local tracking store.

    HOME/sweeps/NAME/journal.jsonl    the record; NAME/trials/0007/ holds a trial's files
    HOME/cache/                       decoded images, shared by all sweeps
    HOME/mlflow.db, HOME/mlartifacts  the embedded MLflow store

HOME is --home, else BENCH_HOME, else ./bench_runs.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bench.errors import BenchError, unknown
from bench.sweep.record import journal
from bench.sweep.record.history import History

DEFAULT = "bench_runs"
URL = re.compile(r"([A-Za-z][\w+.-]+):/")  # Path has made one slash of two
NAME_LENGTH = 64  # of a sweep's name
DEEPEST = f"{'x' * NAME_LENGTH}/trials/0000/part-0000000-checkpoint-000000000000.safetensors"


@dataclass(frozen=True)
class Home:
    """The folder everything of one user or group lies in."""

    path: Path

    @classmethod
    def find(cls, given: Path | None = None) -> Home:
        """The folder named by --home, BENCH_HOME, or neither; it need not exist.

        Raises:
            BenchError: it is a URL, or no folder can have this name.
        """
        named = str(given or os.environ.get("BENCH_HOME") or DEFAULT)
        if scheme := URL.match(named):
            raise BenchError(
                f"--home is a URL ({scheme[1]}:...); it must be a local folder, and --storage is "
                "what takes URLs"
            )
        try:
            path = Path(named).expanduser().resolve()
            with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                os.stat(path / "sweeps" / DEEPEST)  # the system judges the lengths of names
        except (OSError, RuntimeError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            shown = named if len(named) <= 80 else f"{named[:80]}..."
            raise BenchError(f"--home {shown}: {reason}; choose another folder") from error
        return cls(path)

    @property
    def sweeps(self) -> Path:
        return self.path / "sweeps"

    def names(self) -> list[str]:
        """All sweeps, oldest first."""
        paths = self.sweeps.glob("*/journal.jsonl") if self.sweeps.is_dir() else []
        begun = [(at, p.parent.name) for p in paths if (at := journal.begun_at(p)) is not None]
        return [name for _, name in sorted(begun)]

    def folder(self, name: str) -> Path:
        """A sweep's folder, which need not exist.

        Raises:
            BenchError: no sweep can have this name.
        """
        outside = name in ("", "..") or Path(name).name != name
        if outside or "\0" in name or len(name) > NAME_LENGTH:
            raise BenchError(f"{name[:80]!r} is no sweep's name; bench list shows those there are")
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

    @contextlib.contextmanager
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
        damage: BenchError | None = None
        for name in reversed(self.names()):
            try:
                plan = self.history(name).plan
            except BenchError as error:  # said only if there is no sweep that can be read
                damage = damage or error
                continue
            if workload is None or plan.workload == workload:
                return name
        if damage is not None:
            raise damage
        if workload is not None:
            from bench.workloads.workload import load as load_workload  # heavy: only in an error

            load_workload(workload)
        what = f" of {workload}" if workload else ""
        raise BenchError(f"no sweep{what} in {self.path}; start one: bench sweep echo")

    def of_workload(self, workload: str | None) -> list[str]:
        """The sweeps of a workload (None: of any) that can be read, oldest first."""
        found = []
        for name in self.names():
            try:
                if workload is None or self.history(name).plan.workload == workload:
                    found.append(name)
            except BenchError:
                continue  # bench list has a row that says what is wrong with it
        return found

    def free_name(self, workload: str) -> str:
        """The next name of a workload's sweeps: echo-1, echo-2, ..."""
        used = {p.name for p in self.sweeps.glob(f"{workload}-*")}
        number = 1
        while f"{workload}-{number}" in used:
            number += 1
        return f"{workload}-{number}"

    def unfinished(self, workload: str) -> list[str]:
        """Sweeps of a workload that have trials left to run and no driver."""
        unfinished = []
        for name in self.names():
            try:
                history = self.history(name)
                left = history.ended is None and history.plan.workload == workload
            except BenchError:
                continue  # bench list has a row that says what is wrong with it
            if left and not journal.is_held(self.journal(name)):
                unfinished.append(name)
        return unfinished

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
