"""What the integration tests share."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def ray_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home for the Rays of this process: one, as Ray reads its token there once per process."""
    return tmp_path_factory.mktemp("home")
