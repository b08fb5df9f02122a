"""What to try next, by Optuna: a pure function of the plan, the history and the trial's number.

Every question is asked of a fresh study that shows all trials (told_study), by a sampler seeded by
(sweep seed, trial number), so the same journal always gives the same suggestion.

The search space of TPE here is the set of parameters every trial has, modelled jointly with the
architecture and the preconditioning; a parameter that only some choices have is modelled from the
trials that have it. (`group=True` would model the groups apart from their architecture.) Where the
plan has even axes, a trial's study holds the trials that share its values of them, so that a method
learns from its own trials.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, distribution_to_json

from bench.errors import BenchError
from bench.streams import derive_seed
from bench.sweep.deciding.told_study import ToldTPE, ToldTrials, open_study
from bench.sweep.record.history import History
from bench.sweep.record.plan import Plan
from bench.sweep.record.trial import ABSENT
from bench.time_limit import EndlessError, time_limit
from search_spaces import Choices, Space

optuna.logging.set_verbosity(optuna.logging.ERROR)

Kept = dict[tuple[tuple[str, Any], ...], ToldTrials]  # by the values of the even axes
DRAWS = 64  # random draws that show what a space offers
SPACE_SEC = 10.0  # a space suggests for one trial within it, or it is stopped
MOST_SUGGESTIONS = 1000  # parameters a trial


def suggest(
    plan: Plan,
    history: History,
    number: int,
    space: Space,
    choices: Choices,
    given: Mapping[str, Any],
    kept: Kept | None = None,
) -> tuple[dict[str, Any], dict[str, str]]:
    """Parameters of trial `number` and, as JSON, the distributions they were drawn from.

    `given` holds the parameters that its role gives: all of a default configuration, or the cell.
    `kept` is what was translated for earlier questions about this history; it saves time alone.

    Raises:
        BenchError: the space cannot be run, or does not offer a given value.
    """
    kept = {} if kept is None else kept
    alike = {axis: given[axis] for axis in plan.even_axes if axis in given}
    told = kept.setdefault(tuple(alike.items()), ToldTrials(plan.score, alike))
    told.update(history)
    sampler = optuna_sampler(plan, number, told.common(), alike)
    study = open_study(told.shown(), sampler, direction(plan))
    offered_by = Offer(space=space, choices=choices, name=plan.space, fixed=plan.fixed)
    given = {key: value for key, value in given.items() if key not in plan.fixed}
    if given:
        study.enqueue_trial(given)
    asked = study.ask()
    offered_by.run(asked)
    for key, value in given.items():
        if key in asked.params and asked.params[key] != value:
            raise BenchError(f"search space {plan.space} does not offer {key} = {value!r}")
    distributions = {k: distribution_to_json(d) for k, d in asked.distributions.items()}
    return {**asked.params, **plan.fixed}, distributions


def direction(plan: Plan) -> optuna.study.StudyDirection:
    """What Optuna is to do with the score."""
    directions = optuna.study.StudyDirection
    return directions.MAXIMIZE if plan.score.direction == "higher" else directions.MINIMIZE


class _Fixed:
    """An Optuna trial in which some parameters are given by the user and not suggested."""

    def __init__(self, asked: optuna.Trial, fixed: Mapping[str, Any]) -> None:
        self._asked, self._fixed = asked, fixed
        self.suggestions = 0

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self._asked, name)
        if not name.startswith("suggest_"):
            return attribute

        def suggest(key: str, *args: Any, **kwargs: Any) -> Any:
            self.suggestions += 1
            if self.suggestions > MOST_SUGGESTIONS:
                raise RuntimeError(f"it suggests more than {MOST_SUGGESTIONS} parameters a trial")
            return self._fixed[key] if key in self._fixed else attribute(key, *args, **kwargs)

        return suggest


@dataclass(frozen=True, kw_only=True)
class Offer:
    """A search space with what it draws from; `fixed` is given by the user for all trials."""

    space: Space
    choices: Choices
    name: str
    fixed: Mapping[str, Any]

    def run(self, asked: optuna.Trial) -> None:
        """Let the space suggest; whatever goes wrong in it is said in one line with its name.

        Raises:
            BenchError: the space fails, leaves the program, or does not come to an end.
        """
        try:
            with warnings.catch_warnings(), time_limit(SPACE_SEC):
                warnings.simplefilter("error", UserWarning)  # Optuna's: a given value not on offer
                self.space(_Fixed(asked, self.fixed), self.choices)
        except EndlessError as error:
            raise BenchError(
                f"search space {self.name} does not come to an end: stopped after "
                f"{SPACE_SEC:g} s; it must suggest and return"
            ) from error
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # sys.exit() in a space is a mistake in it
            first = f"{type(error).__name__}: {error}".splitlines()[0]
            raise BenchError(f"search space {self.name} failed: {first}") from error

    def distributions(self, drawn: list[dict[str, Any]] | None = None) -> dict[str, str]:
        """Every parameter that shows up in some of DRAWS random draws, conditional ones included.

        The draws themselves are put into `drawn`.
        """
        study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
        distributions: dict[str, str] = {}
        for _ in range(DRAWS):
            trial = study.ask()
            self.run(trial)
            distributions |= {k: distribution_to_json(d) for k, d in trial.distributions.items()}
            if drawn is not None:
                drawn.append({**trial.params, **self.fixed})
        return distributions

    def cells(self, axes: Sequence[str]) -> list[dict[str, str]]:
        """Every combination of the axes' values that the space offers, the last axis slowest.

        An axis that only some choices have is absent (ABSENT) from the others, and from all if
        the space, or what the user fixed, leaves it to none.

        Raises:
            BenchError: the space fails, suggests nothing, none of the axes, or one as a number.
        """
        distributions = self.distributions()
        if not distributions and not self.fixed:
            raise BenchError(f"search space {self.name} suggests nothing")
        values: dict[str, list[str]] = {}
        for axis in axes:
            if axis in self.fixed:
                values[axis] = [str(self.fixed[axis])]
                continue
            if axis not in distributions:
                values[axis] = []
                continue
            known = describe(distributions)[axis]["attributes"]
            if not known.get("choices"):
                raise BenchError(f"search space {self.name} must suggest {axis!r} by name")
            values[axis] = [str(value) for value in known["choices"]]
        if axes and not any(values.values()):
            raise BenchError(f"search space {self.name} suggests none of {', '.join(axes)} by name")
        combinations = product(*([*values[axis], ABSENT] for axis in reversed(axes)))
        cells = [dict(zip(axes, reversed(c), strict=True)) for c in combinations]
        kept = [cell for cell in cells if self._takes(cell)]
        if not kept:
            raise BenchError(f"search space {self.name} offers no combination of {', '.join(axes)}")
        return kept

    def _takes(self, cell: Mapping[str, str]) -> bool:
        """Whether a trial with just these values of the axes can be drawn."""
        given = {k: v for k, v in cell.items() if v != ABSENT and k not in self.fixed}
        study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
        if given:
            study.enqueue_trial(given)
        asked = study.ask()
        try:
            self.run(asked)
        except BenchError:
            return False
        got = {**asked.params, **self.fixed}
        return all(str(got.get(axis, ABSENT)) == value for axis, value in cell.items())

    def offered(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Those of `params` that the space offers, each given those before it."""
        kept: dict[str, Any] = {}
        for key, value in params.items():
            if key in self.fixed:
                kept[key] = self.fixed[key]
                continue
            study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
            given = {k: v for k, v in kept.items() if k not in self.fixed}
            if given:
                study.enqueue_trial(given)
            asked = study.ask()
            self.run(asked)
            if key in asked.distributions and _contains(asked.distributions[key], value):
                kept[key] = value
        return kept


def _contains(distribution: BaseDistribution, value: Any) -> bool:
    try:
        return distribution._contains(distribution.to_internal_repr(value))
    except ValueError:  # a name that is not among the choices
        return False


def optuna_sampler(
    plan: Plan, number: int, common: Mapping[str, BaseDistribution], alike: Mapping[str, Any]
) -> optuna.samplers.BaseSampler:
    """Optuna's sampler for trial `number`, seeded by the sweep's seed and the number.

    `common` are the parameters that all it learns from have. Where it learns from trials of `alike`
    values alone, it draws at random for as many as their cells.
    """
    seed = derive_seed(plan.seed, "suggest", number) % 2**32
    if plan.search == "random":
        return optuna.samplers.RandomSampler(seed=seed)
    startup = plan.startup_trials
    if alike:
        startup = sum(alike.items() <= cell.items() for cell in plan.cells)
    return ToldTPE(common, seed=seed, startup=startup)


def describe(distributions: Mapping[str, str]) -> dict[str, Any]:
    """The attributes of each distribution, for printing a space."""
    return {k: json.loads(d) for k, d in distributions.items()}
