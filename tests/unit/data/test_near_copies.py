"""Near copies: every pair, and only those, by the plain correlation of the thumbnails."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import zoom

from bench.data import near_copies
from bench.data.near_copies import NEAR, near_pairs, short_vectors

Images = NDArray[np.uint8]


def _pictures(n: int, size: int = 32, seed: int = 0) -> Images:
    """Smooth pictures on one common background, as scans of one kind are: uint8 [n, 1, s, s]."""
    rng = np.random.default_rng(seed)
    grids = rng.uniform(0, 1, (n, 6, 6)) + 2 * rng.uniform(0, 1, (6, 6))
    smooth = zoom(grids, (1, size / 6, size / 6), order=1)
    return np.clip(smooth * 80, 0, 255).astype(np.uint8)[:, None]


def _all(images: Images, subject: list[int] | None = None) -> dict[tuple[int, int], float]:
    owners = np.arange(len(images)) if subject is None else np.array(subject)
    pairs = {}
    for portion in near_pairs(images, owners, short_vectors(images)):
        for first, second, r in zip(
            portion.first, portion.second, portion.correlation, strict=True
        ):
            assert (first, second) not in pairs
            pairs[int(first), int(second)] = float(r)
    return pairs


def _family(n: int) -> Images:
    """Mixtures of two pictures in n steps, near copies of their neighbours, others in between."""
    a, b = _pictures(2, seed=3).astype(float)
    mixed = np.stack([a * (1 - t) + b * t for t in np.linspace(0, 1, n)])
    both = np.stack([mixed, _pictures(n, seed=4)], axis=1)
    return both.reshape(2 * n, 1, 32, 32).astype(np.uint8)


@pytest.mark.parametrize("block", [7, 2048])
def test_pairs_are_those_of_a_plain_correlation(
    block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(near_copies, "_BLOCK", block)
    images = _family(40)
    oracle = np.corrcoef(images.reshape(len(images), -1).astype(float))
    near = {
        (i, j): oracle[i, j]
        for i in range(len(images))
        for j in range(i + 1, len(images))
        if oracle[i, j] >= NEAR
    }
    assert 40 < len(near) < 40 * 39 / 2
    assert _all(images) == pytest.approx(near, abs=1e-5)  # float32


def test_pairs_within_a_subject_are_not_named() -> None:
    images = np.repeat(_pictures(2), 3, axis=0)
    assert _all(images, [0, 0, 1, 2, 2, 2]) == pytest.approx({(0, 2): 1.0, (1, 2): 1.0})


def test_thumbnails_are_averages_over_areas() -> None:
    images = _pictures(3, size=96)
    blocks = images.reshape(3, 32, 3, 32, 3).mean(axis=(2, 4))
    oracle = blocks.reshape(3, -1) - blocks.reshape(3, -1).mean(1, keepdims=True)
    unit, sd = near_copies._thumbnails(images, np.arange(3))
    assert sd == pytest.approx(oracle.std(1), rel=1e-4)
    assert unit == pytest.approx(oracle / np.linalg.norm(oracle, axis=1, keepdims=True), abs=1e-5)
    odd = _pictures(1, size=50)[0, 0]
    # 50 pixels drawn 32 times as large are 32 blocks of 50.
    large = odd.repeat(32, axis=0).repeat(32, axis=1).reshape(32, 50, 32, 50).mean(axis=(1, 3))
    matrix = near_copies._averages(32, 50)
    assert matrix @ odd @ matrix.T == pytest.approx(large, rel=1e-5)


def test_brightened_re_encoded_and_coloured_copies_are_near() -> None:
    original = _pictures(1, size=64)[0, 0]
    brighter = np.clip(original * 0.8 + 40, 0, 255).astype(np.uint8)
    noisy = np.clip(original + np.random.default_rng(0).normal(0, 3, original.shape), 0, 255)
    images = np.stack([original, brighter, noisy.astype(np.uint8)])[:, None]
    assert set(_all(images)) == {(0, 1), (0, 2), (1, 2)}
    colour = np.concatenate([images[:1]] * 3, axis=1)
    assert near_copies._thumbnails(colour, np.arange(1))[0] == pytest.approx(
        near_copies._thumbnails(images, np.arange(1))[0]
    )


def test_nearly_constant_pictures_are_not_compared() -> None:
    ramp = np.tile(np.linspace(100, 112, 32), (32, 1)).astype(np.uint8)  # sd 3.5
    images = np.stack([ramp, ramp, ramp * 2, ramp * 2])[:, None]
    assert set(_all(images)) == {(2, 3)}
    assert short_vectors(images).compared.tolist() == [2, 3]
    assert _all(np.zeros((4, 3, 8, 8), np.uint8)) == {}


def test_the_short_product_is_never_below_the_correlation() -> None:
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (20, 1, 32, 32), np.uint8)
    images = np.concatenate([noise, _pictures(20), 255 - noise])
    unit = near_copies._thumbnails(images, np.arange(len(images)))[0]
    w = short_vectors(images).w
    assert np.square(w).sum(1) == pytest.approx(np.ones(len(w)), abs=1e-5)
    assert (w @ w.T - unit @ unit.T).min() > -1e-5  # float32


def test_depth_and_range_do_not_matter() -> None:
    images = _family(12)
    for scaled, value_range in (
        (images.astype(np.uint16) * 16, (0, 4080)),
        (images.astype(np.float32) / 255 * 2 - 1, (-1, 1)),
    ):
        short = short_vectors(scaled, value_range)
        assert short.w == pytest.approx(short_vectors(images).w, abs=1e-4)
        assert len(short.compared) == len(images)
    assert len(short_vectors(images, (0, 65535)).compared) == 0


@pytest.mark.parametrize("side", [12, 40])
def test_volumes_are_compared_too(side: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(near_copies, "_READ_VALUES", 5 * side**3)  # several portions
    rng = np.random.default_rng(0)
    grids = rng.uniform(0, 255, (13, 5, 5, 4))
    volumes = zoom(grids, (1, side / 5, side / 5, side / 4), order=1).astype(np.uint8)[:, None]
    volumes[9] = np.clip(volumes[2] * 0.9 + 5, 0, 255)
    pairs = _all(volumes)
    assert set(pairs) == {(2, 9)}
    small = volumes
    if side == 40:  # 16 blocks along each axis, by way of 16 times as many pixels
        small = volumes
        for axis in (2, 3, 4):
            large = np.moveaxis(small, axis, -1).repeat(16, axis=-1)
            small = np.moveaxis(large.reshape(*large.shape[:-1], 16, 40).mean(-1), -1, axis)
    oracle = np.corrcoef(small[2].ravel().astype(float), small[9].ravel().astype(float))[0, 1]
    assert pairs[2, 9] == pytest.approx(oracle, abs=1e-5)
