"""What the studies of segmentation share: the document's network, its axes, one trained network."""

from __future__ import annotations

import dataclasses
from collections.abc import Generator
from typing import Any

from bench.errors import BenchError
from bench.methods import load_method
from bench.studies.one_network import one_network
from bench.studies.study import Arm, Ran, Setting
from bench.studies.trained import Trained
from bench.tasks import build_task
from bench.tasks.task import Task
from leaderboards.measures import Measure

NETWORK = "volume_unet"
WORKLOADS = frozenset({"brats"})
BESIDE = ("hd95", "ece")  # what stands beside Dice: all measures would not fit a terminal
WHOLE = 0  # of `patch`: the whole volume


def base(setting: Setting, *varied: str) -> dict[str, Any]:
    """The document's method at this scale's defaults, or as much of it as --set leaves.

    Raises:
        BenchError: --set gives one of the parameters that the study varies.
    """
    fixed = setting.frame.fixed
    for key in varied:
        if key in fixed:
            raise BenchError(f"this study varies {key}; leave out --set {key}={fixed[key]}")
    return {
        "method": "diffusion",
        "architecture": NETWORK,
        "preconditioning": str(fixed.get("preconditioning", "edm")),
    }


def beside(task: Task) -> list[Measure]:
    """The measures that stand beside the score."""
    return [measure for measure in task.measures[1:] if measure.key in BESIDE]


def patches(setting: Setting) -> list[int]:
    """The patches of this scale, small first, the whole volume last."""
    offered = setting.scale.choices.among[NETWORK]["patch"]
    return [*sorted(p for p in offered if p != WHOLE), WHOLE]


def one_segmenter(setting: Setting) -> Generator[tuple[Arm, ...], tuple[Ran, ...], Trained]:
    """The network of the trial that was named with --of, else one trained for the study."""
    if setting.of is not None and not load_method(setting.of.config.method.kind).samples:
        raise BenchError(
            f"{setting.of.arm.name} is of method {setting.of.config.method.kind}, which draws no "
            "samples; give --trial of a diffusion one"
        )
    why = "sampled in many ways"
    own = Arm(name="the network", why=why, params=base(setting), seed=setting.seed)
    return (yield from one_network(setting, own))


def with_samples(trained: Trained, samples: int) -> Task:
    """The trial's task, judging the mean of so many answers of a case."""
    task = trained.config.task
    args = {**task.args, "samples": samples}
    changed = dataclasses.replace(task, args=args)
    return build_task(dataclasses.replace(trained.config, task=changed))
