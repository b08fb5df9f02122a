"""The local database is made whole or not at all; what is found in its place is told apart."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from bench.errors import BenchError
from bench.track import local_database
from bench.track.local_database import ensure
from bench.track.mlflow_projection import Projector
from bench.track.store import client, resolve
from tests.unit.track.dump import dump
from tests.unit.track.records import plan, trial_records

SMALL = [plan(), *trial_records(0, "completed")]


def ask(file: Path, *statements: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(file)) as base:
        for statement in statements:
            answer = base.execute(statement).fetchall()
        base.commit()
    return answer


def test_a_new_one_has_nothing_beside_it_but_its_lock(tmp_path: Path) -> None:
    assert ensure(tmp_path / "new" / "mlflow.db", tmp_path / "art") == []
    assert sorted(p.name for p in (tmp_path / "new").iterdir()) == ["mlflow.db", "mlflow.db.lock"]
    place = ask(tmp_path / "new" / "mlflow.db", "SELECT artifact_location FROM experiments")
    assert place == [((tmp_path / "art" / "0").as_uri(),)]  # not a folder where we happen to run


def test_a_whole_one_is_left_as_it_is(schema: Path, tmp_path: Path) -> None:
    file = shutil.copyfile(schema, tmp_path / "mlflow.db")
    before = file.read_bytes()
    assert ensure(file, tmp_path) == []
    assert file.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["mlflow.db"]


@pytest.mark.parametrize("content", ["no bytes", "no table"])
def test_one_without_a_table_is_made(tmp_path: Path, content: str) -> None:
    file = tmp_path / "mlflow.db"
    file.touch()
    if content == "no table":
        ask(file, "CREATE TABLE t (x)", "DROP TABLE t")
    assert ensure(file, tmp_path) == []
    assert client(resolve(None, tmp_path)).search_experiments()


def half_made(file: Path, schema: Path, version: str | None) -> None:
    """As a kill leaves it: a table of the next migration is there, its version is not."""
    shutil.copyfile(schema, file)
    ask(file, "DELETE FROM experiments", "DROP TABLE alembic_version", "DROP TABLE webhooks")
    if version is not None:
        ask(
            file,
            "CREATE TABLE alembic_version (version_num VARCHAR(32))",
            f"INSERT INTO alembic_version VALUES ('{version}')",
        )


# 451aebb31d03 is MLflow's first migration
@pytest.mark.parametrize("version", [None, "451aebb31d03"])
def test_a_half_made_one_is_moved_aside_and_made_anew(
    schema: Path, tmp_path: Path, version: str | None
) -> None:
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    file = tmp_path / "mlflow.db"
    half_made(file, schema, version)
    shutil.copyfile(file, tmp_path / "tried.db")
    with pytest.raises(
        Exception, match=r"already exists|duplicate column"
    ):  # what MLflow itself makes of it
        SqlAlchemyStore(f"sqlite:///{tmp_path / 'tried.db'}", tmp_path.as_uri())
    (tmp_path / "mlflow.db.broken-1").write_text("of an earlier time")
    content = file.read_bytes()
    (note,) = ensure(file, tmp_path)
    assert "mlflow.db.broken-2" in note
    assert "`bench sync --all`" in note
    assert (tmp_path / "mlflow.db.broken-2").read_bytes() == content
    assert ensure(file, tmp_path) == []
    Projector(resolve(None, tmp_path)).project(SMALL)
    assert len(dump(resolve(None, tmp_path))) == 2


def test_a_journal_of_a_lost_database_is_not_played_into_the_new_one(tmp_path: Path) -> None:
    (tmp_path / "mlflow.db-journal").write_bytes(b"pages of another file")
    (note,) = ensure(tmp_path / "mlflow.db", tmp_path)
    assert "mlflow.db.broken-1" in note
    moved = tmp_path / "mlflow.db.broken-1-journal"
    assert moved.read_bytes() == b"pages of another file"
    assert not (tmp_path / "mlflow.db-journal").exists()


def test_a_database_of_something_else_is_not_touched(tmp_path: Path) -> None:
    file = tmp_path / "mlflow.db"
    ask(file, "CREATE TABLE recipes (name)")
    before = file.read_bytes()
    with pytest.raises(BenchError, match=r"something else than MLflow; name another"):
        ensure(file, tmp_path)
    assert file.read_bytes() == before


def test_tables_dropped_beside_runs_are_one_line(projected_copy: Path) -> None:
    ask(projected_copy, "DROP TABLE metrics")
    before = projected_copy.read_bytes()
    with pytest.raises(BenchError, match=r"lacks some of MLflow's tables .*bench sync --all"):
        ensure(projected_copy, projected_copy.parent)
    assert projected_copy.read_bytes() == before


def test_runs_of_another_version_are_one_line(projected_copy: Path) -> None:
    ask(projected_copy, "UPDATE alembic_version SET version_num = 'ffffffffffff'")
    with pytest.raises(BenchError, match=r"another version of MLflow; .*mlflow db upgrade sqlite"):
        ensure(projected_copy, projected_copy.parent)


@pytest.fixture
def projected_copy(schema: Path, tmp_path: Path) -> Path:
    """A store with a run in it."""
    file = shutil.copyfile(schema, tmp_path / "mlflow.db")
    Projector(resolve(None, tmp_path)).project(SMALL)
    return file


def test_a_folder_in_its_place_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").mkdir()
    with pytest.raises(BenchError, match=r"cannot use .*mlflow.db as the MLflow store"):
        ensure(tmp_path / "mlflow.db", tmp_path)


def test_what_a_killed_maker_left_is_cleared_away(tmp_path: Path) -> None:
    (tmp_path / "part-1-mlflow.db").write_text("half of one")
    (tmp_path / "part-1-mlflow.db-journal").write_text("and its journal")
    ensure(tmp_path / "mlflow.db", tmp_path)
    assert not list(tmp_path.glob("part-*"))


def test_when_it_cannot_be_made_one_line_and_nothing_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(part: Path, artifacts: Path) -> None:
        part.write_text("the first tables")
        part.with_name(part.name + "-journal").write_text("and a journal")
        raise sqlite3.OperationalError("database or disk is full\n[SQL: UPDATE ...]")

    monkeypatch.setattr(local_database, "_let_mlflow_make", fails)
    with pytest.raises(BenchError, match=r"cannot make .*disk is full\); nothing is left") as error:
        ensure(tmp_path / "mlflow.db", tmp_path)
    assert "\n" not in str(error.value)
    assert [p.name for p in tmp_path.iterdir()] == ["mlflow.db.lock"]


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    place = tmp_path / "tiny"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=600k", "tmpfs", str(place)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("mounting a small disk takes the rights of root")
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


def test_a_disk_too_small_for_it_is_one_line(tiny_disk: Path) -> None:
    with pytest.raises(BenchError, match=r"cannot make .*disk is full"):
        ensure(tiny_disk / "mlflow.db", tiny_disk)
    assert [p.name for p in tiny_disk.iterdir()] == ["mlflow.db.lock"]


def test_of_two_at_once_one_makes_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made, both = [], threading.Barrier(2)
    make, state = local_database._let_mlflow_make, local_database._locked

    def counted(part: Path, artifacts: Path) -> None:
        made.append(part)
        make(part, artifacts)

    def together(file: Path) -> object:
        both.wait(60)  # both saw that there is none
        return state(file)

    monkeypatch.setattr(local_database, "_let_mlflow_make", counted)
    monkeypatch.setattr(local_database, "_locked", together)
    threads = [
        threading.Thread(target=ensure, args=(tmp_path / "mlflow.db", tmp_path)) for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(made) == 1
    assert ensure(tmp_path / "mlflow.db", tmp_path) == []


def test_a_store_nobody_checked_is_made_whole_too(tmp_path: Path) -> None:
    """A sweep begun --offline opens its store from the background thread."""
    code = (
        "import sys; from pathlib import Path\n"
        "from bench.track import local_database as d; from bench.track.store import *\n"
        "names = []; make = d._let_mlflow_make\n"
        "d._let_mlflow_make = lambda part, place: (names.append(part.name), make(part, place))\n"
        "client(resolve(None, Path(sys.argv[1]))).search_experiments(); print(names)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)],
        capture_output=True,
        text=True,
        env={k: v for k, v in os.environ.items() if k != "MLFLOW_TRACKING_URI"},
        check=True,
    )
    assert "part-" in done.stdout
