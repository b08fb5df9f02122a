"""What may vary, in Optuna's define-by-run idiom: one file a space, `space(trial, choices)`.

A space suggests by name; what the names to choose from are is handed in, so a new architecture or
preconditioning needs no edit here. A user's own space is a Python file with the same function.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

TABLE = {
    "birds": "search_spaces.birds_space:space",
    "denoise": "search_spaces.denoise_space:space",
    "echo": "search_spaces.echo_space:space",
    "segment": "search_spaces.denoise_space:space",
    "xray_generation": "search_spaces.xray_generation_space:space",
}

Range = tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class Choices:
    """The names and ranges a space draws from, for one workload at one scale.

    `only` holds the numeric parameters that exist for one choice alone: choice -> parameter ->
    (low, high), for a method, an architecture, a preconditioning, an optimizer or an estimator;
    `among` holds those that are one of several values. `widths` are sizes by name, each
    architecture's own arguments standing behind them. `methods` names how the task may be
    answered; empty: by diffusion alone. `estimators` are those of the classical method;
    `guidances` are what sampling may be guided by.
    """

    architectures: tuple[str, ...]
    preconditionings: tuple[str, ...]
    optimizers: tuple[str, ...]
    schedules: tuple[str, ...]
    batch_sizes: tuple[int, ...]
    lr: Range
    dropout: Range
    widths: tuple[str, ...]
    methods: tuple[str, ...] = ()
    estimators: tuple[str, ...] = ()
    guidances: tuple[str, ...] = ()
    only: Mapping[str, Mapping[str, Range]] = field(default_factory=dict)
    among: Mapping[str, Mapping[str, tuple[Any, ...]]] = field(default_factory=dict)


Space = Callable[[Any, Choices], object]


def suggest_own(trial: Any, choices: Choices, *chosen: str) -> None:
    """Suggest the parameters that exist for what was chosen alone: `choices.only` and `among`."""
    for choice in chosen:
        for name, (low, high) in choices.only.get(choice, {}).items():
            trial.suggest_float(name, low, high)
        for name, values in choices.among.get(choice, {}).items():
            trial.suggest_categorical(name, values)
