"""The likelihood gap: none for who generalises, larger the more is copied."""

from __future__ import annotations

import numpy as np
from scipy.stats import multivariate_normal

from bench.metrics.feature_likelihood import likelihood_gap

D = 8


def draws(count: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((count, D))


def test_who_generalises_has_none() -> None:
    gaps = [
        likelihood_gap(draws(300, s), draws(400, 100 + s), draws(400, 200 + s)) for s in range(20)
    ]
    assert abs(np.mean(gaps)) < 3 * np.std(gaps) / np.sqrt(len(gaps))


def test_it_grows_with_the_share_that_is_copied() -> None:
    train, held_out, honest = draws(400, 1), draws(400, 2), draws(300, 3)
    gaps = []
    for share in (0.0, 0.25, 0.5, 1.0):
        samples = honest.copy()
        copies = int(share * len(samples))
        samples[:copies] = train[:copies]
        gaps.append(likelihood_gap(samples, train[:300], held_out))
    assert (np.diff(gaps) > 0).all()
    assert gaps[-1] > 1


def test_one_sample_is_one_gaussian() -> None:
    """With one sample the width has a closed form: the root mean square distance a feature."""
    sample, train, held_out = draws(1, 4), draws(50, 5), draws(60, 6)
    variance = float(((train - sample) ** 2).mean())
    density = multivariate_normal(sample[0], variance * np.eye(D))
    exact = (density.logpdf(train).mean() - density.logpdf(held_out).mean()) / D
    np.testing.assert_allclose(likelihood_gap(sample, train, held_out), exact, rtol=1e-4)


def test_samples_that_are_all_one_training_picture_are_finite() -> None:
    train = np.repeat(draws(1, 7), 10, axis=0)
    assert likelihood_gap(train, train, draws(10, 8)) == 0.0
