"""The running sweep in the terminal: a live view, or plain lines in a pipe or CI.

Both are listeners of the engine's records and read its history; neither can slow or stop a trial.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from bench.console.clock import clock
from bench.console.stage_lines import stage_lines
from bench.sweep.record import barring
from bench.sweep.record.history import History, Record
from bench.sweep.record.plan import Plan
from bench.sweep.record.records import End
from bench.sweep.record.trial import Trial
from leaderboards.rows import ON_ITS_WAY

if TYPE_CHECKING:
    from bench.sweep.running.engine import Engine

SHOWN = 6  # rows of either table in the live view
WIDTH = 120  # columns at most
STYLES = {
    "completed": "green",
    "waiting": "dim",
    "pruned": "yellow",
    "failed": "red",
    "diverged": "magenta",
}
HEARTBEAT_SEC = 60.0  # a plain line at least this often


class Progress:
    """What is done, running and left of a sweep, read from its engine."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.started = time.monotonic()
        self.spent_before = self._spent()
        self._expected: tuple[int | None, float] | None = None  # of so many trials, once counted

    def _whole(self) -> float:
        """What the sweep is expected to spend, in full-budget trials."""
        trials = self.engine.plan.trials
        if self._expected is None or self._expected[0] != trials:
            self._expected = trials, _expected_spend(self.engine.plan)
        return self._expected[1]

    def _spent(self) -> float:
        """Budget used, in full-budget trials."""
        return sum(_fraction(t) for t in self.engine.history.trials.values())

    def _to_come(self) -> float:
        """What the whole sweep spends, in full-budget trials: what was expected, or, where no more
        trials are begun and more were promoted than expected, what those at work go on to."""
        if not self.engine.planned:
            return self._whole()
        ahead = sum(1 - _fraction(trial) for trial in self.engine.history.at_work.values())
        return max(self._whole(), self._spent() + ahead)

    def seconds(self) -> float:
        return time.monotonic() - self.started

    def left_sec(self) -> float | None:
        """Expected time left, from the pace of trials of this session so far."""
        history, plan = self.engine.history, self.engine.plan
        done = sum(t.outcome is not None for t in history.trials.values())
        spent = self._spent() - self.spent_before
        if done < 2 or spent <= 0:
            return None
        ends = _budgets_left(self.engine)
        if plan.trials is not None:
            left = max(self._to_come() - self._spent(), 0.02 * self._whole())
            ends.append(self.seconds() / spent * left)
        return max(0.0, min(ends)) if ends else None

    def share(self) -> float:
        """How much of the budget the sweep is expected to use has been used; 1 at most."""
        shares = _shares(self.engine)
        if self.engine.plan.trials is not None:
            shares.append(self._spent() / self._to_come())
        return min(max(shares, default=0.0), 1.0)

    def counts(self) -> str:
        counts = self.engine.history.counts()
        parts = [f"{n} {name}" for name, n in counts.items()]
        return ", ".join(parts) or "no trial yet"


def _shares(engine: Engine) -> list[float]:
    """How much of each budget the sweep was given is spent."""
    spent = engine.spent()
    pairs = ((spent.wall_sec, spent.wall_left), (spent.device_sec, spent.device_left))
    return [used / (used + left) for used, left in pairs if left is not None]


def _budgets_left(engine: Engine) -> list[float]:
    """Seconds until each budget of the sweep is spent, at the rate trials run now."""
    spent, busy = engine.spent(), sum(t.devices for t in engine.history.at_work.values())
    ends = [spent.wall_left] if spent.wall_left is not None else []
    if spent.device_left is not None and busy:
        ends.append(spent.device_left / busy)
    return ends


def _fraction(trial: Trial) -> float:
    rungs = trial.suggestion.train.rungs_nimg
    reached = rungs[max(trial.rungs)] if trial.rungs else 0  # of a method that does not train
    return float(max(trial.nimg, reached) / rungs[-1])


def _expected_spend(plan: Plan) -> float:
    """Budget a whole sweep is expected to use, in full-budget trials: by its rule on paper, and
    all of what was asked for since it was forecast."""
    from bench.sweep.planning.paper_sweep import expected_reach

    known: list[float] = plan.forecast.get("trials_to_rung") or []
    reach = known or expected_reach(plan)
    steps = [b - a for a, b in zip([0.0, *plan.rungs], plan.rungs, strict=False)]
    later = max(0, (plan.trials or 0) - round(reach[0]))
    return later + sum(n * step for n, step in zip(reach, steps, strict=True))


class LiveView:
    """A table that refreshes itself; for a terminal. Its height only ever grows."""

    def __init__(self, engine: Engine) -> None:
        self.engine, self.progress = engine, Progress(engine)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        width = min(options.max_width, WIDTH)
        with self.engine.lock:
            lines = [self._head(), self._bar(width), self._counts(), self._best_so_far()]
            tables = [self._running(width), self._leading(width)]
        yield from lines
        for table in tables:
            yield ""
            yield table

    def _head(self) -> Text:
        plan, left = self.engine.plan, self.progress.left_sec()
        text = Text(no_wrap=True, overflow="ellipsis")
        text.append(str(plan.sweep), style="bold")
        data = plan.data
        text.append(f" on {'SIMULATED data' if data['simulated'] else data['name']}")
        text.append(f" · {clock(self.progress.seconds())} gone")
        text.append(f", about {clock(left)} left" if left is not None else "")
        return text

    def _bar(self, width: int) -> RenderableType:
        share = self.progress.share()
        grid = Table.grid(padding=(0, 1))
        share_text = f"{share:.0%} of the budget"
        grid.add_row(
            ProgressBar(total=1.0, completed=share, width=width - len(share_text) - 1), share_text
        )
        return grid

    def _counts(self) -> Text:
        history, total = self.engine.history, self.engine.plan.trials or "as many as fit"
        counts = history.counts()
        running = counts.pop("running", 0)
        text = Text(f"{_ended(history)} of {total} done", no_wrap=True, overflow="ellipsis")
        text.append(": " if counts else "")
        for i, (name, count) in enumerate(counts.items()):
            text.append(", " if i else "").append(f"{count} {name}", style=STYLES.get(name, ""))
        if running:
            return text.append(f" · {running} running")
        return text if counts else text.append(" · starting")

    def _best_so_far(self) -> Text:
        history, plan = self.engine.history, self.engine.plan
        best, text = barring.best(history), Text(no_wrap=True, overflow="ellipsis")
        if best is None:
            furthest = barring.furthest_first(history)
            if not furthest:
                return text.append("no trial has reached a rung yet", style="dim")
            rung = max(furthest[0].rungs)
            at = f"{100 * plan.rungs[rung]:.3g} % of the budget"
            value = f"{plan.score.key} {furthest[0].rungs[rung]:.3g}"
            text.append(f"none at the end yet; leads at {at}: ").append(value, style="bold")
            return text.append(f" on select: {_name(furthest[0])}")
        value = f"{plan.score.key} {best.rungs[plan.last_rung]:.3g}"
        text.append("best so far ").append(value, style="bold")
        return text.append(f" on select: {_name(best)}")

    def _running(self, width: int) -> Table:
        """As many lines as trials may run at once, so that nothing below jumps."""
        numbers = sorted(self.engine.running)
        table = _columns("running", "budget", "kimg", "on select", width=width)
        for number in numbers[:SHOWN]:
            trial = self.engine.history.trials[number]
            value = f"{trial.rungs[max(trial.rungs)]:.3g}" if trial.rungs else ""
            table.add_row(
                _name(trial), f"{_fraction(trial):.0%}", f"{trial.nimg / 1000:.1f}", value
            )
        for _ in range(min(self.engine.concurrency, SHOWN) - len(numbers)):
            table.add_row("", "", "", "")
        if len(numbers) > SHOWN:
            table.add_row(f"and {len(numbers) - SHOWN} more", "", "", "")
        return table

    def _leading(self, width: int) -> Table:
        plan = self.engine.plan
        beside = [m for m in plan.measures if m.live and m.key != f"eval/{plan.score.key}"]
        titles = [measure.title for measure in beside]
        table = _columns("furthest, best on select first", "at", "on select", *titles, width=width)
        for trial in barring.furthest_first(self.engine.history)[:SHOWN]:
            values = [trial.metrics.get(m.key.replace("eval/", "rung/", 1)) for m in beside]
            rung = max(trial.rungs)
            at, value = f"{100 * plan.rungs[rung]:.3g} %", f"{trial.rungs[rung]:.3g}"
            table.add_row(_name(trial), at, value, *map(_number, values))
        return table


def _ended(history: History) -> int:
    """Trials that have come to an end: those that wait or were interrupted may go on."""
    return sum(t.outcome not in (None, *ON_ITS_WAY) for t in history.trials.values())


def _columns(*names: str, width: int) -> Table:
    """A name that takes what is left and is cut short, then numbers in columns of one width."""
    table = Table(box=None, pad_edge=False, header_style="dim", width=width)
    table.add_column(names[0], ratio=1, no_wrap=True, overflow="ellipsis")
    for name in names[1:]:
        table.add_column(name, justify="right", width=10, no_wrap=True)
    return table


def _name(trial: Trial) -> str:
    return f"{trial.number:03d} {trial.suggestion.label}"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}"


class PlainLines:
    """One line for every trial that ends, and a heartbeat; for pipes and CI."""

    def __init__(self, engine: Engine, console: Console) -> None:
        self.engine, self.console, self.progress = engine, console, Progress(engine)
        self.last = time.monotonic()
        self.waited: set[int] = set()  # trials whose waiting was said

    def __call__(self, record: Record) -> None:
        kind = record["kind"]
        if kind == "outcome":
            trial = self.engine.history.trials[record["trial"]]
            given_up = trial.outcome == "pruned" and trial.number in self.waited
            if trial.outcome == "waiting":
                self.waited.add(trial.number)
            if not given_up:  # at the end, all at once: the summary counts them
                self._print(self._outcome(trial))
        elif kind == "report" and time.monotonic() - self.last > HEARTBEAT_SEC:
            left = self.progress.left_sec()
            about = f", about {clock(left)} left" if left is not None else ""
            self._print(f"{clock(self.progress.seconds())} gone{about}: {self.progress.counts()}")

    def _outcome(self, trial: Trial) -> str:
        plan = self.engine.plan
        done = _ended(self.engine.history)
        of = f"/{plan.trials}" if plan.trials is not None else ""
        text: str = f"[{done:3d}{of}] {trial.outcome:9} {trial.number:03d} "
        text += trial.suggestion.label
        if trial.rungs:
            rung = max(trial.rungs)
            share = "" if plan.rungs[rung] == 1 else f" at {100 * plan.rungs[rung]:.3g} %"
            text += f"  {plan.score.key} {trial.rungs[rung]:.3g} on select{share}"
        said = trial.cause and trial.outcome != "waiting"  # where it waits is said already
        return f"{text}  ({trial.cause})" if said else text

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


def summary_lines(end: End, history: History) -> list[str]:
    """What a finished sweep took, of its budgets and against its forecast."""
    body = end.summary
    counts = ", ".join(f"{n} {name}" for name, n in body["counts"].items())
    lines = [
        f"done: {counts} in {clock(body['wall_sec'])} (Ray started in "
        f"{body['ray_start_sec']:.0f} s); {body['busy_share']:.0%} of wall time x concurrency "
        "inside train, sample and measure",
        *body.get("spent", ()),
        *_forecast_line(body.get("forecast")),
        *stage_lines(history),
    ]
    if body.get("unfinished"):
        lines.append(
            f"the budget ended before {body['unfinished']} of the trials did: {history.resume} "
            f"with more of it ({' or '.join(history.limits)}) goes on with them"
        )
    return lines


def _forecast_line(body: dict[str, Any] | None) -> list[str]:
    """What was forecast beside what was."""
    if not body:
        return []
    (device, took), (wall, wall_took), (peak, peak_took) = (
        body[k] for k in ("device_sec", "wall_sec", "peak_gb")
    )
    lines = [
        f"forecast {device:.0f} device-seconds, {clock(wall)}, {peak:.1f} GB a trial; "
        f"took {took:.0f}, {clock(wall_took)}, {peak_took:.1f} GB"
    ]
    if "trial_share" in body:
        low, middle, high = map(_two_digits, body["trial_share"])
        lines.append(
            f"trials took {low} to {high} times the seconds predicted "
            f"(80 % of the completed ones; median {middle})"
        )
    if "memory_share" in body:
        low, middle, high = map(_two_digits, body["memory_share"])
        lines.append(
            f"their training took {low} to {high} times the memory predicted (median {middle})"
        )
    return lines


def _two_digits(share: float) -> str:
    """'0.87', '4.4', '57', '1234'."""
    return f"{share:.2g}" if share < 99 else f"{share:.0f}"
