"""Kernel distance against its definition and a simulation; the metric around it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bench.data.practice_data import write_practice_data
from bench.errors import BenchError
from bench.metrics import kernel_metric
from bench.metrics.extractors import extract, load_extractor
from bench.metrics.frechet_metric import FrechetMetric
from bench.metrics.kernel_metric import KernelMetric, kernel_distance
from bench.metrics.metric import Evidence
from bench.metrics.real import RealData
from bench.predictions import Predictions

Float64 = np.ndarray


def draw(n: int, seed: int, *, width: int = 8, shift: float = 0.0) -> Float64:
    return shift + np.random.default_rng(seed).standard_normal((n, width))


def by_definition(x: Float64, y: Float64) -> float:
    """Gretton et al. 2012, equation 3, pair by pair, with the kernel (x.y / D + 1)^3."""

    def k(a: Float64, b: Float64) -> float:
        return (sum(float(u) * float(v) for u, v in zip(a, b, strict=True)) / len(a) + 1) ** 3

    n, m = len(x), len(y)
    within_x = sum(k(x[i], x[j]) for i in range(n) for j in range(n) if i != j) / (n * (n - 1))
    within_y = sum(k(y[i], y[j]) for i in range(m) for j in range(m) if i != j) / (m * (m - 1))
    across = sum(k(a, b) for a in x for b in y) / (n * m)
    return within_x + within_y - 2 * across


@pytest.mark.parametrize(("n", "m"), [(12, 12), (17, 5), (2, 9), (3, 2)])
def test_equals_the_definition(n: int, m: int) -> None:
    real, predicted = draw(n, 0), draw(m, 1, shift=0.3)
    value, _ = kernel_distance(real, predicted)
    assert value == pytest.approx(by_definition(real, predicted), rel=1e-10)


def test_stretches_of_rows_add_up(monkeypatch: pytest.MonkeyPatch) -> None:
    real, predicted = draw(33, 0), draw(45, 1, shift=0.3)
    whole = kernel_distance(real, predicted)
    monkeypatch.setattr(kernel_metric, "ROWS", 7)
    assert kernel_distance(real, predicted) == pytest.approx(whole, rel=1e-12)


def test_is_unbiased() -> None:
    """Over 400 pairs of draws of one distribution its mean is 0, at whatever counts."""
    for n, m in ((12, 30), (40, 10)):
        values = [kernel_distance(draw(n, 2 * s), draw(m, 2 * s + 1))[0] for s in range(400)]
        error = np.std(values, ddof=1) / len(values) ** 0.5
        assert abs(np.mean(values)) < 3 * error
        assert min(values) < 0  # not clipped: that would be a bias


def test_does_not_fall_with_the_number_of_samples() -> None:
    """What the biased V-statistic (and a Fréchet distance) does."""
    means, errors = [], []
    for m in (10, 80):
        values = [kernel_distance(draw(50, 0), draw(m, s, shift=0.3))[0] for s in range(1, 301)]
        means.append(np.mean(values))
        errors.append(np.std(values, ddof=1) / len(values) ** 0.5)
    assert means[0] > 10 * errors[0]  # far above the floor
    assert abs(means[0] - means[1]) < 3 * np.hypot(*errors)


@pytest.mark.parametrize(("m", "shift"), [(100, 0.3), (64, 0.6)])
def test_standard_error_is_the_spread_over_draws(m: int, shift: float) -> None:
    """Of drawing other predictions, against the same real features."""
    real = draw(200, 0)
    pairs = [kernel_distance(real, draw(m, s, shift=shift)) for s in range(1, 201)]
    spread = np.std([value for value, _ in pairs], ddof=1)
    error = np.mean([error for _, error in pairs if error is not None])
    # the sd of 200 draws is known to 5 %, the mean of 200 jackknives to 1 %
    assert error == pytest.approx(spread, rel=0.25)


def test_jackknife_by_the_slow_way() -> None:
    """Equal blocks: the textbook formula over values with every 20th prediction left out."""
    real, predicted = draw(15, 0), draw(40, 1, shift=0.3)
    without = np.array(
        [kernel_distance(real, np.delete(predicted, np.s_[k::20], 0))[0] for k in range(20)]
    )
    expected = (19 / 20 * ((without - without.mean()) ** 2).sum()) ** 0.5
    assert kernel_distance(real, predicted)[1] == pytest.approx(expected, rel=1e-9)


def test_few_predictions_have_a_value_and_no_error() -> None:
    value, error = kernel_distance(draw(20, 0), draw(9, 1))
    assert np.isfinite(value)
    assert error is None
    assert kernel_distance(draw(20, 0), draw(10, 1))[1] is not None


@pytest.mark.parametrize(("n", "m", "width"), [(1, 5, 8), (5, 1, 8), (5, 5, 7)])
def test_features_that_cannot_be_compared_are_refused(n: int, m: int, width: int) -> None:
    with pytest.raises(BenchError, match="two sets of features"):
        kernel_distance(draw(n, 0), draw(m, 1, width=width))


def test_the_metric_is_of_the_parts_features(tmp_path: Path) -> None:
    """By hand, and with the features that the Fréchet distance has taken already."""
    real = RealData(str(write_practice_data(tmp_path / "cache", (8, 8)).path))
    settings = {"extractor": "randconv", "n_reference": 16}
    metric, extractor = KernelMetric(settings), load_extractor("randconv")
    pictures = real.pictures("train", 14)
    values = {}
    for part in ("select", "report"):
        predictions = Predictions(values=pictures, passes=1, outside_share=0.0)
        evidence = Evidence(part=part, real=real, predictions=predictions)
        FrechetMetric(settings).estimate(evidence)
        (shared,) = (v for k, v in evidence.shared.items() if k.startswith("features"))
        np.testing.assert_array_equal(shared, extract(extractor, pictures))
        values[part] = metric.estimate(evidence)
        by_hand = by_definition(extract(extractor, real.pictures(part, 16)), shared)
        assert values[part]["kd_randconv"] == pytest.approx(by_hand, rel=1e-9)
        assert set(values[part]) == {"kd_randconv", "kd_randconv_se"}
    assert values["select"] != values["report"]
    measure = metric.measures[0]
    assert (measure.direction, measure.scale) == ("lower", "difference")  # it may be negative


def test_another_extractor_has_another_name_and_protocol() -> None:
    one, other = (
        KernelMetric({"extractor": name, "n_reference": 8}) for name in ("randconv", "randconv64")
    )
    assert [m.measures[0].key for m in (one, other)] == ["kd_randconv", "kd_randconv64"]
    assert one.protocol()["extractor_digest"] != other.protocol()["extractor_digest"]
