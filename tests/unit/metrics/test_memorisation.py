"""The train reference is as large as the held-out one; a copier is nearer to train."""

from __future__ import annotations

import numpy as np

from bench.metrics.extractors import extract
from bench.metrics.frechet import FrechetReference, frechet_distance
from bench.metrics.memorisation import matched_indices
from bench.metrics.randconv import build
from tests.unit.metrics.pictures import echo_like


def test_matched_indices() -> None:
    part = np.arange(100, 400)
    got = matched_indices(part, 50)
    assert len(np.unique(got)) == 50
    assert np.isin(got, part).all()
    assert (np.diff(got) > 0).all()
    np.testing.assert_array_equal(got, matched_indices(part, 50))
    assert (got != matched_indices(part, 50, seed=1)).any()
    np.testing.assert_array_equal(matched_indices(part[::-1], 999), part)


def test_a_copier_is_nearer_to_train() -> None:
    extractor = build()
    train, held_out = echo_like(200, seed=0), echo_like(200, seed=1)
    copies = train[np.random.default_rng(2).integers(0, 200, 150)]
    fresh = echo_like(150, seed=3)
    to_train, to_held_out = (FrechetReference.of_images(extractor, p) for p in (train, held_out))

    def gap(pictures: np.ndarray) -> float:
        features = extract(extractor, pictures)
        a, b = (frechet_distance(r, features).value for r in (to_train, to_held_out))
        return a / b

    assert gap(copies) < 0.7
    assert 0.7 < gap(fresh) < 1.4
