"""Kills sweeps on a real Ray, again and again, and checks that nothing was lost.

    python -m tests.faults.on_ray --kills 200 --folder FOLDER [--workload WORKLOAD]

Each sweep begins without a store and runs one trial at a time. It is killed (SIGKILL to the driver
or to the trial's process) in the phases that were hit least so far, and is taken up again as
`bench resume` does, until it ends: then every field that is not a time or a host must equal those
of a sweep that was left alone, and so must its runs in MLflow. What was done is kept in FOLDER:
started again, it goes on.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import statistics
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import click

from bench.sweep.record import journal
from bench.sweep.record.history import History
from bench.sweep.record.home import Home
from bench.sweep.running.engine import LOSSES
from tests.faults.on_ray import compare, phases
from tests.faults.on_ray.driver import NAME

PHASES = ("store", "suggest", "train", "checkpoint", "measure", "journal", "sync")
STORE_SEC = 3.0  # that making a store takes at most: a kill comes anywhere in it
SHARED = ("cache",)  # of a home: decoded data, the same for all
TRIES = 60.0  # seconds to wait for a phase before another is taken


class Stress:
    """The state of a stress run; every kill is counted on disk at once."""

    def __init__(self, folder: Path, workload: str, trials: int, say: Any) -> None:
        self.folder, self.workload, self.trials, self.say = folder, workload, trials, say
        folder.mkdir(parents=True, exist_ok=True)
        self.book = folder / "kills.jsonl"
        lines = self.book.read_text().splitlines() if self.book.exists() else []
        self.entries: list[dict[str, Any]] = [json.loads(line) for line in lines]

    def note(self, **entry: Any) -> None:
        self.entries.append(entry)
        with open(self.book, "a") as file:
            file.write(json.dumps(entry) + "\n")

    def counts(self) -> Counter[str]:
        return Counter(e["phase"] for e in self.entries if e["what"] == "kill")

    @property
    def violations(self) -> list[str]:
        return [text for e in self.entries for text in e.get("violations", ())]

    def home(self, number: int) -> Path:
        return self.folder / f"sweep-{number:03d}"

    def start(self, home: Path, seed: int) -> subprocess.Popen[bytes]:
        place = home / "phases"
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(parents=True)
        command = [sys.executable, "-m", "tests.faults.on_ray.driver"]
        with open(home / "driver.log", "ab") as log:
            return subprocess.Popen(
                [*command, str(home), str(self.trials), str(seed), self.workload],
                env={**os.environ, phases.FOLDER: str(place)},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def reference(self) -> Path:
        """The sweep that is left alone."""
        home = self.folder / "reference"
        if not (home / "done").exists():
            shutil.rmtree(home, ignore_errors=True)
            home.mkdir(parents=True)
            if self.start(home, seed=0).wait() != 0:
                raise click.ClickException(f"the reference failed: {home / 'driver.log'}")
            (home / "done").touch()
        return home

    def sweep(self, number: int, wanted: int, seed: int) -> None:
        """One sweep, killed until there are enough kills or it ends; then compared."""
        home, reference = self.home(number), self.reference()
        if not home.exists():
            home.mkdir()
            for name in SHARED:
                shutil.copytree(reference / name, home / name)
        draw = random.Random(f"{seed}/{number}/{len(self.entries)}")
        while True:
            driver = self.start(home, seed=0)
            while driver.poll() is None and sum(self.counts().values()) < wanted:
                if not self.kill(home, driver, draw):
                    break
            code = driver.wait()
            problems = self.check(home)
            if problems:
                self.note(what="violation", sweep=number, violations=problems)
            if code == 0:
                break
            if code not in (0, -signal.SIGKILL):
                log = (home / "driver.log").read_text().strip().splitlines()[-1:]
                self.note(what="exit", sweep=number, violations=[f"driver exit {code}: {log}"])
                if len([e for e in self.entries if e["what"] == "exit"]) > 20:
                    break
        problems = self.compare(home, reference)
        self.note(what="sweep", sweep=number, violations=problems)
        self.say(f"sweep {number}: {'equal' if not problems else problems[:3]}")
        if not problems:
            shutil.rmtree(home)

    def kill(self, home: Path, driver: subprocess.Popen[bytes], draw: random.Random) -> bool:
        """One kill in the phase hit least; False when the driver was what died."""
        counts = self.counts()
        to_come = PHASES[1:] if (home / "mlflow.db").exists() else PHASES
        order = sorted(to_come, key=lambda p: (counts[p], draw.random()))
        target, begun = order[0], time.monotonic()
        while driver.poll() is None:
            if time.monotonic() - begun > TRIES / 4:
                target, begun = draw.choice(order[1:]), time.monotonic()
            hits = [(pid, p) for pid, p in phases.now(home / "phases") if p == target]
            if hits and draw.random() < 0.5:
                longest = draw.choice((0.0, 0.002, 0.02, 0.1))
                time.sleep(draw.random() * (STORE_SEC if target == "store" else longest))
                again = dict(phases.now(home / "phases"))
                pid = hits[0][0]
                if again.get(pid) in PHASES and self.may_die(home, pid, driver.pid):
                    seen = again[pid]
                    os.kill(pid, signal.SIGKILL)
                    who = "driver" if pid == driver.pid else "trial"
                    self.note(what="kill", phase=seen, who=who, t=time.time())
                    self.say(f"{sum(self.counts().values())} kills: {who} in {seen}")
                    if who == "driver":
                        return False
                    self.resumed(home, driver)
                    return True
            time.sleep(0.001)
        return False

    def may_die(self, home: Path, pid: int, driver: int) -> bool:
        """Not a trial that was lost as often as it may be: it would fail, rightly."""
        if pid == driver:
            return True
        trials = History(journal.read(Home(home).journal(NAME))).trials.values()
        running = [t for t in trials if t.running_since is not None]
        return all(t.losses + 1 < LOSSES for t in running)

    def resumed(self, home: Path, driver: subprocess.Popen[bytes]) -> None:
        """Wait for the lost trial's next life, and note how long it took to begin."""
        begin, before = time.monotonic(), {pid for pid, _ in phases.now(home / "phases")}
        while driver.poll() is None and time.monotonic() - begin < TRIES:
            live = [p for p in phases.now(home / "phases") if p[1] == "train"]
            if any(pid not in before for pid, _ in live):
                self.note(what="resumed", sec=time.monotonic() - begin)
                return
            time.sleep(0.005)

    def check(self, home: Path) -> list[str]:
        path = Home(home).journal(NAME)
        return compare.violations(home, NAME) if path.exists() else []

    def compare(self, home: Path, reference: Path) -> list[str]:
        found = compare.violations(home, NAME) + compare.unfinished(home, NAME)
        return found + compare.differences(home, reference, NAME)

    def report(self) -> str:
        counts, resumed = self.counts(), [e["sec"] for e in self.entries if e["what"] == "resumed"]
        kinds = Counter(e["who"] for e in self.entries if e["what"] == "kill")
        lines = [
            f"kills: {sum(counts.values())} ({', '.join(f'{p} {counts[p]}' for p in PHASES)})",
            f"of the driver {kinds['driver']}, of a trial's process {kinds['trial']}",
            f"sweeps compared with one left alone: "
            f"{sum(e['what'] == 'sweep' for e in self.entries)}, of {self.trials} trials each",
            "checked: nothing suggested twice, no finished trial run again, none forgotten, none "
            "failed; every field of every row and suggestion but times and hosts; MLflow's runs, "
            "their status, parameters, metric histories and outcome",
            f"violations: {len(self.violations)}",
        ]
        if resumed:
            lines.append(
                f"from a trial's kill to its next training step: median "
                f"{statistics.median(resumed):.1f} s, worst {max(resumed):.1f} s (n={len(resumed)})"
            )
        return "\n".join([*lines, *self.violations[:20]])


@click.command()
@click.option("--workload", default="echo", show_default=True)
@click.option("--kills", type=int, default=200, show_default=True)
@click.option("--trials", type=int, default=14, show_default=True, help="Of each sweep.")
@click.option("--per-sweep", type=int, default=25, show_default=True, help="Kills of one sweep.")
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--folder", type=click.Path(path_type=Path), required=True, help="Of its state.")
def main(workload: str, kills: int, trials: int, per_sweep: int, seed: int, folder: Path) -> None:
    stress = Stress(folder.resolve(), workload, trials, click.echo)
    while (done := sum(stress.counts().values())) < kills:
        number = sum(e["what"] == "sweep" for e in stress.entries)
        stress.sweep(number, min(kills, done + per_sweep), seed)
    click.echo(stress.report())
    sys.exit(1 if stress.violations else 0)


if __name__ == "__main__":
    main()
