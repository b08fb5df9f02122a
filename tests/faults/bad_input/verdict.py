"""One invocation run, in this process or in one of its own, and whether it ended as it should."""

from __future__ import annotations

import contextlib
import io
import os
import re
import signal
import subprocess
import sys
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bench
from bench.cli import main
from tests.faults.bad_input.invocations import SECRET, Invocation

LIMIT_SEC = 60  # of wall clock, on a machine that others share
ROOT = Path(bench.__file__).parents[1]
ERROR = re.compile(r"bench[\w -]*: error: \S")


class Hang(BaseException):
    """The alarm rang."""


@dataclass(frozen=True)
class End:
    """How it ended. trace: of an exception that nobody caught."""

    code: int | str | None
    err: str
    out: str = ""
    trace: str = ""
    hung: bool = False


def faults(end: End, made: Invocation, folder: Path) -> list[str]:
    """What is wrong with it; nothing, where all is as it should be."""
    wrong = []
    if end.hung:
        wrong.append(f"still running after {LIMIT_SEC} s")
    if end.trace:
        wrong.append(f"an exception: {end.trace}")
    elif "Traceback" in end.err + end.out:
        wrong.append(f"a traceback is printed: {end.err[-600:]}")
    if end.code not in (0, 2, 130):
        wrong.append(f"exit code {end.code!r}")
    errors = [line for line in end.err.splitlines() if ERROR.match(line)]
    if end.code in (2, 130) and (len(errors) != 1 or not end.err.endswith(errors[-1] + "\n")):
        wrong.append(f"exit code {end.code} with {len(errors)} error lines: {end.err[-600:]!r}")
    if end.code == 0 and errors:
        wrong.append(f"exit code 0 with an error: {errors[0]}")
    if SECRET in end.err + end.out:
        wrong.append("a secret is printed")
    home = (folder / made.home).resolve() if made.home and "\0" not in made.home else None
    stored = [made.args[n + 1] for n, arg in enumerate(made.args[:-1]) if arg == "--storage"]
    inside = [
        p
        for p in folder.iterdir()
        if p.name not in stored and (home is None or not home.is_relative_to(p))
    ]
    if inside and home != folder.resolve():
        wrong.append(f"made in the working folder: {[p.name for p in inside]}")
    return wrong


def in_process(made: Invocation, folder: Path) -> End:
    """The command with its streams taken, in `folder`, under an alarm."""
    hung: list[bool] = []

    def ring(*_: Any) -> None:
        hung.append(True)
        signal.alarm(2)  # whoever catches everything hears it again
        raise Hang

    trace, code = "", None
    before = signal.signal(signal.SIGALRM, ring)
    with _streams(made.stdout) as (out, err), contextlib.chdir(folder):
        try:
            signal.alarm(LIMIT_SEC)
            main(list(made.args))
        except SystemExit as left:
            code = left.code
        except Hang:
            pass
        except BaseException as error:
            trace = _short(error)
        finally:
            signal.alarm(0)
            signal.signal(signal.SIGALRM, before)
        code = 0 if code is None else code
        with contextlib.suppress(OSError, ValueError):
            sys.stdout.flush()
        with contextlib.suppress(ValueError):
            sys.stderr.flush()
        said = [stream.getvalue().decode(errors="replace") for stream in (out, err)]
    return End(code, said[1], said[0], trace, bool(hung))


def as_process(made: Invocation, folder: Path) -> End:
    """The command as a user runs it."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    if made.stdout == "ascii":
        environment |= {"PYTHONIOENCODING": "ascii", "LANG": "C", "LC_ALL": "C"}
    args = [os.fsencode(a) for a in made.args]
    if any(b"\0" in arg for arg in args):  # no process can be given one
        return in_process(made, folder)
    with open("/dev/full", "wb") as full:
        try:
            done = subprocess.run(
                [sys.executable, "-m", "bench", *args],
                stdout=full if made.stdout == "full" else subprocess.PIPE,
                stderr=subprocess.PIPE,
                stdin=subprocess.DEVNULL,
                cwd=folder,
                env=environment,
                timeout=LIMIT_SEC * 2,  # it imports all anew, on a machine that is shared
            )
        except subprocess.TimeoutExpired:
            return End(None, "", hung=True)
    out = (done.stdout or b"").decode(errors="replace")
    return End(done.returncode, done.stderr.decode(errors="replace"), out)


@contextlib.contextmanager
def _streams(kind: str) -> Iterator[tuple[io.BytesIO, io.BytesIO]]:
    out, err = io.BytesIO(), io.BytesIO()
    raw: Any = open("/dev/full", "wb") if kind == "full" else out  # noqa: SIM115
    encoding = "ascii" if kind == "ascii" else "utf-8"
    stdout = io.TextIOWrapper(raw, encoding=encoding, errors="strict", write_through=False)
    stderr = io.TextIOWrapper(err, encoding=encoding, errors="backslashreplace")
    kept = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = stdout, stderr
    try:
        yield out, err
    finally:
        sys.stdout, sys.stderr = kept
        with contextlib.suppress(OSError, ValueError):
            stdout.detach()
        with contextlib.suppress(OSError, ValueError):
            stderr.detach()
        if kind == "full":
            with contextlib.suppress(OSError):
                raw.close()


def _short(error: BaseException) -> str:
    """The exception and the last places it came through."""
    places = [
        f"{Path(frame.filename).name}:{frame.lineno} {frame.name}"
        for frame in traceback.extract_tb(error.__traceback__)[-6:]
    ]
    return f"{type(error).__name__}: {str(error)[:300]} ({' < '.join(reversed(places))})"
