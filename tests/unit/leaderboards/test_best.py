"""Comparisons with the best: critical values by quadrature, coverage by simulation."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import integrate, optimize, stats

from leaderboards.best import Errors, chances, critical, with_best

# Of the critical value: the interval up to Bonferroni's, at most 1.6 wide, is halved 14 times.
NEAR = 1e-4


def errors_of(
    x: np.ndarray, own: np.ndarray, df: float | np.ndarray = np.inf, **more: object
) -> Errors:
    n = len(x)
    full = {"seeds": np.zeros((n, 1)), **more}
    return Errors(x=x, own=own, df=np.broadcast_to(np.asarray(df, float), n).copy(), **full)  # type: ignore[arg-type]


def dunnett(others: int, alpha: float = 0.05) -> float:
    """One-sided critical value of `others` means against a control, all of one known variance:
    P(Z0 - Zj <= c sqrt(2) for all j), by quadrature over Z0."""

    def covered(c: float) -> float:
        value, _ = integrate.quad(
            lambda z: stats.norm.pdf(z) * stats.norm.sf(z - c * np.sqrt(2)) ** others, -9, 9
        )
        return float(value) - (1 - alpha)

    return float(optimize.brentq(covered, 0.5, 6))


def test_the_slow_reference_gives_dunnetts_table() -> None:
    """Dunnett (1955), table 1a, infinite degrees of freedom; printed to two decimals."""
    table = {1: 1.64, 2: 1.92, 3: 2.06, 5: 2.23, 9: 2.42}
    for others, value in table.items():
        assert dunnett(others) == pytest.approx(value, abs=0.0051)


@pytest.mark.parametrize("n", [2, 3, 10, 40])
@pytest.mark.parametrize("alpha", [0.05, 0.005, 0.0003])
def test_equal_variances_have_dunnetts_critical_value(n: int, alpha: float) -> None:
    values = critical(errors_of(np.zeros(n), np.full(n, 0.3)), alpha)
    off = ~np.eye(n, dtype=bool)
    assert values[off].min() == pytest.approx(dunnett(n - 1, alpha), abs=NEAR)
    assert values[off].max() == pytest.approx(dunnett(n - 1, alpha), abs=NEAR)


def test_a_block_that_the_others_share_counts_as_the_controls_own() -> None:
    """One entry on seeds of its own against nine that share theirs: D_j have all of both blocks in
    common, as if the control's variance were .3 + 2 block and the others' .3; by quadrature."""
    own, block, others = 0.3, 0.4, 9
    seeds = np.array([[1.0, 0.0]] + [[0.0, 1.0]] * others)
    values = critical(errors_of(np.zeros(others + 1), np.full(others + 1, own), block=block,
                                seeds=seeds))  # fmt: skip
    mine, size = own + 2 * block, np.sqrt(2 * own + 2 * block)

    def missed(c: float) -> float:
        value, _ = integrate.quad(
            lambda z: (
                stats.norm.pdf(z)
                * stats.norm.cdf((c * size - np.sqrt(mine) * z) / np.sqrt(own)) ** others
            ),
            -9,
            9,
        )
        return 0.95 - float(value)

    assert values[0, 1] == pytest.approx(optimize.brentq(missed, 1, 4), abs=NEAR)


def test_only_controls_are_computed_and_others_are_bonferronis() -> None:
    errors = errors_of(np.zeros(6), np.full(6, 0.3))
    values = critical(errors, 0.05, np.arange(6) == 2)
    assert values[2, 0] == pytest.approx(dunnett(5), abs=NEAR)
    assert values[0, 1] == pytest.approx(stats.norm.isf(0.05 / 5))


def test_unequal_correlated_errors_agree_with_the_multivariate_normal() -> None:
    """Each control's critical value covers with 95 %, by SciPy's multivariate normal integral."""
    rng = np.random.default_rng(3)
    n = 5
    root = rng.normal(size=(n, n))
    common, own = root @ root.T, rng.uniform(0.1, 4.0, n)
    seeds = np.kron(np.ones((n, 1)), np.full((1, 2), 0.5)) * (np.arange(n) > 1)[:, None]
    errors = errors_of(np.zeros(n), own, common=root, block=2.0, seeds=seeds, common_df=np.inf)
    covariance = np.diag(own) + common + 2.0 * seeds @ seeds.T
    values = critical(errors)
    for i in range(n):
        others = [j for j in range(n) if j != i]
        contrast = np.array([np.eye(n)[i] - np.eye(n)[j] for j in others])
        of_pairs = contrast @ covariance @ contrast.T
        np.testing.assert_allclose(
            errors.pair_variance()[i, others], np.diag(of_pairs), rtol=1e-10
        )  # sums of floats in another order
        sd = np.sqrt(np.diag(of_pairs))
        correlation = of_pairs / np.outer(sd, sd)
        inside = stats.multivariate_normal.cdf(
            values[i, others], cov=correlation, rng=np.random.default_rng(0)
        )
        # never less, but for .002 of SciPy's integral; nor much more than what is spent
        assert 0.95 - 0.002 <= inside <= 0.9625


def test_few_degrees_of_freedom_are_students_t_at_the_same_level() -> None:
    rng = np.random.default_rng(4)
    own, df = rng.uniform(0.2, 2.0, 6), rng.integers(2, 30, 6).astype(float)
    common = np.full((6, 6), 0.5) + np.diag(rng.uniform(0.1, 1.0, 6))
    root = np.linalg.cholesky(common)
    errors = errors_of(np.zeros(6), own, df, common=root, common_df=19.0)
    exact = critical(errors)
    normal = critical(errors_of(np.zeros(6), own, common=root, common_df=np.inf))
    for i in range(6):
        for j in set(range(6)) - {i}:
            paired = common[i, i] + common[j, j] - 2 * common[i, j]
            whole = own[i] + own[j] + paired
            satterthwaite = whole**2 / (
                own[i] ** 2 / df[i] + own[j] ** 2 / df[j] + paired**2 / 19.0
            )
            level = stats.norm.sf(normal[i, j])
            assert errors.pair_df()[i, j] == pytest.approx(satterthwaite)
            assert exact[i, j] == pytest.approx(stats.t.isf(level, satterthwaite))


def test_the_set_and_its_bounds_agree_with_a_slow_loop() -> None:
    """x_j - x_i + c s_ij, over those i that no j beats by more than c s_ij."""
    rng = np.random.default_rng(5)
    for _ in range(20):
        x, own = rng.normal(0, 2, 8), rng.uniform(0.2, 2.0, 8)
        errors = errors_of(x, own, 9.0)
        c, got = critical(errors), with_best(errors)
        s = np.sqrt(own[:, None] + own[None])
        chosen = [
            i for i in range(8) if all(x[i] - x[j] <= c[i, j] * s[i, j] for j in range(8) if j != i)
        ]
        assert list(np.flatnonzero(got.may_be_best)) == chosen
        for j in range(8):
            reach = [x[j] - x[i] + c[i, j] * s[i, j] for i in chosen if i != j]
            assert got.behind[j] == pytest.approx(max([0.0, *reach]))


@pytest.mark.parametrize("df", [np.inf, 6.0])
@pytest.mark.parametrize("tied", [1, 4])
def test_the_best_is_in_the_set_and_the_bounds_hold_for_all_of_it(df: float, tied: int) -> None:
    """400 draws of ten entries; nominal 95 %; 0.95 - 3 sqrt(0.95 * 0.05 / 400) = 0.917.

    With finite df each entry's variance is estimated, independently, from a scaled chi squared.
    """
    rng = np.random.default_rng(6)
    n, times = 10, 400
    in_set = within = 0
    for _ in range(times):
        truth = np.sort(rng.normal(0, 1.5, n))
        truth[:tied] = truth[0]
        own = rng.uniform(0.1, 1.0, n)
        block, seeds = 1.0, np.full((n, 3), 1 / 3)
        shared = np.sqrt(block) * seeds @ rng.normal(size=3)
        x = truth + rng.normal(size=n) * np.sqrt(own) + shared
        seen = own if np.isinf(df) else own * rng.chisquare(df, n) / df
        got = with_best(errors_of(x, seen, df, block=block, seeds=seeds))
        in_set += bool(got.may_be_best[0])
        chosen = np.flatnonzero(got.may_be_best)
        within += bool((truth[chosen] - truth[0] <= got.behind[chosen] + 1e-12).all())
    assert in_set / times >= 0.917
    assert within / times >= 0.917


def test_where_all_are_equal_each_is_left_out_as_often_as_allowed() -> None:
    """The hardest case has 5 % exactly: 0.95 +- 3 sqrt(0.95 * 0.05 / 600)."""
    rng = np.random.default_rng(7)
    n, times = 6, 600
    kept = np.zeros(n)
    for _ in range(times):
        kept += with_best(errors_of(rng.normal(size=n), np.ones(n))).may_be_best
    assert kept[0] / times == pytest.approx(0.95, abs=0.027)
    # of all six together: one sixth of that spread would be left were they independent
    assert kept.mean() / times == pytest.approx(0.95, abs=0.027)


def test_chances_are_those_of_two_normals_or_of_students_t() -> None:
    """4000 draws: 3 sqrt(.25 / 4000) = .024."""
    far = chances(errors_of(np.array([0.0, 1.0]), np.array([0.5, 0.5])))
    assert far[0] == pytest.approx(stats.norm.cdf(1.0), abs=0.024)
    heavy = chances(errors_of(np.array([0.0, 1.0]), np.array([1.0, 0.0]), np.array([3.0, np.inf])))
    assert heavy[0] == pytest.approx(stats.t.cdf(1.0, 3), abs=0.024)
    assert heavy.sum() == pytest.approx(1.0)


def test_what_two_share_changes_no_chance_and_no_set() -> None:
    """A common error of 100 standard deviations, whatever is known of their own spread."""
    x, own = np.array([0.0, 4.0]), np.array([0.5, 0.5])
    for df in (np.inf, 5.0):
        for shared in (
            {"common": np.full((2, 1), 1e2), "common_df": 19.0},
            {"block": 1e4, "seeds": np.full((2, 2), 0.5)},
        ):
            both, alone = errors_of(x, own, df, **shared), errors_of(x, own, df)
            got, expected = with_best(both), with_best(alone)
            np.testing.assert_array_equal(got.may_be_best, expected.may_be_best)
            np.testing.assert_allclose(got.behind, expected.behind, atol=4 * NEAR)
            np.testing.assert_allclose(chances(both), chances(alone), atol=0.024)


def test_equal_without_any_error_and_alone() -> None:
    still = with_best(errors_of(np.array([1.0, 1.0, 2.0]), np.zeros(3)))
    assert list(still.may_be_best) == [True, True, False]
    assert list(still.behind[:2]) == [0.0, 0.0]
    one = errors_of(np.array([3.0]), np.ones(1))
    alone = with_best(one)
    assert (alone.may_be_best[0], alone.behind[0], chances(one)[0]) == (True, 0.0, 1.0)


def test_what_was_left_out_stays_out_and_contradicting_looks_keep_both() -> None:
    errors = errors_of(np.array([0.0, 1.0, 9.0]), np.full(3, 0.5))
    once = with_best(errors)
    assert list(once.may_be_best) == [True, True, False]
    left = with_best(errors, earlier=np.array([np.inf, 5.0, 5.0]))
    assert list(left.may_be_best) == [False, True, False]
    # of what is left alone: nobody can be behind the one that is the best
    assert left.behind[1] == 0.0
    torn = with_best(errors, earlier=np.array([np.inf, np.inf, 5.0]))
    assert torn.may_be_best.all()


def test_a_bound_that_an_earlier_look_gave_still_holds() -> None:
    errors = errors_of(np.array([0.0, 1.0, 9.0]), np.full(3, 0.5))
    once = with_best(errors)
    got = with_best(errors, earlier=np.array([0.01, 50.0, np.inf]))
    assert list(got.behind[:2]) == [0.01, once.behind[1]]
