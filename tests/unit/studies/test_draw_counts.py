"""How many samples of a batch draw one step, against counting draws one by one."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from bench.streams import mirrored
from bench.studies.draw_counts import DRAWS, paired

STEPS = 5  # all draws of a small set can be counted


def exactly(batch: int, drawn: int, place: int) -> list[float]:
    """Shares of `drawn` equally likely draws and the first mirrors of them, up to `batch`."""
    counts = np.zeros(batch + 1)
    for draws in itertools.product(range(STEPS), repeat=drawn):
        whole = [*draws, *(STEPS - 1 - d for d in draws)][:batch]
        counts[whole.count(place)] += 1
    return (counts / counts.sum()).tolist()


@pytest.mark.parametrize("batch", [2, 3, 4, 6])
def test_the_published_code_counted_draw_by_draw(batch: int) -> None:
    probabilities = DRAWS["published code"](batch, STEPS)

    expected = exactly(batch, batch // 2 + 1, 0)[: len(probabilities)]
    assert probabilities.tolist() == pytest.approx(expected, abs=1e-12)  # sums of 5^4 terms
    assert probabilities.sum() == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("batch", [2, 4, 6])
def test_pairs_counted_draw_by_draw(batch: int) -> None:
    probabilities = paired(batch, STEPS)

    expected = exactly(batch, batch // 2, STEPS - 1)[: len(probabilities)]
    assert probabilities.tolist() == pytest.approx(expected, abs=1e-12)


def test_the_streams_of_training_draw_as_pairs_do() -> None:
    batch, steps, n = 6, 10, 4000
    places = np.floor(mirrored(0, "sigma", range(n * batch)) * steps).astype(int)
    seen = np.bincount((places.reshape(n, batch) == 0).sum(1), minlength=4)[:4]

    p = paired(batch, steps)
    error = np.sqrt(p * (1 - p) / n)
    assert np.all(np.abs(seen / n - p) < 4 * error)  # four standard errors of a binomial share


def test_every_way_of_drawing_has_the_same_mean() -> None:
    for draw in DRAWS.values():
        p = draw(7, 10)
        assert (p * np.arange(len(p))).sum() == pytest.approx(0.7, abs=1e-12)
