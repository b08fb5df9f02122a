"""Every method in the table passes the suite a user's has to pass; a broken one does not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from backbones.inputs import Inputs
from bench import doors
from bench.config import Args, TaskConfig
from bench.errors import BenchError
from bench.methods import METHODS, load_method
from bench.methods import method_conformance as suite
from bench.methods.classical import Classical, Estimating
from bench.methods.diffusion import Diffusion
from bench.methods.direct import Direct, Regression
from bench.methods.method import Method
from bench.predictions import Cases, Predictions
from bench.train.objective import Batch, Terms

FAULTY = Path(__file__).parents[1] / "fakes" / "regression.py"
WHOLE = len(suite.CHECKS) + 1


@pytest.fixture(autouse=True)
def _verdicts() -> Iterator[None]:
    before = dict(doors.VERDICTS)
    yield
    doors.VERDICTS.clear()
    doors.VERDICTS.update(before)


@pytest.mark.parametrize("name", sorted(METHODS.table))
def test_the_tables_methods_pass(name: str) -> None:
    assert suite.check(METHODS.load(name), name) == WHOLE


def test_a_users_method_comes_as_a_file_wherever_it_is_loaded() -> None:
    """Under inference settings too; the caller's random stream is left as it is."""
    name = f"{FAULTY}:Broken"
    doors.VERDICTS.pop(name, None)
    torch.manual_seed(5)
    before = torch.get_rng_state()
    with torch.device("meta"), torch.no_grad():
        assert issubclass(load_method(name), Diffusion)
    assert doors.VERDICTS[name] == f"method regression.py:Broken passes {WHOLE} conformance checks"
    assert torch.equal(torch.get_rng_state(), before)


class OfItsOwnEstimators(Classical):
    """Takes none of the names that the suite knows: its class alone is checked."""

    @classmethod
    def whole_arguments(cls, backbone: str, given: Mapping[str, Any]) -> Args:
        raise BenchError(f"unknown estimator {backbone}")


def test_a_method_of_other_backbones_is_checked_as_far_as_its_class_goes() -> None:
    assert suite.check(OfItsOwnEstimators, "other") == 1


class Incomplete(Method):
    @classmethod
    def inputs(cls, task: TaskConfig) -> Inputs | None:
        return task.inputs


class OfNoTask(Direct):
    @classmethod
    def inputs(cls, task: TaskConfig) -> Inputs:
        raise BenchError("not this task")


class MeanLoss(Direct):
    def terms(self, batch: Batch, samples: Sequence[int], seed: int) -> Terms:
        return Terms(loss=super().terms(batch, samples, seed).loss.mean())


class NoGradient(Direct):
    def terms(self, batch: Batch, samples: Sequence[int], seed: int) -> Terms:
        return Terms(loss=super().terms(batch, samples, seed).loss.detach())


class ByBatch(Direct):
    def terms(self, batch: Batch, samples: Sequence[int], seed: int) -> Terms:
        return Terms(loss=super().terms(batch, samples, seed).loss * len(samples))


class Draws(Direct):
    def terms(self, batch: Batch, samples: Sequence[int], seed: int) -> Terms:
        torch.randn(1)
        return super().terms(batch, samples, seed)


class Infinite(Direct):
    def terms(self, batch: Batch, samples: Sequence[int], seed: int) -> Terms:
        return Terms(loss=super().terms(batch, samples, seed).loss / 0)


def predicting(base: type[Any], changed: type[Any]) -> type[Method]:
    """A method whose predictor is another."""

    class Changed(base):  # type: ignore[misc]
        def predictor(self, nets: Any, seed: int, sample: Any) -> Any:
            if base is Classical:
                return changed(self.config, sample)
            return changed(self.config, nets, sample)

    return Changed


class Restless(Regression):
    def predict(self, cases: Cases) -> Predictions:
        made = super().predict(cases)
        noise = np.random.default_rng().standard_normal(made.values.shape)
        return Predictions(values=made.values + noise, passes=1, outside_share=0.0)


class ByShare(Estimating):
    def predict_some(self, cases: Cases, places: range) -> Predictions:
        made = super().predict_some(cases, places)
        return Predictions(values=made.values * len(places), passes=0, outside_share=0.0)


class OneEach(Regression):
    def predict_some(self, cases: Cases, places: range) -> Predictions:
        made = super().predict_some(cases, places)
        return Predictions(values=made.values[::2], passes=1, outside_share=0.0)


class Thrifty(Regression):
    def predict_some(self, cases: Cases, places: range) -> Predictions:
        made = super().predict_some(cases, places)
        return Predictions(values=made.values, passes=3, outside_share=0.0)


BROKEN: list[tuple[str, Any, str]] = [
    ("is a method", 3, "must be a subclass"),
    ("is a method", Incomplete, "it must define predictor, terms"),
    ("is a method", OfNoTask, "it takes no task: not this task"),
    ("trains on keyed draws", MeanLoss, r"the loss has shape \(\)"),
    ("trains on keyed draws", NoGradient, "no gradient"),
    ("trains on keyed draws", ByBatch, "depends on its batch"),
    ("trains on keyed draws", Draws, "global generator"),
    ("trains on keyed draws", Infinite, "not finite"),
    ("predicts", predicting(Direct, Restless), "two answers to the same cases differ"),
    ("predicts", predicting(Classical, ByShare), "worker's share"),
    ("predicts", predicting(Direct, OneEach), r"6 predictions have shape \(3, 1, 8, 8\)"),
    ("predicts", predicting(Direct, Thrifty), r"passes\(\) says 1, a prediction took 3"),
]


@pytest.mark.parametrize(("rule", "broken", "verdict"), BROKEN)
def test_each_rule_catches_a_method_that_breaks_it(rule: str, broken: Any, verdict: str) -> None:
    with pytest.raises(BenchError, match=verdict) as caught:
        suite.check(broken, "broken")
    assert str(caught.value).startswith(f"method broken breaks its contract ({rule}): ")
    assert "\n" not in str(caught.value)
