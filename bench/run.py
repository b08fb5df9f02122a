"""One trial: train, sample, measure. No Ray and no MLflow in it.

`steps` is the trial as a generator of reports, so that whoever drives it may stop between any two
of them; `run_trial` drives it with a callback. Every way a trial can end is a report with an
outcome and a cause. A trial over several workers is the same generator in each of them.
"""

from __future__ import annotations

import contextlib
import dataclasses
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bench.config import SampleConfig, TrialConfig
from bench.errors import BenchError
from bench.files import disk_full, whole
from bench.methods import build_method
from bench.methods.method import Method
from bench.methods.tiling import tiling_notes
from bench.metrics.energy import counter_of
from bench.metrics.stability import loss_stability
from bench.metrics.throughput import MemoryGauge, Stopwatch, sec_per_image_alone
from bench.nonfinite import NonFiniteError
from bench.predictions import Predictor
from bench.tasks import build_task
from bench.tasks.album import Album
from bench.tasks.task import GIVEN_BACK, Evaluation, Task
from bench.train import checkpoint, snapshots
from bench.train.early_stopping import EarlyStopping
from bench.train.judged_weights import JudgedWeights, write_judged
from bench.train.loop import Diverged, Training, out_of_memory
from bench.train.parallel import ALONE, WorkerLost, World
from bench.trial_lock import Held, claimed

DISK_FULL = "the disk is full"
SMALLER = "the batch did not fit: micro-batches of {}; dropout masks differ from a full batch's"
CHECKPOINT_SEC = 300.0  # between rungs; at every rung there is one anyway


@dataclass(frozen=True, kw_only=True)
class Report:
    """What a trial says: progress, a rung, or its end (then `outcome` and `cause` are set)."""

    phase: str  # progress | rung | end
    nimg: int
    metrics: dict[str, float]
    seconds: dict[str, float]
    rung: int | None = None
    value: float | None = None  # at a rung: what trials are compared by
    outcome: str | None = None
    cause: str = ""
    notes: list[str] = field(default_factory=list)
    artifacts: list[dict[str, Any]] = field(default_factory=list)
    left_out: dict[str, list[float]] = field(default_factory=dict)  # see metrics.leaving_out


def run_trial(
    config: TrialConfig, folder: Path, report: Callable[[Report], bool] | None = None
) -> Report:
    """Run a trial to its end, or until `report` returns True (stop). The last report made."""
    last: Report | None = None
    for last in steps(config, folder):
        if report is not None and report(last):
            break
    if last is None:
        raise AssertionError("a trial reports at least once")
    return last


def steps(config: TrialConfig, folder: Path, world: World = ALONE) -> Iterator[Report]:
    """A trial's reports, one after another; it goes on from its last checkpoint in `folder`.

    The reports of rungs are in every checkpoint and are said again by a trial that goes on from
    it, since nobody may have heard them, or what was heard may be lost with the driver's disk: a
    rung is said at least once, always the same.

    Of several workers each runs this; rank 0 has the folder and the reports, the others yield
    nothing.

    Raises:
        WorkerLost: another worker is gone, which is no outcome of the trial.
    """
    trial = _Trial(config, folder, world)
    try:
        with contextlib.ExitStack() as held:
            world.share(lambda: held.enter_context(claimed(folder)))
            yield from world.heard(trial.run())
    except WorkerLost:
        raise
    except Exception as error:
        if world.rank == 0:
            yield trial.end(*_verdict(error, folder))


def _verdict(error: Exception, folder: Path) -> tuple[str, str]:
    """Outcome and cause of a trial that an error ended: never a missing row."""
    text = str(error) or type(error).__name__
    if isinstance(error, Diverged | NonFiniteError):
        return "diverged", text
    if out_of_memory(error):
        return "out-of-memory", text.splitlines()[0]
    if disk_full(error):
        return "interrupted", DISK_FULL  # not the trial's fault: it waits for space and goes on
    if isinstance(error, Held):
        return "interrupted", text
    with contextlib.suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "error.log").write_text(traceback.format_exc())
    kind = "" if isinstance(error, BenchError) else f"{type(error).__name__}: "
    return "failed", f"{kind}{text}".splitlines()[0]


def _need_device(name: str) -> None:
    device, count = torch.device(name), torch.cuda.device_count()
    if device.type == "cuda" and (device.index or 0) >= count:
        raise BenchError(f"train.device is {name}, but torch sees {count} CUDA devices here")


class _Trial:
    def __init__(self, config: TrialConfig, folder: Path, world: World) -> None:
        self.config, self.folder, self.world = config, folder, world
        self.clock = Stopwatch()  # of the device once it runs, where errors have a row
        self.notes: list[str] = []  # what is to be known of this run
        self.metrics: dict[str, float] = {}  # measured since the last report
        self.album: Album | None = None
        self.predictor: Predictor
        self.done_rungs = 0
        self.rung_reports: list[dict[str, Any]] = []
        self.training: Training | None = None
        self.weights: JudgedWeights | None = None
        self.early: EarlyStopping
        self.saved_at = time.monotonic()
        self.memory: MemoryGauge
        self.method: Method
        self.task: Task

    def run(self) -> Iterator[Report]:
        config, world = self.config, self.world
        with world.together():
            _need_device(config.train.device)
            # one worker's device is not the energy of several
            joules = counter_of(config.train.device) if world.size == 1 else None
            self.clock = Stopwatch(config.train.device, joules=joules)
            self.memory = MemoryGauge(config.train.device)
            torch.set_num_threads(config.train.threads)
            # not on the clock: the first trial of a process imports libraries here
            self.method, self.task = build_method(config), build_task(config)
            self.album = Album(self.folder, self.task)
            self.early = EarlyStopping(score=self.task.score, patience=config.train.patience)
            if self.method.trains:
                self.training = Training(
                    config.train, self.method, self.task, config.seed, config.trial_id, world
                )
                own = [] if config.own_sample is None else [config.own_sample]
                self.weights = JudgedWeights(self.training, [config.sample, *own])
        if self.training is None or self.weights is None:
            yield from self._untrained()
        else:
            yield from self._trained(self.training, self.weights)
        yield self._finish()

    def _trained(self, training: Training, weights: JudgedWeights) -> Iterator[Report]:
        """Progress and rungs of a method that trains."""
        config, world = self.config.train, self.world
        self._restore(training)
        yield from [Report(**body) for body in self.rung_reports]
        while not self.early.over and self.done_rungs < len(config.rungs_nimg):
            rung_at = config.rungs_nimg[self.done_rungs]
            before = training.nimg
            until = min(rung_at, self._next_report(before), self._next_look(before))
            for stop in snapshots.stops(config, before, until):
                with self.memory.training(), self.clock.phase("train") as seen:
                    here = training.nimg
                    training.advance(stop)
                    seen(training.nimg - here)
                self._snapshot(training)
            self.metrics |= self._train_metrics(training)
            if training.nimg < rung_at:
                if training.nimg == self._next_look(before):
                    self._look(weights, self._evaluate("select", early=True))
                if world.share(lambda: time.monotonic() - self.saved_at > CHECKPOINT_SEC):
                    self._save(training)
                yield self._report("progress")
                continue
            final = self.done_rungs == len(config.rungs_nimg) - 1
            evaluation = self._evaluate("select", early=not final)
            if not final:
                self._look(weights, evaluation)
            self.metrics |= {f"rung/{k}": v for k, v in evaluation.metrics.items()}
            self.metrics |= self._stability(training)
            self.done_rungs += 1
            report = self._report("rung", value=evaluation.value)
            self.rung_reports.append(dataclasses.asdict(report))
            self._save(training)
            yield report
        if self.early.over:
            weights.set_back = True
            self.notes.append(self.early.note(config.budget_nimg))
            yield from self._untrained()

    def _untrained(self) -> Iterator[Report]:
        """The rungs that no more training leads to, of a method without any or a trial that was
        stopped early: one evaluation is its value at all of them."""
        evaluation = self._evaluate("select", early=False)
        for _ in self.config.train.rungs_nimg[self.done_rungs :]:
            self.metrics |= {f"rung/{k}": v for k, v in evaluation.metrics.items()}
            self.done_rungs += 1
            yield self._report("rung", value=evaluation.value)

    def _finish(self) -> Report:
        """The one look at `report`, then the end."""
        evaluation = self._evaluate("report", early=False)
        self._draw(evaluation, "report")
        self.metrics |= {f"eval/{k}": v for k, v in evaluation.metrics.items()}
        chosen = self.config.own_sample
        if chosen is not None:
            try:
                beside = self._evaluate("report", early=False, sample=chosen)
                self.metrics |= {f"own/{k}": v for k, v in beside.metrics.items()}
            except NonFiniteError as error:  # the verdict does not rest on it
                self.notes.append(f"its own sampling could not be measured: {error}")
        self.metrics |= {**self._throughput(), **self._alone()}
        self.world.share(self._keep)
        return dataclasses.replace(self.end("completed", ""), left_out=evaluation.left_out)

    def _keep(self) -> None:
        """What a finished trial leaves beside its pictures."""
        training, weights = self.training, self.weights
        if training is None or weights is None:
            return
        log: dict[str, Any] = training.stability_log()
        with whole(self.folder / "stability_log.npz") as path:
            np.savez_compressed(path, **log)
        judged = weights.state(self.config.sample)
        write_judged(self.folder, judged, training.nimg)

    def end(self, outcome: str, cause: str) -> Report:
        """The last report. Checkpoints stay: a trial killed before it is heard goes on from the
        last one and says the same again; whoever hears it deletes them."""
        if self.training is not None and outcome == "diverged":
            self.metrics |= self._stability(self.training)
        if self.world.rank == 0:
            checkpoint.retain(self.folder)
        return dataclasses.replace(self._report("end"), outcome=outcome, cause=cause)

    def _report(self, phase: str, value: float | None = None) -> Report:
        return Report(
            phase=phase,
            nimg=self.training.nimg if self.training is not None else 0,
            metrics=self._take_metrics(),
            seconds=self._seconds(),
            rung=self.done_rungs - 1 if phase == "rung" else None,
            value=value,
            notes=self._all_notes(),
            artifacts=self.album.taken() if self.album else [],
        )

    def _all_notes(self) -> list[str]:
        notes, training = [*self.notes, *tiling_notes(self.config.sample.tile)], self.training
        if training is None or training.micro_batch == self.config.train.micro_batch:
            return notes
        return [*notes, SMALLER.format(training.micro_batch)]

    def _take_metrics(self) -> dict[str, float]:
        """Plain floats, said once; a value that does not exist (NaN) is left out."""
        taken, self.metrics = self.metrics, {}
        return {k: float(v) for k, v in taken.items() if np.isfinite(v)}

    def _next_look(self, nimg: int) -> int:
        """Where the next look is, beside the rungs; without any, at the end."""
        every = self.config.train.look_nimg
        if not every:
            return self.config.train.budget_nimg
        every = max(every, self.config.train.batch_size)
        return (nimg // every + 1) * every

    def _look(self, weights: JudgedWeights, evaluation: Evaluation) -> None:
        """An evaluation on `select` before the end: its pictures are kept, early stopping sees it,
        and sets the weights of the best aside."""
        nimg, score, value = weights.training.nimg, self.task.score, evaluation.value
        self._draw(evaluation, "select", nimg)
        if self.early.patience or self.config.train.look_nimg:
            self.metrics[f"look/{score.key}"] = value
        if self.early.patience and self.early.take(nimg, value, self.task.look_error(evaluation)):
            weights.set_aside()

    def _draw(self, evaluation: Evaluation, part: str, nimg: int | None = None) -> None:
        """The pictures of what was just evaluated."""
        album = self.album
        assert album is not None
        if evaluation.gives_back and GIVEN_BACK not in self.notes:
            self.notes.append(GIVEN_BACK)
        with self.clock.phase("measure"):
            self.world.share(lambda: album.draw(evaluation, self.predictor, part, nimg))

    def _next_report(self, nimg: int) -> int:
        every = max(self.config.train.report_nimg, self.config.train.batch_size)
        return (nimg // every + 1) * every

    def _evaluate(
        self, part: str, *, early: bool, sample: SampleConfig | None = None
    ) -> Evaluation:
        """Of the average that is judged, or the network where the config says so. `early`: before
        the last rung, where a long average still holds the initialisation."""
        sample = sample or self.config.sample
        with self.world.together():
            self.predictor = self._predictor(sample, early=early)
        return self.world.lead(
            self.predictor,
            self.task.cases,
            lambda shared: self.task.evaluate(shared, part, self.clock),
        )

    def _predictor(self, sample: SampleConfig, *, early: bool) -> Predictor:
        nets = [] if self.weights is None else [self.weights.net(sample, early=early)]
        return self.method.predictor(nets, self.config.seed, sample)

    def _train_metrics(self, training: Training) -> dict[str, float]:
        recent = training.losses[-max(1, len(training.losses) // 20) :]
        return {
            "train/loss": float(np.mean(recent)),
            "train/lr": training.lr,
            **self._throughput(),
        }

    def _stability(self, training: Training) -> dict[str, float]:
        with self.clock.phase("measure"):
            log = training.stability_log()
            result = loss_stability(
                log["sigma"],
                log["sq_error"],
                clipped=log["clipped"],
                nonfinite=log["nonfinite"],
            )
        return result.metrics

    def _alone(self) -> dict[str, float]:
        """How long one case by itself takes, on the first worker."""
        if self.world.rank:
            return {}
        predictor = self._predictor(self.config.sample, early=False)
        seconds = sec_per_image_alone(predictor, self.task.cases("report"), self.clock)
        return {"throughput/sec_per_image_alone": seconds}

    def _throughput(self) -> dict[str, float]:
        state = 0 if self.training is None else self.training.state_bytes
        return self.clock.read().metrics | self.memory.metrics(state)

    def _seconds(self) -> dict[str, float]:
        seen = self.clock.read()
        return {
            "train": seen.train_sec,
            "sample": seen.sample_sec,
            "measure": seen.measure_sec,
            "save": seen.save_sec,
        }

    def _save(self, training: Training) -> None:
        """A checkpoint of everything. Its seconds are booked apart: they follow the disk, and
        images per second are of training alone. It holds the seconds of those before it."""
        extra = {
            "done_rungs": self.done_rungs,
            "clock": self.clock.state(),
            "notes": self.notes,
            "rungs": self.rung_reports,
            "looks": self.early.looks,
        }
        with self.clock.phase("save"):
            self.world.share(lambda: training.save(self.folder, extra))
        self.saved_at = time.monotonic()

    def _snapshot(self, training: Training) -> None:
        """Where there is to be one, the power-function averages are stored."""
        if training.nimg in snapshots.moments(training.config):
            with self.clock.phase("save"):
                self.world.share(lambda: snapshots.save(self.folder, training))

    def _restore(self, training: Training) -> None:
        """Go on from the newest checkpoint that can be used."""
        for path in self.world.share(lambda: checkpoint.existing(self.folder)):
            try:
                extra = training.restore(path)
            except BenchError as error:
                self.notes.append(f"{error}; it is not used")
                continue
            self.done_rungs = extra["done_rungs"]
            self.clock.restore(extra["clock"])
            self.notes = [*extra["notes"], *self.notes]
            self.rung_reports = extra["rungs"]
            self.early.looks = [(n, value, error) for n, value, error in extra.get("looks", [])]
            return
