"""--group-by: what it matches, and the patterns that are refused."""

from __future__ import annotations

import pytest

from bench.data import path_patterns
from bench.data.path_patterns import match_paths
from bench.errors import BenchError


def test_group_one_or_the_whole_match() -> None:
    paths = ["s7/a.png", "s81/b.png", "none.png"]
    assert match_paths(paths, r"s(\d+)/") == ["7", "81", None]
    assert match_paths(paths, r"s\d+") == ["s7", "s81", None]
    assert match_paths(paths, r"s8(1)?|s7") == ["s7", "1", None]  # a group that took no part


def test_names_of_any_kind_come_through() -> None:
    paths = ["grüße/日本.png", "bad\udcff_1.png", 'quo"te\n.png']
    assert match_paths(paths, r"^([^_.]+)") == ["grüße/日本", "bad\udcff", 'quo"te\n']


@pytest.mark.parametrize("pattern", ["(", "*", "(?P<a", "a{99999999999999999999}", "(?<=a+)b", "["])
def test_no_regular_expression_is_an_error(pattern: str) -> None:
    with pytest.raises(BenchError, match="no regular expression") as error:
        match_paths(["a.png"], pattern)
    assert repr(pattern) in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("pattern", ["()", "", "x*", "(x*)", "^", "a(.*?)"])
def test_an_empty_match_names_nobody(pattern: str) -> None:
    with pytest.raises(BenchError, match=r"empty text in . of 2 paths"):
        match_paths(["a.png", "ab.png"], pattern)


def test_a_pattern_that_matches_nothing_is_an_error() -> None:
    with pytest.raises(BenchError, match=r"matches none of the 2 paths \(the first is 'a.png'\)"):
        match_paths(["a.png", "b.png"], "patient")


@pytest.mark.parametrize("pattern", ["(a+)+$", "(a|aa)+$", "^(.*a){25}b"])
def test_a_pattern_without_end_is_ended(pattern: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(path_patterns, "LIMIT_SEC", 1.5)
    with pytest.raises(BenchError, match=r"--group-by .* was not done with 1 paths after 1.5 s"):
        match_paths(["a" * 60 + "!.png"], pattern)
