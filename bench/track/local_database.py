"""The local MLflow database: made whole or not at all, and told apart when it is neither.

MLflow makes its tables in dozens of migrations that take seconds, and one that is killed between
them leaves a file that it can neither use nor mend. So a new database is made under another name
in the same folder, one process at a time, and renamed when all of it is on the disk.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from enum import Enum
from functools import lru_cache
from pathlib import Path

from bench.errors import BenchError
from bench.files import PART, sync_folder, whole
from bench.track.tracking_uri import SQLITE, one_line

WAIT_SEC = 20.0  # for another process that is writing
BY_MIGRATION = ("alembic_version", "workspaces")  # tables that a migration itself puts rows in
SIDECARS = ("", "-journal", "-wal", "-shm")  # SQLite's files of one database
REBUILD = "`bench sync --all` puts the sweeps of this home into it"


class State(Enum):
    """What a database file is."""

    WHOLE = "whole"
    EMPTY = "empty"  # no file, or no table in it
    HALF_MADE = "half-made"  # MLflow's tables, not all of them or not the last version; no row
    OUTDATED = "outdated"  # rows in tables of another version of MLflow
    DAMAGED = "damaged"  # rows in tables of this version, of which some are missing
    FOREIGN = "foreign"  # tables, none of them MLflow's


def ensure(file: Path, artifacts: Path) -> list[str]:
    """Leave a whole database at `file`; what was done about one that was not, to be said.

    A half-made one is moved to FILE.broken-N and made anew. `artifacts` is the folder of MLflow's
    default experiment. Raises BenchError when the file cannot be used, or holds what must not be
    touched.
    """
    try:
        if file.exists() and _state(file) is State.WHOLE:
            if not os.access(file, os.W_OK):
                raise PermissionError("no permission to write")
            return []
        file.parent.mkdir(parents=True, exist_ok=True)
        with _locked(file):
            return _made(file, artifacts)
    except (OSError, sqlite3.Error) as error:
        raise cannot_use(file, error) from error


def cannot_use(file: Path, why: Exception) -> BenchError:
    return BenchError(
        f"cannot use {file} as the MLflow store ({why}); name another with "
        "--tracking-uri sqlite:///FILE.db"
    )


def traces(file: Path) -> list[Path]:
    """The files that are there of a database: itself, and what SQLite leaves beside it."""
    return [path for sidecar in SIDECARS if (path := _beside(file, sidecar)).exists()]


def _made(file: Path, artifacts: Path) -> list[str]:
    """`ensure` for the process that has the lock: the file is looked at once more."""
    state = _state(file) if file.exists() else State.EMPTY
    if state is State.WHOLE:
        return []
    if state is State.FOREIGN:
        raise BenchError(
            f"{file} is a database of something else than MLflow; name another file with "
            "--tracking-uri sqlite:///FILE.db"
        )
    if state is State.OUTDATED:
        raise BenchError(
            f"{file} is of another version of MLflow; copy it and run `mlflow db upgrade "
            f"{SQLITE}{file}`, or move it away: then a new one is made and {REBUILD}"
        )
    if state is State.DAMAGED:
        raise BenchError(
            f"{file} lacks some of MLflow's tables and has rows in others; restore it from a copy, "
            f"or move it away: then a new one is made and {REBUILD}"
        )
    notes = []
    if state is State.HALF_MADE:
        broken = _move_aside(file)
        notes.append(
            f"{file} was left half-made and holds nothing: it is {broken.name} now, and a new one "
            f"is in its place; {REBUILD}"
        )
    elif any(path != file for path in traces(file)):
        broken = _move_aside(file)  # a journal without its database would be played into the new
        notes.append(f"leftovers of an earlier {file.name} are {broken.name}* now")
    _make(file, artifacts)
    return notes


def _make(file: Path, artifacts: Path) -> None:
    """Let MLflow make all of it under another name, then rename it. Needs the lock."""
    for leftover in file.parent.glob(f"{PART}*-{file.name}*"):  # of one that was killed
        leftover.unlink()
    with whole(file) as part:
        try:
            _let_mlflow_make(part, artifacts)
        except Exception as error:  # of MLflow, Alembic, SQLAlchemy
            for sidecar in SIDECARS[1:]:
                _beside(part, sidecar).unlink(missing_ok=True)
            raise BenchError(
                f"cannot make the MLflow store {file} ({one_line(error)}); nothing is left of it"
            ) from error


def _let_mlflow_make(part: Path, artifacts: Path) -> None:
    """All tables, and all of them in the one file that is renamed."""
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    uri = f"{SQLITE}{part}"
    try:
        SqlAlchemyStore(uri, artifacts.as_uri())
    finally:  # its connections are to a name that goes
        engine = SqlAlchemyStore._engine_map.pop(uri, None)
        if engine is not None:
            engine.dispose()
    with closing(sqlite3.connect(part)) as base:
        base.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        base.execute("PRAGMA journal_mode=DELETE")


def _state(file: Path) -> State:
    """What the file is. Raises sqlite3.Error if it is no database, OSError if not readable."""
    if not file.is_file():
        raise FileExistsError("it is not a file")
    with closing(sqlite3.connect(f"{file.as_uri()}?mode=rw", uri=True, timeout=WAIT_SEC)) as base:
        tables = _tables(base)
        if not tables:
            return State.EMPTY
        expected, head = _schema()
        if not tables & (expected | {"alembic_version"}):
            return State.FOREIGN
        versions = []
        if "alembic_version" in tables:
            versions = base.execute("SELECT version_num FROM alembic_version").fetchall()
        if versions == [(head,)] and expected <= tables:
            return State.WHOLE
        used = (tables & expected) - set(BY_MIGRATION)
        if not any(base.execute(f"SELECT 1 FROM {name} LIMIT 1").fetchone() for name in used):
            return State.HALF_MADE
        return State.DAMAGED if versions == [(head,)] else State.OUTDATED


def _tables(base: sqlite3.Connection) -> set[str]:
    return {name for (name,) in base.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}


@lru_cache(maxsize=1)
def _schema() -> tuple[frozenset[str], str]:
    """The tables that this MLflow needs, and the name of its last migration."""
    from mlflow.store.db.base_sql_model import Base
    from mlflow.store.db.utils import _get_latest_schema_revision

    return frozenset(Base.metadata.tables), str(_get_latest_schema_revision())


def _move_aside(file: Path) -> Path:
    """Rename a database and SQLite's files beside it to the first FILE.broken-N that is free."""
    number = 1
    while list(file.parent.glob(f"{file.name}.broken-{number}*")):
        number += 1
    broken = file.with_name(f"{file.name}.broken-{number}")
    for sidecar in SIDECARS:
        if _beside(file, sidecar).exists():
            _beside(file, sidecar).rename(_beside(broken, sidecar))
    sync_folder(file.parent)
    return broken


def _beside(file: Path, sidecar: str) -> Path:
    return file.with_name(file.name + sidecar)


@contextmanager
def _locked(file: Path) -> Iterator[None]:
    """One process at a time makes a database; the others wait."""
    with open(_beside(file, ".lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
