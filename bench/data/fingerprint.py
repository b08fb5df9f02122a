"""Digests of source files, remembered between runs so that a large folder is read once.

The memory is keyed by a hash of path, size and modification time: it holds no path.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable
from pathlib import Path

_CHUNK = 1 << 20


def file_digest(path: Path) -> str:
    """blake2b of a file's bytes, hexadecimal."""
    digest = hashlib.blake2b(digest_size=16)
    with path.open("rb") as stream:
        while block := stream.read(_CHUNK):
            digest.update(block)
    return digest.hexdigest()


def content_digests(paths: Iterable[Path], memory: Path) -> dict[Path, str]:
    """The digest of every path; those that cannot be read are left out. `memory` is a JSON file."""
    known = _recall(memory)
    digests: dict[Path, str] = {}
    fresh = False
    for path in dict.fromkeys(paths):
        try:
            stat = path.stat()
            times = f"\0{stat.st_size}\0{stat.st_mtime_ns}".encode()
            mark = os.fsencode(path.resolve()) + times
            name = hashlib.blake2b(mark, digest_size=16).hexdigest()
            if name not in known:
                known[name] = file_digest(path)
                fresh = True
        except OSError:
            continue
        digests[path] = known[name]
    if fresh:
        _remember(memory, known)
    return digests


def _recall(memory: Path) -> dict[str, str]:
    try:
        known = json.loads(memory.read_text())
    except (OSError, ValueError):
        return {}
    if not isinstance(known, dict):
        return {}
    return {name: value for name, value in known.items() if isinstance(value, str)}


def _remember(memory: Path, known: dict[str, str]) -> None:
    """Best effort: without it the next run hashes again."""
    draft = memory.with_name(f".{memory.name}-{os.getpid()}")
    try:
        draft.write_text(json.dumps(known))
        draft.replace(memory)
    except OSError:
        draft.unlink(missing_ok=True)
