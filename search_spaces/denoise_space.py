"""The space of denoising and of segmentation: by diffusion, by a network directly, or classically.

Every method has what is its own: a diffusion method its preconditioning, a direct one its
augmentation, a network its patches and skips, an estimator its settings; networks share how they
are optimised.
"""

from __future__ import annotations

from optuna import Trial

from search_spaces import Choices, suggest_own


def space(trial: Trial, choices: Choices) -> None:
    method = trial.suggest_categorical("method", choices.methods)
    if method == "classical":
        chosen = [trial.suggest_categorical("estimator", choices.estimators)]
    else:
        chosen = [method, trial.suggest_categorical("architecture", choices.architectures)]
        if method == "diffusion":
            setup = trial.suggest_categorical("preconditioning", choices.preconditionings)
            chosen.append(setup)
        chosen.append(trial.suggest_categorical("optimizer", choices.optimizers))
        trial.suggest_float("lr", *choices.lr, log=True)
        trial.suggest_categorical("schedule", choices.schedules)
        trial.suggest_categorical("batch_size", choices.batch_sizes)
        trial.suggest_float("dropout", *choices.dropout)
        trial.suggest_categorical("width", choices.widths)
    suggest_own(trial, choices, *chosen)
