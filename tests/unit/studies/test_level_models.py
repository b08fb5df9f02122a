"""Models of a bare loss log: what was planted is found, and the right model wins in both worlds."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import lognorm, norm

from bench.errors import BenchError
from bench.studies.draw_counts import published
from bench.studies.level_models import fit_levels, fit_rivals, frequencies_p, order_p

PIXELS, BATCH, COST = 65_536, 6, 0.95


def counting_log(n: int, seed: int = 0) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Losses that count samples at t = 0, drawn as the published code draws, and the counts."""
    rng = np.random.default_rng(seed)
    draws = rng.integers(10, size=(n, BATCH // 2 + 1))
    steps = np.concatenate([draws, 9 - draws], 1)[:, :BATCH]
    cost = rng.normal(COST, 0.05, size=steps.shape) * (steps == 0)
    rest = rng.lognormal(np.log(300), 0.6, size=n)
    return PIXELS / BATCH * cost.sum(1) + rest, (steps == 0).sum(1)


def swinging_log(n: int, seed: int = 0) -> NDArray[np.float64]:
    """Losses without levels."""
    return np.random.default_rng(seed).lognormal(6.5, 1.8, size=n)


def test_the_planted_batch_level_and_counts_are_found() -> None:
    losses, counts = counting_log(1000)
    near = fit_levels(losses, published(4, 10))
    fits = {b: fit_levels(losses, published(b, 10), near=near) for b in (4, 5, 6, 7, 8)}

    best = max(fits, key=lambda b: fits[b].log_likelihood)
    fit = fits[best]
    assert best == BATCH
    assert fit.level * best / PIXELS == pytest.approx(COST, abs=0.01)  # rest's mean: 3 errors
    assert fit.rest_median == pytest.approx(300, rel=0.1)  # se of a mean of 520 logs: 2.6 %
    assert (fit.counts == counts).mean() > 0.999
    assert frequencies_p(fit.counts, published(best, 10)) > 0.01
    assert frequencies_p(fit.counts, published(3, 10)) < 0.001


@pytest.mark.parametrize("seed", range(3))
def test_counts_win_where_the_loss_counts(seed: int) -> None:
    losses, _ = counting_log(40, seed)
    fit, rivals = fit_levels(losses, published(BATCH, 10)), fit_rivals(losses)

    assert fit.aic < min(r.aic for r in rivals) - 10
    assert fit.bic < min(r.bic for r in rivals) - 10


@pytest.mark.parametrize("seed", range(3))
def test_counts_lose_where_the_loss_swings_without_levels(seed: int) -> None:
    losses = swinging_log(40, seed)
    rivals = fit_rivals(losses)

    for batch in (4, 6):
        fit = fit_levels(losses, published(batch, 10))
        assert fit.aic > min(r.aic for r in rivals) + 4
        assert fit.bic > min(r.bic for r in rivals) + 4


def test_one_lognormal_has_the_likelihood_scipy_gives_it() -> None:
    losses = swinging_log(50)
    fit = next(r for r in fit_rivals(losses) if r.model == "one lognormal")

    sigma, _, scale = lognorm.fit(losses, floc=0)
    expected = lognorm.logpdf(losses, sigma, scale=scale).sum()
    assert fit.log_likelihood == pytest.approx(expected, abs=1e-3)  # scipy's own optimizer
    assert fit.aic == pytest.approx(4 - 2 * fit.log_likelihood)
    assert fit.bic == pytest.approx(2 * np.log(50) - 2 * fit.log_likelihood)


def test_the_likelihood_is_that_of_scipys_densities() -> None:
    losses, _ = counting_log(60)
    p = published(BATCH, 10)
    fit = fit_levels(losses, p)

    mu, sigma = np.log(fit.rest_median), fit.rest_sigma
    mean, variance = lognorm.stats(sigma, scale=np.exp(mu), moments="mv")
    density = p[0] * lognorm.pdf(losses, sigma, scale=np.exp(mu))
    for k in range(1, len(p)):
        sd = np.sqrt(k * fit.level_sd**2 + variance)
        density += p[k] * norm.pdf(losses, k * fit.level + mean, sd)
    assert fit.log_likelihood == pytest.approx(float(np.log(density).sum()), abs=1e-8)  # rounding


def test_a_start_from_another_fit_ends_where_a_fresh_one_does() -> None:
    losses, _ = counting_log(60)
    near = fit_levels(losses, published(4, 10))

    fresh, warm = (fit_levels(losses, published(6, 10), near=n) for n in (None, near))
    assert warm.log_likelihood == pytest.approx(fresh.log_likelihood, abs=1e-3)  # Nelder-Mead's


def test_high_losses_in_a_run_are_seen_and_scattered_ones_are_not() -> None:
    steps, run = np.arange(40), np.zeros(40, bool)
    run[20:30] = True

    assert order_p(steps, run) < 0.001
    assert order_p(steps, np.arange(40) % 4 == 0) == 1.0  # never two in a row
    assert order_p(2 * steps, run) == 1.0  # none of these steps are neighbours


@pytest.mark.parametrize("losses", [[1.0] * 3, [1.0] * 9 + [0.0], [1.0] * 9 + [float("nan")]])
def test_what_no_model_can_take_is_refused(losses: list[float]) -> None:
    with pytest.raises(BenchError, match="loss log needs"):
        fit_rivals(losses)
