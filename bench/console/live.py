"""The running sweep in the terminal: a live view, or plain lines in a pipe or CI.

Both are listeners of the engine's records and read its history; neither can slow or stop a trial.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from bench.sweep.engine import Engine
from bench.sweep.history import Record, Trial

SHOWN = 6  # best rows in the live view
HEARTBEAT_SEC = 60.0  # a plain line at least this often


class Progress:
    """What is done, running and left of a sweep, read from its engine."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.started = time.monotonic()
        self.spent_before = self._spent()

    def _spent(self) -> float:
        """Budget used, in full-budget trials."""
        return sum(_fraction(t) for t in self.engine.history.trials.values())

    def seconds(self) -> float:
        return time.monotonic() - self.started

    def left_sec(self) -> float | None:
        """Expected time left, from the pace of trials of this session so far."""
        history, plan = self.engine.history, self.engine.plan
        done = sum(t.outcome is not None for t in history.trials.values())
        spent = self._spent() - self.spent_before
        if done < 2 or spent <= 0:
            return None
        reach = _expected_spend(plan)
        left = max(reach - self._spent(), 0.02 * reach)
        return self.seconds() / spent * left

    def counts(self) -> str:
        counts = self.engine.history.counts()
        parts = [f"{n} {name}" for name, n in counts.items()]
        return ", ".join(parts) or "no trial yet"


def _fraction(trial: Trial) -> float:
    budget = trial.suggestion["config"]["train"]["budget_nimg"]
    return float(trial.nimg / budget)


def _expected_spend(plan: Record) -> float:
    """Budget a whole sweep is expected to use, in full-budget trials."""
    from bench.sweep.forecast import expected_reach

    reach = expected_reach(plan["trials"], len(plan["cells"]), plan["keep"], plan["prune"])
    steps = [b - a for a, b in zip([0.0, *plan["rungs"]], plan["rungs"], strict=False)]
    return float(sum(n * step for n, step in zip(reach, steps, strict=True)))


class LiveView:
    """A table that refreshes itself; for a terminal."""

    def __init__(self, engine: Engine) -> None:
        self.engine, self.progress = engine, Progress(engine)

    def __rich__(self) -> Group:
        with self.engine.lock:
            return Group(self._head(), self._bar(), self._running(), self._best())

    def _head(self) -> Text:
        history, plan = self.engine.history, self.engine.plan
        left = self.progress.left_sec()
        best = history.best()
        metric = plan["protocol"]["metric"]
        final = len(plan["rungs"]) - 1
        parts = [
            f"{plan['sweep']}  {self.progress.counts()} of {plan['trials']}",
            f"{clock(self.progress.seconds())} gone"
            + (f", about {clock(left)} left" if left is not None else ""),
        ]
        if best is not None:
            parts.append(f"best so far {metric} {best.rungs[final]:.3g} (select part)")
        if plan["data"]["simulated"]:
            parts.append("SIMULATED data")
        return Text("  ·  ".join(parts), style="bold")

    def _bar(self) -> ProgressBar:
        spent = self.progress._spent()
        return ProgressBar(total=_expected_spend(self.engine.plan), completed=spent, width=80)

    def _running(self) -> Table:
        table = Table(box=None, pad_edge=False, header_style="dim")
        for name in ("running", "budget", "kimg", "last value"):
            table.add_column(name, justify="left" if name == "running" else "right")
        for number in sorted(self.engine.running):
            trial = self.engine.history.trials[number]
            value = trial.rungs[max(trial.rungs)] if trial.rungs else None
            table.add_row(
                f"{number:03d} {trial.suggestion['label']}",
                f"{_fraction(trial):.0%}",
                f"{trial.nimg / 1000:.1f}",
                "" if value is None else f"{value:.3g}",
            )
        return table

    def _best(self) -> Table:
        final = len(self.engine.plan["rungs"]) - 1
        done = [t for t in self.engine.history.with_outcome("completed") if final in t.rungs]
        table = Table(box=None, pad_edge=False, header_style="dim")
        for name in ("completed, best first", "value", "denoise error", "img/s"):
            table.add_column(name, justify="left" if name.startswith("comp") else "right")
        for trial in sorted(done, key=lambda t: t.rungs[final])[:SHOWN]:
            table.add_row(
                f"{trial.number:03d} {trial.suggestion['label']}",
                f"{trial.rungs[final]:.3g}",
                f"{trial.metrics.get('rung/denoise_error', float('nan')):.3f}",
                f"{trial.metrics.get('throughput/train_img_per_sec', float('nan')):.0f}",
            )
        return table


class PlainLines:
    """One line for every trial that ends, and a heartbeat; for pipes and CI."""

    def __init__(self, engine: Engine, console: Console) -> None:
        self.engine, self.console, self.progress = engine, console, Progress(engine)
        self.last = time.monotonic()

    def __call__(self, record: Record) -> None:
        kind = record["kind"]
        if kind == "outcome":
            self._print(self._outcome(self.engine.history.trials[record["trial"]]))
        elif kind == "report" and time.monotonic() - self.last > HEARTBEAT_SEC:
            self._print(f"{clock(self.progress.seconds())} {self.progress.counts()}")

    def _outcome(self, trial: Trial) -> str:
        plan = self.engine.plan
        done = sum(t.outcome is not None for t in self.engine.history.trials.values())
        text: str = f"[{done:3d}/{plan['trials']}] {trial.outcome:9} {trial.number:03d} "
        text += trial.suggestion["label"]
        if trial.rungs:
            rung = max(trial.rungs)
            share = "" if plan["rungs"][rung] == 1 else f" at {plan['rungs'][rung]:.0%}"
            text += f"  {plan['protocol']['metric']} {trial.rungs[rung]:.3g}{share}"
        return f"{text}  ({trial.cause})" if trial.cause else text

    def _print(self, text: str) -> None:
        self.last = time.monotonic()
        self.console.print(text, highlight=False, soft_wrap=True, markup=False)


@contextmanager
def watching(engine: Engine, console: Console) -> Iterator[None]:
    """Show the sweep while the block runs."""
    if console.is_terminal:
        view = LiveView(engine)
        with Live(view, console=console, refresh_per_second=2, transient=True):
            yield
    else:
        lines = PlainLines(engine, console)
        engine.listeners = (*engine.listeners, lines)
        yield


def clock(seconds: float) -> str:
    """'4:07', or '2:03:20' past an hour."""
    minutes, sec = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{sec:02d}" if hours else f"{minutes}:{sec:02d}"


def summary_lines(end: dict[str, Any]) -> list[str]:
    """What a finished sweep took."""
    body = end["summary"]
    counts = ", ".join(f"{n} {name}" for name, n in body["counts"].items())
    return [
        f"done: {counts} in {clock(body['wall_sec'])} (Ray started in "
        f"{body['ray_start_sec']:.0f} s); {body['busy_share']:.0%} of wall time x concurrency "
        "inside train, sample and measure"
    ]
