"""What a task is: it owns what is asked, of which data, and how an answer is judged.

A task says what a network gets and gives (Inputs), makes training batches and the cases to be
predicted, and evaluates a predictor with its metrics. The training loop, the methods and the sweep
know no more of it: direction and scale of the score are its first metric's. Adding one is a file
with a subclass and one line in the table of tasks.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Protocol

import numpy as np
import torch

from bench.config import Args, MeasureConfig, TaskConfig, TrialConfig
from bench.data.cache import CachedImages
from bench.doors import is_outside
from bench.errors import BenchError, unknown
from bench.files import ResultFile
from bench.metrics import METRICS
from bench.metrics.metric import FROM_METHOD, MASKS, Evidence, Metric
from bench.metrics.real import RealData
from bench.metrics.throughput import Phase
from bench.nonfinite import require_finite
from bench.predictions import Cases, Predictions, Predictor
from bench.train.objective import Batch
from leaderboards.measures import Measure
from leaderboards.references import Reference

GIVEN_BACK = (
    "its samples are real pictures of the train part, or next to them (copying): they are kept on "
    "this disk unless --log-real-images is given"
)


class Clock(Protocol):
    """Books wall seconds, and the cases it is told of, to a phase: train, sample or measure."""

    def phase(self, name: Phase) -> AbstractContextManager[Callable[[int], None]]: ...


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """What evaluating gave: metrics by key, the value trials are compared by, pictures to show,
    and the files that are left of it.

    A metric that needs what the method does not give is left out; a sweep's plan says which.
    """

    metrics: dict[str, float]
    value: float
    left_out: dict[str, list[float]] = field(default_factory=dict)  # of the score, on `report`
    pictures: np.ndarray[Any, Any] | None = None  # uint8 N C *spatial, predicted
    files: tuple[ResultFile, ...] = ()
    gives_back: bool = False  # real pictures that training saw, so that they are private


class Task(ABC):
    """One task on one data set. Holds no state of a trial: many trials may use it in turn.

    `parameters` are the settings of its own that a space or `--set` may give, with their
    defaults; `configure` puts them into the task's description. Those in `same_for_all` change what
    is judged: they are in the protocol and cannot be drawn by a space.
    """

    parameters: ClassVar[Mapping[str, Any]] = {}
    same_for_all: ClassVar[frozenset[str]] = frozenset()  # parameters that change the score

    def __init__(self, config: TrialConfig) -> None:
        self.config, self.measure = config, config.measure
        self.real = RealData(config.data.cache, config.train.device)
        self.metrics = build_metrics(config.measure)
        self._check_needs()

    @classmethod
    @abstractmethod
    def describe(cls, data: CachedImages) -> TaskConfig:
        """What is asked of these data: the network's inputs, the range, sigma_data."""

    @classmethod
    def configure(cls, task: TaskConfig, given: Mapping[str, Any]) -> TaskConfig:
        """The description with these of `parameters` in it.

        Raises:
            BenchError: a value that cannot be, of these data.
        """
        return task

    @classmethod
    def metric_settings(cls, task: TaskConfig) -> Mapping[str, Any]:
        """Settings that follow from the description, for the metrics that know them."""
        return {}

    @abstractmethod
    def batch(self, samples: Sequence[int], seed: int) -> Batch:
        """The training batch of these global sample numbers."""

    @abstractmethod
    def cases(self, part: str) -> Cases:
        """What is predicted to evaluate on a part: measure.n_select or n_report cases. The
        cases' key is (part,)."""

    @classmethod
    def samples_of(cls, config: TrialConfig) -> int:
        """How many answers of a case are drawn."""
        return 1

    def targets(self, part: str) -> np.ndarray[Any, Any] | None:
        """What the predictions of `cases` should be, in their form and order, where it is known."""
        return None

    def subjects(self, part: str) -> np.ndarray[Any, Any] | None:
        """Whose image each prediction of `cases` is made from, as a number, where it is one."""
        return None

    def evidence(self, predictor: Predictor, part: str, predictions: Predictions) -> Evidence:
        """What metrics are given."""
        return Evidence(
            part=part,
            real=self.real,
            predictions=predictions,
            targets=self.targets(part),
            denoise=predictor.denoise,
            subjects=self.subjects(part),
            reconstruct=getattr(predictor, "reconstruct", None),
        )

    def pictures(self, predictions: Predictions) -> np.ndarray[Any, Any] | None:
        """A few predictions to look at, uint8 N C *spatial."""
        return None

    @property
    def shows_real(self) -> bool:
        """Whether its predictions show pictures of somebody: estimates of a real case, or made of
        one, are no more to leave the disk than the case itself (contract 12)."""
        estimates = "targets" in self.gives or self.config.task.inputs.condition_channels > 0
        return estimates and not self.config.data.simulated

    def files(self, predictions: Predictions) -> tuple[ResultFile, ...]:
        """What a finished trial leaves of its predictions on `report`: tables, pictures."""
        return ()

    def save_reference(self, path: Path) -> None:
        """Pictures of the `report` part, to be seen beside a trial's own; none by default."""
        return

    def evaluate(self, predictor: Predictor, part: str, clock: Clock) -> Evaluation:
        """Evaluate on `select` (rungs) or, once, on `report` (the end): one pass, all metrics."""
        cases = self.cases(part)
        with clock.phase("sample") as done:
            predictions = predictor.predict(cases)
            done(cases.count)
        with clock.phase("measure"):
            evidence = self.evidence(predictor, part, predictions)
            metrics = self.estimates(evidence)
            value = metrics[self.score.key]
            left_out = self.metrics[0].left_out(evidence) if evidence.final else {}
            return Evaluation(
                metrics=metrics,
                value=value,
                left_out=dict(left_out),
                pictures=self.pictures(predictions),
                files=(*self.files(predictions), *self._of_metrics(evidence))
                if evidence.final
                else (),
                gives_back=not self.config.data.simulated
                and any(metric.gives_back(metrics) for metric in self.metrics),
            )

    def estimates(self, evidence: Evidence) -> dict[str, float]:
        """All metrics that the method gives what they need, by key.

        Raises:
            BenchError: the score lacks what it needs.
            NonFiniteError: the score is not finite.
        """
        estimates: dict[str, float] = {}
        for place, metric in enumerate(self.metrics):
            lacking = [n for n in sorted(metric.needs & FROM_METHOD) if not _has(evidence, n)]
            if lacking and not place:
                raise BenchError(
                    f"{self.score.key} is the score and needs {', '.join(lacking)}, which "
                    f"method {self.config.method.kind} does not give"
                )
            estimates |= {} if lacking else metric.estimate(evidence)
        require_finite(np.asarray(estimates[self.score.key]), f"the score {self.score.key}")
        return estimates

    def _of_metrics(self, evidence: Evidence) -> list[ResultFile]:
        """The files of the metrics that can be measured."""
        return [
            file
            for metric in self.metrics
            if all(_has(evidence, need) for need in metric.needs & FROM_METHOD)
            for file in metric.files(evidence)
        ]

    @property
    def score(self) -> Measure:
        """The measure that trials are compared by."""
        return self.metrics[0].measures[0]

    def look_error(self, evaluation: Evaluation) -> float | None:
        """The error between two looks; none where each is at the same cases, drawn alike."""
        if "targets" in self.metrics[0].needs:
            return None
        return evaluation.metrics.get(self.score.se_key)

    @property
    def measures(self) -> tuple[Measure, ...]:
        """All that its metrics measure, the score first."""
        return tuple(measure for metric in self.metrics for measure in metric.measures)

    def prepare(self) -> None:
        """Compute what all trials share, once, before they start.

        Raises:
            BenchError: data that a metric cannot use, or two metrics that measure the same.
        """
        keys = [measure.key for measure in self.measures]
        for key in keys:
            if keys.count(key) > 1:
                raise BenchError(f"two metrics measure {key}; leave one of them out")
        # as the trials have them: on busy cores, threads that wait for each other are many times
        # as slow as one
        torch.set_num_threads(self.config.train.threads)
        counts = {"select": self.measure.n_select, "report": self.measure.n_report}
        for metric in self.metrics:
            metric.prepare(self.real, counts)

    def references(self) -> tuple[Reference, ...]:
        """What real data and simple models score where trials do; none by default."""
        return ()

    def protocol(self) -> dict[str, Any]:
        """What must match before two scores are ranked together (contract 7). Users' files stand
        in it by their places; whoever records it puts their content there."""
        metric = self.measure.metrics[0]
        part = {"metric_part": metric} if is_outside(metric) else {}
        return {
            **part,
            "metric": self.score.key,
            "direction": self.score.direction,
            "scale": self.score.scale,
            "unit": self.score.unit,
            **self.metrics[0].protocol(),
            "n_samples": self.measure.n_report,
            "reference": {"part": "report", "digest": self.config.data.digest},
            "spatial": list(self.config.task.answered.spatial),
        }

    def notes(self) -> tuple[str, ...]:
        """What a reader of its scores must know of its cases and of these data, for the plan."""
        of_metrics = tuple(note for metric in self.metrics for note in metric.notes(self.real))
        if "targets" not in self.gives:
            return of_metrics
        scored, there = self.cases("report").count, len(self.real.data.parts["report"])
        if scored >= there:
            return of_metrics
        return (
            f"the score is measured on {scored} of {there} cases of the report part",
            *of_metrics,
        )

    def passes(self) -> int:
        """Network passes over one case that an evaluation costs beside its predictions."""
        return sum(metric.passes() for metric in self.metrics)

    @cached_property
    def measuring_sec(self) -> float:
        """Seconds that measuring takes for each prediction beside network passes, timed here."""
        inputs = self.config.task.answered
        return sum(
            metric.seconds((inputs.out_channels, *inputs.spatial)) for metric in self.metrics
        )

    def _check_needs(self) -> None:
        """Raises BenchError where a metric asks for what this task does not have, or the score for
        what this method cannot have."""
        preconditioned = bool(self.config.method.preconditioning)
        for place, (name, metric) in enumerate(
            zip(self.measure.metrics, self.metrics, strict=True)
        ):
            of_method = FROM_METHOD if place or preconditioned else frozenset[str]()
            lacking = metric.needs - self.gives - of_method
            if lacking:
                raise BenchError(
                    f"metric {name} needs {', '.join(sorted(lacking))}, which task "
                    f"{self.config.task.kind} by {self.config.method.kind} does not give"
                )

    gives: ClassVar[frozenset[str]] = frozenset()  # of metrics' needs: "targets", "pictures"


def _has(evidence: Evidence, need: str) -> bool:
    return getattr(evidence, need) is not None


def build_metrics(measure: MeasureConfig) -> tuple[Metric, ...]:
    """The metrics of a configuration, each with the settings it takes.

    Raises:
        BenchError: an unknown metric, or a setting that none takes.
    """
    classes: list[type[Metric]] = [METRICS.load(name) for name in measure.metrics]
    known = {key for one in classes for key in one.settings_taken()}
    for key in measure.args:
        if key not in known:
            raise unknown("setting of the metrics", key, known)
    return tuple(
        one({k: measure.args.get(k, default) for k, default in one.settings_taken().items()})
        for one in classes
    )


def offered_metrics(metrics: Sequence[str], *, have_masks: bool) -> tuple[str, ...]:
    """Those of a workload that its data allow; the score always, to be refused by name."""
    return tuple(
        name
        for place, name in enumerate(metrics)
        if place == 0 or have_masks or MASKS not in METRICS.load(name).needs
    )


def known_settings(metrics: Sequence[str]) -> Args:
    """The settings that these metrics take, with their defaults."""
    return {k: v for name in metrics for k, v in METRICS.load(name).settings_taken().items()}
