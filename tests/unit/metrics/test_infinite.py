"""The distance at infinitely many samples: its line by hand, its bias and error by simulation."""

from __future__ import annotations

import numpy as np
import pytest

from bench.metrics.frechet import FrechetReference, frechet_distance
from bench.metrics.infinite import infinite_distance
from bench.metrics.jackknife import Float64


def draw(n: int, seed: int, *, shift: float = 0.0, spread: float = 1.0) -> Float64:
    return shift + spread * np.geomspace(2, 0.2, 16) * (
        np.random.default_rng(seed).standard_normal((n, 16))
    )


@pytest.fixture(scope="module")
def reference() -> FrechetReference:
    return FrechetReference.of_features(draw(2000, 0), digest="")


def test_is_the_intercept_of_a_line(reference: FrechetReference) -> None:
    features = draw(523, 1, shift=0.2)

    def mean_of(parts: int) -> float:
        size = 523 // parts
        pieces = [features[i : i + size] for i in range(0, size * parts, size)]
        return float(np.mean([frechet_distance(reference, x).value for x in pieces]))

    sizes = [523, 261, 130, 65]
    _, intercept = np.polyfit([1 / n for n in sizes], [mean_of(p) for p in (1, 2, 4, 8)], 1)
    assert infinite_distance(reference, features)[0] == pytest.approx(intercept, rel=1e-9)


def test_few_samples_give_a_line_of_two_points(reference: FrechetReference) -> None:
    features = draw(20, 1, shift=0.2)
    whole = frechet_distance(reference, features).value
    halves = np.mean([frechet_distance(reference, x).value for x in (features[:10], features[10:])])
    value, error = infinite_distance(reference, features)
    assert value == pytest.approx(2 * whole - halves, rel=1e-9)
    assert error is not None
    assert infinite_distance(reference, features[:9])[1] is None


@pytest.mark.parametrize(("shift", "spread"), [(0.0, 1.0), (0.2, 0.9)])
def test_has_no_bias_and_the_error_that_it_says(
    reference: FrechetReference, shift: float, spread: float
) -> None:
    """At the floor and away from it, over 100 draws of 512: the distance itself is far above."""
    far = frechet_distance(reference, draw(200_000, 9, shift=shift, spread=spread), blocks=0).value
    fresh = [draw(512, seed, shift=shift, spread=spread) for seed in range(1, 101)]
    found = [infinite_distance(reference, x) for x in fresh]
    values, errors = np.array([v for v, _ in found]), [e for _, e in found if e is not None]
    spread_of = values.std(ddof=1)
    assert abs(values.mean() - far) < 3 * spread_of / 100**0.5
    plain = np.mean([frechet_distance(reference, x, blocks=0).value for x in fresh])
    assert plain - far > 5 * abs(values.mean() - far)
    # the sd of 100 draws is known to 7 %; the line adds a little to the distance's own error
    assert np.mean(errors) == pytest.approx(spread_of, rel=0.25)
