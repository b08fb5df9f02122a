"""What to try next, by Optuna: a pure function of the plan, the history and the trial's number.

The study is rebuilt from the journal for every question and its sampler is seeded by (sweep seed,
trial number), so the same journal always gives the same suggestion. TPE hears what happened as
contract 6 says: completed with its value, pruned with its rungs' values, diverged as PRUNED
without any, out-of-memory as PRUNED with a violated constraint, FAIL only for causes outside the
configuration; running trials stand as RUNNING (the constant liar).

The search space of TPE here is the set of parameters every trial has, modelled jointly with the
architecture and the preconditioning; a parameter that only some choices have is modelled from the
trials that have it. (`group=True` would model the groups apart from their architecture.)
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, distribution_to_json, json_to_distribution
from optuna.trial import FrozenTrial, TrialState, create_trial

from bench.errors import BenchError
from bench.streams import derive_seed
from bench.sweep.record.history import History, Trial
from search_spaces import Choices, Space

optuna.logging.set_verbosity(optuna.logging.ERROR)

DRAWS = 64  # random draws that show what a space offers

STATES = {
    None: TrialState.RUNNING,
    "interrupted": TrialState.RUNNING,
    "completed": TrialState.COMPLETE,
    "pruned": TrialState.PRUNED,
    "diverged": TrialState.PRUNED,
    "out-of-memory": TrialState.PRUNED,
    "failed": TrialState.FAIL,
}


def suggest(
    plan: Mapping[str, Any],
    history: History,
    number: int,
    space: Space,
    choices: Choices,
    fixed: Mapping[str, Any],
) -> tuple[dict[str, Any], dict[str, str]]:
    """Parameters of trial `number` and, as JSON, the distributions they were drawn from.

    `fixed` holds the parameters that are given: all of a default configuration, or the cell.

    Raises:
        BenchError: the space cannot be run, or does not offer a fixed value.
    """
    study = optuna.create_study(sampler=sampler(plan, number))
    final = len(plan["rungs"]) - 1
    for trial in history.trials.values():
        study.add_trial(as_optuna(trial, final))
    if fixed:
        study.enqueue_trial(dict(fixed))
    asked = study.ask()
    run(space, asked, choices, plan["space"])
    for key, value in fixed.items():
        if key in asked.params and asked.params[key] != value:
            raise BenchError(f"search space {plan['space']} does not offer {key} = {value!r}")
    distributions = {k: distribution_to_json(d) for k, d in asked.distributions.items()}
    return dict(asked.params), distributions


def run(space: Space, asked: optuna.Trial, choices: Choices, name: str) -> None:
    """Let a space suggest; whatever goes wrong in it is said in one line with its name."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # Optuna warns when an enqueued value is not on offer
        try:
            space(asked, choices)
        except Exception as error:
            first = f"{type(error).__name__}: {error}".splitlines()[0]
            raise BenchError(f"search space {name} failed: {first}") from error


def cells(space: Space, choices: Choices, name: str) -> list[tuple[str, str]]:
    """The architecture x preconditioning cells a space offers, in its own order.

    Raises:
        BenchError: the space fails, or lacks one of the two.
    """
    found = distributions_of(space, choices, name)
    if not found:
        raise BenchError(f"search space {name} suggests nothing")
    axes = []
    for axis in ("architecture", "preconditioning"):
        values = describe(found)[axis]["attributes"].get("choices") if axis in found else None
        if not values:
            raise BenchError(f"search space {name} does not suggest {axis!r} by name; it must")
        axes.append([str(v) for v in values])
    everything = [(a, p) for p in axes[1] for a in axes[0]]
    kept = [cell for cell in everything if _takes(space, choices, name, cell)]
    if not kept:
        raise BenchError(f"search space {name} offers no pair of architecture and preconditioning")
    return kept


def _takes(space: Space, choices: Choices, name: str, cell: tuple[str, str]) -> bool:
    wanted = dict(zip(("architecture", "preconditioning"), cell, strict=True))
    return offered(space, choices, name, wanted) == wanted


def offered(space: Space, choices: Choices, name: str, params: dict[str, Any]) -> dict[str, Any]:
    """Those of `params` that a space offers, each given those before it."""
    kept: dict[str, Any] = {}
    for key, value in params.items():
        study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
        if kept:
            study.enqueue_trial(kept)
        asked = study.ask()
        run(space, asked, choices, name)
        if key in asked.distributions and _contains(asked.distributions[key], value):
            kept[key] = value
    return kept


def _contains(distribution: BaseDistribution, value: Any) -> bool:
    try:
        return distribution._contains(distribution.to_internal_repr(value))
    except ValueError:  # a name that is not among the choices
        return False


def sampler(plan: Mapping[str, Any], number: int) -> optuna.samplers.BaseSampler:
    seed = derive_seed(plan["seed"], "suggest", number) % 2**32
    if plan["sampler"] == "random":
        return optuna.samplers.RandomSampler(seed=seed)
    return optuna.samplers.TPESampler(
        seed=seed, n_startup_trials=plan["startup_trials"], multivariate=True, constant_liar=True
    )


def as_optuna(trial: Trial, final: int) -> FrozenTrial:
    """A trial as Optuna hears it: contract 6."""
    state = STATES[trial.outcome]
    value = trial.rungs.get(final) if state == TrialState.COMPLETE else None
    if state == TrialState.COMPLETE and value is None:
        state = TrialState.FAIL  # its last rung's report was lost with a driver: nothing to learn
    pruned = trial.outcome == "pruned"
    return create_trial(
        state=state,
        value=value,
        params=trial.suggestion["params"],
        distributions={k: _distribution(d) for k, d in trial.suggestion["distributions"].items()},
        intermediate_values=dict(trial.rungs) if pruned else None,
        constraints={"memory": 1.0} if trial.outcome == "out-of-memory" else None,
        user_attrs={"trial_id": trial.suggestion["trial_id"]},
    )


@lru_cache(maxsize=1024)
def _distribution(told: str) -> BaseDistribution:
    """A distribution from its JSON; of ten thousand trials all but a few are the same."""
    return json_to_distribution(told)


def restore_study(plan: Mapping[str, Any], history: History) -> optuna.Study:
    """The whole sweep as an Optuna study, a projection of the journal."""
    study = optuna.create_study(study_name=plan["sweep"])
    for trial in history.trials.values():
        study.add_trial(as_optuna(trial, len(plan["rungs"]) - 1))
    return study


def describe(distributions: Mapping[str, str]) -> dict[str, Any]:
    """The attributes of each distribution, for printing a space."""
    return {k: json.loads(d) for k, d in distributions.items()}


def distributions_of(
    space: Space, choices: Choices, name: str, drawn: list[dict[str, Any]] | None = None
) -> dict[str, str]:
    """Every parameter that shows up in some of DRAWS random draws, conditional ones included.

    The draws themselves are put into `drawn`.
    """
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    found: dict[str, str] = {}
    for _ in range(DRAWS):
        trial = study.ask()
        run(space, trial, choices, name)
        found |= {k: distribution_to_json(d) for k, d in trial.distributions.items()}
        if drawn is not None:
            drawn.append(dict(trial.params))
    return found
