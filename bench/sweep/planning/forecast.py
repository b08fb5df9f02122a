"""What a sweep will cost: its trials drawn from the space, timed by a short calibration.

Configurations are the defaults and random draws of the search space, each at its own cost: images
times the pace of its architecture at its FLOPs and batch (`timing`, seconds, here and now), and all
that an evaluation does: sampling, denoising error, extractor. Sweeps of such trials are then gone
through on paper, with so many at once, until their trials or budgets end. How many pass a rung is
not known before: TPE's suggestions pass as if each were the best of BEST_OF random draws, chosen
after two sweeps of 64 trials at laptop scale (33 of 80 unprotected trials ran to their end; this
gives 33.0); `between` says what it costs if they pass only as the rule keeps of random ones, and if
all do. A forecast, not a promise: at the end it is compared with what was, and so is every trial
with the seconds that were predicted of it before it was launched.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from bench.config import TrainConfig, TrialConfig, part_of
from bench.methods import load_method
from bench.streams import derive_seed
from bench.sweep.cost import budget, footprint, slots, timing
from bench.sweep.cost.kept import Kept, NotKept
from bench.sweep.cost.price import cost
from bench.sweep.deciding.resolve import Frame, resolve
from bench.sweep.deciding.role import PROTECTED
from bench.sweep.deciding.suggest import Offer
from bench.sweep.planning.plan_making import load_space
from bench.sweep.record.history import History
from bench.sweep.record.plan import Plan
from bench.tasks import TASKS
from bench.tasks.task import build_metrics
from bench.train import checkpoint

BEST_OF = 3
# Measured on two cores, four sweeps: from a session's opening to its first trial, from one trial
# to the next in its place, inside a trial beside its phases, and from the last trial to the end.
OPEN_SEC, GAP_SEC, TRIAL_SEC, CLOSE_SEC = 5.5, 0.15, 0.15, 1.5
GROUP_SEC = 15.0  # for the processes of a trial of several workers to come up, each time
IMPORT_SEC = 1.3  # of a process's first trial
MOST = 20_000  # trials gone through, over all RUNS
RUNS = 24  # sweeps gone through
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
    between: list[float]  # device-seconds if the rule pruned all it may, and if nothing was pruned
    wall_seconds: float
    peak_gb: float  # of the trial that needs most, predicted
    peak_gb_of: dict[str, float]  # the same by architecture
    disk_bytes: int
    paces: dict[str, Any]  # by architecture, as timed: what a trial's seconds are predicted from
    measuring_sec: float  # of one prediction
    passes: int  # network passes of an evaluation beside its predictions
    timed_at: float | None  # when the oldest of the paces was timed; None: none was
    notes: list[str]  # what a reader of these numbers must know


def passing(keep: float) -> float:
    """The share of TPE's suggestions that pass a rung which keeps this share of random ones."""
    return float(1 - (1 - keep) ** BEST_OF)


def expected_reach(trials: int, cells: int, keep: Sequence[float], prune: bool) -> list[float]:
    """How many trials reach each rung, the last included."""
    safe = min(trials, PROTECTED * cells) if prune else trials
    free = float(trials - safe)
    reach = [safe + free]
    for share in keep:
        free *= passing(share) if prune else 1.0
        reach.append(safe + free)
    return reach


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
    sweep = _Sweep(plan, jobs[: len(defaults)], jobs[len(defaults) :])
    expected = sweep.many([passing(k) for k in plan.keep])
    trials = round(float(np.mean([r.ended for r in expected])))
    if plan.trials is not None and not plan.budget.limited:
        trials = plan.trials
    reach = np.mean([r.reached for r in expected], axis=0)
    return Forecast(
        trials=trials,
        trials_to_rung=[float(n) for n in reach],
        core_seconds=_mean(expected),
        between=[_mean(sweep.many(plan.keep)), _mean(sweep.many([1.0] * len(plan.keep)))],
        wall_seconds=float(np.mean([r.wall_sec for r in expected])),
        peak_gb=max(peaks.values()),
        peak_gb_of=peaks,
        disk_bytes=_disk_bytes(configs, float(reach[-1]), plan),
        paces={name: asdict(pace) for name, pace in paces.items()},
        measuring_sec=timings.measuring_sec,
        passes=timings.passes,
        timed_at=kept.oldest,
        notes=[
            *([timing.ABSENT] if timing.absent(configs[0]) else []),
            *([FURTHER] if max(r.begun for r in expected) >= MOST else []),
        ],
    )


def _mean(runs: Sequence[_Run]) -> float:
    return float(np.mean([r.device_sec for r in runs]))


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


@dataclass(frozen=True, kw_only=True, order=True)
class _Job:
    """What one configuration takes."""

    architecture: str
    stages: tuple[float, ...]
    devices: float  # that it keeps busy
    slot: float  # of a packed GPU


def _job(config: TrialConfig, timings: Timings, peaks: Mapping[str, float], plan: Plan) -> _Job:
    train = config.train
    on_gpu = train.device == "cuda"
    slot = 1.0
    if plan.pack is not None and plan.device_gb:
        slot = slots.slot(peaks[config.method.backbone], plan.device_gb)
    return _Job(
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
    one = slow * pace.forward.sec_per_image(price.forward_flops, drawn)
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


@dataclass(frozen=True, kw_only=True)
class _Run:
    """One sweep, gone through."""

    begun: int
    ended: int  # trials that came to an end of their own
    reached: list[int]  # trials that reached each rung
    device_sec: float
    wall_sec: float


class _Sweep:
    """A plan's sweep, run on paper: its trials in their order, so many at once."""

    def __init__(self, plan: Plan, defaults: list[_Job], others: list[_Job]) -> None:
        self.plan, self.defaults, self.others = plan, defaults, others
        wall, device = plan.budget.wall_sec, plan.budget.device_sec
        self.wall_sec = np.inf if wall is None else wall - budget.CLOSING_SEC
        self.device_sec = np.inf if device is None else device

    def many(self, shares: Sequence[float]) -> list[_Run]:
        """RUNS of them, fewer where there are very many trials. `shares` pass each rung."""
        rng = np.random.default_rng(derive_seed(self.plan.seed, "forecast"))
        first, trials = self.run(shares, rng)
        return [first] + [self.run(shares, rng)[0] for _ in range(min(RUNS, MOST // trials) - 1)]

    def run(self, shares: Sequence[float], rng: np.random.Generator) -> tuple[_Run, int]:
        """One of them, and how many trials it began."""
        plan = self.plan
        together, gpus = plan.concurrency, plan.pack
        running: list[tuple[float, _Job]] = []  # until when
        begun: list[tuple[float, np.ndarray[Any, Any], float]] = []  # when, its ends, devices
        now, used = OPEN_SEC, 0.0
        while len(begun) < min(MOST, MOST if plan.trials is None else plan.trials):
            while len(running) >= together or (gpus and sum(j.slot for _, j in running) >= gpus):
                now = max(now, heapq.heappop(running)[0])
            ahead = sum(max(0.0, until - now) * j.devices for until, j in running)
            if now >= self.wall_sec or used - ahead >= self.device_sec:
                break
            job, safe = self._trial(len(begun), rng)
            passed = 0
            while passed < len(shares) and (safe or rng.random() < shares[passed]):
                passed += 1
            last = passed + 2 if passed == len(shares) else passed + 1
            start = now + (GAP_SEC if len(begun) >= together else 0.0)
            first = IMPORT_SEC if len(begun) < together else 0.0
            ends = start + first + np.cumsum(job.stages[:last])
            heapq.heappush(running, (float(ends[-1]), job))
            begun.append((start, ends, job.devices))
            used += job.devices * float(ends[-1] - start)
        return self._cut(begun), max(1, len(begun))

    def _trial(self, number: int, rng: np.random.Generator) -> tuple[_Job, bool]:
        """Trial `number` and whether nothing prunes it: the defaults, one more a cell, any."""
        defaults, random = self.defaults, self.plan.search == "random"
        if number < len(defaults) and not random:
            return defaults[number], True
        among = self.others
        if number < PROTECTED * len(defaults) and not random:
            wanted = defaults[number % len(defaults)].architecture
            among = [j for j in among if j.architecture == wanted] or among
        safe = number < PROTECTED * len(defaults) or not self.plan.prune
        return among[rng.integers(len(among))], safe

    def _cut(self, begun: list[tuple[float, np.ndarray[Any, Any], float]]) -> _Run:
        """What is done of these trials when the first budget ends."""
        starts = np.array([start for start, _, _ in begun])
        lasts = np.array([ends[-1] for _, ends, _ in begun])
        devices = np.array([count for _, _, count in begun])

        def used(until: float) -> float:
            return float((np.clip(until, starts, lasts) - starts) @ devices)

        until = min(float(lasts.max(initial=0.0)), self.wall_sec)
        if used(until) > self.device_sec:
            low, high = 0.0, until
            for _ in range(50):
                middle = (low + high) / 2
                low, high = (middle, high) if used(middle) < self.device_sec else (low, middle)
            until = low
        rungs = range(len(self.plan.rungs))
        return _Run(
            begun=len(begun),
            ended=int((lasts <= until).sum()),
            reached=[sum(len(e) > i and e[i] <= until for _, e, _ in begun) for i in rungs],
            device_sec=used(until),
            wall_sec=until + CLOSE_SEC,
        )


def _disk_bytes(configs: Sequence[TrialConfig], completed: float, plan: Plan) -> int:
    """Weights and snapshots of completed trials, checkpoints of running ones."""
    kept = running = 0.0
    for config in configs:
        size = cost(config.task, config.method).parameters / len(configs)
        snapshots = min(len(plan.rungs) - 1, config.train.snapshots)
        kept += completed * size * (FULL + HALF * len(config.train.ema_sigma_rel) * snapshots)
        running += plan.concurrency * size * COPIES * FULL * checkpoint.KEEP
    return int(kept + running)


def compared(
    forecast_body: Mapping[str, Any], history: History, wall_sec: float
) -> dict[str, tuple[float, ...]] | None:
    """What was forecast and what was: device_sec, wall_sec, peak_gb; and trial_share, the middle
    80 % of what completed trials took of their predicted seconds: low end, median, high end.

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
    """What trials took of the seconds that were predicted of them."""
    shares = [
        trial.wall_sec / trial.suggestion.predicted_sec
        for trial in history.with_outcome("completed")
        if trial.suggestion.predicted_sec and not trial.losses
    ]
    if not shares:
        return {}
    return {"trial_share": tuple(float(q) for q in np.quantile(shares, [0.1, 0.5, 0.9]))}
