"""Thousands of bad invocations of `bench`: each must end well, or in one line and exit code 2.

    python -m tests.faults.bad_input --inputs 10000 --seed 0 --folder FOLDER

Input number i depends on (seed, i) alone: more inputs keep the first ones, and `--first i --inputs
1` runs one again. Most run in this process; one in PROCESS_EVERY as a process of its own. What no
input is about is left out: Ray is not started and nothing is timed.
"""

from __future__ import annotations

import faulthandler
import random
import shutil
import socket
import sys
import tempfile
import time
from collections import Counter
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any
from unittest.mock import patch

import click

from tests.faults.bad_input import broken_homes, verdict
from tests.faults.bad_input.invocations import Drawing, Invocation

PROCESS_EVERY = 100
PATCHED = (["resume"], ["confirm"], ["sweep"], ["calibrate"], ["ui"])  # only ever in this process
USER_SEC = 1.0  # for a user's own code


def quick() -> ExitStack:
    """Patches that leave out what takes long: Ray, timings, the patience with a user's code."""
    from bench.sweep.cost.timing import Pace

    def stop(engine: Any, *_: Any, more: Any, **__: Any) -> None:
        more()
        engine.take_up()
        engine.next()
        raise KeyboardInterrupt

    def leave(*_: Any) -> None:
        raise KeyboardInterrupt

    stack = ExitStack()
    for name, value in (
        ("bench.sweep.running.drive.run", stop),
        ("os.execvpe", leave),  # no server is started
        ("bench.sweep.cost.timing._pace", lambda configs, places, kept: Pace.assumed()),
        ("bench.sweep.cost.timing.measuring_sec", lambda config: 0.01),
        ("bench.sweep.cost.timing.sec_per_image", lambda config, places=1: 0.001),
        ("bench.sweep.deciding.suggest.SPACE_SEC", USER_SEC),
        ("bench.doors.IMPORT_SEC", USER_SEC),
        ("bench.doors.CHECK_SEC", 2 * USER_SEC),
        ("bench.track.store.CHECK_SEC", 1.0),
    ):
        stack.enter_context(patch(name, value))
    return stack


def run_one(number: int, seed: int, template: Path, folder: Path) -> tuple[Invocation, list[str]]:
    """Input `number`: what was invoked, and what is wrong with how it ended."""
    draw = random.Random(f"{seed}/{number}")
    place = folder / f"input-{number}"
    shutil.rmtree(place, ignore_errors=True)
    work, scratch, home = place / "work", place / "scratch", place / "home"
    for path in (work, scratch):
        path.mkdir(parents=True)
    broken_homes.copy(template, home)
    made = Drawing(draw, template, home, scratch).invocation()
    own_process = number % PROCESS_EVERY == PROCESS_EVERY - 1 and made.args[:1] not in PATCHED
    try:
        with patch.dict("os.environ", {"BENCH_HOME": str(home)}):
            run = verdict.as_process if own_process else verdict.in_process
            return made, verdict.faults(run(made, work), made, work)
    finally:
        shutil.rmtree(place, ignore_errors=True)


def run_all(inputs: int, seed: int, folder: Path, first: int = 0) -> int:
    """All of them, every failure printed; how many there were."""
    template, failures = folder / "template", 0
    commands: Counter[str] = Counter()
    with quick(), socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with suppress(OSError):  # taken already is as good
            taken.bind(("127.0.0.1", 5000))
            taken.listen()
        if not (template / "mlflow.db").exists():
            shutil.rmtree(template, ignore_errors=True)
            broken_homes.make(template)
        for number in range(first, first + inputs):
            faulthandler.dump_traceback_later(verdict.LIMIT_SEC * 3, exit=True, file=sys.__stderr__)
            begun = time.perf_counter()
            made, wrong = run_one(number, seed, template, folder)
            seconds = time.perf_counter() - begun
            commands[made.args[0] if made.args else ""] += 1
            if wrong or seconds > verdict.LIMIT_SEC / 2:
                failures += bool(wrong)
                print(f"input {number}: bench {made.args!r} {made.about} stdout {made.stdout}")
                print(
                    "".join(f"    {line}\n" for line in wrong) + f"    {seconds:.1f} s", flush=True
                )
        faulthandler.cancel_dump_traceback_later()
    print(f"inputs: {inputs}, failures: {failures}")
    return failures


@click.command()
@click.option("--inputs", type=int, default=10_000, show_default=True)
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--first", type=int, default=0, help="Begin at this input.")
@click.option("--folder", type=click.Path(path_type=Path), help="Kept.  [default: thrown away]")
def main(inputs: int, seed: int, first: int, folder: Path | None) -> None:
    """Run bad invocations; exit code 1 where one did not end as it should."""
    with tempfile.TemporaryDirectory(prefix="bench-bad-input-") as thrown_away:
        failures = run_all(inputs, seed, (folder or Path(thrown_away)).resolve(), first)
    raise SystemExit(1 if failures else 0)


if __name__ == "__main__":
    main()
