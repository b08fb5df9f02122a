"""The sweep engine: what to suggest, what to prune, what ended; journal first, always.

No Ray here. Whoever runs trials (the Ray adapter, a test, a stress command) asks `next`, tells
`started`, `reported` and `ended`, and obeys the answers. Everything asked is answered from the
history alone, and everything told is in the journal before it changes the history.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from bench.errors import BenchError
from bench.run import DISK_FULL, Report
from bench.sweep.cost import budget
from bench.sweep.deciding import promote
from bench.sweep.deciding.resolve import Frame
from bench.sweep.record.history import History, Record
from bench.sweep.record.journal import Journal
from bench.sweep.record.plan import Plan
from bench.sweep.record.trial import Trial
from bench.sweep.running.interrupts import Interrupts
from bench.sweep.running.proposer import Memory, Proposer
from search_spaces import Choices, Space

if TYPE_CHECKING:
    from bench.sweep.cost.machine import Machine

LOSSES = 3  # of a trial's process or node without getting any further between: then it has failed
UNFIT = 32  # suggestions in a row that do not fit the memory: then the space does not

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
        self.proposer, self.listeners = Proposer(frame, space, choices), listeners
        self.history = History(journal.records)
        self.lock = threading.RLock()
        self.interrupts = Interrupts()
        self.running: set[int] = set()
        self.stopping = False
        self._concurrency: int | None = None
        self._machine: Machine | None = None
        self._unfinished = [t.number for t in self.history.left_open]
        self.when_idle: Callable[[], None] = lambda: None  # may ask for more

    @property
    def plan(self) -> Plan:
        return self.history.plan

    @property
    def concurrency(self) -> int:
        """How many trials may run at once: the plan's, or what a cluster holds now."""
        return self._concurrency or int(self.plan.concurrency)

    @concurrency.setter
    def concurrency(self, count: int) -> None:
        self._concurrency = count

    def settle(self, machine: Machine) -> None:
        """What is to be run, and where now: room and memory are those of this machine, should
        the plan have been made on another."""
        self._unfinished = [t.number for t in self.history.left_open]
        if not self.plan.fixed_concurrency:
            self._concurrency = machine.concurrency
        if machine.other_than(self.plan.device):
            self._machine = machine

    @property
    def memory(self) -> Memory:
        """What a trial may use, on the machine that trials run on now."""
        plan, machine = self.plan, self._machine
        if machine is None:
            return Memory(limit_gb=plan.memory_gb, device_gb=plan.device_gb, packed=plan.pack)
        packed = None if plan.pack is None else machine.gpus
        return Memory(
            limit_gb=machine.memory_gb, device_gb=machine.device_gb, packed=packed, timed=False
        )

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
            if last["cause"] == DISK_FULL:  # there may be space again
                self._end(last["trial"], "interrupted", DISK_FULL)
            else:
                self._conclude(last["trial"], last)
        self._unfinished = [t.number for t in self.history.left_open]

    @property
    def planned(self) -> bool:
        """As many trials as were asked for have been suggested."""
        trials = self.plan.trials
        return trials is not None and len(self.history.trials) >= trials

    @property
    def idle(self) -> bool:
        """All that was asked for has come to an end that stands."""
        return not (self.running or self.stopping) and self.planned and not self._to_go_on_with

    @property
    def complete(self) -> bool:
        """Every trial of the plan has come to an end that stands, or the budget is spent: nothing
        more is begun or promoted."""
        if self.running:
            return False
        return (self._closing and not self._to_go_on_with) or self._too_little_left()

    @property
    def _to_go_on_with(self) -> bool:
        """Whether a trial that was begun is to be gone on with: one left open, or promoted now."""
        return bool(self.history.left_open) or self._promoted() is not None

    def _promoted(self) -> tuple[Trial, int] | None:
        """The waiting trial that goes on next, and from which rung."""
        return promote.promoted(self.plan, self.history, self._closing)

    @property
    def _closing(self) -> bool:
        return promote.is_closing(self.plan, self.history, self.journal.now)

    @property
    def exhausted(self) -> bool:
        """Nothing more will be handed out, not even should a running trial be lost."""
        return self.stopping or (not self.running and not self._anything_left)

    @property
    def _anything_left(self) -> bool:
        """Whether a trial could be handed out now, were there room."""
        left = bool(self._unfinished) or not self._closing or self._promoted() is not None
        return left and not self._too_little_left()

    def _too_little_left(self) -> bool:
        return budget.too_little_left(self.history, self.journal.now())

    def spent(self) -> budget.Spent:
        """What the sweep has spent by now."""
        with self.lock:
            return budget.spent(self.history, self.journal.now())

    def next(self) -> Trial | None:
        """The next trial to run: an unfinished one first, then one that is promoted from the rung
        where it waits, then a new suggestion."""
        with self.interrupts.held(), self.lock:
            unfit = 0
            while not self.stopping and self._anything_left and self._room():
                if self._unfinished:
                    number = self._unfinished.pop(0)
                elif (chosen := self._promoted()) is not None:
                    number, rung = chosen[0].number, chosen[1]
                    self.write("promote", trial=number, rung=rung)
                else:
                    number = len(self.history.trials)
                    suggestion = self.proposer.body(self.history, number, self.memory)
                    if suggestion is None:
                        return None
                    self.write("suggest", **suggestion)
                trial = self.history.trials[number]
                if not trial.suggestion.unfit:
                    self.running.add(number)
                    return trial
                self._end(number, "out-of-memory", trial.suggestion.unfit)
                unfit += 1
                if unfit >= UNFIT:
                    self.stopping = True
                    raise BenchError(
                        f"{unfit} suggestions in a row do not fit in "
                        f"{self.memory.limit_gb:.1f} GB; narrow the space, or give trials more"
                    )
            return None

    def _room(self) -> bool:
        """Whether one more may run beside those that do."""
        if len(self.running) >= self.concurrency:
            return False
        devices = self.memory.packed  # as many as their slots leave room for
        taken = sum(self.history.trials[n].suggestion.slot or 0.0 for n in self.running)
        return devices is None or taken < devices

    def started(self, number: int, host: str, pid: int) -> None:
        self.write("start", trial=number, host=host, pid=pid)

    def reported(self, number: int, report: Report) -> bool:
        """Take a report; True tells the runner to stop the trial now."""
        trial = self.history.trials[number]
        if trial.outcome is not None:
            return True  # a late word of a trial that was stopped
        with self.interrupts.held():
            if not self._news(trial, report):
                # told again by a resumed trial: what follows from it was decided then
                return self._cut_off(number, self.journal.now())
            return self._conclude(number, self.write("report", trial=number, **asdict(report)))

    def _news(self, trial: Trial, report: Report) -> bool:
        """Whether a report says more than was heard before its trial was taken up again."""
        if report.phase == "rung":
            return report.rung not in trial.rungs
        return report.phase == "end" or report.nimg > trial.nimg

    def _cut_off(self, number: int, now: float) -> bool:
        """Interrupt a trial when the sweep's budget is spent; whether it is."""
        if not budget.limited(self.history) or not budget.spent(self.history, now).over:
            return False
        self._end(number, "interrupted", budget.SPENT)
        return True

    def _conclude(self, number: int, report: Record) -> bool:
        """Write what follows from a report just written; whether the trial is over."""
        if report["phase"] == "end":
            if report["cause"] == DISK_FULL:
                self.stop_full(number, DISK_FULL)
            self._end(number, report["outcome"] or "failed", report["cause"])
            return True
        rung, trial = report["rung"], self.history.trials[number]
        plan = self.plan
        if rung is None or promote.goes_on(plan, self.history, trial, rung, self._closing):
            return self._cut_off(number, report["t"])
        self._end(number, "waiting", f"waits at {100 * plan.rungs[rung]:.3g} % of the budget")
        return True

    def ended_waiting(self, number: int, cause: str) -> None:
        """A trial that waits is not promoted any more."""
        self._end(number, "pruned", cause)

    def ended(self, number: int, outcome: str, cause: str) -> None:
        """The runner lost a trial (a dead process, a stop): say so once."""
        if self.history.trials[number].outcome is None:
            self._end(number, outcome, cause)

    def never_started(self, number: int, cause: str) -> None:
        """A trial that was handed out cannot be started."""
        self._end(number, "failed", cause)

    def lost(self, number: int, cause: str) -> bool:
        """A running trial's process or node is gone; True if it goes on from its last checkpoint.

        It does unless it was lost LOSSES times without getting any further: then the cause is
        most likely its own.
        """
        with self.interrupts.held(), self.lock:
            trial = self.history.trials[number]
            if trial.outcome is not None:
                return False
            before = trial.losses if trial.nimg <= trial.lost_at_nimg else 0
            if before + 1 >= LOSSES:
                self._end(number, "failed", f"lost {LOSSES} times at nimg {trial.nimg}: {cause}")
                return False
            self.running.discard(number)
            self.write("outcome", trial=number, outcome="interrupted", cause=cause, lost=True)
            self._unfinished.insert(0, number)
            return True

    def stop_full(self, number: int, cause: str) -> None:
        """A disk is full; every other trial would end the same way.

        Raises:
            BenchError: always, once the trial's wait is in the journal.
        """
        self.ended(number, "interrupted", cause)
        self.stopping = True
        raise BenchError(
            f"{cause}: trial {number} waits for space; free some, then "
            f"bench resume {self.plan.sweep}"
        )

    def give_up_unheard(self, cause: str) -> None:
        """Trials that a lost driver left without a word, and this one had no budget for, stop."""
        for trial in self.history.left_open:
            if trial.outcome is None:
                self._end(trial.number, "interrupted", cause)

    def _end(self, number: int, outcome: str, cause: str) -> None:
        with self.interrupts.held():
            self.running.discard(number)
            self.write("outcome", trial=number, outcome=outcome, cause=cause)
            if self.idle:
                self.when_idle()

    def stop_when_spent(self) -> bool:
        """At the end of the sweep's budget: what runs now waits where its last checkpoint is.

        For a runner to ask between reports, which may be far apart.
        """
        if not self.stopping and budget.limited(self.history) and self.spent().over:
            self.stop(budget.SPENT)
        return self.stopping

    def stop(self, cause: str) -> None:
        """Hand out nothing more; what runs now is interrupted and waits for `bench resume`."""
        self.stopping = True
        with self.interrupts.held():
            for number in sorted(self.running):
                self.ended(number, "interrupted", cause)
            self.running.clear()
