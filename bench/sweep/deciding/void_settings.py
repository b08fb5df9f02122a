"""Settings that the user gives for all trials and no trial reads: refused, since they would pass
for tried.

What a trial reads is seen from its resolved configuration: only a method that samples reads a
sampler, only one that trains a learning rate, only the chosen guidance its weight.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bench.config import SampleConfig, TrainConfig, TrialConfig
from bench.errors import BenchError
from bench.methods import load_method
from bench.sweep.deciding.parameters import SAMPLE_KEYS, TRAIN_KEYS, WIDTH, guidance_keys
from bench.tasks import TASKS
from bench.tasks.task import known_settings

OPTIONS = {"patience": "--early-stop", "looks": "--looks"}  # what other parameters have is --set
CHOICES = ("method", "architecture", "estimator", "preconditioning", "guidance")


def refuse_void(given: Mapping[str, Any], configs: Sequence[TrialConfig]) -> None:
    """`given` are parameters for all trials; `configs` the kinds of trials that there will be.

    Raises:
        BenchError: none of them reads one of the parameters, or can stop as early as is asked.
    """
    read = set[str]().union(*map(_read_by, configs))
    for key, value in given.items():
        if key not in read:
            because = [f"{name} {given[name]}" for name in CHOICES if name in given and name != key]
            asked = f"{OPTIONS[key]} {value}" if key in OPTIONS else f"--set {key}={value}"
            raise BenchError(
                f"{asked} changes nothing: no trial"
                + (f" with {', '.join(because)}" if because else " of this sweep")
                + f" reads {key}; leave it out"
            )
    _refuse_endless_patience(given.get("patience", 0), configs)


def _refuse_endless_patience(patience: int, configs: Sequence[TrialConfig]) -> None:
    most = max((looks_before_the_end(c.train) for c in configs if _trains(c)), default=0)
    if 0 < most <= patience:  # the first look has none before it to improve on
        raise BenchError(
            f"--early-stop {patience} can stop no trial: a trial takes at most {most} looks before "
            "its end, and the first has nothing to improve on; ask for more --looks or a smaller "
            "--early-stop"
        )


def looks_before_the_end(train: TrainConfig) -> int:
    """How often a trial looks at its score on select: at rungs, and beside them where asked."""
    early = train.rungs_nimg[:-1]
    every = train.look_nimg
    if not every:
        return len(early)
    return (train.budget_nimg - 1) // every + sum(rung % every != 0 for rung in early)


def _trains(config: TrialConfig) -> bool:
    return load_method(config.method.kind).trains


def _read_by(config: TrialConfig) -> set[str]:
    """The parameters that change something of this trial."""
    method = load_method(config.method.kind)
    read = {"method", method.built_of, *method.parameters}
    read.update(TASKS.load(config.task.kind).parameters, known_settings(config.measure.metrics))
    read.update(config.method.backbone_args, config.method.preconditioning_args)
    if method.preconditioned:
        read.add("preconditioning")
    if method.trains:
        read.update(TRAIN_KEYS, (WIDTH, "ema"))
    if method.samples:
        read.update(SAMPLE_KEYS)
        for sample in _samplings(config):
            read.update(guidance_keys({"guidance": sample.guidance}))
    return read


def _samplings(config: TrialConfig) -> list[SampleConfig]:
    return [sample for sample in (config.sample, config.own_sample) if sample is not None]
