"""What a pattern matches in each path, in a process of its own that has a time limit.

A regular expression such as `(a+)+$` can take longer than the age of the universe, and nothing
stops Python's `re` once it has begun; a process can be ended. The process is
`pattern_process.py`, which imports the standard library only.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from bench.errors import BenchError

LIMIT_SEC = 20.0  # for all paths together; a common pattern does a million of them in this time
_PROCESS = Path(__file__).with_name("pattern_process.py")


def match_paths(
    paths: Sequence[str], pattern: str, option: str = "--group-by", names: str = "subject"
) -> list[str | None]:
    """What the pattern names in each path: group 1, or the whole match; None: no match.

    `option` and `names` (a subject, a class) are for the errors.

    Raises BenchError when the pattern is no regular expression, does not come to an end, matches
    no path, or matches an empty text, which names nobody.
    """
    option = f"{option} {pattern!r}"
    try:
        done = subprocess.run(
            [sys.executable, "-I", "-S", str(_PROCESS)],
            input=json.dumps({"pattern": pattern, "paths": list(paths)}),
            capture_output=True, text=True, timeout=LIMIT_SEC,
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise BenchError(
            f"{option} was not done with {len(paths)} paths after {LIMIT_SEC:g} s; repetitions "
            "within repetitions take that long: write a simpler pattern"
        ) from error
    if done.returncode:
        raise BenchError(f"{option} ended the process that matches it; write a simpler pattern")
    answer = json.loads(done.stdout)
    if "error" in answer:
        raise BenchError(f"{option} is no regular expression: {answer['error']}")
    matches: list[str | None] = answer["subjects"]
    if all(match is None for match in matches):
        raise BenchError(
            f"{option} matches none of the {len(paths)} paths (the first is {paths[0]!r})"
        )
    if empty := [path for path, match in zip(paths, matches, strict=True) if match == ""]:
        raise BenchError(
            f"{option} matches an empty text in {len(empty)} of {len(paths)} paths (the first is "
            f"{empty[0]!r}), which names no {names}; make it match at least one letter or digit"
        )
    return matches
