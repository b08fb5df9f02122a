"""What the methods of a sweep make once, before its trials, and what they leave unmeasured."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import torch

from bench.config import Args
from bench.errors import BenchError
from bench.methods import load_method
from bench.metrics.metric import FROM_METHOD
from bench.sweep.deciding.parameters import DIFFUSION
from bench.sweep.deciding.resolve import Frame
from bench.sweep.deciding.suggest import Offer, describe
from bench.tasks.task import Task
from leaderboards.scrubbing import base_name
from search_spaces import Space


def with_prepared(
    frame: Frame,
    space: Space,
    space_name: str,
    say: Callable[[str], None],
    *,
    rehearsed: bool = False,
) -> tuple[Frame, tuple[str, ...]]:
    """The frame with what its methods make before the trials, and what is to be known of it;
    `rehearsed`: with what stands for it in checks and forecasts.

    Raises:
        BenchError: the space fails, or a method cannot be prepared for this task and data.
    """
    scale = frame.scale
    offer = Offer(space=space, choices=scale.choices, name=space_name, fixed=frame.fixed)
    device = frame.device if frame.device != "cuda" or torch.cuda.is_available() else "cpu"
    prepared: dict[str, Args] = {}
    notes: list[str] = []
    for kind in methods_drawn(offer):
        method = load_method(kind)
        given = {k: v for k, v in frame.fixed.items() if k in method.parameters}
        given = {**scale.methods.get(kind, {}), **given}
        make = method.rehearse if rehearsed else method.prepare
        made = make(frame.task, frame.data, given, device, say)
        prepared |= {kind: made.settings} if made.settings else {}
        notes += made.notes
    return dataclasses.replace(frame, prepared=prepared), tuple(notes)


def methods_drawn(offer: Offer) -> list[str]:
    """The methods that trials of a space may have."""
    if "method" in offer.fixed:
        return [str(offer.fixed["method"])]
    drawn = describe(offer.distributions()).get("method", {}).get("attributes", {})
    return [str(kind) for kind in drawn.get("choices", (DIFFUSION,))]


def notes_of_methods(kinds: Sequence[str], task: Task) -> list[str]:
    """Which measures are empty for which methods.

    Raises:
        BenchError: the score would be.
    """
    notes = []
    for kind in kinds:
        for place, metric in enumerate(task.metrics):
            lacking = sorted((metric.needs & FROM_METHOD) - load_method(kind).gives)
            if lacking and not place:
                raise BenchError(
                    f"{task.score.key} is the score and needs {', '.join(lacking)}, which method "
                    f"{base_name(kind)} does not give"
                )
            if lacking:
                notes.append(
                    f"{metric.measures[0].key} is not measured of method {base_name(kind)}, which "
                    f"gives no {', '.join(lacking)}"
                )
    return notes
