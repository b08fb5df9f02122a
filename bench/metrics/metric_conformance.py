"""What every metric must show before it is used: the table's own and a user's alike.

A metric is given the evidence of a small evaluation: 8x8 pictures, what they should have been, and
a linear denoiser, over a cache of drawn data in a folder that is thrown away. Of these it is given
what it says it needs and nothing else. Predictions are uint8 pictures for a metric that needs
"pictures"; for others the first that they can use of float images, masks, and shares of a class
with label maps as targets.
"""

from __future__ import annotations

import math
import pickle
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.conditions import Condition
from bench.config import canonical
from bench.data.practice_data import write_practice_data
from bench.metrics.metric import MASKS, Estimates, Evidence, Metric
from bench.metrics.real import RealData
from bench.predictions import Predictions
from bench.streams import permutation
from bench.suite import require, run
from leaderboards.measures import Measure

SIDE = 8
COUNT = 14  # predictions; enough for a standard error
NEEDS = {"pictures", "targets", "denoise", "reconstruct", "real_condition", MASKS}
PARTS = ("select", "report")
# float32 features of one picture may be summed in another order elsewhere in a batch
ORDER_TOLERANCE = 1e-4


class Form(NamedTuple):
    """What predictions and targets are made of uint8 pictures [n, 1, *spatial]."""

    values: Callable[[NDArray[np.uint8]], NDArray[Any]]
    targets: Callable[[NDArray[np.uint8]], NDArray[Any]]


def check(part: Any, name: str) -> int:
    """The number of checks that a Metric class passed.

    Raises:
        BenchError: naming the rule that it breaks.
    """
    with tempfile.TemporaryDirectory(prefix="bench-metric-") as folder, torch.device("cpu"):
        real = RealData(str(write_practice_data(Path(folder) / "cache", (SIDE, SIDE)).path))
        pictured = "pictures" in getattr(part, "needs", ())
        forms = (PICTURES,) if pictured else (IMAGES, MASKED, SHARES)
        usable = [form for form in forms if _can_use(part, real, form)]
        return run("metric", name, Practice(part, real, (usable or forms)[0]), CHECKS)


@dataclass(frozen=True)
class Practice:
    """A metric's class, the data, and the form of the predictions that it is given."""

    metric: Any
    real: RealData
    form: Form

    def made(self) -> Metric:
        made: Metric = self.metric(dict(self.metric.settings_taken()))
        made.prepare(self.real, dict.fromkeys(PARTS, COUNT))
        return made

    def evidence(self, part: str, order: NDArray[np.int64] | None = None) -> Evidence:
        """The evaluation of a part: what is predicted is what is real, somewhat smoothed."""
        needs = self.metric.needs
        rows = self.real.rows(part, COUNT)
        rows = rows if order is None else rows[order]
        real = self.real.pictures_at(rows)
        smoothed = ((real.astype(np.uint16) + np.roll(real, 1, -1)) // 2).astype(np.uint8)
        return Evidence(
            part=part,
            real=self.real,
            predictions=Predictions(
                values=self.form.values(smoothed), passes=3, outside_share=0.125
            ),
            targets=self.form.targets(real) if "targets" in needs else None,
            denoise=_linear if "denoise" in needs else None,
            reconstruct=_coarse if "reconstruct" in needs else None,
            real_condition=_classless if "real_condition" in needs else None,
        )

    def estimates(self, part: str, order: NDArray[np.int64] | None = None) -> Estimates:
        return self.made().estimate(self.evidence(part, order))


def is_a_metric(practice: Practice) -> None:
    """A complete subclass of Metric whose settings are plain and have defaults."""
    metric = practice.metric
    require(
        isinstance(metric, type) and issubclass(metric, Metric),
        "it must be a subclass of bench.metrics.metric.Metric",
    )
    unknown_needs = set(metric.needs) - NEEDS
    require(not unknown_needs, f"needs {sorted(unknown_needs)} are none of {sorted(NEEDS)}")
    canonical(dict(metric.settings_taken()))
    metric(dict(metric.settings_taken()))


def declares_its_measures(practice: Practice) -> None:
    """Measures with keys of their own, the first with a direction unless all are plain facts."""
    measures = practice.made().measures
    require(len(measures) > 0, "it declares no measure")
    require(all(isinstance(m, Measure) for m in measures), "`measures` must hold Measures")
    keys = [m.key for m in measures]
    require(len(set(keys)) == len(keys), f"two measures share a key: {keys}")
    require(not any("/" in key for key in keys), f"keys stand without a phase, not as {keys}")
    require(
        measures[0].direction != "none" or all(m.direction == "none" for m in measures),
        f"the main measure {keys[0]!r} must say whether lower or higher is better",
    )


def gives_what_it_declares(practice: Practice) -> None:
    """Finite numbers under the keys of its measures; the main one for every part."""
    measures = practice.made().measures
    known = {m.key for m in measures} | {m.se_key for m in measures}
    for part in PARTS:
        estimates = practice.estimates(part)
        undeclared = sorted(set(estimates) - known)
        require(not undeclared, f"estimates {undeclared} are no measure's key (or its se_key)")
        require(measures[0].key in estimates, f"{measures[0].key!r} is not measured on {part}")
        for key, value in estimates.items():
            require(math.isfinite(value), f"{key} is {value} on {part}")
            require(not key.endswith("_se") or value >= 0, f"{key} is {value}, below 0")


def says_the_same_again(practice: Practice) -> None:
    """Two calls agree to the bit, draw from no global generator and change no evidence."""
    evidence, metric = practice.evidence("report"), practice.made()
    before = evidence.predictions.values.copy()
    generators = _global_generators()
    first, again = dict(metric.estimate(evidence)), dict(metric.estimate(evidence))
    require(first == again, f"two calls differ: {first} and {again}")
    other = dict(practice.estimates("report"))
    require(first == other, f"a new instance differs: {first} and {other}")
    untouched = _global_generators() == generators
    require(untouched, "it draws from a global generator; use bench.streams")
    same = np.array_equal(evidence.predictions.values, before)
    require(same, "it changes the predictions that it is given")


def does_not_depend_on_order(practice: Practice) -> None:
    """Predictions, and what they should have been, in another order: the same measures."""
    order = permutation(0, "practice order", 0, COUNT)
    one, other = practice.estimates("report"), practice.estimates("report", order)
    for measure in practice.made().measures:
        if measure.key in one:
            a, b = float(one[measure.key]), float(other[measure.key])
            near = math.isclose(a, b, rel_tol=ORDER_TOLERANCE, abs_tol=ORDER_TOLERANCE)
            require(near, f"{measure.key} is {a} and, in another order, {b}")


def says_what_it_costs(practice: Practice) -> None:
    """A protocol of plain values; passes and seconds that are no less than 0."""
    metric = practice.made()
    canonical(dict(metric.protocol()))
    require(metric.passes() >= 0, f"passes() is {metric.passes()}")
    seconds = metric.seconds((1, SIDE, SIDE))
    require(math.isfinite(seconds) and seconds >= 0, f"seconds() is {seconds}")


CHECKS: Mapping[str, Callable[[Any], None]] = {
    "is a metric": is_a_metric,
    "declares its measures": declares_its_measures,
    "gives what it declares": gives_what_it_declares,
    "says the same again": says_the_same_again,
    "does not depend on order": does_not_depend_on_order,
    "says what it costs": says_what_it_costs,
}


def _pictures(pictures: NDArray[np.uint8]) -> NDArray[Any]:
    return pictures


def _images(pictures: NDArray[np.uint8]) -> NDArray[Any]:
    return (pictures / np.float32(127.5) - 1).astype(np.float32)


def _masks(pictures: NDArray[np.uint8]) -> NDArray[Any]:
    return (pictures > 127).astype(np.uint8)


def _labels(pictures: NDArray[np.uint8]) -> NDArray[Any]:
    return _masks(pictures)[:, 0]


PICTURES, IMAGES = Form(_pictures, _pictures), Form(_images, _images)
MASKED, SHARES = Form(_masks, _masks), Form(_pictures, _labels)


def _can_use(part: Any, real: RealData, form: Form) -> bool:
    """Whether it estimates from predictions of this form without an error."""
    try:
        Practice(part, real, form).estimates("report")
    except Exception:  # a user's code may raise anything; the checks will say what
        return False
    return True


def _global_generators() -> tuple[bytes, bytes]:
    """The states of torch's and numpy's global generators."""
    return torch.get_rng_state().numpy().tobytes(), pickle.dumps(np.random.get_state())


def _linear(x: Tensor, sigma: Tensor, condition: Condition) -> Tensor:
    """D of independent pixels of standard deviation .5."""
    return x * (0.25 / (0.25 + sigma.view(-1, *(1,) * (x.ndim - 1)) ** 2))


def _coarse(x: Tensor) -> Tensor:
    """Images with few levels of grey left."""
    return (x * 4).round() / 4


def _classless(rows: NDArray[np.int64]) -> Condition:
    return Condition(classes=torch.full((len(rows),), -1))
