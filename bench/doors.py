"""The one door to a family's table: a name in it, or a user's own `file.py:attr`."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from bench.errors import BenchError, unknown


def load(kind: str, table: Mapping[str, str], name: str) -> Any:
    """What `name` stands for: the table's "module:attr", or the attribute of a user's file.

    Raises:
        BenchError: the name is unknown (with the nearest match) or the file cannot be used.
    """
    if ".py:" in name:
        return at(name, kind)
    if name not in table:
        raise unknown(kind, name, table)
    return at(table[name], kind)


def at(place: str, kind: str = "module") -> Any:
    """What stands at "module:attr" (or the module, without an attr), or at "file.py:attr"."""
    if ".py:" in place:
        path, _, attr = place.rpartition(":")
        return _attribute(from_file(Path(path), kind), attr, kind, path)
    module, _, attr = place.partition(":")
    found: Any = importlib.import_module(module)
    return getattr(found, attr) if attr else found


def from_file(path: Path, kind: str) -> ModuleType:
    """A user's Python file, imported under a name of its own; the same file is one module."""
    if not path.is_file():
        raise BenchError(f"{kind} file {path} does not exist; give the path of a Python file")
    mark = hashlib.blake2b(str(path.resolve()).encode() + path.read_bytes(), digest_size=8)
    name = f"bench_user_{path.stem}_{mark.hexdigest()}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise BenchError(f"{kind} file {path} is not a Python file; its name must end in .py")
    module = sys.modules[name] = importlib.util.module_from_spec(spec)  # dataclasses look there
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[name]
        cause = f"{type(error).__name__}: {error}".splitlines()[0]
        raise BenchError(f"{kind} file {path} cannot be imported: {cause}") from error
    return module


def _attribute(module: ModuleType, attr: str, kind: str, where: str) -> Any:
    if not attr:
        return module
    if not hasattr(module, attr):
        raise BenchError(f"{kind} {where} has no {attr!r}; it must define it at the top level")
    return getattr(module, attr)
