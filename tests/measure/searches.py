"""Searches on a surrogate, in simulated time: whoever trains nothing can be asked a thousand times.

A search hands out jobs and hears values at rungs; `play` runs its jobs on so many workers at once.
A training's stages take their shares of its FLOPs, and each evaluation its own time. Those without
rungs evaluate once on select; whatever comes to its end is evaluated on report.

Ours is the sweep's own engine with its journal, on a clock that is moved by hand. The others are
Optuna's, as they come: default settings, asked and told one trial at a time.
"""

from __future__ import annotations

import heapq
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from optuna.trial import TrialState

from bench.run import Report
from bench.streams import derive_seed, stream
from bench.sweep.deciding.resolve import Frame
from bench.sweep.record.journal import Journal
from bench.sweep.record.plan import Plan
from bench.sweep.running.engine import Engine
from search_spaces import Choices, Space
from tests.measure.surrogate import Surrogate, Values
from tests.unit.sweep.fakes import SECONDS, end

PILOTS, CLOSE = 3, 0.02  # to find how many trials a compute pays for
REDUCTION = 4  # of Hyperband: what each rung keeps is what ours keeps


@dataclass(frozen=True, kw_only=True)
class Job:
    """A trial to be trained on from its `rung`-th stage."""

    key: int
    params: Mapping[str, Any]
    rung: int = 0
    seed: int = 0  # 0: the sweep's own


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What all searches of one replay share. rungs: fractions of the budget."""

    space: Space
    choices: Choices
    rungs: tuple[float, ...]
    trials: int
    workers: int
    select_cost: float  # of an evaluation on select, in trainings
    report_cost: float
    frame: Frame  # of the engine
    plan: Plan  # of the engine, but for seed, search and table

    @property
    def full(self) -> float:
        """What a whole trial costs that is evaluated at its end alone."""
        return 1 + self.select_cost + self.report_cost

    def with_trials(self, trials: int) -> Setting:
        return replace(self, trials=trials, plan=self.plan.extended({"trials": trials}))


class Search(ABC):
    """Who proposes trials and decides how far they go. Hears of one event at a time, in order."""

    has_rungs: bool

    @abstractmethod
    def next(self, now: float) -> Job | None:
        """The next job, now that a worker is free; None: none before something else is heard."""

    @abstractmethod
    def reported(self, key: int, rung: int, value: float, now: float) -> bool:
        """A value at a rung; whether the trial trains on."""

    @abstractmethod
    def ended(self, key: int, outcome: str, now: float) -> None:
        """A trial completed or diverged."""

    @abstractmethod
    def close(self) -> None:
        """Let go of what it holds."""


class OptunaSearch(Search):
    """A sampler of Optuna's, and a pruner where there is one."""

    def __init__(
        self,
        setting: Setting,
        seed: int,
        sampler: optuna.samplers.BaseSampler,
        pruner: optuna.pruners.BasePruner | None = None,
    ) -> None:
        self.setting, self.has_rungs = setting, pruner is not None
        self.study = optuna.create_study(
            study_name=f"replay-{seed}",  # Hyperband's brackets follow from it
            sampler=sampler,
            pruner=pruner or optuna.pruners.NopPruner(),
        )
        self.asked: list[optuna.Trial] = []

    def next(self, now: float) -> Job | None:
        if len(self.asked) >= self.setting.trials:
            return None
        trial = self.study.ask()
        self.setting.space(trial, self.setting.choices)
        self.asked.append(trial)
        return Job(key=trial.number, params=dict(trial.params))

    def reported(self, key: int, rung: int, value: float, now: float) -> bool:
        trial, rungs = self.asked[key], self.setting.rungs
        if rung == len(rungs) - 1:
            self.study.tell(trial, value)
            return True
        trial.report(value, round(rungs[rung] / rungs[0]))
        if trial.should_prune():
            self.study.tell(trial, state=TrialState.PRUNED)
            return False
        return True

    def ended(self, key: int, outcome: str, now: float) -> None:
        if outcome == "diverged":  # as an objective that returns NaN
            self.study.tell(self.asked[key], state=TrialState.FAIL)

    def close(self) -> None:
        self.asked.clear()


class EngineSearch(Search):
    """The sweep's engine with its journal in `folder`."""

    has_rungs = True

    def __init__(self, setting: Setting, plan: Plan, folder: Path) -> None:
        self.now = 0.0
        journal = Journal(folder / plan.sweep / "journal.jsonl", clock=lambda: self.now)
        self.engine = Engine(journal, setting.frame, setting.space, setting.choices)
        self.engine.write("plan", **plan.body())

    def next(self, now: float) -> Job | None:
        self.now = now
        trial = self.engine.next()
        if trial is None:
            return None
        self.engine.started(trial.number, "replay", 1)
        said = trial.suggestion
        return Job(
            key=trial.number,
            params=said.params,
            rung=max(trial.rungs, default=-1) + 1,
            seed=said.seed - self.engine.plan.seed,
        )

    def reported(self, key: int, rung: int, value: float, now: float) -> bool:
        self.now = now
        nimg = self.engine.history.trials[key].suggestion.train.rungs_nimg[rung]
        said = Report(phase="rung", nimg=nimg, metrics={}, seconds=SECONDS, rung=rung, value=value)
        return not self.engine.reported(key, said)

    def ended(self, key: int, outcome: str, now: float) -> None:
        self.now = now
        rungs = self.engine.history.trials[key].suggestion.train.rungs_nimg
        self.engine.reported(key, end(rungs[-1], outcome, ""))

    def close(self) -> None:
        self.engine.journal.close()


@dataclass(kw_only=True)
class Played:
    """A search that was played. compute: machine time in full trainings, at each change of the
    incumbent; truth: the logarithm of the incumbent's score on report from then on, without noise.
    spent: compute when all had come to an end."""

    compute: list[float] = field(default_factory=list)
    truth: list[float] = field(default_factory=list)
    spent: float = 0.0

    def at(self, compute: Values) -> Values:
        """The incumbent's truth at each of these, +inf before there is one."""
        places = np.searchsorted(np.array(self.compute), compute, side="right")
        return np.array([math.inf, *self.truth])[places]


class World:
    """What trainings of one replicate score. The n-th trial of any search has the same luck."""

    def __init__(self, surrogate: Surrogate, replicate: int) -> None:
        self.surrogate, self.replicate = surrogate, replicate
        self._noise: dict[int, Values] = {}
        self._seeds: dict[int, Values] = {}

    def value(self, job: Job, rung: int) -> float:
        noise = self._noise.get(job.key)
        if noise is None:
            draw = stream(self.replicate, "training", job.key)
            noise = self._noise[job.key] = self.surrogate.noise.drawn(draw)
        logs = self.surrogate(job.params)[0][rung] + noise[rung]
        if job.seed:
            if job.seed not in self._seeds:
                draw = stream(self.replicate, f"seed {job.seed}")
                self._seeds[job.seed] = self.surrogate.noise.of_another_seed(draw)
            logs += self._seeds[job.seed][rung]
        return math.exp(logs)

    def breaks(self, job: Job, rung: int) -> bool:
        """Whether it diverges on the way to this rung."""
        surrogate = self.surrogate
        return surrogate(job.params)[1] and rung >= min(surrogate.breaks_at, surrogate.rungs - 1)

    def truth(self, job: Job) -> float:
        return float(self.surrogate(job.params)[0][-1])


def play(search: Search, world: World, setting: Setting) -> Played:
    """A search from its first trial to its last, on `setting.workers` workers."""
    played, last = Played(), len(setting.rungs) - 1
    events: list[tuple[float, int, Job, int]] = []  # time, order, who, rung; past the last: its end
    free, order, now = setting.workers, 0, 0.0
    seen: dict[int, dict[int, float]] = {}  # values of those that may be best, by rung and trial
    truths: dict[int, float] = {}

    def begin(job: Job, rung: int) -> None:
        nonlocal order
        before = setting.rungs[rung - 1] if rung else 0.0
        if not search.has_rungs:
            before, rung = 0.0, last
        took = setting.rungs[rung] - before + setting.select_cost
        heapq.heappush(events, (now + took, order, job, rung))
        order += 1

    while True:
        while free and (job := search.next(now)) is not None:
            free -= 1
            begin(job, job.rung)
        if not events:
            break
        now, _, job, rung = heapq.heappop(events)
        if rung > last:
            free += 1
            search.ended(job.key, "completed", now)
            continue
        if world.breaks(job, rung):
            free += 1
            for values in seen.values():
                values.pop(job.key, None)
            search.ended(job.key, "diverged", now)
            continue
        value = world.value(job, rung)
        seen.setdefault(rung, {})[job.key] = value
        truths[job.key] = world.truth(job)
        furthest = seen[max(r for r, values in seen.items() if values)]
        truth = truths[min(furthest, key=lambda key: (furthest[key], key))]
        if not played.truth or truth != played.truth[-1]:
            played.compute.append(now * setting.workers / setting.full)
            played.truth.append(truth)
        if not search.reported(job.key, rung, value, now):
            free += 1
        elif rung < last:
            begin(job, rung + 1)
        else:
            heapq.heappush(events, (now + setting.report_cost, order, job, last + 1))
            order += 1
    played.spent = now * setting.workers / setting.full
    return played


Opener = Callable[[Setting, int, Path], Search]


def _engine(name: str, **changes: Any) -> Opener:
    def opened(setting: Setting, seed: int, folder: Path) -> Search:
        plan = setting.plan.extended({"seed": seed, "sweep": name, **changes})
        return EngineSearch(setting, plan, folder)

    return opened


def _optuna(sampler: Callable[..., optuna.samplers.BaseSampler], hyperband: bool = False) -> Opener:
    def opened(setting: Setting, seed: int, folder: Path) -> Search:
        pruner = None
        if hyperband:
            most = round(setting.rungs[-1] / setting.rungs[0])
            pruner = optuna.pruners.HyperbandPruner(1, most, REDUCTION)
        return OptunaSearch(
            setting, seed, sampler(seed=derive_seed(seed, "sampler") % 2**32), pruner
        )

    return opened


RANDOM, HALVING, OURS = "random", "random, halving", "ours"
SEARCHES: dict[str, Opener] = {
    RANDOM: _optuna(optuna.samplers.RandomSampler),
    HALVING: _engine("halving", search="random"),
    "TPE": _optuna(optuna.samplers.TPESampler),
    "GP": _optuna(optuna.samplers.GPSampler),
    "CMA-ES": _optuna(
        lambda seed: optuna.samplers.CmaEsSampler(seed=seed, warn_independent_sampling=False)
    ),
    "TPE, Hyperband": _optuna(optuna.samplers.TPESampler, hyperband=True),
    "one axis at a time": _engine("stagewise", search="stagewise", prune=False),
    OURS: _engine("ours", search="tpe"),
    f"{OURS}, --table": _engine("table", search="tpe", table=True),
}


def paid_alike(name: str, world: World, setting: Setting, folder: Path) -> Setting:
    """The setting with as many trials as make a search spend what all trials cost in full; found
    by playing it."""
    own = setting
    for place in range(PILOTS):
        search = SEARCHES[name](own, world.replicate, folder / f"pilot-{place}")
        spent = play(search, world, own).spent
        search.close()
        if abs(spent / setting.trials - 1) < CLOSE:
            break
        own = setting.with_trials(max(1, round(own.trials * setting.trials / spent)))
    return own
