"""The sweep engine: what to suggest, what to prune, what ended; journal first, always.

No Ray here. Whoever runs trials (the Ray adapter, a test, a stress command) asks `next`, tells
`started`, `reported` and `ended`, and obeys the answers. Everything asked is answered from the
history alone, and everything told is in the journal before it changes the history.
"""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from bench.config import TrialConfig
from bench.errors import BenchError
from bench.run import DISK_FULL, Report
from bench.streams import derive_seed
from bench.sweep import prune, suggest
from bench.sweep.history import History, Record, Trial
from bench.sweep.interrupts import Interrupts
from bench.sweep.journal import Journal
from bench.sweep.resolve import Frame, cost, resolve
from search_spaces import Choices, Space

PROTECTED = 2  # trials of a cell that run to the end whatever they report (contract 11)
TRIES = 4  # protected trials a cell may use up when its trials fail or diverge

Listener = Callable[[Record], None]


class Engine:
    """The one writer of a sweep. Thread-safe: the live view reads while the driver writes."""

    def __init__(
        self,
        journal: Journal,
        frame: Frame,
        space: Space,
        choices: Choices,
        listeners: tuple[Listener, ...] = (),
    ) -> None:
        self.journal, self.frame = journal, frame
        self.space, self.choices, self.listeners = space, choices, listeners
        self.history = History(journal.records)
        self.lock = threading.RLock()
        self.interrupts = Interrupts()
        self.running: set[int] = set()
        self.stopping = False
        self._waiting = [t.number for t in self.history.trials.values() if t.open]

    @property
    def plan(self) -> Record:
        return self.history.plan

    def write(self, kind: str, **body: Any) -> Record:
        """Append to the journal, fold, then tell the listeners."""
        with self.interrupts.held():
            with self.lock:
                record = self.journal.append(kind, **body)
                self.history.apply(record)
            for listener in self.listeners:
                listener(record)
        return record

    def take_up(self) -> None:
        """After a driver was lost between a report and what follows from it: say that first.

        Nothing comes between the two in a journal but the opening of sessions, so the history is
        still the one the driver would have decided on.
        """
        last = next((r for r in reversed(self.journal.records) if r["kind"] != "session"), None)
        if last is not None and last["kind"] == "report":
            self._conclude(last["trial"], last)
            self._waiting = [t.number for t in self.history.trials.values() if t.open]

    @property
    def complete(self) -> bool:
        """Every trial of the plan has come to an end that stands."""
        trials = self.history.trials.values()
        return len(trials) >= self.plan["trials"] and not any(t.open for t in trials)

    @property
    def exhausted(self) -> bool:
        """Nothing more will be handed out."""
        planned = len(self.history.trials) >= self.plan["trials"]
        return self.stopping or (planned and not self._waiting)

    def next(self) -> Trial | None:
        """The next trial to run: an unfinished one first, then a new suggestion."""
        with self.interrupts.held(), self.lock:
            if self.exhausted or len(self.running) >= self.plan["concurrency"]:
                return None
            if self._waiting:
                number = self._waiting.pop(0)
            else:
                number = len(self.history.trials)
                self._suggest(number)
            self.running.add(number)
            return self.history.trials[number]

    def _suggest(self, number: int) -> None:
        again = {c["number"]: c["of"] for c in self.plan["confirm"]}
        if number in again:
            self._confirm(number, self.history.trials[again[number]])
            return
        origin, fixed, protected = self._role(number)
        params, distributions = suggest.suggest(
            self.plan, self.history, number, self.space, self.choices, fixed
        )
        config = self._seeded(resolve(self.frame, params, self.plan["seed"]))
        self._propose(number, config, params, distributions, origin, protected)

    def _confirm(self, number: int, of: Trial) -> None:
        """The same entry from a new seed, run to its end."""
        told = of.suggestion
        config = self._seeded(TrialConfig.from_dict(told["config"]))
        self._propose(number, config, told["params"], told["distributions"], "confirm", True)

    def _seeded(self, config: TrialConfig) -> TrialConfig:
        """A configuration drawn before gets a new seed and joins its entry."""
        entry, trials = config.entry_id, self.history.trials.values()
        same = sum(t.suggestion["entry_id"] == entry for t in trials)
        if not same:
            return config
        seed = derive_seed(self.plan["seed"], "trial", same) % 2**31
        return dataclasses.replace(config, seed=seed)

    def _propose(
        self,
        number: int,
        config: TrialConfig,
        params: dict[str, Any],
        distributions: dict[str, str],
        origin: str,
        protected: bool,
    ) -> Record:
        """Put a suggestion into the journal."""
        price = cost(config.task, config.method)
        return self.write(
            "suggest",
            trial=number,
            trial_id=config.trial_id,
            entry_id=config.entry_id,
            seed=config.seed,
            label=label(params),
            origin=origin,
            protected=protected,
            params=params,
            distributions=distributions,
            cost=asdict(price),
            config=config.to_dict(),
        )

    def _role(self, number: int) -> tuple[str, dict[str, Any], bool]:
        """Where trial `number` comes from, what is fixed in it, and whether it is protected."""
        plan = self.plan
        if plan["sampler"] == "random":
            return "random", {}, False
        cells = [tuple(c) for c in plan["cells"]]
        if number < len(cells):
            return "default", plan["defaults"][number], plan["prune"]
        for architecture, setup in cells:
            sure, tried = self.history.cell_counts((architecture, setup))
            if sure < PROTECTED and tried < TRIES:
                fixed = {"architecture": architecture, "preconditioning": setup}
                return "cell", fixed, plan["prune"]
        return "tpe", {}, False

    def started(self, number: int, host: str, pid: int) -> None:
        self.write("start", trial=number, host=host, pid=pid)

    def reported(self, number: int, report: Report) -> bool:
        """Take a report; True tells the runner to stop the trial now."""
        if report.rung is not None and report.rung in self.history.trials[number].rungs:
            return False  # told again by a resumed trial: what follows from it was decided then
        with self.interrupts.held():
            return self._conclude(number, self.write("report", trial=number, **asdict(report)))

    def _conclude(self, number: int, report: Record) -> bool:
        """Write what follows from a report just written; whether the trial is over."""
        if report["phase"] == "end":
            self._end(number, report["outcome"] or "failed", report["cause"])
            if report["cause"] == DISK_FULL:
                self.stopping = True  # every other trial would end the same way
                raise BenchError(
                    f"{DISK_FULL}: trial {number} waits for space; free some, then "
                    f"bench resume {self.plan['sweep']}"
                )
            return True
        rung, trial = report["rung"], self.history.trials[number]
        if rung is None or not prune.stops(self.plan, self.history, trial, rung):
            return False
        keep, at = self.plan["keep"][rung], self.plan["rungs"][rung]
        self._end(number, "pruned", f"not among the best {keep:.0%} at {at:.0%} of the budget")
        return True

    def ended(self, number: int, outcome: str, cause: str) -> None:
        """The runner lost a trial (a dead process, a stop): say so once."""
        if self.history.trials[number].outcome is None:
            self._end(number, outcome, cause)

    def _end(self, number: int, outcome: str, cause: str) -> None:
        self.running.discard(number)
        self.write("outcome", trial=number, outcome=outcome, cause=cause)

    def stop(self, cause: str) -> None:
        """Hand out nothing more; what runs now is interrupted and waits for `bench resume`."""
        self.stopping = True
        with self.interrupts.held():
            for number in sorted(self.running):
                self.ended(number, "interrupted", cause)
            self.running.clear()


def label(params: dict[str, Any]) -> str:
    """A configuration's name for people: 'ddpmpp edm adam 2.0e-03 b32 wide'."""
    parts = [str(params["architecture"]), str(params["preconditioning"])]
    if "optimizer" in params:
        parts.append(str(params["optimizer"]))
    if "lr" in params:
        parts.append(f"{params['lr']:.1e}")
    if "schedule" in params and params["schedule"] != "constant":
        parts.append(str(params["schedule"]))
    if "batch_size" in params:
        parts.append(f"b{params['batch_size']}")
    if "width" in params:
        parts.append(str(params["width"]))
    return " ".join(parts)


def check_space(plan: Record, frame: Frame, space: Space, choices: Choices) -> dict[str, str]:
    """Draw from a space and resolve it: its mistakes are found before anything is written.

    Returns the distributions of every parameter that showed up.

    Raises:
        BenchError: the space fails, or suggests a parameter that nothing takes.
    """
    for params in plan["defaults"]:
        resolve(frame, params, plan["seed"])
    drawn: list[dict[str, Any]] = []
    distributions = suggest.distributions_of(space, choices, plan["space"], drawn)
    for params in drawn:
        resolve(frame, params, plan["seed"])
    return distributions
