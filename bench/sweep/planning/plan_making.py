"""What a sweep will run, decided and checked whole before anything is written.

The plan is the journal's first record. It holds all that a resume, a board or a reader of the
record needs: the frame all trials share, the cells, the budget and rungs, the protocol, versions.
"""

from __future__ import annotations

import dataclasses
import hashlib
import math
import platform
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from bench import doors
from bench.config import DataConfig, TaskConfig, TrialConfig, digest, from_dict
from bench.errors import BenchError, unknown
from bench.metrics import extractors
from bench.sweep.cost import budget, equal, timing
from bench.sweep.cost.equal import Equal
from bench.sweep.cost.machine import Machine, default_scale
from bench.sweep.cost.price import cost
from bench.sweep.deciding import suggest
from bench.sweep.deciding.resolve import Frame, default_params, resolve
from bench.workloads.workload import Scale, Workload
from bench.workloads.workload import load as load_workload
from search_spaces import TABLE as SPACES
from search_spaces import Choices, Space

DEFAULT_TRIALS = 64  # where neither trials nor a budget are given
PACKAGES = ("torch", "numpy", "optuna", "ray", "mlflow", "timm", "av")


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What the user asked for."""

    workload: str
    trials: int | None  # None: as many as the sweep's budget allows
    scale: str | None = None
    data: Path | None = None
    group_by: str | None = None
    space: str | None = None
    sampler: str = "tpe"
    seed: int = 0
    budget: float | None = None  # of each trial, in the unit of `equal`
    equal: str = "flops"
    prune: bool = True
    concurrency: int | None = None
    wall_sec: float | None = None  # the sweep's budgets, together or alone
    device_hours: float | None = None
    workers: int = 1
    pack: bool = False
    storage: str | None = None  # URL or path that checkpoints and the journal are mirrored in
    address: str | None = None  # of a Ray cluster; None: Ray on this machine

    def __post_init__(self) -> None:
        if self.space is not None and ".py" in self.space:
            path, colon, attr = self.space.partition(":")
            whole = f"{Path(path).expanduser().resolve()}{colon}{attr}"
            object.__setattr__(self, "space", whole)  # a resume may start from another folder
        if self.storage is not None and re.match(r"\w+(//|:/[^/])", self.storage):
            raise BenchError(
                f"--storage {self.storage}: neither a path nor a URL such as s3://bucket/bench"
            )
        if self.storage is not None and "://" not in self.storage:
            object.__setattr__(self, "storage", str(Path(self.storage).expanduser().resolve()))
        if self.trials is None and self.wall_sec is None and self.device_hours is None:
            object.__setattr__(self, "trials", DEFAULT_TRIALS)
        if self.trials is not None and self.trials < 1:
            raise BenchError(f"--trials must be at least 1, got {self.trials}")
        Equal(kind=self.equal, amount=1.0 if self.budget is None else self.budget)
        if self.sampler not in ("tpe", "random"):
            raise unknown("sampler", self.sampler, ("tpe", "random"))
        if self.concurrency is not None and self.concurrency < 1:
            raise BenchError(f"--concurrency must be at least 1, got {self.concurrency}")
        if self.workers < 1:
            raise BenchError(f"--workers-per-trial must be at least 1, got {self.workers}")
        if self.pack and self.workers > 1:
            raise BenchError("--pack shares a GPU, --workers-per-trial takes several; choose one")
        budget.make(self.wall_sec, self.device_hours)


def choose_scale(workload: Workload, wish: Wish, machine: Machine) -> Scale:
    """The preset by name, with the user's budget in place of its own."""
    name = wish.scale or default_scale(machine)
    if name not in workload.scales:
        raise unknown(f"scale of {workload.name}", name, workload.scales)
    return with_budget(workload.scales[name], wish.budget if wish.equal == "flops" else None)


def with_budget(scale: Scale, budget_tflop: float | None) -> Scale:
    if budget_tflop is None:
        return scale
    return dataclasses.replace(scale, budget_tflop=budget_tflop)


def load_space(name: str) -> Space:
    """A space by name, or a user's file ("my_space.py", "my_space.py:other")."""
    door = f"{name}:space" if name.endswith(".py") else name
    space: Space = doors.load("search space", SPACES, door)
    return space


def make_frame(workload: str, scale: Scale, data: Any, folder: Path, machine: Machine) -> Frame:
    """What all trials share, from the opened data."""
    channels, *spatial = data.images.shape[1:]
    return Frame(
        workload=workload,
        scale=scale,
        data=DataConfig(
            name=data.name, digest=data.digest, simulated=data.simulated, cache=str(folder)
        ),
        task=TaskConfig(
            kind="generate",
            spatial=tuple(int(s) for s in spatial),
            channels=int(channels),
            sigma_data=float(data.sigma_data),
        ),
        device=machine.device,
        precision=machine.precision,
        threads=machine.threads,
        workers=machine.workers,
    )


def make_plan(
    name: str,
    wish: Wish,
    workload: Workload,
    frame: Frame,
    machine: Machine,
    data: Any,
    space: Space,
) -> dict[str, Any]:
    """The plan record. Its cells and defaults are those that the space offers.

    Raises:
        BenchError: the space fails, or a default configuration or its budget cannot be resolved.
    """
    scale, asked = frame.scale, wish.space or workload.space
    cells = suggest.cells(space, scale.choices, asked)
    defaults = [
        suggest.offered(space, scale.choices, asked, default_params(scale, a, p)) for a, p in cells
    ]
    frame = with_equal(frame, wish, machine, defaults)
    configs = [resolve(frame, params, wish.seed) for params in defaults]
    protocol = {**protocol_of(configs[0], workload), **equal_for_all(frame, machine)}
    return {
        "sweep": name,
        "workload": wish.workload,
        "scale": scale.name,
        "scale_digest": digest(dataclasses.asdict(scale)),
        "budget_tflop": scale.budget_tflop,
        "equal": frame.equal.record() if frame.equal else None,
        "trials": wish.trials,
        "seed": wish.seed,
        "space": asked,
        "space_digest": space_digest(asked),
        "sampler": wish.sampler,
        "startup_trials": len(cells),
        "prune": wish.prune and wish.sampler != "random",
        "rungs": list(scale.rungs),
        "keep": list(scale.keep),
        "cells": [list(c) for c in cells],
        "defaults": defaults,
        "confirm": [],
        "concurrency": machine.concurrency,
        "budget": budget.make(wish.wall_sec, wish.device_hours),
        "fixed_concurrency": wish.concurrency is not None,
        "workers": machine.workers,
        "memory_gb": machine.memory_gb,
        "device_gb": machine.device_gb,
        "pack": machine.gpus if machine.pack else None,
        "storage": wish.storage,
        "address": wish.address,
        "frame": {
            "data": dataclasses.asdict(frame.data),
            "task": dataclasses.asdict(frame.task),
            "device": frame.device,
            "precision": frame.precision,
            "threads": frame.threads,
        },
        "data": data.record(),
        "protocol": protocol,
        "protocol_digest": digest(protocol),
        "seed_spread": dataclasses.asdict(scale.seed_spread) if scale.seed_spread else None,
        "notes": [*scale.notes, *(frame.equal.notes if frame.equal else ()), *machine.notes],
        "device": {**dataclasses.asdict(machine), "text": machine.text},
        "versions": versions(),
    }


def protocol_of(config: TrialConfig, workload: Workload) -> dict[str, Any]:
    """What must match before two scores are ranked together (contract 7)."""
    from bench.diffusion import samplers

    extractor = extractors.load_extractor(config.measure.extractor)
    return {
        "metric": extractor.metric,
        "direction": workload.direction,
        **extractor.identity(),
        "extractor_digest": extractor.digest,
        "n_samples": config.measure.n_report,
        "reference": {
            "part": "report",
            "digest": config.data.digest,
            "n": config.measure.n_reference,
        },
        "resolution": config.task.spatial[-1],
        "sampler": config.sample.sampler,
        "grid": config.sample.grid,
        "rho": config.sample.rho,
        "S_churn": config.sample.S_churn,
        "nfe": samplers.nfe(config.sample.sampler, config.sample.steps),
        "weights": config.sample.weights,
    }


def with_equal(frame: Frame, wish: Wish, machine: Machine, defaults: list[dict[str, Any]]) -> Frame:
    """The frame with what its trials have to spend; timed here for device-seconds."""
    if wish.equal == "flops":
        return frame
    chosen = equal.choose(
        wish.equal,
        wish.budget,
        [resolve(frame, params, wish.seed) for params in defaults],
        [resolve(frame, params, wish.seed) for params in variants(frame.scale, defaults)],
        lambda config: cost(config.task, config.method).training_flops,
        partial(timing.sec_per_image, places=machine.concurrency * machine.workers),
    )
    return dataclasses.replace(frame, equal=chosen)


def variants(scale: Scale, defaults: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What is timed beside the defaults: each architecture's other widths, and another batch
    size."""
    found = []
    for params in {p["architecture"]: p for p in reversed(defaults)}.values():
        usual = params.get("batch_size", scale.defaults["batch_size"])
        other = max(scale.choices.batch_sizes, key=lambda b: abs(math.log(b / usual)))
        found += [{**params, "width": w} for w in scale.sizes[params["architecture"]].widths]
        found.append({**params, "batch_size": other})
    return found


def equal_for_all(frame: Frame, machine: Machine) -> dict[str, Any]:
    """What every trial had to spend: scores of other budgets are not ranked against these."""
    body: dict[str, Any] = {"rungs": list(frame.scale.rungs)}
    if frame.equal is None:
        return {"budget_tflop": frame.scale.budget_tflop, **body}
    body |= {"equal": frame.equal.kind, "budget": frame.equal.amount}
    if frame.equal.kind == "gpu-seconds":  # a second of another device buys something else
        body["device"] = machine.device_name
    return body


def space_digest(name: str) -> str:
    """Of a user's space file, its content; a named space is part of the program."""
    path = Path(name.partition(":")[0])
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16] if path.suffix == ".py" else ""


def reopen(plan: Mapping[str, Any], cache: Path) -> tuple[Workload, Frame]:
    """Workload and frame of a sweep that was begun; `cache` is where its data lie here.

    Raises:
        BenchError: its preset has changed since, or its cached data is gone.
    """
    workload = load_workload(plan["workload"])
    scale = with_budget(workload.scales[plan["scale"]], plan["budget_tflop"])
    if digest(dataclasses.asdict(scale)) != plan["scale_digest"]:
        raise BenchError(
            f"scale {plan['scale']!r} of {plan['workload']} has changed since sweep "
            f"{plan['sweep']!r} began; go on with the bench that began it, or start anew"
        )
    load_space(plan["space"])
    if space_digest(plan["space"]) != plan["space_digest"]:
        raise BenchError(
            f"the search space {plan['space']} has changed since sweep {plan['sweep']!r} began; "
            "put it back, or start anew"
        )
    body = plan["frame"]
    data = replace(from_dict(DataConfig, body["data"], "plan.data"), cache=str(cache))
    if not cache.is_dir():
        raise BenchError(
            f"the cached data of sweep {plan['sweep']!r} is gone ({cache}); "
            "put it back, or start a new sweep"
        )
    frame = Frame(
        workload=plan["workload"],
        scale=scale,
        data=data,
        task=from_dict(TaskConfig, body["task"], "plan.task"),
        device=body["device"],
        precision=body["precision"],
        threads=body["threads"],
        workers=plan.get("workers", 1),
        equal=equal.of_plan(plan),
    )
    return workload, frame


def check_space(
    plan: Mapping[str, Any], frame: Frame, space: Space, choices: Choices
) -> dict[str, str]:
    """Draw from a space and resolve it: its mistakes are found before anything is written.

    Returns the distributions of every parameter that showed up.

    Raises:
        BenchError: the space fails, or suggests a parameter that nothing takes.
    """
    for params in plan["defaults"]:
        resolve(frame, params, plan["seed"])
    drawn: list[dict[str, Any]] = []
    distributions = suggest.distributions_of(space, choices, plan["space"], drawn)
    for params in drawn:
        resolve(frame, params, plan["seed"])
    return distributions


def versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for name, package in (("bench", "diffusion-bench"), *((p, p) for p in PACKAGES)):
        try:
            found[name] = version(package)
        except PackageNotFoundError:
            found[name] = "absent"
    return found
