"""Kills sweeps without Ray, thousands of times, and checks that nothing was lost.

    python -m tests.faults.stress --kills 2000 --folder FOLDER

Real journal, engine, Optuna, checkpoints and MLflow projection; what trials compute is a formula.
Each sweep begins at an empty folder, so the first lives may be killed while its store is made.
A child is forked for each life and stopped (SIGSTOP, so that its phase can be read; then SIGKILL)
in the phase that was hit least so far. After some kills the journal gets the torn prefix of a
further record, as a loss of power leaves it, and the newest checkpoint is cut short or has a bit
flipped. Sweeps of one trial at a time must end equal to one left alone in every field that is not
a time or a host, MLflow's runs included; sweeps of three at a time must lose, forget, repeat and
redraw nothing. The state is in FOLDER: started again, it goes on.
"""

from __future__ import annotations

import ctypes
import json
import os
import random
import shutil
import signal
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import click

from bench.sweep.record import journal
from bench.sweep.record.home import Home
from bench.sweep.record.publishing import replay
from bench.track import store as stores
from bench.track.mlflow_projection import Projector
from bench.train import checkpoint
from tests.faults.on_ray import compare, phases
from tests.faults.stress import life

PHASES = ("store", "suggest", "train", "checkpoint", "measure", "journal", "sync")
STATE_BYTES = 64 * 8  # the last of a checkpoint
DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG: this command may be killed, too, and started again
SEEDS = 6  # different sweeps left alone
STORE_SEC = 1.5  # that making a store takes: a kill comes anywhere in it
PATIENCE_SEC = 1.0  # for the phase wanted; then for the next, too


class Stress:
    """The state of a stress run; every kill is counted on disk at once."""

    def __init__(self, folder: Path, trials: int, seed: int) -> None:
        self.folder, self.trials = folder, trials
        folder.mkdir(parents=True, exist_ok=True)
        self.book = folder / "kills.jsonl"
        lines = self.book.read_text().splitlines() if self.book.exists() else []
        self.entries: list[dict[str, Any]] = [json.loads(line) for line in lines]
        self.draw = random.Random(f"{seed}/{len(self.entries)}")
        self.place = folder / "phases"
        self.place.mkdir(exist_ok=True)
        os.environ[phases.FOLDER] = str(self.place)

    def note(self, **entry: Any) -> None:
        self.entries.append(entry)
        with open(self.book, "a") as file:
            file.write(json.dumps(entry) + "\n")

    def counts(self, what: str = "kill", key: str = "phase") -> Counter[Any]:
        return Counter(e[key] for e in self.entries if e["what"] == what)

    @property
    def kills(self) -> int:
        return sum(self.counts().values())

    @property
    def violations(self) -> list[str]:
        return [text for e in self.entries for text in e.get("violations", ())]

    def fork(self, home: Path, seed: int, concurrency: int) -> int:
        """A life, in a process of its own."""
        pid = os.fork()
        if pid:
            return pid
        code = 1
        ctypes.CDLL(None).prctl(DIE_WITH_PARENT, signal.SIGKILL)
        try:
            log = os.open(home / "life.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            os.dup2(log, 1)
            os.dup2(log, 2)
            phases.STRETCH_SEC = 0.001
            phases.mark_driver()
            life.live(home, seed, self.trials, concurrency)
            code = 0
        except BaseException as error:  # to its log: the parent goes on
            import traceback

            traceback.print_exc()
            print(error, flush=True)
        finally:
            os._exit(code)

    def template(self) -> Path:
        """An empty store, made once by a process that nobody kills."""
        home = self.folder / "template"
        if not (home / "done").exists():
            shutil.rmtree(home, ignore_errors=True)
            home.mkdir()
            pid = os.fork()
            if not pid:
                stores.check(stores.resolve(None, home))
                os._exit(0)
            os.waitpid(pid, 0)
            (home / "done").touch()
        return home

    def reference(self, seed: int) -> Path:
        home = self.folder / f"reference-{seed}"
        if not (home / "finished").exists():
            empty(home)
            _, status = os.waitpid(self.fork(home, seed, 1), 0)
            if status:
                raise click.ClickException((home / "life.log").read_text())
            (home / "finished").touch()
        return home

    def sweep(self, number: int, wanted: int) -> None:
        """One sweep from its plan to its end, killed on the way."""
        concurrency, seed = (1, number % SEEDS) if (number + 1) % 4 else (3, 100 + number)
        home = self.folder / f"sweep-{number}"
        if not (self.folder / f"begun-{number}").exists():
            empty(home)
            (self.folder / f"begun-{number}").touch()
        known: list[journal.Record] = []
        while True:
            pid = self.fork(home, seed, concurrency)
            status = self.watch(pid, home, self.kills < wanted)
            path = Home(home).journal(life.NAME)
            if path.exists() and path.stat().st_size:
                now = journal.read(path)
                if now[: len(known)] != known:
                    self.found(number, [f"a record of {len(known)} is gone, or another now"])
                known = now
                self.found(number, compare.violations(home, life.NAME))
            if status == 0:
                break
            if not os.WIFSIGNALED(status):
                self.found(number, [f"a life failed: {(home / 'life.log').read_text()[-600:]}"])
                break
            self.damage(home)
        self.found(number, self.compared(home, concurrency, seed))
        self.note(what="sweep", sweep=number, at_once=concurrency)
        shutil.rmtree(home)
        (self.folder / f"begun-{number}").unlink()

    def watch(self, pid: int, home: Path, kill: bool) -> int:
        """Kill a life in the phase hit least, after a while also in the next; or let it end."""
        counts = self.counts()
        least = counts["store"] <= min(counts[p] for p in PHASES[1:])
        to_come = PHASES if least and not (home / "mlflow.db").exists() else PHASES[1:]
        order = sorted(to_come, key=lambda p: (counts[p], self.draw.random()))
        begun = time.monotonic()
        while True:
            done, status = os.waitpid(pid, os.WNOHANG)
            if done:
                return status
            wanted = order[: 1 + int((time.monotonic() - begun) / PATIENCE_SEC)]
            seen = self.phase_of(pid, wanted) if kill else None
            if seen and self.draw.random() < 0.5:
                longest = STORE_SEC if seen == "store" else self.draw.choice((0.0, 0.0005, 0.003))
                time.sleep(self.draw.random() * longest)
                os.kill(pid, signal.SIGSTOP)
                if phase := self.phase_of(pid, wanted):
                    os.kill(pid, signal.SIGKILL)
                    _, status = os.waitpid(pid, 0)
                    if os.WIFSIGNALED(status):
                        self.note(what="kill", phase=phase)
                    return status
                os.kill(pid, signal.SIGCONT)  # missed it
            time.sleep(0.0003)

    def phase_of(self, pid: int, wanted: list[str]) -> str | None:
        """The most wanted phase that one of its threads is in."""
        seen = {p for who, p in phases.now(self.place) if who == pid}
        return next((p for p in wanted if p in seen), None)

    def damage(self, home: Path) -> None:
        """What else a loss of power does, now and then."""
        path = Home(home).journal(life.NAME)
        if path.exists() and self.draw.random() < 0.15:
            whole = b'deadbeef {"kind":"report","trial":0,"nimg":8}\n'
            with open(path, "ab") as file:
                file.write(whole[: self.draw.randrange(1, len(whole) - 1)])
            self.note(what="damage", kind="torn record")
        trials = sorted((home / "sweeps" / life.NAME / "trials").glob("*"))
        newest = checkpoint.existing(trials[-1])[:1] if trials else []
        if newest and self.draw.random() < 0.15:
            data = newest[0].read_bytes()
            if self.draw.random() < 0.5 or len(data) <= STATE_BYTES:  # damaged before
                newest[0].write_bytes(data[: len(data) * self.draw.randrange(100) // 100])
                self.note(what="damage", kind="checkpoint cut short")
            else:
                at = self.draw.randrange(len(data) - STATE_BYTES, len(data))
                newest[0].write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
                self.note(what="damage", kind="checkpoint bit flipped")

    def compared(self, home: Path, concurrency: int, seed: int) -> list[str]:
        """In a process of its own: lives forked from one that has opened a store would share it."""
        answer = home / "problems.json"
        pid = os.fork()
        if not pid:
            problems = self.problems(home, concurrency, seed)
            answer.write_text(json.dumps(problems))
            os._exit(0)
        os.waitpid(pid, 0)
        found: list[str] = json.loads(answer.read_text()) if answer.exists() else ["not compared"]
        return found

    def problems(self, home: Path, concurrency: int, seed: int) -> list[str]:
        problems = compare.unfinished(home, life.NAME)
        runs, trials = compare.runs(home), compare.told(home, life.NAME)
        if runs != self.rebuilt(home):
            problems.append("MLflow holds something else than a projection made at once")
        orphans = [k for k, r in runs.items() if r["status"] == "RUNNING" or k.endswith("#2")]
        problems += [f"orphan run {k}" for k in orphans]
        problems += [
            f"no run of {t['trial_id']}" for t in trials if f"{t['trial_id']}#1" not in runs
        ]
        if len(trials) != self.trials:
            problems.append(f"{len(trials)} trials of {self.trials}")
        if concurrency == 1:
            problems += compare.differences(home, self.reference(seed), life.NAME)
        return problems

    def rebuilt(self, home: Path) -> dict[str, Any]:
        """The runs that a store has which was there all the time."""
        again = home / "again"
        shutil.rmtree(again, ignore_errors=True)
        shutil.copytree(self.template(), again)
        records = journal.read(Home(home).journal(life.NAME))
        folder = Home(home).folder(life.NAME)
        Projector(stores.resolve(None, again)).project(replay(records, folder))
        return compare.runs(again)

    def found(self, number: int, problems: list[str]) -> None:
        if problems:
            self.note(what="violation", sweep=number, violations=problems)

    def report(self) -> str:
        counts, sweeps = self.counts(), self.counts("sweep", "at_once")
        damage = self.counts("damage", "kind")
        return "\n".join(
            [
                f"kills: {self.kills} ({', '.join(f'{p} {n}' for p, n in sorted(counts.items()))})",
                f"damage besides: {', '.join(f'{n} {k}' for k, n in sorted(damage.items()))}",
                f"sweeps of {self.trials} trials: {sweeps[1]} one at a time, equal to one left "
                f"alone; {sweeps[3]} three at a time",
                "checked: nothing suggested twice, no finished trial run again, none forgotten, "
                "none failed, no record gone or changed, no orphan or doubled run in "
                "MLflow, whose runs equal those of a projection made at once; one at a time: every "
                "field of every row, suggestion and run but times and hosts",
                f"violations: {len(self.violations)}",
                *self.violations[:20],
            ]
        )


def empty(home: Path) -> None:
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(parents=True)


@click.command()
@click.option("--kills", type=int, default=2000, show_default=True)
@click.option("--trials", type=int, default=9, show_default=True, help="Of each sweep.")
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--folder", type=click.Path(path_type=Path), required=True, help="Of its state.")
def main(kills: int, trials: int, seed: int, folder: Path) -> None:
    life.preload()
    stress = Stress(folder.resolve(), trials, seed)
    for wanted in range(SEEDS):
        stress.reference(wanted)
    while stress.kills < kills:
        stress.sweep(sum(stress.counts("sweep", "at_once").values()), kills)
        click.echo(f"{stress.kills} kills, {len(stress.violations)} violations")
    click.echo(stress.report())
    sys.exit(1 if stress.violations else 0)


if __name__ == "__main__":
    main()
