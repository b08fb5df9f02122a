"""The space of the echo workload: architecture, setup, optimisation, width, training noise.

The axes are those of Reynaud and Kainz (2023) and the ones its training setups leave open.
Widths are sizes by name, so that "wider" is one axis for all architectures.
"""

from __future__ import annotations

from optuna import Trial

from search_spaces import Choices, suggest_own


def space(trial: Trial, choices: Choices) -> None:
    architecture = trial.suggest_categorical("architecture", choices.architectures)
    preconditioning = trial.suggest_categorical("preconditioning", choices.preconditionings)
    optimizer = trial.suggest_categorical("optimizer", choices.optimizers)
    trial.suggest_float("lr", *choices.lr, log=True)
    trial.suggest_categorical("schedule", choices.schedules)
    trial.suggest_categorical("batch_size", choices.batch_sizes)
    trial.suggest_float("dropout", *choices.dropout)
    trial.suggest_categorical("width", choices.widths)
    suggest_own(trial, choices, architecture, preconditioning, optimizer)
