"""Measures ways to draw from one trained network: on `select` while they race, once on `report`.

All draw from the same noise (streams of one seed), so that two of them differ by what they are and
little by chance. On `select` a candidate's predictions add up from round to round: the first n of
one order of the cases, the same for all. `report` has noise of its own.
"""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

from bench.conditions import Condition
from bench.config import TrialConfig
from bench.metrics import METRICS
from bench.metrics.metric import Evidence, Metric
from bench.nonfinite import NonFiniteError
from bench.predictions import Cases, Predictions, Predictor
from bench.streams import derive_seed, permutation
from bench.sweep.record.finished import FinishedTrial
from bench.tasks import build_task
from bench.tasks.task import Task
from bench.tune.averaged_network import Network
from bench.tune.candidates import Candidate


@dataclass(frozen=True, kw_only=True)
class Measured:
    """A candidate's score on `count` cases; None where its predictions were not finite.

    se: the metric's own standard error. draws: the score without each block of draws. left_out:
    without each group of subjects or cases (bench.metrics.leaving_out). draw_sec: seconds of
    drawing what was not there yet, measure_sec: of the metric and of loading weights.
    """

    count: int
    value: float | None
    se: float | None = None
    draw_sec: float = 0.0
    measure_sec: float = 0.0
    draws: list[float] = field(default_factory=list)
    left_out: dict[str, list[float]] = field(default_factory=dict)


class Judge:
    """Of one trial. One thread; keeps the predictions of candidates until `forget`."""

    def __init__(self, trial: FinishedTrial, seed: int) -> None:
        config = _score_alone(trial.config)
        self.network = Network(trial)
        self.task: Task = build_task(config)
        self.task.prepare()
        self.metric: Metric = self.task.metrics[0]
        self.score = self.task.score
        self.board_count = self.task.cases("report").count
        self._seeds = {part: derive_seed(seed, f"tune/{part}") for part in ("select", "report")}
        every = self.task.cases("select")
        self.most = every.count
        self._order = permutation(self._seeds["select"], "tune order", 0, self.most)

        def condition(places: Sequence[int]) -> Condition:
            return every.condition(self._order[list(places)].tolist())

        self._cases = dataclasses.replace(every, condition=condition)
        self._drawn: dict[int, Predictions] = {}

    def on_select(self, candidate: Candidate, count: int) -> Measured:
        """The score of its first `count` predictions (of as many as there are cases)."""
        count = min(count, self.most)

        def draw(predictor: Predictor) -> Predictions:
            whole = self._drawn.get(candidate.number)
            first = 0 if whole is None else len(whole.values) // self._cases.samples
            if whole is None or first < count:
                new = predictor.predict_some(self._cases, range(first, count))
                whole = new if whole is None else Predictions.joined([whole, new])
                self._drawn[candidate.number] = whole
            asked = whole.values[: count * self._cases.samples]
            return dataclasses.replace(whole, values=asked)

        return self._measured(candidate, "select", count, draw)

    def on_report(self, candidate: Candidate) -> Measured:
        """The score on all of the board's cases, from noise of their own."""
        cases: Cases = self.task.cases("report")
        return self._measured(candidate, "report", cases.count, lambda one: one.predict(cases))

    def forget(self, kept: Collection[int]) -> None:
        """Let go of the predictions of all other candidates."""
        self._drawn = {n: drawn for n, drawn in self._drawn.items() if n in kept}

    def _measured(
        self,
        candidate: Candidate,
        part: str,
        count: int,
        draw: Callable[[Predictor], Predictions],
    ) -> Measured:
        start = time.perf_counter()
        net = self.network.with_average(candidate.sample.ema)
        method, loaded = self.network.method, time.perf_counter()
        predictor = method.predictor([net], self._seeds[part], candidate.sample)
        try:
            predictions = draw(predictor)
            drawn = time.perf_counter()
            evidence = self._evidence(predictor, part, predictions, count)
            estimates = self.metric.estimate(evidence)
        except NonFiniteError:
            return Measured(count=count, value=None, draw_sec=time.perf_counter() - loaded)
        value, more = float(estimates[self.score.key]), dict[str, Any]()
        if evidence.final:
            more["draws"] = self.metric.without_draws(evidence)
            more["left_out"] = dict(self.metric.left_out(evidence))
        return Measured(
            count=count,
            value=value if math.isfinite(value) else None,
            se=estimates.get(self.score.se_key),
            draw_sec=drawn - loaded,
            measure_sec=time.perf_counter() - drawn + loaded - start,
            **more,
        )

    def _evidence(
        self, predictor: Predictor, part: str, predictions: Predictions, count: int
    ) -> Evidence:
        evidence = self.task.evidence(predictor, part, predictions)
        if part == "report":
            return evidence
        chosen, targets, subjects = self._order[:count], evidence.targets, evidence.subjects
        return dataclasses.replace(
            evidence,
            targets=None if targets is None else targets[chosen],
            subjects=None if subjects is None else subjects[chosen],
        )


def _score_alone(config: TrialConfig) -> TrialConfig:
    """The trial with its score for only metric, and as many cases on `select` as on `report`."""
    measure = config.measure
    name = measure.metrics[0]
    read = METRICS.load(name).settings_taken()
    alone = dataclasses.replace(
        measure,
        metrics=(name,),
        n_select=measure.n_report,
        args={key: value for key, value in measure.args.items() if key in read},
    )
    return dataclasses.replace(config, measure=alone)
