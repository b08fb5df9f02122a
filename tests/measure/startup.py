"""How long until something is seen: the first row of a sweep in an empty folder, and a dry run.

`python -m tests.measure.startup [--beside CHECKOUT]` runs `bench sweep echo --trials 4` in an empty
home until its first trial is judged at its first rung, then `--dry-run` in an empty home, and there
again, where the machine is known. Printed are seconds from the command's start to each stage, and
the CPU seconds (user and system) that all processes of the command have used by then: the clock
alone says little on a machine that does other things. `--beside` measures another checkout too, in
turn, and prints both.
"""

from __future__ import annotations

import argparse
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

from bench.sweep.record.history import Record
from bench.sweep.record.journal import read

HERE = Path(__file__).resolve().parents[2]
LOOK_SEC = 0.2  # between two looks at a command
LONGEST_SEC = 1200.0
SWEEP = ("sweep", "echo", "--trials", "4")


@dataclass(frozen=True, kw_only=True)
class Moment:
    """When a stage was reached: seconds of the clock, and of all CPUs."""

    wall: float
    cpu: float


class Command:
    """A bench command that runs, and the CPU seconds of all processes it has begun."""

    def __init__(self, code: Path, home: Path, arguments: tuple[str, ...]) -> None:
        environment = {**os.environ, "PYTHONPATH": str(code), "PYTHONUNBUFFERED": "1"}
        self.begun = time.monotonic()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "bench", *arguments, "--home", str(home)],
            cwd=home,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._used: dict[tuple[int, float], float] = {}  # by process and its start
        self.lines: list[str] = []
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line.rstrip())

    def now(self) -> Moment:
        try:
            whole = psutil.Process(self.process.pid)
            for one in (whole, *whole.children(recursive=True)):
                try:
                    times = one.cpu_times()
                    self._used[one.pid, one.create_time()] = times.user + times.system
                except psutil.Error:
                    continue
        except psutil.Error:
            pass
        return Moment(wall=time.monotonic() - self.begun, cpu=sum(self._used.values()))

    def watch(self, stages: Callable[[], Iterator[str]], last: str) -> dict[str, Moment]:
        """When each stage was first seen, until `last` is; the command is stopped then."""
        seen: dict[str, Moment] = {}
        while last not in seen:
            moment = self.now()
            ended = self.process.poll() is not None
            seen.update({stage: moment for stage in stages() if stage not in seen})
            if ended and last == "end":
                seen[last] = moment
            elif ended or moment.wall > LONGEST_SEC:
                sys.exit("\n".join([*self.lines[-20:], f"it ended without reaching: {last}"]))
            time.sleep(LOOK_SEC)
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            self.process.wait(60)
        return seen


def first_row(code: Path, home: Path) -> dict[str, Moment]:
    """A sweep in this home, until a trial is judged."""
    command = Command(code, home, SWEEP)

    def stages() -> Iterator[str]:
        if command.lines:
            yield "first line"
        if any(line.startswith("sweep ") for line in command.lines):
            yield "plan is told"
        for record in records(home):
            yield from stages_of(record)

    return command.watch(stages, "first rung")


def stages_of(record: Record) -> Iterator[str]:
    """The stages that a record of the journal shows."""
    kind = record["kind"]
    if kind == "session":
        yield "session open"
    if kind == "start":
        yield "first trial starts"
    if kind == "report":
        yield "first report"
        if record["phase"] == "rung":
            yield "first rung"


def records(home: Path) -> list[Record]:
    """What the journal holds by now."""
    return [record for path in home.glob("sweeps/*/journal.jsonl") for record in read(path)]


def dry_run(code: Path, home: Path) -> dict[str, Moment]:
    command = Command(code, home, (*SWEEP, "--dry-run"))
    return command.watch(lambda: iter(["first line"] if command.lines else []), "end")


def measured(code: Path) -> dict[str, Moment]:
    """Every stage of the three commands, by what is printed of it."""
    seen: dict[str, Moment] = {}
    with tempfile.TemporaryDirectory() as place:
        home, empty = Path(place, "home"), Path(place, "empty")
        for folder in (home, empty):
            folder.mkdir()
        seen |= {f"sweep: {stage}": at for stage, at in first_row(code, home).items()}
        for place_of in ("empty home", "known machine"):
            stages = dry_run(code, empty)
            seen |= {f"dry run, {place_of}: {stage}": at for stage, at in stages.items()}
    return seen


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--beside", type=Path, help="another checkout, measured in turn")
    parser.add_argument("--repeats", type=int, default=1)
    asked = parser.parse_args()
    codes = [HERE, *([asked.beside.resolve()] if asked.beside else [])]
    runs: list[list[dict[str, Moment]]] = [[] for _ in codes]
    for _ in range(asked.repeats):
        for code, own in zip(codes, runs, strict=True):
            own.append(measured(code))
    names = ["here", *([asked.beside.name] if asked.beside else [])]
    print(f"{'seconds, CPU seconds':34}" + "".join(f"{name:>20}" for name in names))
    for stage in runs[0][0]:
        cells = [
            f"{_median(own, stage, 'wall'):.1f}, {_median(own, stage, 'cpu'):.1f}" for own in runs
        ]
        print(f"{stage:34}" + "".join(f"{cell:>20}" for cell in cells))


def _median(runs: list[dict[str, Moment]], stage: str, of: str) -> float:
    return statistics.median(getattr(run[stage], of) for run in runs if stage in run)


if __name__ == "__main__":
    main()
