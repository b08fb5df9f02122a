"""The one door to a family of parts: a name in its table, or a user's own "file.py:attr".

Every table is written in one dialect, name -> "module:attr". A part with `of` may be told more
behind a colon, in words of its own ("timm:MODEL@FILE.safetensors"). What comes from outside the
table has to pass the family's conformance suite before it is used; the verdict is one line, said
once.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

from bench.errors import BenchError, unknown
from bench.time_limit import EndlessError, time_limit

T = TypeVar("T")

IMPORT_SEC = 60.0  # a user's file is imported within it
WEIGHTS = ".safetensors"
CHECK_SEC = 300.0  # and a part of it passes its conformance suite

VERDICTS: dict[str, str] = {}  # what conformance said of each part from outside, in this process


@dataclass(frozen=True, kw_only=True)
class Family:
    """Parts of one kind: `kind` names them in errors, `table` holds ours.

    suite: "module:function" of the conformance suite, (part, name) -> how many checks it passed;
        it raises BenchError or ValueError for a part that breaks the contract. Empty: none.
    """

    kind: str
    table: Mapping[str, str]
    suite: str = ""

    def load(self, name: str) -> Any:
        """What `name` stands for: the table's, or a user's own.

        Raises:
            BenchError: the name is unknown (with the nearest match), the file cannot be used, or
                what is in it breaks the contract.
        """
        if not is_outside(name):
            head, colon, more = name.partition(":")
            if head not in self.table:
                raise unknown(self.kind, name, self.table)
            part = at(self.table[head], self.kind)
            if not colon:
                return part
            if not more or not hasattr(part, "of"):
                raise BenchError(f"{self.kind} {name!r}: nothing may stand behind {head!r} there")
            return part.of(more)
        part = at(name, self.kind)
        if name not in VERDICTS and self.suite:
            check: Callable[[Any, str], int] = at(self.suite)
            passed = of_user(
                f"{self.kind} {name} breaks its contract", CHECK_SEC, check, part, name
            )
            VERDICTS[name] = f"{self.kind} {Path(name).name} passes {passed} conformance checks"
        return part


def is_outside(name: str) -> bool:
    """Whether a name is a user's own file and not one of a table."""
    return name.partition(":")[0].endswith(".py")


def weights_of(name: str) -> Path | None:
    """The file of weights that is named behind an @, as in "timm:MODEL@FILE.safetensors"."""
    _, at_sign, file = name.partition("@")
    return Path(file) if at_sign and file.endswith(WEIGHTS) else None


def at(place: str, kind: str = "module") -> Any:
    """What stands at "module:attr" (or the module, without an attr), or at "file.py:attr"."""
    if is_outside(place):
        path, _, attr = place.rpartition(":") if ".py:" in place else (place, "", "")
        return _attribute(from_file(Path(path), kind), attr, kind, path)
    module, _, attr = place.partition(":")
    part: Any = importlib.import_module(module)
    return getattr(part, attr) if attr else part


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
        of_user(
            f"{kind} file {path} cannot be imported", IMPORT_SEC, spec.loader.exec_module, module
        )
    except BaseException:
        del sys.modules[name]
        raise
    return module


def of_user(what: str, seconds: float, call: Callable[..., T], *args: Any) -> T:
    """What a user's own code returns; what goes wrong in it is one line that begins with `what`.

    Raises:
        BenchError: it fails, leaves the program, or takes longer than `seconds`.
    """
    try:
        with time_limit(seconds):
            return call(*args)
    except (BenchError, KeyboardInterrupt):
        raise
    except EndlessError as error:
        raise BenchError(
            f"{what}: it does not come to an end, stopped after {seconds:g} s"
        ) from error
    except BaseException as error:  # sys.exit() in a user's file is a mistake in it
        kind = "" if type(error) is ValueError else f"{type(error).__name__}: "
        first = [*f"{kind}{error}".splitlines(), type(error).__name__][0]
        raise BenchError(f"{what}: {first}") from error


def _attribute(module: ModuleType, attr: str, kind: str, where: str) -> Any:
    if not attr:
        return module
    if not hasattr(module, attr):
        raise BenchError(f"{kind} {where} has no {attr!r}; it must define it at the top level")
    return getattr(module, attr)


def load(kind: str, table: Mapping[str, str], name: str) -> Any:
    """What `name` stands for in a table, or in a user's file."""
    return Family(kind=kind, table=table).load(name)
