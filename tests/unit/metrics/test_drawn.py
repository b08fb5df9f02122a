"""The extractor `drawn`: its file, its channels, what it sees, and the parts of its recipe."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from bench.errors import BenchError
from bench.metrics import drawn, drawn_pictures
from bench.metrics.drawn_damage import KINDS, damaged
from bench.metrics.drawn_recipe import cut, finished, trainable
from bench.metrics.extractors import extract
from bench.metrics.frechet import FrechetReference, frechet_distance
from bench.streams import stream
from tests.measure.degradations import DEGRADATIONS, jpeg
from tests.unit.metrics.pictures import echo_like


def test_weights_are_small() -> None:
    assert drawn.WEIGHTS.stat().st_size <= 4e6


def test_grey_is_three_equal_channels() -> None:
    grey = echo_like(4, seed=0)
    extractor = drawn.build().eval()
    np.testing.assert_array_equal(
        extract(extractor, grey), extract(extractor, grey.repeat(3, axis=1))
    )


def test_two_channels_are_refused() -> None:
    with pytest.raises(BenchError, match="1 or 3 channels, not 2"):
        extract(drawn.build(), np.zeros((1, 2, 32, 32), np.uint8))


def test_it_sees_jpeg() -> None:
    extractor = drawn.build().eval()
    reference = FrechetReference.of_images(extractor, echo_like(200, seed=0))
    clean = echo_like(200, seed=1)
    floor, spoilt = (
        frechet_distance(reference, extract(extractor, p), blocks=0).value
        for p in (clean, jpeg(clean, 25))
    )
    assert spoilt > 5 * floor


@pytest.mark.parametrize(
    "draw", [drawn_pictures.shapes, drawn_pictures.birds, drawn_pictures.chests,
             drawn_pictures.hearts],
)  # fmt: skip
def test_a_seed_draws_the_same_pictures(draw: object) -> None:
    assert callable(draw)
    one, again, other = (next(iter(draw(seed, 1))) for seed in (3, 3, 4))
    assert one.shape[-2:] == (40, 40)
    assert one.dtype == np.uint8
    np.testing.assert_array_equal(one, again)
    assert (one != other).any()


def test_damage_keeps_pictures_and_names_the_whole_ones() -> None:
    x = cut(torch.from_numpy(echo_like(200, seed=0, size=40).repeat(3, axis=1)), stream(0, "cut"))
    bad, which = damaged(x, stream(0, "damage"))
    assert bad.shape == x.shape
    assert set(which.tolist()) == set(range(KINDS))
    changed = (bad - x).abs().amax((1, 2, 3)) > 1e-5  # grey levels are 8e-3 apart
    assert not changed[which == 0].any()
    assert changed[which > 0].float().mean() > 0.95  # a flat picture has nothing to lose


def test_folding_leaves_the_means_as_they_were_and_components_have_no_correlation() -> None:
    torch.manual_seed(0)
    network, pictures = trainable(), torch.from_numpy(echo_like(80, seed=0).repeat(3, axis=1))
    x = pictures / 127.5 - 1
    network.means(x)  # the batch norms see something
    before = network.eval().means(x)
    after = finished(network, pictures)
    torch.testing.assert_close(after.means(x), before, rtol=1e-4, atol=1e-4)
    covariance = np.cov(extract(after, pictures).T)
    variances = np.diag(covariance)
    assert (np.diff(variances) > 0).all()  # the largest last
    np.testing.assert_allclose(covariance, np.diag(variances), atol=1e-3 * variances[-1])


@pytest.mark.parametrize("kind", sorted(DEGRADATIONS))
def test_measured_damage_is_damage(kind: str) -> None:
    damage, levels = DEGRADATIONS[kind]
    clean = echo_like(40, seed=0)
    bad = damage(clean, levels[-1])
    assert bad.shape == clean.shape
    assert bad.dtype == np.uint8
    assert (bad != clean).any()
