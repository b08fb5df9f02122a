"""What a sweep will cost: its trials drawn from the space, timed by a short calibration.

Configurations are the defaults and random draws of the search space, each at its own cost: images
times the pace of its architecture at its FLOPs and batch (`timing`, seconds, here and now), and all
that an evaluation does: sampling, denoising error, extractor. Sweeps of such trials are then gone
through on paper (`paper_sweep`). A forecast, not a promise: at the end it is compared with what
was, and so is every trial with the seconds that were predicted of it before it was launched.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from bench.config import TrainConfig, TrialConfig, part_of
from bench.methods import load_method
from bench.metrics.throughput import TRAINING_GB
from bench.sweep.cost import footprint, slots, timing
from bench.sweep.cost.kept import Kept, NotKept
from bench.sweep.cost.price import cost
from bench.sweep.deciding.resolve import Frame, resolve
from bench.sweep.deciding.suggest import Offer
from bench.sweep.planning.paper_sweep import MOST, TRIAL_SEC, Job, PaperSweep
from bench.sweep.planning.plan_making import load_space
from bench.sweep.record.history import History
from bench.sweep.record.plan import Plan
from bench.tasks import TASKS
from bench.tasks.task import build_metrics
from bench.train import checkpoint

GROUP_SEC = 15.0  # for the processes of a trial of several workers to come up, each time
UNTIMED = "this machine is not timed yet, so no seconds are forecast; --dry-run times it, once"
FURTHER = f"gone through {MOST:,} trials and no further: cost and time are those of so many"
COPIES = 6  # weights, two moments, three averages in a full checkpoint
FULL, HALF = 4, 2  # bytes


@dataclass(frozen=True, kw_only=True)
class Forecast:
    """Expected cost of a sweep. Device-seconds are core-seconds where there is no GPU, as budgets
    count them: from a trial's start to its end."""

    trials: int  # as many as were asked for, or are expected to end within the sweep's budget
    trials_to_rung: list[float]  # how many trials are expected to reach each rung
    core_seconds: float  # device-seconds
    wall_seconds: float
    peak_gb: float  # of the trial that needs most, predicted
    peak_gb_of: dict[str, float]  # the same by architecture
    disk_bytes: int
    paces: dict[str, Any]  # by architecture, as timed: what a trial's seconds are predicted from
    measuring_sec: float  # of one prediction
    passes: int  # network passes of an evaluation beside its predictions
    timed_at: float | None  # when the oldest of the paces was timed; None: none was
    notes: list[str]  # what a reader of these numbers must know


def known_forecast(plan: Plan, frame: Frame, kept: Kept) -> Forecast | None:
    """The forecast from what is kept; None where a timing is missing and none is to be made."""
    try:
        return forecast(plan, frame, kept)
    except NotKept:
        return None


def forecast(plan: Plan, frame: Frame, kept: Kept | None = None) -> Forecast:
    """Time the architectures here, as far as that is not `kept`, then go through sweeps of drawn
    trials.

    Raises:
        NotKept: a timing is missing, and none is to be made.
    """
    kept = kept or Kept()
    defaults = [resolve(frame, p, plan.seed) for p in plan.defaults]
    drawn: list[dict[str, Any]] = []
    space, choices = load_space(plan.space), frame.scale.choices
    Offer(space=space, choices=choices, name=plan.space, fixed=plan.fixed).distributions(drawn)
    others = [resolve(frame, p, plan.seed) for p in drawn]
    configs = [*defaults, *others]
    paces = timing.paces(configs, plan.concurrency * configs[0].train.workers, kept)
    timings = Timings(
        paces=paces, measuring_sec=timing.measuring_sec(configs[0]), passes=passes_of(configs[0])
    )
    peaks = _peaks(configs, plan.memory_gb)
    jobs = [_job(config, timings, peaks, plan) for config in configs]
    expected = PaperSweep(plan, jobs[: len(defaults)], jobs[len(defaults) :]).many()
    trials = round(float(np.mean([r.ended for r in expected])))
    if plan.trials is not None and not plan.budget.limited:
        trials = plan.trials
    reach = np.mean([r.reached for r in expected], axis=0)
    return Forecast(
        trials=trials,
        trials_to_rung=[float(n) for n in reach],
        core_seconds=float(np.mean([r.device_sec for r in expected])),
        wall_seconds=float(np.mean([r.wall_sec for r in expected])),
        peak_gb=max(peaks.values()),
        peak_gb_of=peaks,
        disk_bytes=_disk_bytes(configs, trials, float(reach[-1]), plan),
        paces={name: asdict(pace) for name, pace in paces.items()},
        measuring_sec=timings.measuring_sec,
        passes=timings.passes,
        timed_at=kept.oldest,
        notes=[
            *([timing.ABSENT] if timing.absent(configs[0]) else []),
            *([FURTHER] if max(r.begun for r in expected) >= MOST else []),
        ],
    )


def _peaks(configs: Sequence[TrialConfig], limit_gb: float | None) -> dict[str, float]:
    """The largest predicted peak of each architecture, of what would be launched."""
    most: dict[str, tuple[int, TrialConfig]] = {}
    for config in configs:
        work = cost(config.task, config.method).training_flops * config.train.micro_batch
        if work > most.get(config.method.backbone, (-1, config))[0]:
            most[config.method.backbone] = work, config
    peaks = {}
    for name, (_, config) in most.items():
        fitted = config if limit_gb is None else footprint.fit(config, limit_gb)
        peaks[name] = footprint.predict(fitted or config).peak_gb
    return peaks


@dataclass(frozen=True, kw_only=True)
class Timings:
    """What a trial's seconds are predicted from."""

    paces: dict[str, timing.Pace]  # by architecture; a method that does not train has none
    measuring_sec: float  # of one prediction
    passes: int  # network passes of an evaluation beside its predictions

    @classmethod
    def of_plan(cls, plan: Plan) -> Timings | None:
        """As they were when the plan was made; None: nothing was timed."""
        return part_of(cls, plan.forecast, "plan.forecast") if plan.forecast else None


def passes_of(config: TrialConfig) -> int:
    """Network passes over one case that an evaluation costs beside its predictions."""
    return sum(metric.passes() for metric in build_metrics(config.measure))


def _job(config: TrialConfig, timings: Timings, peaks: Mapping[str, float], plan: Plan) -> Job:
    train = config.train
    on_gpu = train.device == "cuda"
    slot = 1.0
    if plan.pack is not None and plan.device_gb:
        slot = slots.slot(peaks[config.method.backbone], plan.device_gb)
    return Job(
        architecture=config.method.backbone,
        stages=_stages(config, timings, plan),
        devices=train.workers * (slot if on_gpu else train.threads),
        slot=slot,
    )


def predict_sec(config: TrialConfig, plan: Plan) -> float | None:
    """Wall seconds of a trial that runs to its end, by the plan's timings; None without them."""
    timings = Timings.of_plan(plan)
    method = load_method(config.method.kind)
    if timings is None or (method.trains and config.method.backbone not in timings.paces):
        return None
    return sum(_stages(config, timings, plan))


def _stages(config: TrialConfig, timings: Timings, plan: Plan) -> tuple[float, ...]:
    """Wall seconds to each rung and of its evaluation, one by one; then of the end."""
    price, train, measure = cost(config.task, config.method), config.train, config.measure
    method = load_method(config.method.kind)
    if not method.trains:  # one evaluation stands for all rungs
        at_once = TRIAL_SEC + measure.n_select * timings.measuring_sec
        rest = (0.0,) * (len(train.rungs_nimg) - 1)
        return (at_once, *rest, measure.n_report * timings.measuring_sec)
    pace = timings.paces[config.method.backbone]
    share = train.batch_size // train.workers
    slow = _crowding(plan, train)
    image = slow * pace.train.sec_per_image(price.training_flops, share) / train.workers
    drawn = min(config.sample.batch_size, measure.n_select)
    forward_flops = round(price.forward_flops * config.task.answer_patches)
    one = slow * pace.forward.sec_per_image(forward_flops, drawn)
    beside = slow * pace.forward.flop * price.prediction_flops
    passes = method.passes(config)
    samples: int = TASKS.load(config.task.kind).samples_of(config)
    looks = timings.passes if "denoise" in method.gives else 0

    def look(count: int) -> float:
        predicting = samples * (passes * one + beside) / train.workers
        return count * (predicting + timings.measuring_sec) + looks * one

    before = (0, *train.rungs_nimg)
    stages = [
        image * (here - last) + (1 + _looks(train, last, here)) * look(measure.n_select)
        for last, here in zip(before, train.rungs_nimg, strict=False)
    ]
    stages[0] += TRIAL_SEC + (GROUP_SEC if train.workers > 1 else 0.0)
    twice = 1 if config.own_sample is None else 2  # the entry's own sampling is measured beside
    return (*stages, twice * look(measure.n_report))


def _looks(train: TrainConfig, last: int, here: int) -> int:
    """Evaluations between two rungs, where looks are asked for. That a trial stops early
    is not foreseen."""
    every = train.look_nimg
    return (here - 1) // every - last // every if every else 0


def _crowding(plan: Plan, train: TrainConfig) -> float:
    """How many threads share a core, where there are more of them than cores."""
    cores = plan.device.get("cores")
    if train.device == "cuda" or not cores:
        return 1.0
    return float(max(1.0, plan.concurrency * train.workers * train.threads / cores))


def _disk_bytes(configs: Sequence[TrialConfig], trials: float, completed: float, plan: Plan) -> int:
    """Weights and snapshots of completed trials, checkpoints of running ones and of those that
    wait: all but the completed at most."""
    kept = running = 0.0
    waiting = max(0.0, trials - completed) if plan.prune else 0.0
    for config in configs:
        size = cost(config.task, config.method).parameters / len(configs)
        snapshots = config.train.snapshots * len(config.train.ema_sigma_rel) + 1  # the network
        kept += completed * size * (FULL + HALF * snapshots)
        running += (plan.concurrency * checkpoint.KEEP + waiting) * size * COPIES * FULL
    return int(kept + running)


def compared(
    forecast_body: Mapping[str, Any], history: History, wall_sec: float
) -> dict[str, tuple[float, ...]] | None:
    """What was forecast and what was: device_sec, wall_sec, peak_gb; and of completed trials the
    middle 80 % (low end, median, high end) of what they took of their predicted seconds,
    trial_share, and of their predicted training memory, memory_share.

    None where there was no forecast, or the sweep was taken up again, so that not all of it is
    what was timed.
    """
    if not forecast_body or sum(s.event == "open" for s in history.sessions) != 1:
        return None
    trials = history.trials.values()
    peaks = [t.metrics.get("throughput/peak_mem_gb", 0.0) for t in trials]
    return {
        "device_sec": (forecast_body["core_seconds"], sum(t.wall_sec * t.devices for t in trials)),
        "wall_sec": (forecast_body["wall_seconds"], wall_sec),
        "peak_gb": (forecast_body["peak_gb"], max(peaks, default=0.0)),
        **_shares(history),
    }


def _shares(history: History) -> dict[str, tuple[float, ...]]:
    """What completed trials took of what was predicted of them: seconds, training memory."""
    completed = history.with_outcome("completed")
    shares = {
        "trial_share": [
            trial.wall_sec / trial.suggestion.predicted_sec
            for trial in completed
            if trial.suggestion.predicted_sec and not trial.losses
        ],
        "memory_share": [
            trial.metrics[TRAINING_GB] / trial.suggestion.predicted_training_gb
            for trial in completed
            if trial.suggestion.predicted_training_gb and TRAINING_GB in trial.metrics
        ],
    }
    middle = [0.1, 0.5, 0.9]
    return {k: tuple(map(float, np.quantile(v, middle))) for k, v in shares.items() if v}
