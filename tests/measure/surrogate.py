"""What any configuration would have scored, fitted to recorded trials of one set.

Extremely randomised trees (Geurts, Ernst and Wehenkel 2006) on the logarithm of the score, at every
rung on select and at the end on report together, so that a configuration's curve hangs together.
What the seeds of a configuration show around its mean is the noise, in two parts: what all
trainings of one seed share, which moves every trial of a sweep alike, and what is a training's own.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
    json_to_distribution,
)
from scipy import stats
from sklearn.ensemble import ExtraTreesRegressor  # type: ignore[import-untyped]
from sklearn.model_selection import GroupKFold  # type: ignore[import-untyped]

from bench.errors import BenchError
from tests.measure.trial_table import Recorded

Values = NDArray[np.float64]
TREES, FOLDS, LEAST_LEAF, FIT_SEED = 200, 10, 2, 0
LEAST = 12  # configurations that a surrogate needs
LEAST_REPEATED = 3  # configurations of several seeds that a noise needs
ABSENT = -1.0  # of a parameter that a configuration does not have


class Features:
    """A configuration as numbers: choices one by one, ranges as 0..1 (of the logarithm where the
    space draws it so), and beside a range whether the configuration has it."""

    def __init__(self, space: Mapping[str, str]) -> None:
        self.space: dict[str, BaseDistribution] = {
            key: json_to_distribution(text) for key, text in space.items()
        }

    def __call__(self, params: Mapping[str, Any]) -> Values:
        row: list[float] = []
        for key, drawn in self.space.items():
            there = key in params
            if isinstance(drawn, CategoricalDistribution):
                row += [float(there and choice == params[key]) for choice in drawn.choices]
                continue
            assert isinstance(drawn, FloatDistribution | IntDistribution)
            if drawn.single():
                continue
            low, high, value = drawn.low, drawn.high, params.get(key, drawn.low)
            if drawn.log:
                low, high, value = math.log(low), math.log(high), math.log(value)
            row += [(value - low) / (high - low) if there else ABSENT, float(there)]
        return np.array(row)


class Forest:
    """The trees of a fitted forest side by side: sklearn's answer, at a hundredth of its time for
    one point."""

    def __init__(self, fitted: ExtraTreesRegressor) -> None:
        trees = [tree.tree_ for tree in fitted.estimators_]
        starts = np.cumsum([0, *(tree.node_count for tree in trees)])
        self._roots = starts[:-1]
        own = np.arange(starts[-1])
        left, right = (
            np.concatenate([getattr(t, side) + s for t, s in zip(trees, starts, strict=False)])
            for side in ("children_left", "children_right")
        )
        feature = np.concatenate([tree.feature for tree in trees])
        leaf = feature < 0
        self._next = np.stack([np.where(leaf, own, left), np.where(leaf, own, right)], axis=1)
        self._feature = np.where(leaf, 0, feature)
        self._threshold = np.concatenate([tree.threshold for tree in trees])
        self._value = np.concatenate([tree.value[:, :, 0] for tree in trees])
        self._depth = max(tree.max_depth for tree in trees)

    def __call__(self, points: Values) -> Values:
        """[n, features] -> [n, outputs]."""
        points = points.astype(np.float32).astype(np.float64)  # as sklearn compares them
        rows = np.arange(len(points))[:, None]
        at = np.broadcast_to(self._roots, (len(points), len(self._roots)))
        for _ in range(self._depth):
            beyond = points[rows, self._feature[at]] > self._threshold[at]
            at = self._next[at, beyond.astype(np.int64)]
        return np.asarray(self._value[at].mean(axis=1))


@dataclass(frozen=True, kw_only=True)
class Noise:
    """Of the logarithms, at each rung and on report together. own: residuals of single trainings;
    shared: what a seed adds to all that are trained from it. Both [n, outputs]."""

    own: Values
    shared: Values

    def drawn(self, draw: np.random.Generator) -> Values:
        return np.asarray(self.own[draw.integers(len(self.own))])

    def of_another_seed(self, draw: np.random.Generator) -> Values:
        """What trainings from another seed than the sweep's have more, all alike."""
        if len(self.shared) < 2:
            return np.zeros(self.shared.shape[1])
        one, other = draw.choice(len(self.shared), 2, replace=False)
        return np.asarray(self.shared[one] - self.shared[other])


@dataclass(frozen=True, kw_only=True)
class Fit:
    """How well a surrogate does on configurations that it has not seen, at report. error: root
    mean square of the logarithms; spread: their standard deviation; rank: Spearman's."""

    error: float
    spread: float
    rank: float
    rungs: tuple[float, ...]  # rank correlation of the recorded values at each rung with report


class Surrogate:
    """Scores of one set. rows: of that set alone; what did not complete or diverge is left out.

    A configuration of which most trees' recorded kin diverged diverges, as far along as they did.

    Raises:
        BenchError: too few rows.
    """

    def __init__(self, rows: Sequence[Recorded], space: Mapping[str, str], score: str) -> None:
        self.features = Features(space)
        kept = [row for row in rows if row.outcome in ("completed", "diverged")]
        done = [row for row in kept if row.outcome == "completed"]
        self.numbers = np.array([row.number for row in done])
        if len(set(self.numbers.tolist())) < LEAST:
            raise BenchError(
                f"{len(set(self.numbers.tolist()))} configurations are recorded to their end; a "
                f"surrogate needs {LEAST}"
            )
        self.noise, effects = noise_of(done, score)
        by_number: dict[int, list[Values]] = {}
        for row in done:
            by_number.setdefault(row.number, []).append(logs_of(row, score) - effects[row.seed])
        params = {row.number: row.params for row in kept}
        self.recorded = [params[number] for number in by_number]
        self.points = np.array([self.features(one) for one in self.recorded])
        self.targets = np.array([np.mean(of, axis=0) for of in by_number.values()])
        self._forest = Forest(_fitted(self.points, self.targets))
        self._breaking: Forest | None = None
        broken = [row for row in kept if row.outcome == "diverged"]
        self.breaks_at = int(np.median([len(row.rungs) for row in broken])) if broken else 0
        if broken:
            points = np.array([self.features(row.params) for row in kept])
            diverged = np.array([[row.outcome == "diverged"] for row in kept], float)
            self._breaking = Forest(_fitted(points, diverged))
        self._known: dict[tuple[tuple[str, Any], ...], tuple[Values, bool]] = {}

    @property
    def rungs(self) -> int:
        return int(self.targets.shape[1]) - 1

    def __call__(self, params: Mapping[str, Any]) -> tuple[Values, bool]:
        """Logarithms of the score at each rung and on report, without noise; whether it
        diverges."""
        key = tuple(sorted(params.items()))
        if key not in self._known:
            logs, broken = self.many([params])
            self._known[key] = logs[0], bool(broken[0])
        return self._known[key]

    def many(self, configurations: Sequence[Mapping[str, Any]]) -> tuple[Values, NDArray[np.bool_]]:
        points = np.array([self.features(params) for params in configurations])
        broken = np.zeros(len(points), bool)
        if self._breaking is not None:
            broken = self._breaking(points)[:, 0] > 0.5
        return self._forest(points), broken

    @cached_property
    def fit(self) -> Fit:
        """Cross-validated over configurations."""
        predicted = np.empty(len(self.targets))
        folds = GroupKFold(min(FOLDS, len(self.targets)))
        for seen, held in folds.split(self.points, groups=np.arange(len(self.points))):
            predicted[held] = Forest(_fitted(self.points[seen], self.targets[seen]))(
                self.points[held]
            )[:, -1]
        report = self.targets[:, -1]
        return Fit(
            error=float(np.sqrt(np.mean((predicted - report) ** 2))),
            spread=float(report.std(ddof=1)),
            rank=float(stats.spearmanr(predicted, report).statistic),
            rungs=tuple(
                float(stats.spearmanr(self.targets[:, rung], report).statistic)
                for rung in range(self.rungs)
            ),
        )


def logs_of(row: Recorded, score: str) -> Values:
    """Logarithms of a completed row's score at each rung and on report."""
    return np.log([*(measures[score] for measures in row.rungs), row.report[score]])


def noise_of(rows: Sequence[Recorded], score: str) -> tuple[Noise, dict[int, Values]]:
    """What completed trainings of one configuration from several seeds show, and by seed what it
    adds to all. Residuals are widened by what two means (of a configuration, of a seed) take."""
    by_number: dict[int, dict[int, Values]] = {}
    for row in rows:
        by_number.setdefault(row.number, {})[row.seed] = logs_of(row, score)
    outputs = len(logs_of(rows[0], score))
    seeds = max((sorted(of) for of in by_number.values()), key=len)
    whole = np.array(
        [[of[s] for s in seeds] for of in by_number.values() if set(seeds) <= set(of)]
    )  # numbers, seeds, outputs
    nothing = {row.seed: np.zeros(outputs) for row in rows}
    if len(seeds) < 2 or len(whole) < LEAST_REPEATED:
        return Noise(own=np.zeros((1, outputs)), shared=np.zeros((1, outputs))), nothing
    around = whole - whole.mean(axis=1, keepdims=True)
    shared = around.mean(axis=0)
    n, k = len(whole), len(seeds)
    own = (around - shared) * math.sqrt(n * k / ((n - 1) * (k - 1)))
    noise = Noise(own=own.reshape(-1, outputs), shared=shared)
    return noise, {**nothing, **dict(zip(seeds, shared, strict=True))}


def _fitted(points: Values, targets: Values) -> ExtraTreesRegressor:
    forest = ExtraTreesRegressor(TREES, min_samples_leaf=LEAST_LEAF, random_state=FIT_SEED)
    return forest.fit(points, targets if targets.shape[1] > 1 else targets[:, 0])
