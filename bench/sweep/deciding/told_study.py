"""The study that Optuna's samplers read, kept up to date instead of built again.

A sampler only reads a study's trials. They stand here as Optuna hears them, one for each trial
of the sweep, and only those that went on since the last question are translated again; a suggestion
is asked of a fresh study that shows them. So a suggestion is the same as from a study built anew,
which is what a resumed sweep does with its first one.

Beyond RECENT trials a sampler is shown the GOOD best, the RECENT last and those that still run, so
that a suggestion takes as long after ten thousand trials as after one thousand.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping, Sequence

import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import TPESampler
from optuna.storages import InMemoryStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from bench.sweep.record.history import Trial

RECENT = 1000  # trials that TPE's idea of what is not good rests on
GOOD = 25  # the most that TPE takes for good: Optuna's default

LEARNT = (TrialState.COMPLETE, TrialState.PRUNED)  # what a search space is read from


class ToldTrials:
    """Trials as Optuna hears them, in the order of their numbers."""

    def __init__(self) -> None:
        self._seen: list[tuple[str | None, int]] = []  # outcome and rungs when last translated
        # distributions of those with something to learn from, by what they are as JSON
        self._learnt_from: dict[frozenset[tuple[str, str]], dict[str, BaseDistribution]] = {}
        self.trials: list[FrozenTrial] = []

    def update(
        self,
        trials: Sequence[Trial],
        translate: Callable[[Trial], FrozenTrial],
        worth: Callable[[Trial], float],
    ) -> None:
        """Hear of `trials`: all of those before, in the same order, and any new ones. `worth` is
        the value of one that has any, which may change with what others did."""
        for place, trial in enumerate(trials):
            state = (trial.outcome, len(trial.rungs))
            if place == len(self.trials):
                self._seen.append(state)
                self.trials.append(translate(trial))
            elif self._seen[place] != state:
                self._seen[place] = state
                self.trials[place] = translate(trial)
            else:
                continue
            told = self.trials[place]
            told.number = place + 1  # 0 is the one that is asked for
            if told.state in LEARNT:
                offered = frozenset(trial.suggestion.distributions.items())
                self._learnt_from[offered] = told.distributions
        for told, trial in zip(self.trials, trials, strict=True):
            if told.state == TrialState.COMPLETE:
                told.value = worth(trial)

    def shown(self, direction: StudyDirection) -> list[FrozenTrial]:
        """The trials to learn from, in order: all, or the best and the last of very many."""
        if len(self.trials) <= RECENT:
            return self.trials
        sign = -1.0 if direction == StudyDirection.MAXIMIZE else 1.0
        earlier = self.trials[:-RECENT]
        done = [trial for trial in self.trials if trial.state == TrialState.COMPLETE]
        best = {t.number for t in sorted(done, key=lambda trial: sign * trial.values[0])[:GOOD]}
        kept = [t for t in earlier if t.number in best or t.state == TrialState.RUNNING]
        return kept + self.trials[-RECENT:]

    def common(self) -> dict[str, BaseDistribution]:
        """The distributions that all trials with something to learn from share, by name."""
        if not self._learnt_from:
            return {}
        shared = frozenset.intersection(*self._learnt_from)
        one = next(iter(self._learnt_from.values()))
        return {name: one[name] for name, _ in sorted(shared)}


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
