"""The space of chest x-ray generation: on pixels or on latents, network, setup, guidance.

The method comes first: everything after it is the same for pixels and for latents.
"""

from __future__ import annotations

from optuna import Trial

from search_spaces import Choices, suggest_own


def space(trial: Trial, choices: Choices) -> None:
    trial.suggest_categorical("method", choices.methods)
    architecture = trial.suggest_categorical("architecture", choices.architectures)
    preconditioning = trial.suggest_categorical("preconditioning", choices.preconditionings)
    optimizer = trial.suggest_categorical("optimizer", choices.optimizers)
    trial.suggest_float("lr", *choices.lr, log=True)
    trial.suggest_categorical("schedule", choices.schedules)
    trial.suggest_categorical("batch_size", choices.batch_sizes)
    trial.suggest_float("dropout", *choices.dropout)
    trial.suggest_categorical("width", choices.widths)
    guidance = trial.suggest_categorical("guidance", choices.guidances)
    suggest_own(trial, choices, architecture, preconditioning, optimizer, guidance)
