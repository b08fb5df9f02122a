"""Local stores for the tracking tests; the schema is created once and copied."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from bench.track.store import Store, check, resolve


@pytest.fixture(scope="session")
def schema(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty database with MLflow's schema (creating it takes seconds)."""
    home = tmp_path_factory.mktemp("schema")
    check(resolve(f"sqlite:///{home / 'mlflow.db'}", home))
    return home / "mlflow.db"


@pytest.fixture
def store(schema: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    shutil.copyfile(schema, tmp_path / "mlflow.db")
    return resolve(None, tmp_path)


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "grid.png"
    path.write_bytes(b"\x89PNG not a real one")
    return path
