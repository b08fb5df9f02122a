"""The study that Optuna's samplers read, kept up to date instead of built again.

A sampler only reads a study's trials. They stand here as contract 6 says: whatever has a value as
COMPLETE with what it is worth (`Worth`), diverged as PRUNED without any, out-of-memory as PRUNED
with a violated constraint, FAIL only for causes outside the configuration; running trials as
RUNNING (the constant liar). Only what changed since the last question is heard and translated; a
suggestion is asked of a fresh study that shows it all. So it is the same as from a study built
anew, which is what a resumed sweep does with its first one.

Beyond RECENT trials a sampler is shown the GOOD best, the RECENT last and those that still run, so
that a suggestion takes as long after ten thousand trials as after one thousand.
"""

from __future__ import annotations

from collections.abc import Container, Hashable, Mapping, Sequence
from functools import lru_cache
from itertools import islice
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, json_to_distribution
from optuna.samplers import TPESampler
from optuna.storages import InMemoryStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState, create_trial

from bench.sweep.deciding.worth import Worth
from bench.sweep.record.history import History
from bench.sweep.record.index import Index, Keys
from bench.sweep.record.trial import Trial
from leaderboards.measures import Measure

RECENT = 1000  # trials that TPE's idea of what is not good rests on
GOOD = 25  # the most that TPE takes for good: Optuna's default

LEARNT = (TrialState.COMPLETE, TrialState.PRUNED)  # what a search space is read from
STATES = {
    None: TrialState.RUNNING,
    "interrupted": TrialState.RUNNING,
    "completed": TrialState.COMPLETE,
    "pruned": TrialState.COMPLETE,
    "waiting": TrialState.COMPLETE,  # it may be promoted yet: then it runs again
    "diverged": TrialState.PRUNED,
    "out-of-memory": TrialState.PRUNED,
    "failed": TrialState.FAIL,
}


def state_of(trial: Trial) -> TrialState:
    """What became of a trial, as Optuna hears it."""
    state = STATES[trial.outcome]
    if state == TrialState.COMPLETE and not trial.rungs:
        return TrialState.FAIL  # its reports were lost with a driver: nothing to learn
    return state


def as_optuna(trial: Trial) -> FrozenTrial:
    """A trial as Optuna hears it, but for what its value is worth: contract 6."""
    state = state_of(trial)
    told = create_trial(
        state=state,
        value=trial.rungs[max(trial.rungs)] if state == TrialState.COMPLETE else None,
        params={k: trial.suggestion.params[k] for k in trial.suggestion.distributions},
        distributions={k: _distribution(d) for k, d in trial.suggestion.distributions.items()},
        constraints={"memory": 1.0} if trial.outcome == "out-of-memory" else None,
        user_attrs={"trial_id": trial.suggestion.trial_id},
    )
    told.number = trial.number + 1  # 0 is the one that is asked for
    return told


@lru_cache(maxsize=1024)
def _distribution(text: str) -> BaseDistribution:
    """A distribution from its JSON; of ten thousand trials all but a few are the same."""
    return json_to_distribution(text)


class ToldTrials:
    """The trials of a history as Optuna hears them: those of `alike` values of their axes."""

    def __init__(self, score: Measure, alike: Mapping[str, Any]) -> None:
        self._sign, self._alike = score.sign, dict(alike)
        self._worth = Worth(score)
        self._heard = 0  # changes of the history
        self._trials: dict[int, Trial] = {}
        self._told: dict[int, FrozenTrial] = {}  # those shown last, but for what changed since
        self._keys: dict[int, Keys] = {}  # what each of them is found by
        self._index = Index()

    def update(self, history: History) -> None:
        """Hear what changed since the last question; of the same history, always."""
        for number in dict.fromkeys(history.changes[self._heard :]):
            trial = history.trials[number]
            if all(trial.cell[axis] == value for axis, value in self._alike.items()):
                self._hear(trial)
        self._heard = len(history.changes)

    def _hear(self, trial: Trial) -> None:
        number, state = trial.number, state_of(trial)
        self._trials[number] = trial
        self._told.pop(number, None)
        self._worth.hear(trial)
        keys: dict[tuple[str, Hashable], float] = {("state", state): 0.0}
        if state == TrialState.COMPLETE:
            rung = max(trial.rungs)
            keys["done", rung] = self._sign * trial.rungs[rung]
        if state in LEARNT:
            keys["learnt from", frozenset(trial.suggestion.distributions.items())] = 0.0
        self._index.move(number, self._keys.get(number, {}), keys)
        self._keys[number] = keys

    def shown(self) -> list[FrozenTrial]:
        """The trials to learn from, in order: all, or the best and the last of very many."""
        last = sorted(self._trials)[-RECENT:]
        running = self._index.numbers("state", TrialState.RUNNING)
        before, self._told = self._told, {}
        for number in sorted({*last, *running, *self._best()}):
            trial = self._trials[number]
            told = self._told[number] = before.get(number) or as_optuna(trial)
            if told.state == TrialState.COMPLETE:
                told.value = self._worth(trial)
        return list(self._told.values())

    def _best(self) -> list[int]:
        """The GOOD best by what they are worth, which keeps the order within a rung."""
        rungs = self._index.answers("done")
        firsts = [n for rung in rungs for n in islice(self._index.numbers("done", rung), GOOD)]
        firsts.sort(key=lambda n: (self._sign * self._worth(self._trials[n]), n))
        return firsts[:GOOD]

    def common(self) -> dict[str, BaseDistribution]:
        """The distributions that all trials with something to learn from share, by name."""
        offers = self._index.answers("learnt from")
        shared = frozenset.intersection(*offers) if offers else ()
        return {name: _distribution(text) for name, text in sorted(shared)}


class _ToldStorage(InMemoryStorage):
    """A new study in memory that shows told trials before the one that is asked for."""

    def __init__(self, told: Sequence[FrozenTrial]) -> None:
        super().__init__()
        self._told = told

    def get_all_trials(
        self,
        study_id: int,
        deepcopy: bool = True,
        states: Container[TrialState] | None = None,
    ) -> list[FrozenTrial]:
        own = super().get_all_trials(study_id, deepcopy=deepcopy, states=states)
        if states == (TrialState.WAITING,):
            return own
        return [t for t in self._told if states is None or t.state in states] + own


class ToldTPE(TPESampler):
    """Optuna's TPE, told which parameters all trials share instead of comparing them all."""

    def __init__(self, common: Mapping[str, BaseDistribution], *, seed: int, startup: int) -> None:
        super().__init__(seed=seed, n_startup_trials=startup, multivariate=True, constant_liar=True)
        self._common = {k: d for k, d in common.items() if not d.single()}

    def infer_relative_search_space(
        self, study: optuna.Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        return dict(self._common)


def open_study(
    told: Sequence[FrozenTrial],
    sampler: optuna.samplers.BaseSampler,
    direction: StudyDirection,
) -> optuna.Study:
    """A study of the told trials, to ask one more of."""
    return optuna.create_study(storage=_ToldStorage(told), sampler=sampler, direction=direction)
