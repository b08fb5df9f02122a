"""Paths are found wherever they stand, and nothing else is taken for one."""

from __future__ import annotations

import pytest

from leaderboards.scrubbing import base_name, scrubbed, without_places


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("no image cache in /home/x/y", "no image cache in (path)"),
        ("no image cache in /home/x/y; put it back", "no image cache in (path); put it back"),
        ("lost (~/data/eve.avi)", "lost ((path)"),
        ("[Errno 2] No such file: '/mnt/Jane Doe/a b.avi'", "[Errno 2] No such file: (path)"),
        ("cannot read /mnt/Jane Doe/echo 1.avi", "cannot read (path)"),
        ("cannot read /mnt/echo/Jane Doe.avi", "cannot read (path)"),
        (r"no cache in C:\Users\x\y, stop", "no cache in (path), stop"),
        ("no cache in D:/x/y", "no cache in (path)"),
        (r"no cache on \\server\share\x", "no cache on (path)"),
        ("see file:///home/x/y", "see (path)"),
        ("see ../x/y and more", "see (path) and more"),
        ("cause:/home/x", "cause:(path)"),
        ("path=/home/x", "path=(path)"),
        ('File "/home/x/bench/run.py", line 3', "File (path), line 3"),
        ("/home/x", "(path)"),
        ("~/x", "(path)"),
        ("/données/é", "(path)"),
    ],
)
def test_a_path_is_left_out(text: str, expected: str) -> None:
    assert without_places(text) == expected
    assert without_places(expected) == expected


@pytest.mark.parametrize(
    "text",
    [
        "ddpmpp-edm adam 2e-3 b32",
        "not among the best 33% at 20% of the budget",
        "GFLOPs/img and img/s, 1/2 of 3 / 4",
        "http://127.0.0.1:5000/api and https://host/x",
        "AMD EPYC @ 2.2GHz, 2 cores, 2 trials at once, 1 thread each",
        "about ~3 GB; and/or",
        "my_space.py:wide",
    ],
)
def test_what_is_no_path_stays(text: str) -> None:
    assert without_places(text) == text
    assert base_name(text) == text


def test_a_users_file_keeps_its_name_where_it_names_something() -> None:
    assert base_name("/home/x/my_space.py:wide") == "my_space.py:wide"
    assert base_name(r"C:\x\my_space.py") == "my_space.py"
    assert base_name("~/my_space.py") == "my_space.py"


def test_nested_data_is_scrubbed_through_and_through() -> None:
    record = {"a": ["in /home/x", 3, None, {"/home/y": True}], "b": 1.5}
    assert scrubbed(record) == {"a": ["in (path)", 3, None, {"(path)": True}], "b": 1.5}
