"""Precision, recall, density, coverage by a slow loop and a peer; their errors by simulation."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch_fidelity.metric_prc import calculate_precision_recall_full

from bench.data.practice_data import write_practice_data
from bench.errors import BenchError
from bench.metrics import nearest as module
from bench.metrics.jackknife import Float64
from bench.metrics.nearest import HALVES, SHARES, nearest, radii
from bench.metrics.nearest_metric import NearestMetric
from bench.metrics.real import RealData


def draw(n: int, seed: int, *, width: int = 16, shift: float = 0.0, spread: float = 1.0) -> Float64:
    scales = np.geomspace(1, 0.1, width)
    return shift + spread * scales * np.random.default_rng(seed).standard_normal((n, width))


def by_loop(real: Float64, predicted: Float64, k: int) -> dict[str, float]:
    """The papers' definitions, pair by pair."""

    def reach(x: Float64) -> list[float]:
        return [
            sorted(float(np.linalg.norm(a - b)) for j, b in enumerate(x) if j != i)[k - 1]
            for i, a in enumerate(x)
        ]

    of_real, of_predicted = reach(real), reach(predicted)
    apart = [[float(np.linalg.norm(r - p)) for p in predicted] for r in real]
    n, m = len(real), len(predicted)
    held = [[apart[i][j] <= of_real[i] for j in range(m)] for i in range(n)]
    return {
        "precision": sum(any(held[i][j] for i in range(n)) for j in range(m)) / m,
        "recall": sum(any(apart[i][j] <= of_predicted[j] for j in range(m)) for i in range(n)) / n,
        "density": sum(map(sum, held)) / (k * m),
        "coverage": sum(map(any, held)) / n,
    }


@pytest.mark.parametrize(("n", "m", "k"), [(40, 30, 5), (25, 60, 3), (30, 30, 1)])
def test_equals_the_definitions(n: int, m: int, k: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ROWS", 7)  # stretches that do not divide the rows
    real, predicted = draw(n, 0), draw(m, 1, shift=0.2, spread=0.8)
    found = nearest(real, radii(real, k), predicted, k)
    assert found.values == pytest.approx(by_loop(real, predicted, k), rel=1e-12)
    assert found.errors is None


@pytest.mark.parametrize(("n", "m"), [(300, 200), (60, 80)])
def test_equals_torch_fidelity(n: int, m: int) -> None:
    """Fewer samples than dimensions too. It has precision and recall."""
    real, predicted = draw(n, 0, width=100), draw(m, 1, width=100, shift=0.1, spread=0.9)
    peer = calculate_precision_recall_full(
        torch.from_numpy(predicted), torch.from_numpy(real), neighborhood=3
    )
    found = nearest(real, radii(real, 3), predicted, 3).values
    # its shares are float32
    assert (found["precision"], found["recall"]) == pytest.approx(peer, rel=1e-6)


def test_which_way_it_is_bad() -> None:
    real = draw(400, 0)
    reach = radii(real, 5)
    good, narrow, far = (
        nearest(real, reach, x, 5).values
        for x in (draw(400, 1), draw(400, 1, spread=0.3), draw(400, 1, shift=3.0))
    )
    assert good["density"] == pytest.approx(1, abs=0.15)
    assert good["coverage"] > 0.9
    assert narrow["precision"] > good["precision"]
    assert narrow["recall"] < 0.5 * good["recall"]
    assert narrow["coverage"] < 0.7 * good["coverage"]
    assert max(far.values()) < 0.05


def test_errors_are_the_spread_over_draws() -> None:
    """Of other predictions beside the same real samples."""
    real = draw(200, 0)
    reach, rng = radii(real, 5), np.random.default_rng(5)
    values, errors = [], []
    for seed in range(1, 81):
        orders = [rng.permutation(128) for _ in range(HALVES)]
        found = nearest(real, reach, draw(128, seed, shift=0.1, spread=0.9), 5, orders)
        assert found.errors is not None
        values.append([found.values[name] for name in SHARES])
        errors.append([found.errors[name] for name in SHARES])
    ratio = np.mean(errors, 0) / np.std(values, 0, ddof=1)
    # the sd of 80 draws is known to 8 %; halves of the predictions are not all of them
    assert ratio == pytest.approx(1, rel=0.35)


def test_more_neighbours_than_pictures_are_refused(tmp_path: Path) -> None:
    real = RealData(str(write_practice_data(tmp_path / "cache", (8, 8)).path))
    with pytest.raises(BenchError, match="5 nearest neighbours need 6 samples"):
        radii(draw(5, 0), 5)
    metric = NearestMetric({**NearestMetric.settings_taken(), "nearest_k": 14})
    with pytest.raises(BenchError, match=r"nearest_k is 14.*14 drawn"):
        metric.prepare(real, {"select": 14, "report": 14})
