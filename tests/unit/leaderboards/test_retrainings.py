"""What tests.measure.retrainings says of trainings whose variances are known."""

from __future__ import annotations

import math

import numpy as np
import pytest

from leaderboards.measures import Measure
from tests.measure.retrainings import agreement, discrimination, logs_of
from tests.unit.leaderboards.synthetic import row

DRAWN = Measure(key="eval/fd_drawn", title="fd_drawn", direction="lower")


def test_discrimination_is_the_variance_between_entries_over_that_between_seeds() -> None:
    logs = np.random.default_rng(5).normal(size=(9, 4)) + 2 * np.arange(9)[:, None]
    between = 4 * sum((of.mean() - logs.mean()) ** 2 for of in logs) / 8
    within = sum(float(((of - of.mean()) ** 2).sum()) for of in logs) / (9 * 3)
    f, low, high = discrimination(logs)
    assert f == pytest.approx(between / within, rel=1e-9)  # float64 sums of 36 numbers
    assert low < f < high


def test_the_interval_of_f_holds_the_ratio_that_the_draws_have() -> None:
    draw, held = np.random.default_rng(7), 0
    for _ in range(400):
        logs = draw.normal(size=(9, 1)) + draw.normal(size=(9, 4))
        _, low, high = discrimination(logs)
        held += low < 1 + 4 * 1 < high
    assert held / 400 == pytest.approx(0.95, abs=3 * (0.95 * 0.05 / 400) ** 0.5)  # binomial


def test_agreement_is_of_ranks_over_trainings_and_over_entries() -> None:
    one = np.array([[1.0, 2.0], [3.0, 5.0], [4.0, 9.0]])
    assert agreement(one, one**3) == pytest.approx((1, 1))
    swapped = one[:, ::-1]  # the means of entries stay as they are
    trainings, entries = agreement(one, swapped)
    assert entries == pytest.approx(1)
    assert trainings < 1


def test_a_measure_that_some_training_lacks_has_no_logarithms() -> None:
    whole = [[row(0, 50.0, values={"eval/fd_drawn": 2.0})], [row(1, 40.0, values={})]]
    assert logs_of(whole, DRAWN) is None
    score = whole[0][0].score_measure
    logs = logs_of(whole, score)
    assert logs is not None
    assert logs == pytest.approx(np.array([[math.log(50)], [math.log(40)]]))
