"""Streams: keyed by (seed, purpose, index) alone, the same for ever, apart from each other."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy import stats

from bench import streams


def test_order_and_batch_do_not_matter() -> None:
    whole = streams.normal(3, "noise", range(10), (1, 4, 4))
    backwards = streams.normal(3, "noise", reversed(range(10)), (1, 4, 4))[::-1]
    parts = [streams.normal(3, "noise", range(i, i + 2), (1, 4, 4)) for i in range(0, 10, 2)]
    np.testing.assert_array_equal(whole, backwards)
    np.testing.assert_array_equal(whole, np.concatenate(parts))
    u = streams.uniform(3, "sigma", range(10))
    np.testing.assert_array_equal(u, streams.uniform(3, "sigma", reversed(range(10)))[::-1])


def test_drawing_more_from_one_moves_no_other() -> None:
    greedy = streams.stream(3, "noise", 0)
    greedy.standard_normal(10_000)
    expected = streams.normal(3, "noise", [1], (5,))
    greedy.standard_normal(10_000)
    np.testing.assert_array_equal(streams.normal(3, "noise", [1], (5,)), expected)


def test_global_generators_are_left_alone() -> None:
    np.random.seed(0)
    before = np.random.get_state()[1].copy()
    streams.normal(0, "noise", range(3), (2,))
    np.testing.assert_array_equal(np.random.get_state()[1], before)


@pytest.mark.parametrize(
    ("one", "other"),
    itertools.combinations(
        [(0, "noise", 0), (1, "noise", 0), (0, "sigma", 0), (0, "noise", 1), (0, "noise", 2**32)], 2
    ),
)
def test_streams_are_apart(one: tuple[int, str, int], other: tuple[int, str, int]) -> None:
    a, b = (streams.stream(*key).standard_normal(4000) for key in (one, other))
    assert not np.intersect1d(a, b).size  # no draw of one is in the other: they do not overlap
    # sd of a correlation of 4000 independent pairs is 1/sqrt(4000) = 0.016; 5 of them
    assert abs(np.corrcoef(a, b)[0, 1]) < 0.08


def test_seed_and_purpose_do_not_run_together() -> None:
    """1 and "1x" are not 11 and "x"."""
    a, b = streams.stream(1, "1x").random(4), streams.stream(11, "x").random(4)
    assert not np.array_equal(a, b)


def test_moments() -> None:
    x = streams.normal(0, "noise", range(2000), (10,)).ravel()
    # 20000 draws: sd of the mean 0.007, of the variance 0.01; 4 of them
    assert abs(x.mean()) < 0.03
    assert abs(x.var() - 1) < 0.04
    u = streams.uniform(0, "sigma", range(4000))
    assert ((u >= 0) & (u < 1)).all()
    assert abs(u.mean() - 0.5) < 4 / np.sqrt(12 * 4000)


def test_shapes_and_types() -> None:
    assert streams.normal(0, "n", [], (2, 3)).shape == (0, 2, 3)
    assert streams.normal(0, "n", [4], (2, 3)).dtype == np.float32
    assert streams.uniform(0, "n", range(3)).dtype == np.float64


def test_permutations_cover_and_differ_by_epoch() -> None:
    first, second = (streams.permutation(0, "order", epoch, 50) for epoch in (0, 1))
    assert sorted(first) == sorted(second) == list(range(50))
    assert not np.array_equal(first, second)


def test_golden() -> None:
    """A change of any of these changes every trial: resumed sweeps would not go on as they began.

    Drawn with numpy 2.4.
    """
    np.testing.assert_allclose(
        streams.uniform(0, "sigma", [0, 1]), [0.7692709200764537, 0.142404835259332], rtol=1e-15
    )
    np.testing.assert_allclose(
        streams.normal(0, "noise", [0, 5], (2,)),
        [[-1.150606632232666, 0.06007951870560646], [1.1112688779830933, -1.8227111101150513]],
        rtol=1e-6,
    )
    assert streams.stream(7, "noise", 2**40).random() == 0.3171387374616025
    assert streams.permutation(0, "order", 0, 8).tolist() == [3, 7, 2, 4, 0, 6, 1, 5]
    assert streams.derive_seed(0, "init") == 4965565731682763838


def test_mirrored_uniforms_pair_even_and_odd_samples() -> None:
    whole = streams.mirrored(3, "sigma", range(2000))
    even = whole[::2]
    np.testing.assert_array_equal(even, streams.uniform(3, "sigma", range(0, 2000, 2)))
    np.testing.assert_array_equal(whole[1::2], 1 - 2.0**-53 - even)
    assert ((whole >= 0) & (whole < 1)).all()
    for cells in (10, 1000):  # equal cells mirror each other
        place = np.floor(whole * cells).astype(int)
        np.testing.assert_array_equal(place[::2] + place[1::2], cells - 1)
    # any split, and a pair cut in two
    parts = [streams.mirrored(3, "sigma", part) for part in (range(7), range(7, 12), [40, 5])]
    np.testing.assert_array_equal(np.concatenate(parts[:2]), whole[:12])
    np.testing.assert_array_equal(parts[2], whole[[40, 5]])


@pytest.mark.parametrize("batch_size", [1, 2, 7, 8, 32])
def test_a_batch_is_spread_over_equal_cells_and_each_sample_alone_is_uniform(
    batch_size: int,
) -> None:
    batches = 600
    u = streams.spread_out(3, "sigma", range(batches * batch_size), batch_size)
    assert ((u >= 0) & (u < 1)).all()
    of_batch = np.sort(u.reshape(batches, batch_size), axis=1)
    # neighbours stand 1 / batch_size apart to rounding: no cell is empty, none has two
    np.testing.assert_allclose(np.diff(of_batch, axis=1), 1 / batch_size, rtol=1e-13, atol=0)
    for place in {0, batch_size // 2, batch_size - 1}:
        # 1e-4: of 15 such tests one fails by chance in 700 seeds
        assert stats.kstest(u[place::batch_size], "uniform").pvalue > 1e-4


def test_a_spread_out_sample_depends_on_its_number_and_the_batch_size_alone() -> None:
    whole = streams.spread_out(3, "sigma", range(40), 8)
    parts = [streams.spread_out(3, "sigma", part, 8) for part in (range(3), range(3, 17), [39, 5])]
    np.testing.assert_array_equal(np.concatenate(parts[:2]), whole[:17])
    np.testing.assert_array_equal(parts[2], whole[[39, 5]])
    assert not np.intersect1d(whole, streams.spread_out(4, "sigma", range(40), 8)).size
    assert not np.array_equal(whole, streams.spread_out(3, "sigma", range(40), 4))
