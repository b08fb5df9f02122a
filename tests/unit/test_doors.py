"""The door to a family's table, and to a user's own file."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from bench import doors
from bench.errors import BenchError, unknown

TABLE = {"sqrt": "math:sqrt", "module": "math"}


def test_names_of_the_table() -> None:
    import math

    assert doors.load("function", TABLE, "sqrt") is math.sqrt
    assert doors.load("function", TABLE, "module") is math


def test_unknown_name_says_the_nearest() -> None:
    with pytest.raises(BenchError) as caught:
        doors.load("function", TABLE, "sqr")
    assert str(caught.value) == "unknown function 'sqr'; did you mean 'sqrt'? (module, sqrt)"


def test_unknown_name_far_from_all() -> None:
    assert str(unknown("function", "zzz", TABLE)) == "unknown function 'zzz'; (module, sqrt)"


def test_users_file(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text("def area(r):\n    return 3 * r * r\n")
    assert doors.load("function", TABLE, f"{file}:area")(2) == 12
    assert doors.at(f"{file}:area") is doors.load("function", TABLE, f"{file}:area")


def test_users_dataclass_with_postponed_annotations(tmp_path: Path) -> None:
    """dataclasses look their module up in sys.modules."""
    file = tmp_path / "mine.py"
    text = "from __future__ import annotations\nfrom dataclasses import dataclass\n"
    file.write_text(text + "@dataclass\nclass Mine:\n    a: int = 3\n")
    assert doors.load("record", TABLE, f"{file}:Mine")().a == 3


def test_files_of_one_name_stay_apart_and_changes_are_seen(tmp_path: Path) -> None:
    for folder, value in (("a", 1), ("b", 2)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "mine.py").write_text(f"value = {value}\n")
    assert doors.load("value", {}, f"{tmp_path / 'a' / 'mine.py'}:value") == 1
    assert doors.load("value", {}, f"{tmp_path / 'b' / 'mine.py'}:value") == 2
    (tmp_path / "a" / "mine.py").write_text("value = 3\n")
    assert doors.load("value", {}, f"{tmp_path / 'a' / 'mine.py'}:value") == 3


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match=r"function file .*gone\.py does not exist"):
        doors.load("function", TABLE, f"{tmp_path}/gone.py:area")


def test_missing_attribute(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("a = 1\n")
    with pytest.raises(BenchError, match=r"mine.py has no 'b'; it must define it"):
        doors.load("function", TABLE, f"{tmp_path}/mine.py:b")


@pytest.mark.parametrize("text", ["import nothing_of_this_name\n", "def broken(:\n", "1 / 0\n"])
def test_file_that_fails_is_one_line_and_leaves_no_module(tmp_path: Path, text: str) -> None:
    (tmp_path / "mine.py").write_text(text)
    before = set(sys.modules)
    with pytest.raises(BenchError, match=r"function file .* cannot be imported: ") as caught:
        doors.load("function", TABLE, f"{tmp_path}/mine.py:area")
    assert "\n" not in str(caught.value)
    assert not {name for name in set(sys.modules) - before if name.startswith("bench_user")}
