"""`bench leaderboard`: what it refuses, in one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.cli import main


@pytest.mark.parametrize("top", ["-1", "-15"])
def test_fewer_than_no_entries_are_refused(
    top: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as left:
        main(["leaderboard", "--top", top, "--home", str(tmp_path)])
    assert left.value.code == 2
    shown = capsys.readouterr()
    assert shown.err.strip() == f"bench: error: --top must be 0 (all entries) or more, got {top}"
    assert shown.out == ""
