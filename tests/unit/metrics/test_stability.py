"""Loss stability on synthetic series whose answers are known."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from bench.diffusion import preconditioning
from bench.errors import BenchError
from bench.methods.diffusion import Diffusion
from bench.metrics.stability import WARMUP, WINDOW, loss_stability
from bench.streams import uniform
from bench.tasks.generate import GenerateTask
from bench.train.loop import Training
from bench.train.objective import Batch, Terms
from tests.fakes.trials import net_of, tiny, write_cache

Float64 = NDArray[np.float64]


def series(n: int, sd: float, *, seed: int = 0, scheme: str = "edm") -> tuple[Float64, Float64]:
    """Errors around a decaying trend, log-normal of spread sd, on a scheme's training sigmas."""
    rng = np.random.default_rng(seed)
    precond = preconditioning.build(scheme, sigma_data=0.5)
    sigma = precond.sigma_from_uniform(rng.uniform(size=n))
    level = sigma**2 * 0.25 / (sigma**2 + 0.25)
    seen = np.arange(n) / n
    trend = 20 * np.exp(-seen / 0.01) + (1 + seen / 0.02) ** -0.5
    return sigma, level * trend * np.exp(sd * rng.standard_normal(n))


@pytest.mark.parametrize("sd", [0.03, 0.3, 1.0])
@pytest.mark.parametrize("n", [2000, 20_000])
def test_spread_of_log_normal_noise(n: int, sd: float) -> None:
    got = loss_stability(*series(n, sd))
    # a MAD of 1,800 samples is known to 2 %; taken four times
    assert got.loss_rel_spread == pytest.approx(sd, rel=0.08 if n == 2000 else 0.025)
    assert got.spikes_per_1k == 0
    assert got.used == n - int(WARMUP * n)
    assert got.left_out == 0


def test_spread_is_unbiased() -> None:
    """The fit's own parameters take up some of the spread; that is put back."""
    got = [loss_stability(*series(4000, 0.3, seed=s)).loss_rel_spread or np.nan for s in range(40)]
    # 40 series of 3,600 samples: 0.2 %; without the correction 2-3 % are missing
    assert np.mean(got) == pytest.approx(0.3, rel=0.012)


def test_independent_samples_scatter_like_one() -> None:
    got = [
        loss_stability(*series(8000, 0.3, seed=s)).loss_window_scatter or np.nan for s in range(20)
    ]
    # 112 windows each: 10 % a series, 2.3 % in the mean; the trend takes up a little
    assert np.mean(got) == pytest.approx(1.0, abs=0.08)


def test_a_wandering_loss_scatters_more() -> None:
    sigma, error = series(20_000, 0.3)
    wave = 0.15 * np.sin(2 * np.pi * np.arange(20_000) / 700)  # too fast for the trend
    calm, wild = (loss_stability(sigma, e) for e in (error, error * np.exp(wave)))
    # a wave of amplitude a adds a^2/2 to each sample and 64 times that to a window's score
    expected = np.sqrt(1 + WINDOW * 0.15**2 / 2 / 0.3**2)
    assert wild.loss_window_scatter is not None
    assert calm.loss_window_scatter is not None
    assert wild.loss_window_scatter / calm.loss_window_scatter == pytest.approx(expected, rel=0.25)


def test_no_spike_in_spikeless_series() -> None:
    total = [loss_stability(*series(6000, 0.3, seed=s)).spikes_per_1k or 0 for s in range(30)]
    assert np.mean(total) < 0.5


@pytest.mark.parametrize(("length", "factor"), [(16, 20.0), (32, 4.0), (64, 3.0), (300, 3.0)])
def test_injected_spikes_are_counted(length: int, factor: float) -> None:
    """Twelve spikes in 900 windows, wherever they fall against the windows' borders."""
    n = 64_000
    sigma, error = series(n, 0.3)
    for k in range(12):
        start = 9000 + 4111 * k
        error[start : start + length] *= factor
    got = loss_stability(sigma, error)
    windows = (n - n * WARMUP) / WINDOW
    assert got.spikes_per_1k == pytest.approx(12 / windows * 1000)


def test_one_hard_picture_is_no_spike() -> None:
    sigma, error = series(20_000, 0.3)
    error[5000::1000] *= 1e6
    assert loss_stability(sigma, error).spikes_per_1k == 0


@pytest.mark.parametrize("scheme", sorted(preconditioning.PRECONDITIONINGS.table))
@pytest.mark.parametrize("weighting", sorted(preconditioning.PRECONDITIONINGS.table))
def test_loss_weight_does_not_matter(scheme: str, weighting: str) -> None:
    sigma, error = series(20_000, 0.3, scheme=scheme)
    for k in range(6):
        error[5000 + 2111 * k :][:64] *= 4
    precond = preconditioning.build(weighting, sigma_data=0.5)
    weight = precond.loss_weight(torch.from_numpy(sigma)).numpy()
    plain, weighted = loss_stability(sigma, error), loss_stability(sigma, weight * error)
    # 1/sigma^2 is exactly quadratic in the logarithm; EDM's weight bends within the end bins: over
    # three seeds by 2.8 % of the scatter at most, on the levels of DDPM, whose first bin is widest
    rel = 0.03 if weighting == "edm" else 1e-6
    assert weighted.loss_rel_spread == pytest.approx(plain.loss_rel_spread, rel=rel)
    assert weighted.loss_window_scatter == pytest.approx(plain.loss_window_scatter, rel=rel)
    assert weighted.spikes_per_1k == plain.spikes_per_1k
    assert plain.spikes_per_1k == pytest.approx(6 / 282 * 1000, rel=0.01)


class Spiky(Diffusion):
    """Diffusion with a spike of 64 samples in the squared error, where the samples say, and noise
    levels that do not depend on the batch."""

    def _sigma_uniforms(self, samples: Sequence[int], seed: int) -> Any:
        return uniform(seed, "sigma", samples)

    def terms(self, batch: Batch, samples: Sequence[int], seed: int) -> Terms:
        terms = super().terms(batch, samples, seed)
        assert terms.sq_error is not None
        high = torch.tensor([100.0 if 1024 <= k < 1088 else 1.0 for k in samples])
        return Terms(loss=terms.loss, sigma=terms.sigma, sq_error=terms.sq_error * high)


def test_batch_size_does_not_matter(tmp_path: Path) -> None:
    """Real runs at batches 8, 16 and 64 on the same samples, too slow to learn."""
    cache = write_cache(tmp_path / "cache")
    n, results = 2048, []
    for batch in (8, 16, 64):
        shape = {"batch_size": batch, "micro_batch": batch, "budget_nimg": n, "rungs_nimg": (n,)}
        shape |= {"lr": 1e-12, "grad_clip": 0.0}
        changes = {f"train.{k}": v for k, v in shape.items()}
        config = tiny(cache, method=net_of("small_unet", dropout=0.0), **changes)
        torch.manual_seed(0)
        run = Training(config.train, Spiky(config), GenerateTask(config), 3, config.trial_id)
        run.advance(n)
        log = run.stability_log()
        assert len(log["loss"]) == n // batch
        results.append(loss_stability(log["sigma"], log["sq_error"]))
    first = results[0]
    assert first.loss_rel_spread is not None
    assert first.loss_rel_spread > 0.05
    assert first.spikes_per_1k == pytest.approx(1000 / 29, rel=0.01)  # one in 1844 / 64 windows
    for other in results[1:]:
        # convolutions of another batch round otherwise: 1e-6 of an error, moving medians as much
        assert other.loss_rel_spread == pytest.approx(first.loss_rel_spread, rel=1e-3)
        assert other.loss_window_scatter == pytest.approx(first.loss_window_scatter, rel=1e-3)
        assert other.spikes_per_1k == first.spikes_per_1k
        assert (other.used, other.left_out) == (first.used, first.left_out)


def test_shares_are_of_steps() -> None:
    sigma, error = series(1920, 0.3)
    flags = np.arange(240) < 60
    got = loss_stability(sigma, error, clipped=flags, nonfinite=~flags)
    assert (got.clipped_share, got.nonfinite_share) == (0.25, 0.75)


def test_an_accumulated_scale_does_not_matter() -> None:
    sigma, error = series(5000, 0.3)
    a, b = loss_stability(sigma, error), loss_stability(sigma, 1e6 * error)
    assert a.loss_rel_spread == pytest.approx(b.loss_rel_spread, rel=1e-6)


def test_sigma_explains_the_swing() -> None:
    """The raw loss swings by orders of magnitude; what is left is what was put in."""
    sigma, error = series(20_000, 0.1, scheme="ve")
    assert np.std(np.log(error)) > 1
    assert loss_stability(sigma, error).loss_rel_spread == pytest.approx(0.1, rel=0.03)


def test_non_finite_samples_are_left_out_and_counted() -> None:
    sigma, error = series(5000, 0.3)
    clean = loss_stability(sigma, error)
    error[2000:2010] = [np.nan, np.inf, 0, np.nan, np.nan, np.inf, 0, 0, np.nan, np.nan]
    got = loss_stability(sigma, error)
    assert got.left_out == 10
    assert got.used == clean.used - 10
    assert got.loss_rel_spread == pytest.approx(clean.loss_rel_spread, rel=0.02)


def test_few_levels_of_sigma() -> None:
    """A discrete scheme repeats its sigmas; equal sigmas stay in one bin, in time order."""
    rng = np.random.default_rng(0)
    sigma = rng.choice([0.1, 1.0, 10.0], 6000)
    error = sigma**2 * np.exp(0.2 * rng.standard_normal(6000))
    assert loss_stability(sigma, error).loss_rel_spread == pytest.approx(0.2, rel=0.06)
    constant = loss_stability(np.full(6000, 0.5), error / sigma**2)
    assert constant.loss_rel_spread == pytest.approx(0.2, rel=0.06)


def test_short_series_say_nothing() -> None:
    got = loss_stability(*series(100, 0.3), clipped=[True, False])
    numbers = dataclasses.asdict(got)
    assert numbers["loss_rel_spread"] is numbers["spikes_per_1k"] is None
    assert numbers["loss_window_scatter"] is None
    assert got.clipped_share == 0.5
    assert got.nonfinite_share is None
    assert loss_stability([], []).used == 0


@pytest.mark.parametrize(
    ("sigma", "error"), [([1.0], [1.0, 2.0]), ([0.0], [1.0]), ([1.0], [-1.0]), ([np.nan], [1.0])]
)
def test_impossible_logs(sigma: list[float], error: list[float]) -> None:
    with pytest.raises(BenchError):
        loss_stability(sigma, error)
