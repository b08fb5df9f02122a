"""Rules of the house that a program can hold: one name for one thing."""

from __future__ import annotations

import subprocess
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = ("bench", "backbones", "search_spaces", "leaderboards")
MAY_REPEAT = ("__init__.py", "__main__.py")  # Python's own names


def test_no_two_source_files_share_a_name() -> None:
    listing = subprocess.run(
        ["git", "ls-files", "*.py"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    files = [Path(line) for line in listing.stdout.splitlines()]
    names = Counter(
        file.name for file in files if file.parts[0] in PACKAGES and file.name not in MAY_REPEAT
    )
    assert len(names) > 100  # the listing is that of the project
    assert [name for name, count in names.items() if count > 1] == []


def test_no_source_file_is_past_400_lines() -> None:
    long = {
        str(path.relative_to(ROOT)): lines
        for package in PACKAGES
        for path in (ROOT / package).rglob("*.py")
        if (lines := len(path.read_text().splitlines())) > 400
    }
    assert long == {}
