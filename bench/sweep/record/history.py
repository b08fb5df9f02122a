"""What a journal says so far: its records folded into the plan and one Trial each.

The fold is the only reader of records; suggestion, pruning, boards and resume ask the History. What
is asked of it at every report or suggestion is found by an index, which follows each record.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Sequence
from typing import Any

from bench.errors import BenchError
from bench.sweep.record.index import Index, Keys, Place
from bench.sweep.record.plan import Plan
from bench.sweep.record.records import (
    End,
    Extension,
    Found,
    OfTrial,
    Outcome,
    Promotion,
    Session,
    Start,
    Suggestion,
    TrialReport,
    Tuned,
    typed,
)
from bench.sweep.record.trial import Trial
from leaderboards import rows

Record = dict[str, Any]

SURE = "confirm"  # the origin of new seeds that were asked for: no part of the search
BROKEN = ("diverged", "out-of-memory", "failed")  # what their last rung said is void
OUTCOMES = tuple(name for name in rows.OUTCOMES if name != "running")


class History:
    """The fold of a journal. `apply` in order; everything else is reading."""

    def __init__(self, records: Iterable[Record] = ()) -> None:
        self._plan: Plan | None = None
        self.trials: dict[int, Trial] = {}
        self.sessions: list[Session] = []
        self.at_work: dict[int, Trial] = {}  # those that run now
        self.past_device_sec = 0.0  # of the stretches that trials ran, but for those at work
        self.past_wall_sec = 0.0  # of the sessions before the one that is open
        self.open_since: float | None = None  # the session that is open
        self.last_t = 0.0
        self.ended: End | None = None
        self.found: Found | None = None  # by the study that it is of
        self.changes: list[int] = []  # the trial of each record but those of progress, in order
        self._index = Index()
        self._given_up: frozenset[int] = frozenset()
        for record in records:
            self.apply(record)

    @property
    def plan(self) -> Plan:
        """The plan as it stands now.

        Raises:
            BenchError: the journal has none.
        """
        if self._plan is None:
            raise BenchError("the journal has no plan, which is a sweep's first record")
        return self._plan

    def apply(self, record: Record) -> None:
        """Fold one more record in.

        Raises:
            BenchError: it is no record, or does not follow from those before.
        """
        try:
            body = typed(record)
            self._apply(body)
        except BenchError as error:
            place = record.get("n", "?") if isinstance(record, dict) else "?"
            raise BenchError(f"record {place} of the journal: {error}") from error
        self.last_t = body.t

    def _apply(self, body: Any) -> None:
        if isinstance(body, Plan):
            self._follow(body)
        elif isinstance(body, Extension):  # more trials were asked of the same sweep
            self._follow(self.plan.extended(body.plan))
            self.ended = None
        elif isinstance(body, Session):
            self._session(body)
        elif isinstance(body, End):
            self.ended = body
        elif isinstance(body, Found):
            self.found = body
        else:
            self._of_trial(body)

    def _follow(self, plan: Plan) -> None:
        """The plan from now on, which what trials are found by rests on."""
        self._plan, self._given_up = plan, frozenset(plan.given_up)
        self._index = Index()
        for trial in self.trials.values():
            self._index.move(trial.number, {}, self._keys(trial))

    def _of_trial(self, body: OfTrial) -> None:
        """Whatever changes a trial does it here, so that it is found by what it is."""
        trial = self.trials.get(body.trial)
        found_anew = not isinstance(body, TrialReport) or body.phase == "rung"
        before = self._keys(trial) if trial and found_anew else {}
        if isinstance(body, Suggestion):
            trial = self.trials[body.trial] = Trial(
                body.trial, body, self.plan.cell_axes, self.plan.even_axes
            )
            self.ended = None
        elif trial is None:
            raise BenchError(f"trial {body.trial} was never suggested")
        elif isinstance(body, Start):
            trial.outcome, trial.cause = None, ""
            self._pause(trial, trial.heard_at)
            trial.running_since = trial.heard_at = body.t
            self.at_work[trial.number] = trial
        elif isinstance(body, Promotion):
            trial.outcome, trial.cause, trial.ended_at = None, "", None
        elif isinstance(body, TrialReport):
            self._report(trial, body)
        elif isinstance(body, Tuned):
            trial.metrics |= body.metrics
            trial.add_artifacts(body.artifacts)
            return
        else:
            self._outcome(trial, body)
        if found_anew:
            self._index.move(trial.number, before, self._keys(trial))
            self.changes.append(trial.number)

    def _keys(self, trial: Trial) -> Keys:
        """What a trial is found by; in order of its value at a rung, else of the numbers."""
        plan, sign, group, cell = self.plan, self.plan.score.sign, trial.group, trial.place
        origin, given_up = trial.suggestion.origin, trial.number in self._given_up
        values = {rung: sign * value for rung, value in trial.rungs.items()}
        furthest = max(values, default=None)
        keys: dict[tuple[str, Hashable], float] = {
            ("outcome", trial.outcome): 0.0,
            ("entry", trial.suggestion.entry_id): 0.0,
            ("cell", cell): 0.0,
        }
        if (trial.open and (trial.protected or not plan.prune)) or plan.cell_rung in values:
            keys["sure", cell] = 0.0
        if origin in ("default", "cell"):
            keys["own trials", cell] = 0.0
        if origin != SURE:
            keys["search", group] = 0.0
            if trial.outcome not in BROKEN:
                for rung, value in values.items():
                    keys["seen", (rung, group)] = value
        if trial.open and not given_up:
            keys["left open", ()] = 0.0
            for rung in range(plan.last_rung):
                if rung not in values:
                    keys["to come", (rung, group)] = 0.0
        if furthest is not None and (trial.open or trial.outcome == "waiting") and not given_up:
            keys["stands", furthest] = values[furthest]
            if trial.outcome == "waiting":
                keys["waits", (furthest, group)] = values[furthest]
        if 0 in values:
            keys["first rung sec", ()] = float(sum(trial.rung_seconds[0].values()))
            keys["first rung devices", ()] = trial.devices
        return keys

    def _session(self, session: Session) -> None:
        self.sessions.append(session)
        for trial in list(self.at_work.values()):
            self._pause(trial, trial.heard_at)  # its driver was lost without a word
        if self.open_since is not None:
            until = session.t if session.event == "close" else self.last_t
            self.past_wall_sec += until - self.open_since
        self.open_since = session.t if session.event == "open" else None

    def _pause(self, trial: Trial, t: float) -> None:
        """The stretch it ran, if it did, ended at `t`."""
        if trial.running_since is not None:
            stretch = t - trial.running_since
            trial.wall_sec += stretch
            self.past_device_sec += stretch * trial.devices
        trial.running_since = None
        self.at_work.pop(trial.number, None)

    def _outcome(self, trial: Trial, outcome: Outcome) -> None:
        if outcome.outcome not in OUTCOMES:
            raise BenchError(f"outcome {outcome.outcome!r} is none of {', '.join(OUTCOMES)}")
        trial.outcome, trial.cause = outcome.outcome, outcome.cause
        trial.ended_at = outcome.t
        self._pause(trial, outcome.t)
        if outcome.lost:
            further = trial.nimg > trial.lost_at_nimg
            trial.losses = 1 if further else trial.losses + 1
            trial.lost_at_nimg = trial.nimg

    def _report(self, trial: Trial, report: TrialReport) -> None:
        trial.nimg, trial.heard_at = report.nimg, report.t
        trial.metrics |= report.metrics
        trial.seconds = report.seconds
        trial.notes = report.notes
        trial.left_out = report.left_out or trial.left_out
        trial.add_artifacts(report.artifacts)
        if report.phase == "rung":
            if report.rung is None or report.value is None:
                raise BenchError("a report of a rung without its place or its value")
            planned = min(len(self.plan.rungs), len(trial.suggestion.train.rungs_nimg))
            if not 0 <= report.rung < planned:
                raise BenchError(f"rung {report.rung} is none of the {planned} planned")
            trial.rungs[report.rung] = report.value
            trial.rung_seconds[report.rung] = report.seconds
            trial.rung_nimg[report.rung] = report.nimg
            trial.rung_metrics[report.rung] = report.metrics

    @property
    def resume(self) -> str:
        """The command that goes on with the sweep, on the cluster it was begun on."""
        address = self.plan.address
        return f"bench resume {self.plan.sweep}{f' --address {address}' if address else ''}"

    @property
    def limits(self) -> list[str]:
        """What the sweep was limited by: options that give it more."""
        given = {
            "--trials": self.plan.trials,
            "--wall-clock": self.plan.budget.wall_sec,
            "--gpu-hours" if self.plan.on_gpu else "--cpu-hours": self.plan.budget.device_sec,
        }
        return [name for name, limit in given.items() if limit is not None]

    def _found(self, question: str, answer: Hashable = ()) -> list[Trial]:
        return [self.trials[number] for number in self._index.numbers(question, answer)]

    @property
    def left_open(self) -> list[Trial]:
        """Trials to be gone on with: not ended, and not given up when the sweep was extended."""
        return self._found("left open")

    @property
    def begun_for_search(self) -> list[int]:
        """The numbers of trials of the search that are open or wait: what a race gives up."""
        begun = [t for t in self.trials.values() if t.open or t.outcome == "waiting"]
        return [t.number for t in begun if t.suggestion.origin != SURE]

    @property
    def waiting(self) -> list[Trial]:
        """Trials that wait at a rung and may be promoted yet."""
        return [t for t in self.with_outcome("waiting") if t.number not in self._given_up]

    def wall_sec(self, now: float) -> float:
        """Wall seconds of all sessions, the open one until `now`."""
        running = now - self.open_since if self.open_since is not None else 0.0
        return self.past_wall_sec + running

    def device_sec(self, now: float) -> float:
        """GPU-seconds, or core-seconds where there is no GPU, that trials occupied until `now`."""
        stretches = [(t.running_since, t.devices) for t in self.at_work.values()]
        running = sum((now - since) * many for since, many in stretches if since is not None)
        return self.past_device_sec + running

    def with_outcome(self, outcome: str | None) -> list[Trial]:
        return self._found("outcome", outcome)

    def counts(self) -> dict[str, int]:
        """Trials by outcome; those without one are `running`."""
        names = {**dict(zip(OUTCOMES, OUTCOMES, strict=True)), "running": None}
        many = {name: self._index.count("outcome", of) for name, of in names.items()}
        return {name: count for name, count in many.items() if count}

    def of_entry(self, entry_id: str) -> list[Trial]:
        """All trials of an entry: its seeds."""
        return self._found("entry", entry_id)

    def cell_counts(self) -> dict[tuple[str, ...], tuple[int, int]]:
        """Of each cell that has trials, by its axes' values: how many reached the rung that cells
        are compared at or are sure to, and how many were spent on the cell for its own sake."""
        count = self._index.count
        cells = self._index.answers("cell")
        return {cell: (count("sure", cell), count("own trials", cell)) for cell in cells}

    def searched(self, group: tuple[str, ...]) -> int:
        """How many trials the search spent on a group."""
        return self._index.count("search", group)

    def first_rung(self) -> tuple[float, float] | None:
        """The median of seconds until the first rung and that of devices; None: nobody was there
        yet."""
        sec, devices = (
            self._index.median("first rung sec"),
            self._index.median("first rung devices"),
        )
        return None if sec is None or devices is None else (sec, devices)

    def place(self, trial: Trial, rung: int) -> Place:
        """Where a trial stands at a rung: a better one's is lower, of two alike the earlier's."""
        return self.plan.score.sign * trial.rungs[rung], trial.number

    def seen(self, rung: int, group: tuple[str, ...]) -> Sequence[Place]:
        """The places at a rung of a group's trials, in order: of all but those that broke down and
        those that were asked for."""
        return self._index.places("seen", (rung, group))

    def to_come(self, rung: int, group: tuple[str, ...]) -> int:
        """How many trials of a group may yet report at a rung."""
        return self._index.count("to come", (rung, group))

    def first_waiting(self) -> dict[tuple[int, tuple[str, ...]], Trial]:
        """Of those that wait the best of each group at each rung."""
        answers = self._index.answers("waits")
        return {at: self.trials[next(self._index.numbers("waits", at))] for at in answers}

    def contenders(self, rung: int) -> Iterator[Trial]:
        """Trials that stand at a rung, open or waiting, the best first."""
        return (self.trials[number] for number in self._index.numbers("stands", rung))

    def best_first(self) -> list[Trial]:
        """Completed trials by their last rung's value on `select` (what a driver may look at)."""
        last = self.plan.last_rung
        done = [t for t in self.with_outcome("completed") if last in t.rungs]
        return self.plan.score.in_order(done, lambda trial: trial.rungs[last])

    def furthest_first(self) -> list[Trial]:
        """Trials that reported at a rung and may win yet, the furthest rung first and the best of
        those (on `select`)."""
        alive = [t for t in self.trials.values() if t.rungs and t.outcome not in BROKEN]
        best = self.plan.score.in_order(alive, lambda trial: trial.rungs[max(trial.rungs)])
        return sorted(best, key=lambda trial: -max(trial.rungs))

    def best(self) -> Trial | None:
        """The completed trial that is best on `select`."""
        return next(iter(self.best_first()), None)
