"""Matches a pattern against paths: JSON in on stdin, JSON out on stdout. `group_by` runs it.

In: {"pattern", "paths"}. Out: {"subjects": group 1, the whole match or null, one a path} or
{"error"}.
"""

from __future__ import annotations

import json
import re
import sys


def match(pattern: str, paths: list[str]) -> list[str | None]:
    compiled = re.compile(pattern)
    subjects: list[str | None] = []
    for path in paths:
        hit = compiled.search(path)
        first = hit.group(1) if hit is not None and compiled.groups else None
        subjects.append(hit.group(0) if hit is not None and first is None else first)
    return subjects


if __name__ == "__main__":
    question = json.load(sys.stdin)
    try:
        answer: dict[str, object] = {"subjects": match(question["pattern"], question["paths"])}
    except (re.error, OverflowError, RecursionError) as error:
        answer = {"error": str(error)}
    json.dump(answer, sys.stdout)
