"""From suggested parameters to a resolved TrialConfig: equal training FLOPs, whole batches.

A parameter is found by its name: architecture and preconditioning, then a training field, then an
argument of the chosen backbone, then one of the chosen preconditioning. Anything else is an error
with the nearest match, said before a trial runs.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import backbones
from bench.config import (
    DataConfig,
    MeasureConfig,
    MethodConfig,
    SampleConfig,
    TaskConfig,
    TrainConfig,
    TrialConfig,
)
from bench.diffusion import preconditioning
from bench.errors import BenchError, unknown
from bench.sweep.cost.equal import Equal
from bench.sweep.cost.price import cost
from bench.train.optim import known_optimizers
from bench.workloads.workload import Scale

TRAIN_KEYS = (
    "optimizer",
    "lr",
    "weight_decay",
    "schedule",
    "batch_size",
    "warmup_fraction",
    "grad_clip",
)


MOST_IMAGES = 1e12  # of a trial: beyond, it is a slip of the pen


@dataclass(frozen=True, kw_only=True)
class Frame:
    """What all trials of a sweep share; with the parameters of one it gives its TrialConfig."""

    workload: str
    scale: Scale
    data: DataConfig
    task: TaskConfig
    device: str
    precision: str
    threads: int
    workers: int = 1  # processes a trial
    equal: Equal | None = None  # None: the preset's FLOPs

    @property
    def budget(self) -> Equal:
        """What every trial has to spend."""
        return self.equal or Equal(amount=self.scale.budget_tflop)


def resolve(frame: Frame, params: Mapping[str, Any], seed: int) -> TrialConfig:
    """The resolved configuration of one trial; what is not suggested is the cell's default.

    Raises:
        BenchError: an unknown parameter or value, or a budget that holds no step.
    """
    scale = frame.scale
    architecture = _required(params, "architecture")
    setup = _required(params, "preconditioning")
    optimizer = params.get("optimizer")
    params = {**default_params(scale, architecture, setup, optimizer), **params}
    net_args = dict(scale.sizes[architecture].args)
    noise_args: dict[str, Any] = {}
    train_args: dict[str, Any] = {}
    net_keys = _net_keys(architecture)
    noise_keys = _noise_keys(setup)
    for key, value in params.items():
        if key in ("architecture", "preconditioning"):
            continue
        if key == "width" and isinstance(value, str):
            widths = scale.sizes[architecture].widths
            if value not in widths:
                raise unknown(f"width of {architecture}", value, widths)
            net_args["width"] = widths[value]
        elif key in TRAIN_KEYS:
            train_args[key] = value
        elif key in net_keys:
            net_args[key] = value
        elif key in noise_keys:
            noise_args[key] = value
        elif not _elsewhere(scale, key):
            known = ("architecture", "preconditioning", *TRAIN_KEYS, *net_keys, *noise_keys)
            raise unknown("parameter", key, known)
    method = MethodConfig(
        backbone=architecture,
        backbone_args=_whole_net_args(architecture, net_args),
        preconditioning=setup,
        preconditioning_args=_whole_noise_args(frame, setup, noise_args),
    )
    _check_optimizer(frame, train_args.get("optimizer"))
    return TrialConfig(
        workload=frame.workload,
        scale=scale.name,
        seed=seed,
        data=frame.data,
        task=frame.task,
        method=method,
        train=_train(frame, method, train_args),
        sample=SampleConfig(steps=scale.sample_steps),
        measure=MeasureConfig(
            extractor=scale.extractor,
            n_select=scale.n_select,
            n_report=scale.n_report,
            n_reference=scale.n_reference,
            n_denoise=scale.n_denoise,
        ),
    )


def default_params(
    scale: Scale, architecture: str, preconditioning: str, optimizer: str | None = None
) -> dict[str, Any]:
    """The authors' default configuration of a cell, scaled; a space may vary any part of it."""
    if architecture not in scale.sizes:
        raise unknown("architecture", architecture, scale.sizes)
    chosen = (architecture, preconditioning, optimizer or scale.defaults["optimizer"])
    only = scale.choices.only
    own = {name for choice in chosen for name in only.get(choice, {})}
    others = {name for ranges in only.values() for name in ranges} - own
    shared = {k: v for k, v in scale.defaults.items() if k not in others}
    return {
        "architecture": architecture,
        "preconditioning": preconditioning,
        **shared,
        "lr": scale.sizes[architecture].lr.get(preconditioning, scale.defaults["lr"]),
    }


def _whole_net_args(architecture: str, given: dict[str, Any]) -> dict[str, Any]:
    """Every argument of the network, its defaults included: they are part of what a trial is."""
    try:
        return dataclasses.asdict(backbones.load(architecture).Args(**given))
    except (TypeError, ValueError) as error:
        raise BenchError(f"{architecture}: {error}") from error


def _whole_noise_args(frame: Frame, setup: str, given: dict[str, Any]) -> dict[str, Any]:
    """Every field of the preconditioning but sigma_data, which is the task's."""
    built = preconditioning.build(setup, sigma_data=frame.task.sigma_data, **given)
    whole = dataclasses.asdict(built)
    return {key: whole[key] for key in _noise_keys(setup)}


def _check_optimizer(frame: Frame, optimizer: str | None) -> None:
    if optimizer not in (None, *frame.scale.choices.optimizers):
        known = known_optimizers()
        if optimizer not in known:
            raise unknown("optimizer", str(optimizer), known)


def _elsewhere(scale: Scale, key: str) -> bool:
    """Whether some architecture takes it though the chosen one does not (dropout, say)."""
    return any(key in _net_keys(name) for name in scale.sizes)


def _net_keys(architecture: str) -> list[str]:
    return [f.name for f in dataclasses.fields(backbones.load(architecture).Args)]


def _noise_keys(setup: str) -> list[str]:
    own = [f.name for f in dataclasses.fields(preconditioning.load(setup))]
    return [key for key in own if key != "sigma_data"]


def _required(params: Mapping[str, Any], key: str) -> str:
    if key not in params:
        raise BenchError(f"the search space does not suggest {key!r}; every space must")
    return str(params[key])


def _train(frame: Frame, method: MethodConfig, args: dict[str, Any]) -> TrainConfig:
    scale, batch = frame.scale, args["batch_size"]
    if not isinstance(batch, int) or batch < 1:
        raise BenchError(f"batch_size must be a whole number of at least 1, got {batch!r}")
    price = cost(frame.task, method)
    images = frame.budget.images(method.backbone, price.training_flops, batch)
    if images > MOST_IMAGES:
        raise BenchError(
            f"a budget of {frame.budget.text} trains {method.backbone} on {images:.1e} images; "
            "lower --budget"
        )
    whole = int(images) // batch * batch
    rungs = sorted({max(round(whole * f / batch), 1) * batch for f in scale.rungs if whole})
    if len(rungs) < len(scale.rungs):
        raise BenchError(
            f"a budget of {frame.budget.text} trains {method.backbone} "
            f"{method.backbone_args} on {whole} images of batch {batch}: too few for "
            f"{len(scale.rungs)} rungs; raise --budget or narrow the network"
        )
    return TrainConfig(
        budget_nimg=rungs[-1],
        rungs_nimg=tuple(rungs),
        report_nimg=max(rungs[-1] // scale.reports // batch, 1) * batch,
        micro_batch=batch // frame.workers if batch % frame.workers == 0 else batch,
        warmup_fraction=args.pop("warmup_fraction", scale.warmup_fraction),
        ema_short_nimg=max(1, round(rungs[-1] * scale.ema_short_fraction)),
        precision=frame.precision,
        device=frame.device,
        threads=frame.threads,
        workers=frame.workers,
        **args,
    )


def label(params: dict[str, Any]) -> str:
    """A configuration's name for people: 'ddpmpp edm adam 2.0e-03 b32 wide'."""
    parts = [str(params["architecture"]), str(params["preconditioning"])]
    if "optimizer" in params:
        parts.append(str(params["optimizer"]))
    if "lr" in params:
        parts.append(f"{params['lr']:.1e}")
    if "schedule" in params and params["schedule"] != "constant":
        parts.append(str(params["schedule"]))
    if "batch_size" in params:
        parts.append(f"b{params['batch_size']}")
    if "width" in params:
        parts.append(str(params["width"]))
    return " ".join(parts)
