"""A sweep gone through on paper: trials of known seconds, so many at once, promoted by the rule.

Every trial has a hidden quality that all rungs show alike. A default's is drawn at random; TPE's
suggestions are each as good as the best of BEST_OF random draws, so more of them are promoted than
the share that the rule names. Even axes are not told apart.
"""

from __future__ import annotations

import dataclasses
import heapq
from bisect import bisect_left, insort
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from bench.streams import derive_seed
from bench.sweep.cost import budget
from bench.sweep.deciding.promote import FINALISTS, SLACK, places
from bench.sweep.deciding.role import PROTECTED
from bench.sweep.record.plan import Plan, SweepBudget

BEST_OF = 3
# Measured on two cores, four sweeps: from a session's opening to its first trial, from one trial
# to the next in its place, inside a trial beside its phases, and from the last trial to the end.
OPEN_SEC, GAP_SEC, TRIAL_SEC, CLOSE_SEC = 5.5, 0.15, 0.15, 1.5
IMPORT_SEC = 1.3  # of a process's first trial
MOST = 20_000  # trials gone through, over all RUNS
RUNS = 24  # sweeps gone through


@dataclass(frozen=True, kw_only=True, order=True)
class Job:
    """What one configuration takes. stages: wall seconds to each rung and of its evaluation, one
    by one; then of the end."""

    architecture: str
    stages: tuple[float, ...]
    devices: float  # that it keeps busy
    slot: float  # of a packed GPU


@dataclass(frozen=True, kw_only=True)
class Run:
    """One sweep, gone through."""

    begun: int
    ended: int  # trials that came to an end of their own, or wait
    reached: list[int]  # trials that reached each rung
    device_sec: float
    wall_sec: float


def expected_reach(plan: Plan) -> list[float]:
    """How many trials reach each rung, where no seconds are known: a stage takes its share of the
    budget."""
    steps = np.diff([0.0, *plan.rungs]).tolist()
    job = Job(architecture="any", stages=(*steps, 0.0), devices=1.0, slot=1.0)
    endless = dataclasses.replace(plan, budget=SweepBudget(), pack=None)
    runs = PaperSweep(endless, [job] * len(plan.cells), [job]).many()
    return [float(n) for n in np.mean([run.reached for run in runs], axis=0)]


@dataclass(kw_only=True)
class _Trial:
    job: Job
    quality: float  # lower is better
    protected: bool
    rung: int = -1  # the furthest it reached
    until: float = 0.0  # when its running stage ends


@dataclass(kw_only=True)
class _Rung:
    """Trials at a rung by (quality, number): all that were seen, and those that wait."""

    seen: list[tuple[float, int]] = field(default_factory=list)
    waiting: list[tuple[float, int]] = field(default_factory=list)


class PaperSweep:
    """A plan's sweep: its trials in their order, so many at once, within its budgets."""

    def __init__(self, plan: Plan, defaults: Sequence[Job], others: Sequence[Job]) -> None:
        self.plan, self.defaults, self.others = plan, defaults, others
        wall, device = plan.budget.wall_sec, plan.budget.device_sec
        self.wall_sec = np.inf if wall is None else wall - budget.CLOSING_SEC
        self.device_sec = np.inf if device is None else device
        self.most = MOST if plan.trials is None else min(MOST, plan.trials)

    def many(self) -> list[Run]:
        """RUNS of it, fewer where there are very many trials."""
        rng = np.random.default_rng(derive_seed(self.plan.seed, "forecast"))
        first = _Going(self, rng).run()
        more = min(RUNS, MOST // max(1, first.begun)) - 1
        return [first] + [_Going(self, rng).run() for _ in range(more)]

    def trial(self, number: int, rng: np.random.Generator) -> _Trial:
        """Trial `number`: the defaults, each again, then any."""
        drawn = rng.random(BEST_OF)
        count = len(self.defaults)
        if number < PROTECTED * count and self.plan.search == "tpe":
            job = self.defaults[number % count]
            return _Trial(job=job, quality=float(drawn[0]), protected=True)
        job = self.others[int(rng.integers(len(self.others)))]
        return _Trial(job=job, quality=float(drawn.min()), protected=False)


class _Going:
    """One sweep under way."""

    def __init__(self, sweep: PaperSweep, rng: np.random.Generator) -> None:
        self.sweep, self.plan, self.rng = sweep, sweep.plan, rng
        self.trials: list[_Trial] = []
        self.running: list[tuple[float, int]] = []  # until when, and the trial's number
        self.rungs = [_Rung() for _ in range(self.plan.last_rung)]
        self.stages: list[tuple[float, float, float]] = []  # start, end, devices
        self.reached: list[list[float]] = [[] for _ in self.plan.rungs]  # when
        self.begins = 0
        self.completed = 0
        self.now, self.used = OPEN_SEC, 0.0

    def run(self) -> Run:
        while True:
            while self._room() and not self._spent():
                number = self._next()
                if number is None:
                    break
                self._begin(number)
            if not self.running:
                return self._cut()
            self.now, number = heapq.heappop(self.running)
            self._arrived(number)

    def _room(self) -> bool:
        gpus = self.plan.pack
        taken = sum(self.trials[n].job.slot for _, n in self.running)
        return len(self.running) < self.plan.concurrency and not (gpus and taken >= gpus)

    def _spent(self) -> bool:
        ahead = sum((until - self.now) * self.trials[n].job.devices for until, n in self.running)
        return self.now >= self.sweep.wall_sec or self.used - ahead >= self.sweep.device_sec

    def _next(self) -> int | None:
        """The trial to run next: one that is promoted, or a new one."""
        closing = self._closing()
        rungs = range(self.plan.last_rung)
        for rung in rungs if closing else reversed(rungs):
            waiting = self.rungs[rung].waiting
            if waiting and self._among_best(rung, waiting[0], closing):
                return waiting.pop(0)[1]
        if closing:
            return None
        self.trials.append(self.sweep.trial(len(self.trials), self.rng))
        return len(self.trials) - 1

    def _among_best(self, rung: int, key: tuple[float, int], closing: bool) -> bool:
        seen = self.rungs[rung].seen
        on_their_way = sum(self.trials[n].rung < rung for _, n in self.running)
        return bisect_left(seen, key) < places(self.plan, rung, len(seen), on_their_way, closing)

    def _closing(self) -> bool:
        if len(self.trials) >= self.sweep.most:
            return True
        if not self.plan.prune or not self.plan.budget.limited:
            return False
        on = [n for _, n in self.running if self.trials[n].rung >= 0]
        on += [n for rung in self.rungs for _, n in rung.waiting]
        on.sort(key=lambda n: (-self.trials[n].rung, self.trials[n].quality))
        needs = []
        for number in on[: max(1, FINALISTS - self.completed)]:
            trial = self.trials[number]
            needs.append((sum(trial.job.stages[trial.rung + 1 :]), trial.job.devices))
        if not needs:
            return False
        wall = max(max(s for s, _ in needs), sum(s for s, _ in needs) / self.plan.concurrency)
        device = sum(s * d for s, d in needs)
        short = self.sweep.wall_sec - self.now < SLACK * wall
        return short or self.sweep.device_sec - self.used < SLACK * device

    def _begin(self, number: int) -> None:
        together = self.plan.concurrency
        start = self.now + (GAP_SEC if self.begins >= together else 0.0)
        more = IMPORT_SEC if self.begins < together else 0.0
        self.begins += 1
        self._stage(number, start, more + (TRIAL_SEC if self.trials[number].rung >= 0 else 0.0))

    def _stage(self, number: int, start: float, more: float = 0.0) -> None:
        """Its next stage, to a rung or the end."""
        trial = self.trials[number]
        trial.until = start + more + trial.job.stages[trial.rung + 1]
        self.stages.append((start, trial.until, trial.job.devices))
        self.used += (trial.until - start) * trial.job.devices
        heapq.heappush(self.running, (trial.until, number))

    def _arrived(self, number: int) -> None:
        """A stage of it has ended: at a rung it goes on or waits."""
        trial, plan = self.trials[number], self.plan
        trial.rung += 1
        rung = trial.rung
        if rung > plan.last_rung:
            self.completed += 1
            return
        self.reached[rung].append(self.now)
        goes_on = rung == plan.last_rung or not plan.prune
        if rung < plan.last_rung:
            key = trial.quality, number
            insort(self.rungs[rung].seen, key)
            goes_on = goes_on or (trial.protected and rung < plan.cell_rung)
            goes_on = goes_on or self._among_best(rung, key, self._closing())
            if not goes_on:
                insort(self.rungs[rung].waiting, key)
        if goes_on:
            self._stage(number, self.now)

    def _cut(self) -> Run:
        """What is done of it when the first budget ends."""
        starts, ends, devices = np.array(self.stages, float).reshape(-1, 3).T

        def used(until: float) -> float:
            return float((np.clip(until, starts, ends) - starts) @ devices)

        until = min(float(ends.max(initial=0.0)), self.sweep.wall_sec)
        if used(until) > self.sweep.device_sec:
            low, high = 0.0, until
            for _ in range(50):
                middle = (low + high) / 2
                fits = used(middle) < self.sweep.device_sec
                low, high = (middle, high) if fits else (low, middle)
            until = low
        return Run(
            begun=len(self.trials),
            ended=sum(trial.until <= until for trial in self.trials),
            reached=[sum(when <= until for when in whens) for whens in self.reached],
            device_sec=used(until),
            wall_sec=until + CLOSE_SEC,
        )
