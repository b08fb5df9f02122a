"""The same features to the code of clean-fid, torchmetrics and torch-fidelity, and to ours."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from cleanfid import fid as clean_fid
from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric
from torch_fidelity.metric_kid import kernel_mmd
from torchmetrics.image.fid import FrechetInceptionDistance, _compute_fid
from torchmetrics.image.kid import poly_mmd

from bench.metrics.extractors import extract
from bench.metrics.frechet import (
    FeatureStatistics,
    FrechetReference,
    distance_of_statistics,
    frechet_distance,
)
from bench.metrics.jackknife import Float64
from bench.metrics.kernel_metric import kernel_distance
from bench.metrics.randconv import build
from tests.unit.metrics.pictures import blurred, echo_like

WIDTH = 192


def draw(n: int, seed: int, *, shift: float = 0.0) -> Float64:
    """Correlated features whose variances span four decades, as an extractor's do."""
    mix = np.random.default_rng(99).standard_normal((WIDTH, WIDTH)) / WIDTH**0.5
    spread = np.geomspace(3, 0.03, WIDTH)
    rng = np.random.default_rng(seed)
    return shift + rng.standard_normal((n, WIDTH)) * spread @ (mix + np.eye(WIDTH))


def by_clean_fid(real: Float64, predicted: Float64) -> float:
    moments = [(x.mean(0), np.cov(x, rowvar=False)) for x in (predicted, real)]
    return float(clean_fid.frechet_distance(*moments[0], *moments[1]))


def by_torchmetrics(real: Float64, predicted: Float64) -> float:
    (m, s), (m_r, s_r) = (
        (torch.from_numpy(x.mean(0)), torch.from_numpy(np.cov(x, rowvar=False)))
        for x in (predicted, real)
    )
    return float(_compute_fid(m, s, m_r, s_r))


def by_torch_fidelity(real: Float64, predicted: Float64) -> float:
    one, other = (fid_features_to_statistics(torch.from_numpy(x)) for x in (predicted, real))
    return float(fid_statistics_to_metric(one, other, False)["frechet_inception_distance"])


@pytest.mark.filterwarnings("ignore")  # clean-fid calls sqrtm as SciPy will have it no more
@pytest.mark.parametrize("peer", [by_clean_fid, by_torchmetrics, by_torch_fidelity])
@pytest.mark.parametrize(
    ("n", "n_real"), [(600, 500), (100, 500), (600, 100), (120, 100)], ids=lambda n: str(n)
)
def test_frechet_distances_agree(
    peer: Callable[[Float64, Float64], float], n: int, n_real: int
) -> None:
    real, predicted = draw(n_real, 0), draw(n, 1, shift=0.1)
    reference = FrechetReference.of_features(real, digest="")
    got = frechet_distance(reference, predicted, blocks=0).value
    assert got == pytest.approx(peer(real, predicted), rel=1e-6)


def test_torchmetrics_from_pictures() -> None:
    """Its whole metric, with our extractor in place of Inception."""
    extractor = build()
    real, fake = echo_like(200, seed=0), blurred(echo_like(150, seed=1), 0.8)
    peer = FrechetInceptionDistance(feature=extractor).set_dtype(torch.float64)
    peer.update(torch.from_numpy(real), real=True)
    peer.update(torch.from_numpy(fake), real=False)
    reference = FrechetReference.of_images(extractor, real)
    got = frechet_distance(reference, extract(extractor, fake)).value
    # torchmetrics adds float32 features up as sums of squares before it centres them
    assert got == pytest.approx(float(peer.compute()), rel=1e-4)


@pytest.mark.parametrize("n", [60, 300])
def test_kernel_distances_agree(n: int) -> None:
    """Of equal counts, which is all that their polynomial MMD takes; their KID is a mean of it over
    subsets, and clean-fid's is so too: one subset of all samples is all of it."""
    real, predicted = draw(n, 0), draw(n, 1, shift=0.2)
    got = kernel_distance(real, predicted)[0]
    assert got == pytest.approx(
        float(poly_mmd(torch.from_numpy(real), torch.from_numpy(predicted))), rel=1e-9
    )
    assert got == pytest.approx(kernel_mmd(real, predicted), rel=1e-9)
    whole = clean_fid.kernel_distance(real, predicted, num_subsets=1, max_subset_size=n)
    assert got == pytest.approx(whole, rel=1e-9)


@pytest.mark.parametrize("n", [150, 400])
def test_merged_statistics_are_those_of_one_process(n: int) -> None:
    """Three parts of unequal size, in another order; and the distance that is taken from them."""
    features = draw(n, 3, shift=5.0)
    parts = [FeatureStatistics.of(part) for part in np.split(features, [n // 5, n // 2])]
    merged = parts[2].merged(parts[0]).merged(parts[1])
    whole = FeatureStatistics.of(features)
    assert merged.n == n
    np.testing.assert_allclose(merged.mean, whole.mean, rtol=1e-12)
    np.testing.assert_allclose(merged.cov, whole.cov, rtol=1e-9, atol=1e-12)
    reference = FrechetReference.of_features(draw(300, 0), digest="")
    once = frechet_distance(reference, features).value
    assert distance_of_statistics(reference, merged) == pytest.approx(once, rel=1e-9)
