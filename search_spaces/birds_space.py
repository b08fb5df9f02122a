"""The space of the birds workload: network, schedule, prediction, optimisation, augmentation.

The seed's questions are axes: attention or not and how small a network (architecture and width), a
linear or cosine schedule (preconditioning), and what a choice alone has, as the target that a DDPM
network predicts. Sampling is not drawn: a verdict uses one sampler and number of steps for all.
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
    suggest_own(trial, choices, "diffusion", architecture, preconditioning, optimizer)
