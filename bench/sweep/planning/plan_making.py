"""What a sweep will run, decided and checked whole before anything is written."""

from __future__ import annotations

import dataclasses
import hashlib
import math
import platform
from collections.abc import Mapping, Sequence
from contextlib import nullcontext, suppress
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from bench.config import DataConfig, TrialConfig, by_content, digest
from bench.data.cache import CachedImages
from bench.doors import Family, is_outside
from bench.errors import BenchError
from bench.methods import load_method
from bench.metrics import energy
from bench.networks import BACKBONES
from bench.sweep.cost import budget, equal, footprint, timing
from bench.sweep.cost.machine import Machine, default_scale
from bench.sweep.cost.price import cost
from bench.sweep.deciding.parameters import SAMPLE_KEYS
from bench.sweep.deciding.resolve import LOOKS, Frame, default_params, resolve
from bench.sweep.deciding.suggest import Offer
from bench.sweep.deciding.void_settings import refuse_void
from bench.sweep.planning.measuring import (
    USUAL,
    kept_on_screen,
    keys_of_asked,
    measures_of,
    metrics_of,
    notes_of_metrics,
)
from bench.sweep.planning.preparing import methods_drawn, notes_of_methods
from bench.sweep.planning.wish import HALVED, Wish
from bench.sweep.record.plan import Plan, SharedFrame
from bench.tasks import TASKS, build_task
from bench.workloads.workload import Scale, Workload
from bench.workloads.workload import load as load_workload
from search_spaces import TABLE, Choices, Space

PACKAGES = ("torch", "numpy", "optuna", "ray", "mlflow", "timm", "av")
SPACES = Family(kind="search space", table=TABLE)

END_ONLY = (1.0,)  # the rungs of trials that are judged at their end alone


def choose_scale(workload: Workload, wish: Wish, machine: Machine) -> Scale:
    """The preset by name, with the user's budget in place of its own."""
    scale = workload.scale(default_scale(machine) if wish.scale is None else wish.scale)
    budget_tflop = wish.budget if wish.equal == "flops" else None
    return with_budget(scale, budget_tflop, wish.backbones, wish.end_only)


def with_budget(
    scale: Scale, budget_tflop: float | None, backbones: Sequence[str], end_only: bool = False
) -> Scale:
    """A preset with a user's budget and networks in place of its own; end_only: without rungs
    before the end."""
    changes: dict[str, Any] = {} if budget_tflop is None else {"budget_tflop": budget_tflop}
    if end_only:
        changes |= {"rungs": END_ONLY, "keep": ()}
    if backbones:
        choices = dataclasses.replace(scale.choices, architectures=tuple(backbones))
        changes["choices"] = choices
    return dataclasses.replace(scale, **changes)


def load_space(name: str) -> Space:
    """A space by name, or a user's file ("my_space.py", "my_space.py:other")."""
    space: Space = SPACES.load(f"{name}:space" if name.endswith(".py") else name)
    return space


def make_frame(
    workload: Workload, scale: Scale, data: CachedImages, wish: Wish, machine: Machine
) -> Frame:
    """What all trials share, from the opened data."""
    task_class = TASKS.load(workload.task)
    described = dataclasses.replace(task_class.describe(data), kind=workload.task)
    fixed = {**workload.fixed, **wish.fixed}
    given = {k: v for k, v in fixed.items() if k in task_class.parameters}
    return Frame(
        workload=workload.name,
        scale=scale,
        data=DataConfig(
            name=data.name, digest=data.digest, simulated=data.simulated, cache=str(data.path)
        ),
        task=task_class.configure(described, given),
        metrics=metrics_of(workload, wish.metrics, data.masks is not None, _judge(scale, fixed)),
        device=machine.device,
        precision=machine.precision,
        threads=machine.threads,
        workers=machine.workers,
        fixed=fixed,
    )


def _judge(scale: Scale, fixed: Mapping[str, Any]) -> str:
    """The extractor that scores are made with, where they are made with one."""
    return str({"extractor": USUAL, **scale.measure, **fixed}["extractor"])


def make_plan(
    name: str,
    wish: Wish,
    workload: Workload,
    frame: Frame,
    machine: Machine,
    data: CachedImages,
    space: Space,
) -> Plan:
    """The plan. Its cells and defaults are those that the space offers.

    Raises:
        BenchError: the space fails, or a default configuration or its budget cannot be resolved.
    """
    scale, space_name = frame.scale, wish.space or workload.space
    offer = Offer(space=space, choices=scale.choices, name=space_name, fixed=frame.fixed)
    cells = offer.cells(workload.cell_axes)
    defaults = [offer.offered(default_params(scale, _present(cell))) for cell in cells]
    frame = with_equal(frame, wish, machine, defaults)
    configs = [resolve(frame, params, wish.seed) for params in defaults]
    task = build_task(configs[0])
    protocol = by_content(
        {
            **task.protocol(),
            **{k: v for c in configs for k, v in load_method(c.method.kind).protocol(c).items()},
            **equal_for_all(frame, machine),
        }
    )
    return Plan(
        sweep=name,
        workload=workload.name,
        workload_door=wish.workload,
        scale=scale.name,
        scale_digest=digest(dataclasses.asdict(scale)),
        trials=wish.trials,
        seed=wish.seed,
        space=space_name,
        space_digest=space_digest(space_name),
        search=wish.search,
        startup_trials=len(cells),
        prune=wish.prune and wish.search in HALVED,
        table=wish.table,
        rungs=scale.rungs,
        keep=scale.keep,
        cell_axes=workload.cell_axes,
        even_axes=workload.even_axes,
        cells=tuple(cells),
        defaults=tuple(defaults),
        fixed=dict(frame.fixed),
        backbones=wish.backbones,
        metrics=wish.metrics,
        equal=frame.budget.record(),
        concurrency=machine.concurrency,
        fixed_concurrency=wish.concurrency is not None,
        workers=machine.workers,
        budget=budget.make(wish.wall_sec, wish.device_hours),
        frame=SharedFrame(
            data=frame.data,
            task=frame.task,
            device=frame.device,
            precision=frame.precision,
            threads=frame.threads,
            prepared={kind: dict(settings) for kind, settings in frame.prepared.items()},
        ),
        data=data.record(),
        score=task.score,
        measures=kept_on_screen(
            measures_of(task.measures, own=bool(sampling_drawn(offer))),
            (*workload.asks_of, *keys_of_asked(task, wish.metrics, frame.budget.kind)),
        ),
        protocol=protocol,
        protocol_digest=digest(protocol),
        device={**dataclasses.asdict(machine), "text": machine.text},
        versions=versions(),
        notes=(
            *scale.notes,
            *task.notes(),
            *frame.budget.notes,
            *machine.notes,
            *_notes_of_sampling(configs, frame, offer),
            *_notes_of_stopping(frame),
            *notes_of_methods(methods_drawn(offer), task),
            *notes_of_metrics(workload, frame.metrics),
            *([] if energy.counter_of(machine.device) else [energy.ABSENT]),
            *_notes_of_tuning(workload.even_axes if wish.search == "tpe" else ()),
            *([STAGEWISE] if wish.search == "stagewise" else []),
        ),
        memory_gb=machine.memory_gb,
        device_gb=machine.device_gb,
        pack=machine.gpus if machine.pack else None,
        storage=wish.storage,
        address=wish.address,
    )


STAGEWISE = (
    "search stagewise: one axis after the other, each value trained once and to its end, the best "
    "kept; its single trainings do not show what chance does (bench confirm does)"
)


def _present(cell: Mapping[str, str]) -> dict[str, str]:
    """The axes that a cell has a value on."""
    from bench.sweep.record.trial import ABSENT

    return {axis: value for axis, value in cell.items() if value != ABSENT}


def sampling_drawn(offer: Offer) -> list[str]:
    """The parameters of a space that only change how a trained network is sampled."""
    return [key for key in offer.distributions() if key in SAMPLE_KEYS]


def _notes_of_sampling(configs: Sequence[TrialConfig], frame: Frame, offer: Offer) -> list[str]:
    """Where the space draws how trials are sampled: which sampling the verdict rests on."""
    drawn = sampling_drawn(offer)
    if not drawn:
        return []
    sample = frame.sample
    return [
        f"the space draws {', '.join(drawn)}: an entry's own choice is measured beside the score, "
        f"which rests on {sample.sampler} in {sample.steps} steps for all; the search learns from "
        "the score alone"
    ]


def _notes_of_tuning(even_axes: Sequence[str]) -> list[str]:
    """Where rivals are tuned alike, whichever leads."""
    if not even_axes:
        return []
    axes = " and ".join(even_axes)
    return [
        f"tuned evenly: each {axes} has equally many trials, which its own cells share as the "
        "search likes (their numbers stand in the table of cells), and is pruned among its like"
    ]


def with_equal(frame: Frame, wish: Wish, machine: Machine, defaults: list[dict[str, Any]]) -> Frame:
    """The frame with what its trials have to spend; timed here for device-seconds."""
    if wish.equal == "flops" or frame.equal is not None:
        return frame
    trained = [resolve(frame, params, wish.seed) for params in defaults]
    trained = [config for config in trained if load_method(config.method.kind).trains]
    chosen = equal.choose(
        wish.equal,
        wish.budget,
        trained,
        [resolve(frame, params, wish.seed) for params in variants(frame.scale, defaults)],
        lambda config: cost(config.task, config.method).training_flops,
        partial(timing.sec_per_image, places=machine.concurrency * machine.workers),
        lambda config: footprint.predict(config).training_peak_gb,
        frame.scale.budget_tflop,
    )
    return dataclasses.replace(frame, equal=chosen)


def variants(scale: Scale, defaults: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What is timed beside the defaults: each architecture's other widths, and another batch
    size."""
    variations = []
    trained = [p for p in defaults if load_method(p.get("method", "diffusion")).trains]
    for params in {p["architecture"]: p for p in reversed(trained)}.values():
        usual = params.get("batch_size", scale.defaults["batch_size"])
        other = max(scale.choices.batch_sizes, key=lambda b: (abs(math.log(b / usual)), b))
        variations += [{**params, "width": w} for w in scale.size(params["architecture"]).widths]
        variations.append({**params, "batch_size": other})
    return variations


def equal_for_all(frame: Frame, machine: Machine) -> dict[str, Any]:
    """What every trial had to spend: scores of other budgets are not ranked against these."""
    body: dict[str, Any] = {"rungs": list(frame.scale.rungs), **early_stopping(frame)}
    if frame.equal is None:
        return {"budget_tflop": frame.scale.budget_tflop, **body}
    body |= {"equal": frame.equal.kind, "budget": frame.equal.amount}
    if frame.equal.kind == equal.MEMORY:
        body["budget_tflop"] = frame.equal.tflop
    if frame.equal.kind == "gpu-seconds":  # a second of another device buys something else
        body["device"] = machine.device_name
    return body


def early_stopping(frame: Frame) -> dict[str, Any]:
    """What was given for all trials of when they stop early: such a trial spends less."""
    if not frame.fixed.get("patience"):
        return {}
    return {k: frame.fixed[k] for k in ("patience", "looks") if k in frame.fixed}


def _notes_of_stopping(frame: Frame) -> list[str]:
    patience, looks = frame.fixed.get("patience"), frame.fixed.get("looks", LOOKS)
    if not patience:
        return []
    return [
        f"early stopping: training ends once {patience} looks in a row at the score on select have "
        f"not improved beyond its error ({looks} looks over the budget, and the rungs); the trial "
        "is then judged with the weights of its best look"
    ]


def space_digest(name: str) -> str:
    """Of a user's space file, its content; a named space is part of the program."""
    if not is_outside(name):
        return ""
    return hashlib.sha256(Path(name.partition(":")[0]).read_bytes()).hexdigest()[:16]


def reopen(plan: Plan, cache: Path) -> tuple[Workload, Frame]:
    """Workload and frame of a sweep that was begun; `cache` is where its data lie here.

    Raises:
        BenchError: its preset has changed since, or its cached data is gone.
    """
    workload = load_workload(plan.workload_door)
    spent_alike = equal.of_plan(plan)
    tflop = spent_alike.amount if spent_alike.kind == "flops" else None
    end_only = plan.rungs == END_ONLY
    scale = with_budget(workload.scale(plan.scale), tflop, plan.backbones, end_only)
    if digest(dataclasses.asdict(scale)) != plan.scale_digest:
        raise BenchError(
            f"scale {plan.scale!r} of {plan.workload} has changed since sweep "
            f"{plan.sweep!r} began; go on with the bench that began it, or start anew"
        )
    load_space(plan.space)
    if space_digest(plan.space) != plan.space_digest:
        raise BenchError(
            f"the search space {plan.space} has changed since sweep {plan.sweep!r} began; "
            "put it back, or start anew"
        )
    for backbone in plan.backbones:
        BACKBONES.load(backbone)
    if not cache.is_dir():
        raise BenchError(
            f"the cached data of sweep {plan.sweep!r} is gone ({cache}); "
            "put it back, or start a new sweep"
        )
    frame = Frame(
        workload=plan.workload,
        scale=scale,
        data=dataclasses.replace(plan.frame.data, cache=str(cache)),
        task=plan.frame.task,
        metrics=metrics_of(
            workload, plan.metrics, bool(plan.data.get("masks")), _judge(scale, plan.fixed)
        ),
        device=plan.frame.device,
        precision=plan.frame.precision,
        threads=plan.frame.threads,
        workers=plan.workers,
        equal=None if spent_alike.kind == "flops" else spent_alike,
        fixed=plan.fixed,
        prepared=plan.frame.prepared,
    )
    return workload, frame


def check_space(
    plan: Plan,
    frame: Frame,
    space: Space,
    choices: Choices,
    asked: Mapping[str, Any] | None = None,
    *,
    is_trained: bool = True,
) -> dict[str, str]:
    """Draw from a space and resolve it: its mistakes are found before anything is written, and
    those of what the user `asked` for all trials. is_trained: trials are drawn from it; those of a
    study are not, so that what cannot be trained (of its budget) is no matter there.

    Returns the distributions of every parameter that showed up.

    Raises:
        BenchError: the space fails, or suggests a parameter that nothing takes; no trial reads
            something that was asked.
    """
    drawn: list[dict[str, Any]] = []
    offer = Offer(space=space, choices=choices, name=plan.space, fixed=plan.fixed)
    distributions = offer.distributions(drawn)
    configs = [resolve(frame, params, plan.seed) for params in plan.defaults]
    for params in drawn:
        with nullcontext() if is_trained else suppress(BenchError):
            configs.append(resolve(frame, params, plan.seed))
    refuse_void(asked or {}, configs)
    return distributions


def versions() -> dict[str, str]:
    installed = {"python": platform.python_version()}
    for name, package in (("bench", "diffusion-bench"), *((p, p) for p in PACKAGES)):
        try:
            installed[name] = version(package)
        except PackageNotFoundError:
            installed[name] = "absent"
    return installed
