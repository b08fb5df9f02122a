"""Every extractor in the table keeps the contract; a new one is tested by being in the table."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch

from bench.metrics import EXTRACTORS
from bench.metrics.extractors import Extractor, check_extractor, extract, load_extractor
from bench.metrics.frechet import FrechetReference, frechet_distance
from tests.unit.metrics.pictures import blurred, echo_like, noisy


@pytest.fixture(scope="module", params=sorted(EXTRACTORS.table))
def extractor(request: pytest.FixtureRequest) -> Extractor:
    return load_extractor(request.param)


def test_keeps_the_contract(extractor: Extractor) -> None:
    assert check_extractor(EXTRACTORS.load(extractor.name), extractor.name) == 11


def test_name_and_metric(extractor: Extractor) -> None:
    assert extractor.name in EXTRACTORS.table
    assert extractor.metric == f"fd_{extractor.name}"
    identity = extractor.identity()
    assert identity["resizer"]
    assert re.fullmatch("[0-9a-f]{64}", str(identity["extractor_digest"]))


def test_two_builds_are_one_extractor(extractor: Extractor) -> None:
    again = load_extractor(extractor.name)
    pictures = echo_like(5, seed=0)
    assert again.digest == extractor.digest
    np.testing.assert_array_equal(extract(again, pictures), extract(extractor, pictures))


def test_draws_nothing_and_learns_nothing(extractor: Extractor) -> None:
    torch.manual_seed(0)
    before = torch.get_rng_state()
    extract(extractor, echo_like(3, seed=0))
    assert torch.equal(torch.get_rng_state(), before)
    assert not any(p.requires_grad for p in extractor.parameters())


@pytest.mark.parametrize("shape", [(28, 28), (32, 32), (64, 64), (48, 80)])
@pytest.mark.parametrize("channels", [1, 3])
def test_any_size(extractor: Extractor, shape: tuple[int, int], channels: int) -> None:
    rng = np.random.default_rng(0)
    pictures = rng.integers(0, 256, (3, channels, *shape), dtype=np.uint8)
    features = extract(extractor, pictures)
    assert features.shape == (3, extractor.num_features)
    assert features.dtype == np.float64


def test_batches_do_not_matter(extractor: Extractor) -> None:
    pictures = echo_like(9, seed=0)
    whole = extract(extractor, pictures)
    parts = extract(extractor, pictures, batch_size=2)
    # float32 convolutions may sum in another order at another batch size
    np.testing.assert_allclose(parts, whole, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("level", [0, 255])
def test_flat_pictures_are_finite(extractor: Extractor, level: int) -> None:
    assert np.isfinite(extract(extractor, np.full((2, 1, 32, 32), level, np.uint8))).all()


def test_damage_moves_it_away(extractor: Extractor) -> None:
    reference = FrechetReference.of_images(extractor, echo_like(300, seed=0))
    clean = echo_like(200, seed=1)
    floor, blur, noise = (
        frechet_distance(reference, extract(extractor, p)).value
        for p in (clean, blurred(clean, 1.0), noisy(clean, 20))
    )
    assert blur > 2 * floor
    assert noise > 2 * floor
