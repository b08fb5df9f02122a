"""Classical denoisers on pictures with Gaussian noise: what they win, and never more than can be.

No estimator beats the Wiener filter of a Gaussian signal whose spectrum it knows; ours know less.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from skimage.data import camera

from bench.errors import BenchError
from bench.methods import block_matching as bm
from bench.methods.classical import ESTIMATORS, Classical
from bench.workloads.chexpert import AMONG, ONLY

NOISE = 0.2
SETTINGS: dict[str, dict[str, Any]] = {
    "nlm": {"noise": NOISE},
    "wavelet": {"noise": NOISE},
    "total_variation": {"weight": NOISE},
    "block_matching": {"noise": NOISE},
}


def edges() -> np.ndarray:
    """Flat shapes with sharp edges, 48 x 56 (no multiple of a patch)."""
    y, x = np.mgrid[:48, :56]
    picture = np.full((48, 56), -0.6)
    picture[(y - 20) ** 2 + (x - 25) ** 2 < 150] = 0.5
    picture[30:42, 35:50] = 0.9
    return picture


def smooth() -> np.ndarray:
    drawn = gaussian_filter(np.random.default_rng(1).standard_normal((48, 48)), 5, mode="wrap")
    return 0.8 * drawn / np.abs(drawn).max()


def noisy(clean: np.ndarray) -> np.ndarray:
    return clean + NOISE * np.random.default_rng(2).standard_normal(clean.shape)


def decibels(answer: np.ndarray, clean: np.ndarray) -> float:
    return float(10 * np.log10(4 / np.mean((answer - clean) ** 2)))


def gain(name: str, clean: np.ndarray, **settings: Any) -> float:
    """dB over the noisy picture."""
    given = noisy(clean)
    answer = ESTIMATORS.load(name)(given[None], **{**SETTINGS.get(name, {}), **settings})
    assert answer.shape == (1, *clean.shape)
    return decibels(answer[0], clean) - decibels(given, clean)


@pytest.mark.parametrize("name", sorted(SETTINGS))
@pytest.mark.parametrize("clean", [edges(), smooth()], ids=["edges", "smooth"])
def test_each_gains_three_decibels(name: str, clean: np.ndarray) -> None:
    assert gain(name, clean) > 3


def test_block_matching_beats_the_others_on_a_photograph() -> None:
    """As Dabov et al. 2007 report of natural pictures, here of the cameraman (scikit-image's)."""
    clean = camera()[100:228:2, 180:308:2] / 127.5 - 1
    others = {name: gain(name, clean) for name in SETTINGS if name != "block_matching"}
    assert gain("block_matching", clean) > max(others.values())


@pytest.mark.parametrize("clean", [edges(), smooth()], ids=["edges", "smooth"])
def test_block_matching_beats_wavelets_by_two_decibels(clean: np.ndarray) -> None:
    assert gain("block_matching", clean) > gain("wavelet", clean) + 2


def test_none_beats_the_wiener_filter_of_a_gaussian_signal() -> None:
    """A stationary Gaussian signal of a known spectrum: its Wiener filter is the best there is,
    and its error is the closed form, the mean of power * noise / (power + noise)."""
    side, draw = 64, np.random.default_rng(3)
    frequency = np.hypot(*np.meshgrid(*2 * (np.fft.fftfreq(side),), indexing="ij"))
    power = 40 / (1 + (frequency / 0.04) ** 2) ** 1.5  # of |FFT|^2 / side^2
    power *= 0.15 / power.mean()
    white = np.fft.fft2(draw.standard_normal((8, side, side)))
    clean = np.fft.ifft2(np.sqrt(power) * white).real
    given = clean + NOISE * draw.standard_normal(clean.shape)
    wiener = np.fft.ifft2(np.fft.fft2(given) * power / (power + NOISE**2)).real
    best = np.square(wiener - clean).mean()
    # 8 x 4096 squared errors, correlated over a few pixels: about 2 %
    assert best == pytest.approx((power * NOISE**2 / (power + NOISE**2)).mean(), rel=0.08)
    for name in (*SETTINGS, "gaussian_filter"):
        settings = SETTINGS.get(name, {})
        answers = np.stack([ESTIMATORS.load(name)(x[None], **settings)[0] for x in given])
        error = np.square(answers - clean).mean()
        assert error > best, name
        assert error < NOISE**2, name  # all of them are better than nothing


def test_channels_are_denoised_by_themselves() -> None:
    pair = np.stack([noisy(smooth()), noisy(-smooth())])
    for name, settings in SETTINGS.items():
        both = ESTIMATORS.load(name)(pair, **settings)
        np.testing.assert_array_equal(both[1:], ESTIMATORS.load(name)(pair[1:], **settings))


def test_volumes_are_denoised_or_refused_by_name() -> None:
    clean = np.broadcast_to(smooth()[:16, :16], (12, 16, 16))
    given = noisy(clean)
    for name in ("nlm", "wavelet", "total_variation"):
        answer = ESTIMATORS.load(name)(given[None], **SETTINGS[name])[0]
        assert decibels(answer, clean) > decibels(given, clean) + 3, name
    with pytest.raises(BenchError, match=r"block_matching denoises 2D pictures, .* 12x16x16"):
        ESTIMATORS.load("block_matching")(given[None])


@pytest.mark.parametrize(
    ("name", "settings", "words"),
    [
        ("nlm", {"noise": 0.0}, "noise of a denoiser must be positive"),
        ("nlm", {"strength": -1.0}, "strength of a denoiser must be positive"),
        ("wavelet", {"noise": -0.1}, "noise of a denoiser must be positive"),
        ("wavelet", {"shrink": "base"}, "unknown shrink 'base'; did you mean 'bayes'"),
        ("total_variation", {"weight": 0.0}, "weight of a denoiser must be positive"),
        ("block_matching", {"noise": 0.0}, "noise of a denoiser must be positive"),
    ],
)
def test_settings_that_cannot_be_are_refused(
    name: str, settings: dict[str, Any], words: str
) -> None:
    with pytest.raises(BenchError, match=words):
        ESTIMATORS.load(name)(noisy(smooth())[None], **settings)


def test_the_space_draws_what_the_estimators_take() -> None:
    for name in SETTINGS:
        drawn = {**ONLY.get(name, {}), **AMONG.get(name, {})}
        defaults = Classical.whole_arguments(name, {})
        assert set(drawn) == set(defaults)
        for key, (low, high) in ONLY.get(name, {}).items():
            assert low < defaults[key] < high


def test_patches_cover_every_pixel_whatever_the_shape() -> None:
    for shape in ((8, 8), (9, 23), (31, 17), (5, 12)):
        layout = bm._layout(shape, min(bm.PATCH, *shape))
        covered = (layout.corner[layout.references][:, None, None] + layout.inside).ravel()
        assert set(covered.tolist()) == set(range(shape[0] * shape[1]))
        own = (layout.candidates == layout.references[:, None]).any(1)
        assert own.all()  # a reference is among its own candidates
        answer = bm.block_matching(np.zeros((1, *shape)) + 0.25, noise=0.1)
        np.testing.assert_allclose(answer, 0.25, atol=1e-6)  # float32


def test_the_nearest_patches_are_those_of_a_slow_search() -> None:
    picture = np.random.default_rng(0).standard_normal((20, 26)).astype(np.float32)
    side = 8
    layout = bm._layout(picture.shape, side)
    patches = np.lib.stride_tricks.sliding_window_view(picture, (side, side)).reshape(
        -1, side, side
    )
    found = bm._nearest(patches, layout, slice(None))
    columns = picture.shape[1] - side + 1
    for place in (0, 7, len(layout.references) - 1):
        row, column = divmod(int(layout.references[place]), columns)
        here = picture[row : row + side, column : column + side]
        gaps = {}
        for candidate in layout.candidates[place].tolist():
            r, c = divmod(candidate, columns)
            there = picture[r : r + side, c : c + side]
            gaps[candidate] = float(np.square(here - there).sum())
        nearest = sorted(gaps, key=lambda k: gaps[k])[: bm.GROUP]
        assert set(found[place].tolist()) == set(nearest)
        assert found[place, 0] == layout.references[place]
