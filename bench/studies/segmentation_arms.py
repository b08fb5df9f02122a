"""What the studies of segmentation share: the document's network, its axes, one trained network."""

from __future__ import annotations

import dataclasses
from collections.abc import Generator
from typing import Any

from bench.studies.one_network import one_network
from bench.studies.study import Arm, Ran, Setting
from bench.studies.trained import Trained
from bench.tasks import build_task
from bench.tasks.task import Task

NETWORK = "volume_unet"
WORKLOADS = frozenset({"brats"})
WHOLE = 0  # of `patch`: the whole volume


def base(setting: Setting) -> dict[str, Any]:
    """The document's method at this scale's defaults, or as much of it as --set leaves."""
    fixed = setting.frame.fixed
    return {
        "method": "diffusion",
        "architecture": NETWORK,
        "preconditioning": str(fixed.get("preconditioning", "edm")),
    }


def patches(setting: Setting) -> list[int]:
    """The patches of this scale, small first, the whole volume last."""
    offered = setting.scale.choices.among[NETWORK]["patch"]
    return [*sorted(p for p in offered if p != WHOLE), WHOLE]


def one_segmenter(setting: Setting) -> Generator[tuple[Arm, ...], tuple[Ran, ...], Trained]:
    """The network of the trial that was named with --of, else one trained for the study."""
    why = "sampled in many ways"
    own = Arm(name="the network", why=why, params=base(setting), seed=setting.seed)
    return (yield from one_network(setting, own))


def with_samples(trained: Trained, samples: int) -> Task:
    """The trial's task, judging the mean of so many answers of a case."""
    task = trained.config.task
    args = {**task.args, "samples": samples}
    changed = dataclasses.replace(task, args=args)
    return build_task(dataclasses.replace(trained.config, task=changed))
