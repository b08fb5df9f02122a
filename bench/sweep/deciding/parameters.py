"""The parameters there are: names that trials of a sweep may have, and what is said of others.

Which of them one trial has is `resolve`'s to say; a name that another choice on offer takes is a
parameter for all (dropout, where one of the networks has none).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

from bench.config import SampleConfig
from bench.diffusion import guidance, preconditioning
from bench.errors import BenchError, unknown
from bench.methods import load_method
from search_spaces import Choices

TRAIN_KEYS = (
    "optimizer",
    "lr",
    "weight_decay",
    "schedule",
    "batch_size",
    "warmup_fraction",
    "grad_clip",
    "patience",
    "looks",
)
SAMPLE_KEYS = tuple(f.name for f in dataclasses.fields(SampleConfig) if f.name != "batch_size")
BUILT_OF = ("method", "architecture", "estimator", "preconditioning")
DIFFUSION = "diffusion"  # the method where none is named
WIDTH = "width"  # one of an architecture's sizes by name

# fields of SampleConfig that are mappings: their own fields are parameters (guidance_weight)
MAPPINGS = {f.name for f in dataclasses.fields(SampleConfig) if f.default_factory is dict}
CALLED = {  # what others call a parameter -> what it is called here
    "cfg_scale": "guidance_weight",
    "guidance_scale": "guidance_weight",
    "scale": "guidance_weight",
    "weight": "guidance_weight",
}


def guidance_keys(given: Mapping[str, Any]) -> dict[str, str]:
    """The parameters that are fields of the chosen guidance: guidance_weight -> weight."""
    part = guidance.GUIDANCES.load(given.get("guidance", SampleConfig().guidance))
    return {f"guidance_{f.name}": f.name for f in dataclasses.fields(part)}


def noise_keys(setup: str) -> list[str]:
    """The fields of a preconditioning but sigma_data, which is the task's."""
    names = [f.name for f in dataclasses.fields(preconditioning.load(setup))]
    return [key for key in names if key != "sigma_data"]


def of_choices(choices: Choices) -> set[str]:
    """What some architecture, estimator, preconditioning or guidance on offer takes."""
    names: set[str] = {WIDTH}
    for method in map(load_method, choices.methods or (DIFFUSION,)):
        for name in choices.architectures if method.trains else choices.estimators:
            names.update(method.argument_names(name))
    for setup in choices.preconditionings:
        names.update(noise_keys(setup))
    for name in choices.guidances:
        names.update(guidance_keys({"guidance": name}))
    return names


def unknown_parameter(key: str, known: Iterable[str]) -> BenchError:
    """The error for a name that no trial takes: with the nearest of those that some would."""
    guided = {name: guidance_keys({"guidance": name}) for name in guidance.GUIDANCES.table}
    by = [name for name, keys in guided.items() if key in keys]
    if by:
        return BenchError(
            f"{key} is read with guidance {' or '.join(by)} alone, which no trial has; give "
            f"--set guidance={by[0]} as well"
        )
    offered = {*BUILT_OF, *TRAIN_KEYS, *SAMPLE_KEYS, *known} - MAPPINGS
    offered |= {name for keys in guided.values() for name in keys}
    if CALLED.get(key) in offered:
        names = ", ".join(sorted(offered))
        return BenchError(f"unknown parameter {key!r}; did you mean {CALLED[key]!r}? ({names})")
    return unknown("parameter", key, offered)
