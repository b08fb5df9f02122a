"""randconv: the same bits everywhere, scales as measured, and a distance that sees damage."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch

from bench.errors import BenchError
from bench.metrics.extractors import extract, load_extractor
from bench.metrics.frechet import FrechetReference, frechet_distance
from bench.metrics.randconv import (
    SCALES,
    RandConv,
    build,
    build_64,
    calibration_pictures,
    measure_scales,
)
from tests.unit.metrics.pictures import MODES, Pictures, blurred, contrasted, echo_like, noisy

# Of the published weights: whatever changes them makes another extractor (another `version`).
DIGESTS = {
    "randconv": "39c44d6bfc053c6ebc72773172d0af92f7055ac54aeea66b94bb72e7e123e6ae",
    "randconv64": "24e6692b61d4de9e440d1d7467fec9d59256c9bb230f7cf3fc0126691ad8eff4",
}


@pytest.fixture(scope="module")
def reference() -> FrechetReference:
    return FrechetReference.of_images(build(), echo_like(1200, seed=0))


def rise(reference: FrechetReference, series: list[Pictures]) -> list[float]:
    """Distances along a series, the first of which is undamaged."""
    extractor = build()
    return [frechet_distance(reference, extract(extractor, p)).value for p in series]


@pytest.mark.parametrize("name", DIGESTS)
def test_weights_are_the_published_ones(name: str) -> None:
    assert load_extractor(name).digest == DIGESTS[name]


def test_digest_moves_with_one_weight() -> None:
    changed = build()
    changed.bank[0, 0, 0, 0, 0] += 1e-6
    assert changed.digest != DIGESTS["randconv"]


def test_first_filter_by_hand() -> None:
    """The first kernel from the stream's bytes, in plain Python integers."""
    words = np.random.Philox(key=np.array([0xD1FF, 10], np.uint64)).random_raw(25)
    w = [sum((int(word) >> shift) & 255 for shift in (0, 8, 16, 24)) - 510 for word in words]
    centred = [25 * v - sum(w) for v in w]
    norm = sum(v * v for v in centred) ** 0.5
    expected = np.float32([v / norm for v in centred]).reshape(5, 5)
    np.testing.assert_array_equal(build().bank[0, 0, 0].numpy(), expected)


@pytest.mark.parametrize("size", SCALES)
def test_scales_are_those_of_the_calibration_pictures(size: int) -> None:
    # stored to 3 digits, so to half a unit in the third: 0.5 %
    np.testing.assert_allclose(measure_scales(size), SCALES[size], rtol=5.1e-3)


@pytest.mark.parametrize("extractor", [build(), build_64()], ids=lambda e: e.name)
def test_features_have_unit_spread_there(extractor: RandConv) -> None:
    features = extract(extractor, calibration_pictures(extractor.input_size))
    np.testing.assert_allclose(features.std(0), 1.0, rtol=5.1e-3)  # rounding, as above


def test_resizer_is_antialiased_bilinear() -> None:
    """Twice the size by repetition goes back to the same features: the filter integrates to 1."""
    small = echo_like(4, seed=3)
    large = small.repeat(2, axis=2).repeat(2, axis=3)
    shrunk = torch.nn.functional.interpolate(
        torch.from_numpy(large).float(), size=(32, 32), mode="bilinear", antialias=True
    )
    rounded = shrunk.round().byte().numpy()
    # features of the rounded picture differ by the rounding alone, half a grey level
    np.testing.assert_allclose(extract(build(), large), extract(build(), rounded), atol=0.05)


@pytest.mark.parametrize(
    ("damage", "levels"),
    [
        (blurred, (0.4, 0.6, 0.9, 1.4, 2.0)),
        (noisy, (4, 8, 16, 32, 64)),
        (contrasted, (0.9, 0.8, 0.6, 0.4, 0.2)),
    ],
)
def test_distance_rises_with_damage(
    reference: FrechetReference, damage: object, levels: tuple[float, ...]
) -> None:
    assert callable(damage)
    clean = echo_like(600, seed=1)
    values = rise(reference, [clean, *(damage(clean, level) for level in levels)])
    assert (np.diff(values) > 0).all(), values
    assert values[-1] > 10 * values[0]  # far above the floor of 600 undamaged samples


def test_distance_rises_as_modes_drop(reference: FrechetReference) -> None:
    """Mean over which modes are kept: one lucky mode may sit near the centre of all."""
    extractor = build()
    by_mode = [extract(extractor, echo_like(240, seed=10 + m, modes=[m])) for m in range(MODES)]

    def mean_distance(kept: int) -> float:
        sets = [[by_mode[(first + k) % MODES] for k in range(kept)] for first in range(MODES)]
        mixed = [np.concatenate([f[: 240 // kept] for f in members]) for members in sets]
        return float(np.mean([frechet_distance(reference, m).value for m in mixed]))

    values = [mean_distance(kept) for kept in (8, 6, 4, 2, 1)]
    assert (np.diff(values) > 0).all(), values
    assert values[-1] > 5 * values[0]


def test_distance_sees_colour() -> None:
    """Swapping green and blue moves the distance although no grey statistic changes."""
    a, b = echo_like(400, seed=1), echo_like(400, seed=2)
    tint = np.array([1.0, 0.7, 0.4]).reshape(1, 3, 1, 1)
    coloured, other = (a * tint).astype(np.uint8), (b * tint).astype(np.uint8)
    reference = FrechetReference.of_images(build(), coloured)
    same, swapped = (
        frechet_distance(reference, extract(build(), p)).value for p in (other, other[:, [0, 2, 1]])
    )
    assert swapped > 2 * same


def test_no_feature_dominates(reference: FrechetReference) -> None:
    share = np.diag(reference.cov) / np.trace(reference.cov)
    assert share.max() < 0.2
    assert 1 / (share**2).sum() > 16  # as many features carry it as a quarter of all


def test_too_many_channels() -> None:
    with pytest.raises(BenchError, match="at most 16 channels, not 17"):
        extract(build(), np.zeros((1, 17, 32, 32), np.uint8))


def test_64_px_sees_what_32_px_cannot() -> None:
    """Detail at the pixel scale of 64 px is averaged away at 32 px."""
    clean = echo_like(300, seed=4, size=64)
    checker = np.indices((64, 64)).sum(0) % 2 * 6.0
    grained = np.clip(clean + checker, 0, 255).astype(np.uint8)
    ratio = {}
    for extractor in (build(), build_64()):
        reference = FrechetReference.of_images(extractor, clean)
        other = echo_like(300, seed=5, size=64)
        floor = frechet_distance(reference, extract(extractor, other)).value
        value = frechet_distance(reference, extract(extractor, grained)).value
        ratio[extractor.input_size] = value / floor
    assert ratio[64] > 3 * ratio[32]


@pytest.mark.skipif("BENCH_REALDATA" not in os.environ, reason="needs BENCH_REALDATA")
def test_rises_on_real_x_rays() -> None:
    with np.load(Path(os.environ["BENCH_REALDATA"]) / "pneumoniamnist.npz") as file:
        real = file["train_images"][:, None]
    reference = FrechetReference.of_images(build(), real[:2000])
    clean = real[2000:3000]
    for damaged in (
        [blurred(clean, s) for s in (0.5, 0.7, 1.0, 1.5)],
        [noisy(clean, s) for s in (4, 8, 16, 32)],
        [contrasted(clean, c) for c in (0.9, 0.8, 0.6, 0.4)],
    ):
        values = rise(reference, [clean, *damaged])
        assert (np.diff(values) > 0).all(), values
