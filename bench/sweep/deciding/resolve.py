"""From suggested parameters to a resolved TrialConfig: equal budgets, whole batches.

A parameter is found by its name: the method and what it is built of (architecture,
preconditioning), then a field of training, a field of sampling, a setting of the task, of the
metrics, an argument of the chosen network or estimator, one of the chosen preconditioning.
Anything else is an error with the nearest match, said before a trial runs.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from bench.config import (
    SOLVER_SETTINGS,
    Args,
    DataConfig,
    MeasureConfig,
    MethodConfig,
    SampleConfig,
    TaskConfig,
    TrainConfig,
    TrialConfig,
    from_dict,
)
from bench.diffusion import guidance, preconditioning, samplers
from bench.errors import BenchError, unknown
from bench.methods import load_method
from bench.methods.method import Method
from bench.sweep.cost.equal import MEMORY, Equal
from bench.sweep.cost.price import cost
from bench.sweep.cost.widest import widest_within
from bench.sweep.deciding.answered_sides import require_sides
from bench.sweep.deciding.parameters import (
    BUILT_OF,
    DIFFUSION,
    SAMPLE_KEYS,
    TRAIN_KEYS,
    WIDTH,
    guidance_keys,
    noise_keys,
    of_choices,
    unknown_parameter,
)
from bench.tasks import TASKS
from bench.tasks.task import known_settings
from bench.train.optim import known_optimizers
from bench.workloads.workload import Scale

LOOKS = 10  # over the budget, of a trial that may stop early
EMPTY: Mapping[str, Any] = {}
MOST_IMAGES = 1e12  # of a trial: beyond, it is a slip of the pen


@dataclass(frozen=True, kw_only=True)
class Frame:
    """What all trials of a sweep share; with the parameters of one it gives its TrialConfig.

    `fixed` holds the parameters that the user gave for all trials: of those, what belongs to
    sampling and measuring is the verdict's. `prepared` holds the settings of methods that make
    something once, before the trials.
    """

    workload: str
    scale: Scale
    data: DataConfig
    task: TaskConfig
    metrics: tuple[str, ...]
    device: str
    precision: str
    threads: int
    workers: int = 1  # processes a trial
    equal: Equal | None = None  # None: the preset's FLOPs
    fixed: Mapping[str, Any] = field(default_factory=dict)
    prepared: Mapping[str, Args] = field(default_factory=dict)

    @property
    def budget(self) -> Equal:
        """What every trial has to spend."""
        return self.equal or Equal(amount=self.scale.budget_tflop)

    @property
    def sample(self) -> SampleConfig:
        """How every trial is sampled for the verdict: the preset's, changed by the user."""
        given = _sampling(self.fixed)
        return _sample_config(_read({**self.scale.sample, **given}, given))

    @property
    def measure(self) -> MeasureConfig:
        """What is measured of every trial."""
        known = known_settings(self.metrics)
        told = TASKS.load(self.task.kind).metric_settings(self.task)
        given = {k: v for k, v in {**told, **self.fixed}.items() if k in known}
        return MeasureConfig(
            metrics=self.metrics,
            n_select=self.scale.n_select,
            n_report=self.scale.n_report,
            args={**self.scale.measure, **given},
        )


@dataclass(kw_only=True)
class _Sections:
    """A trial's parameters by what they belong to."""

    train: Args = field(default_factory=dict)
    sample: Args = field(default_factory=dict)
    task: Args = field(default_factory=dict)
    network: Args = field(default_factory=dict)
    noise: Args = field(default_factory=dict)


def resolve(frame: Frame, params: Mapping[str, Any], seed: int) -> TrialConfig:
    """The resolved configuration of one trial; what is not suggested is the cell's default.

    Raises:
        BenchError: an unknown parameter or value, or a budget that holds no step.
    """
    params = {**params, **frame.fixed}
    kind = str(params.get("method", DIFFUSION))
    method_class = load_method(kind)
    architecture = _required(params, method_class.built_of)
    setup = ""
    if method_class.preconditioned:
        setup = _required({**frame.scale.defaults, **params}, "preconditioning")
    named = {"method": kind} if "method" in params else {}
    cell = {**named, method_class.built_of: architecture, "preconditioning": setup}
    params = {**default_params(frame.scale, cell, params.get("optimizer")), **params}
    sections = _sorted_out(frame, params, method_class, architecture, setup)
    task = TASKS.load(frame.task.kind).configure(frame.task, sections.task)
    _check_optimizer(frame, sections.train.get("optimizer"))
    sample = frame.sample
    own_sample = _sample_config(_read({**dataclasses.asdict(sample), **sections.sample}))
    for asked in (sample, own_sample) if setup else ():
        guidance.build(asked.guidance, **asked.guidance_args).check(task.inputs)
    noise = _whole_noise_args(frame, setup, sections.noise) if setup else {}

    def with_network(arguments: Args) -> TrialConfig:
        method = MethodConfig(
            kind=kind,
            backbone=architecture,
            backbone_args=arguments,
            preconditioning=setup,
            preconditioning_args=noise,
            settings=dict(frame.prepared.get(kind, {})),
        )
        require_sides(task, method, sample)
        return TrialConfig(
            workload=frame.workload,
            scale=frame.scale.name,
            seed=seed,
            data=frame.data,
            task=task,
            method=method,
            train=_train(frame, task, method, sections.train, (sample, own_sample)),
            sample=sample,
            measure=frame.measure,
            own_sample=None if own_sample == sample else own_sample,
        )

    arguments = method_class.whole_arguments(architecture, sections.network)
    if frame.budget.kind == MEMORY and method_class.trains:
        return widest_within(frame.budget.amount, arguments, with_network)
    return with_network(arguments)


def _sorted_out(
    frame: Frame,
    params: Mapping[str, Any],
    method: type[Method],
    architecture: str,
    setup: str,
) -> _Sections:
    """Every parameter into the section it belongs to; those of other choices are left out.

    Raises:
        BenchError: nothing takes a parameter of that name.
    """
    sections = _Sections(sample=_sampling(params))
    guidance_own = guidance_keys(sections.sample)
    task_class = TASKS.load(frame.task.kind)
    task_own = task_class.parameters
    network_own = method.argument_names(architecture)
    noise_own = noise_keys(setup) if setup else []
    measure_own = known_settings(frame.metrics)
    judged = {*measure_own, *task_class.same_for_all}
    prepared_own = {key for one in _methods_offered(frame, method) for key in one.parameters}
    for key, value in params.items():
        if key in BUILT_OF or (key in (*measure_own, *prepared_own) and key in frame.fixed):
            continue
        if key == WIDTH and isinstance(value, str):
            if not method.trains:
                continue  # an estimator has none
            widths = frame.scale.size(architecture).widths
            if value not in widths:
                raise unknown(f"width of {architecture}", value, widths)
            sections.network |= widths[value]
        elif key in TRAIN_KEYS:
            sections.train[key] = value
        elif key in SAMPLE_KEYS or key in guidance_own:
            continue  # `_sampling` takes them together
        elif key in task_own and not (key in judged and key not in frame.fixed):
            sections.task[key] = value
        elif key in network_own:
            sections.network[key] = value
        elif key in noise_own:
            sections.noise[key] = value
        elif key not in (on_offer := of_choices(frame.scale.choices)) or key == WIDTH:
            if key in judged:
                raise BenchError(
                    f"{key} is part of how trials are judged, so it is the same for all: give it "
                    f"with --set {key}=..., not in a space"
                )
            if key in prepared_own:
                raise BenchError(
                    f"{key} is prepared once, before the trials: give it with --set {key}=..., not "
                    "in a space"
                )
            own = (*task_own, *network_own, *noise_own, *measure_own, *prepared_own)
            raise unknown_parameter(key, {*own, *guidance_own, *on_offer})
    if method.trains:
        sections.network = {**frame.scale.size(architecture).args, **sections.network}
    return sections


def default_params(
    scale: Scale, cell: Mapping[str, str], optimizer: str | None = None
) -> dict[str, Any]:
    """The authors' default configuration of a cell, scaled; a space may vary any part of it.

    Raises:
        BenchError: the cell does not say what its method is built of.
    """
    method = load_method(cell.get("method") or DIFFUSION)
    if method.built_of not in cell:
        raise BenchError(
            f"the workload's cell_axes need {method.built_of!r}: a default configuration is of one "
            f"{method.built_of}; they are {', '.join(cell)}"
        )
    architecture = cell[method.built_of]
    setup = cell.get("preconditioning") or scale.defaults.get("preconditioning", "")
    named = {k: v for k, v in cell.items() if v}
    if not method.trains:
        settings = method.whole_arguments(architecture, {})
        return {**named, **settings, "batch_size": 1, "optimizer": "adam", "lr": 1.0}
    kind = cell.get("method") or DIFFUSION
    optimizer = optimizer or scale.defaults.get("optimizer", "adam")
    chosen = (kind, architecture, setup, optimizer)
    both = (scale.choices.only, scale.choices.among)
    theirs = {name for some in both for choice in chosen for name in some.get(choice, {})}
    others = {name for some in both for given in some.values() for name in given} - theirs
    shared = {k: v for k, v in scale.defaults.items() if k not in others}
    lr = scale.size(architecture).learning_rate(setup, scale.defaults["lr"])
    return {**named, **shared, "lr": scale.optimizer_lr.get(optimizer, lr)}


def _sampling(params: Mapping[str, Any]) -> Args:
    """The fields of SampleConfig among parameters; a guidance's own are given as guidance_NAME."""
    given = {key: value for key, value in params.items() if key in SAMPLE_KEYS}
    own = {field: params[key] for key, field in guidance_keys(given).items() if key in params}
    return {**given, "guidance_args": {**given.get("guidance_args", {}), **own}} if own else given


def _read(sampling: Mapping[str, Any], asked: Mapping[str, Any] = EMPTY) -> dict[str, Any]:
    """Sampling settings without those of another sampler, as parameters of other choices are left
    out; what is `asked` for stays, and is refused if it is not read."""
    reads = samplers.load(str(sampling.get("sampler", SampleConfig().sampler))).settings
    kept = {*reads, *asked}
    return {k: v for k, v in sampling.items() if k not in SOLVER_SETTINGS or k in kept}


def _sample_config(given: Mapping[str, Any]) -> SampleConfig:
    """Sampling settings from plain values; a misspelt solver or guidance is said here.

    Raises:
        BenchError: a value that cannot be.
    """
    sample = from_dict(SampleConfig, given, "sampling")
    samplers.build(sample.sampler, sample.solver_settings)
    guidance.build(sample.guidance, **sample.guidance_args)
    return sample


def _whole_noise_args(frame: Frame, setup: str, given: dict[str, Any]) -> dict[str, Any]:
    """Every field of the preconditioning but sigma_data, which is the task's."""
    built = preconditioning.build(setup, sigma_data=frame.task.sigma_data, **given)
    whole = dataclasses.asdict(built)
    return {key: whole[key] for key in noise_keys(setup)}


def _check_optimizer(frame: Frame, optimizer: str | None) -> None:
    if optimizer not in (None, *frame.scale.choices.optimizers):
        known = known_optimizers()
        if optimizer not in known:
            raise unknown("optimizer", str(optimizer), known)


def _methods_offered(frame: Frame, chosen: type[Method]) -> list[type[Method]]:
    """The methods that trials may be answered by."""
    return [chosen, *(load_method(name) for name in frame.scale.choices.methods or (DIFFUSION,))]


def _required(params: Mapping[str, Any], key: str) -> str:
    if key not in params:
        raise BenchError(f"the search space does not suggest {key!r}; every space must")
    return str(params[key])


def _train(
    frame: Frame,
    task: TaskConfig,
    method: MethodConfig,
    given: dict[str, Any],
    judged_by: tuple[SampleConfig | None, ...],
) -> TrainConfig:
    scale, batch = frame.scale, given.get("batch_size", 1)
    if not isinstance(batch, int) or isinstance(batch, bool) or batch < 1:
        raise BenchError(f"batch_size must be a whole number of at least 1, got {batch!r}")
    rungs = _rungs(frame, task, method, batch)
    given, look_nimg = _looks(method, given, rungs[-1], batch)
    widths = {0.05, 0.1, *(sample.ema for sample in judged_by if sample and sample.ema > 0)}
    body = {
        "budget_nimg": rungs[-1],
        "rungs_nimg": rungs,
        "report_nimg": max(rungs[-1] // scale.reports // batch, 1) * batch,
        "micro_batch": batch // frame.workers if batch % frame.workers == 0 else batch,
        "warmup_fraction": scale.warmup_fraction,
        "ema_sigma_rel": sorted(widths),
        "look_nimg": look_nimg,
        "ema_short_nimg": max(1, round(rungs[-1] * scale.ema_short_fraction)),
        "precision": frame.precision,
        "device": frame.device,
        "threads": frame.threads,
        "workers": frame.workers,
        **given,
    }
    return from_dict(TrainConfig, body, "train")


def _looks(
    method: MethodConfig, given: dict[str, Any], budget_nimg: int, batch: int
) -> tuple[dict[str, Any], int]:
    """The settings of training without `looks`, and the images between two of them; only a method
    that trains stops early."""
    looks = given.get("looks", LOOKS if given.get("patience") else 0)
    if not isinstance(looks, int) or isinstance(looks, bool) or looks < 0:
        raise BenchError(f"looks must be a whole number of at least 0, got {looks!r}")
    rest = {k: v for k, v in given.items() if k != "looks"}
    if not load_method(method.kind).trains:
        rest.pop("patience", None)
    return rest, max(budget_nimg // looks // batch, 1) * batch if looks else 0


def _rungs(frame: Frame, task: TaskConfig, method: MethodConfig, batch: int) -> list[int]:
    """Images seen at each rung; of a method that does not train, as many as there are rungs."""
    scale = frame.scale
    if not load_method(method.kind).trains:
        return [place + 1 for place in range(len(scale.rungs))]
    price = cost(task, method)
    images = frame.budget.images(method.backbone, price.training_flops, batch)
    if images > MOST_IMAGES:
        raise BenchError(
            f"a budget of {frame.budget.text} trains {method.backbone} on {images:.1e} images; "
            "lower --budget"
        )
    whole = int(images) // batch * batch
    rungs = sorted({max(round(whole * f / batch), 1) * batch for f in scale.rungs if whole})
    if len(rungs) < len(scale.rungs):
        remedy = "raise --budget or narrow the network"
        if frame.budget.kind == MEMORY:
            remedy = f"in {frame.budget.tflop:g} TFLOP; lower --budget, which makes it narrower"
        raise BenchError(
            f"a budget of {frame.budget.text} trains {method.backbone} "
            f"{method.backbone_args} on {whole} images of batch {batch}: too few for "
            f"{len(scale.rungs)} rungs; {remedy}"
        )
    return rungs
