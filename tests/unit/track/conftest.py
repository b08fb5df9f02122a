"""Local stores for the tracking tests; the schema is created once and copied."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from bench.track.mlflow_projection import Projector
from bench.track.store import Store, check, resolve
from tests.unit.track.records import journal


@pytest.fixture(scope="session")
def schema(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty database with MLflow's schema (creating it takes seconds)."""
    home = tmp_path_factory.mktemp("schema")
    check(resolve(f"sqlite:///{home / 'mlflow.db'}", home))
    return home / "mlflow.db"


@pytest.fixture(scope="session")
def projected(schema: Path, tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A store with the whole synthetic journal in it; for reading only."""
    home = tmp_path_factory.mktemp("projected")
    shutil.copyfile(schema, home / "mlflow.db")
    store = resolve(f"sqlite:///{home / 'mlflow.db'}", home)
    Projector(store).project(journal(picture_in(home)))
    return store


def picture_in(folder: Path) -> Path:
    path = folder / "grid.png"
    path.write_bytes(b"\x89PNG not a real one")
    return path


@pytest.fixture
def store(schema: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    shutil.copyfile(schema, tmp_path / "mlflow.db")
    return resolve(None, tmp_path)


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    return picture_in(tmp_path)
