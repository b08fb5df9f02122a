"""One cache of small pictures for all tests of methods."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fakes.trials import write_cache


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_cache(tmp_path_factory.mktemp("fake") / "cache")
