"""Spread between training seeds: limma's moments by root finding, and truths recovered."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import optimize, special

from leaderboards.entries import gather
from leaderboards.rank import rank
from leaderboards.rows import Row
from leaderboards.spread import (
    PRIOR_DF,
    PRIOR_SD,
    SeedSpread,
    sampling_variance,
    seed_spread,
)
from tests.unit.leaderboards.synthetic import PROTOCOL, row, sweep_rows

DECIBEL = {"metric": "psnr", "direction": "higher", "scale": "difference", "unit": "dB"}
FALLING = {**DECIBEL, "direction": "lower"}


def replicates(
    scores: list[list[float]],
    *,
    same_seeds: bool = False,
    cells: list[int] | None = None,
    protocol: dict[str, str] = FALLING,
    score_se: float | None = 0.0,
) -> list[Row]:
    """One entry for each list, in a cell of its own unless `cells` says otherwise."""
    rows: list[Row] = []
    for entry, values in enumerate(scores):
        cell = entry if cells is None else cells[entry]
        for k, score in enumerate(values):
            rows.append(
                row(
                    len(rows),
                    float(score),
                    entry_id=f"e{entry}",
                    seed=k if same_seeds else len(rows),
                    cell={"architecture": f"net{cell}"},
                    protocol=protocol,
                    score_se=score_se,
                )
            )
    return rows


def variances(rows: list[Row]) -> tuple[SeedSpread, np.ndarray, np.ndarray]:
    """The spread, and each entry's variance and df, in order."""
    entries = gather(rows)
    spread = seed_spread(entries)
    known = [spread.of(entry) for entry in entries]
    return spread, np.array([k.variance for k in known]), np.array([k.df for k in known])


def limma(
    s2: np.ndarray, df: np.ndarray, levels: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Posterior variances and df of Smyth (2004), sections 6.1 and 3, with a finite prior df; on a
    line in `levels` by least squares where they are given."""
    e = np.log(s2) - special.digamma(df / 2) + np.log(df / 2)
    design = np.ones((len(e), 1)) if levels is None else np.stack([np.ones(len(e)), levels], 1)
    fitted = design @ np.linalg.lstsq(design, e, rcond=None)[0]
    left = ((e - fitted) ** 2).sum() / (len(e) - design.shape[1])
    target = left - special.polygamma(1, df / 2).mean()
    assert target > 0
    d0 = 2 * optimize.brentq(lambda y: special.polygamma(1, y) - target, 1e-6, 1e9, xtol=1e-14)
    s02 = np.exp(fitted + special.digamma(d0 / 2) - np.log(d0 / 2))
    return (d0 * s02 + df * s2) / (d0 + df), np.minimum(d0 + df, df.sum())


@pytest.mark.parametrize("cells", [3, 5])
def test_moderated_variances_are_limmas(cells: int) -> None:
    """Too few cells for a trend; of three the moments are the wildest."""
    rng = np.random.default_rng(2)
    sd = np.exp(rng.normal(0, 1.2, cells))
    scores = [list(20 + s * rng.normal(size=3 + k % 3)) for k, s in enumerate(sd)]
    _, got, df = variances(replicates(scores))
    own = np.array([np.var(v, ddof=1) for v in scores])
    freedom = np.array([len(v) - 1.0 for v in scores])
    expected, expected_df = limma(own, freedom)
    np.testing.assert_allclose(got, expected, rtol=1e-8)  # Newton's step against brentq
    np.testing.assert_allclose(df, expected_df, rtol=1e-8)


@pytest.mark.parametrize(("protocol", "sign"), [(FALLING, 1.0), (DECIBEL, -1.0)])
def test_with_many_cells_worse_scores_may_be_noisier(protocol: dict[str, str], sign: float) -> None:
    """On limma's line where variances rise as scores get worse; else without a slope."""
    rng = np.random.default_rng(3)
    for rising in (1.0, -1.0):
        levels = np.linspace(0, 8, 12)
        sd = np.exp(sign * rising * (levels - 4) / 6 + 0.6 * rng.normal(size=12))
        scores = [
            list(20 + m + 0.05 * s * rng.normal(size=6)) for m, s in zip(levels, sd, strict=True)
        ]
        _, got, df = variances(replicates(scores, protocol=protocol))
        own, freedom = np.array([np.var(v, ddof=1) for v in scores]), np.full(12, 5.0)
        means = np.array([np.mean(v) for v in scores])
        slope = np.polyfit(means, np.log(own), 1)[0]
        assert sign * rising * slope > 0  # else the case is none
        expected, expected_df = limma(own, freedom, means if rising > 0 else None)
        np.testing.assert_allclose(got, expected, rtol=1e-8)
        np.testing.assert_allclose(df, expected_df, rtol=1e-8)


def test_cells_alike_are_pooled_whole() -> None:
    """Less scatter than chance gives: all cells have one variance, with all degrees of freedom."""
    scores = [[m - 1.0, m + 1.0, m + 0.001 * m] for m in (10.0, 11.0, 12.0, 13.0)]
    _, got, df = variances(replicates(scores))
    pooled = np.mean([np.var(v, ddof=1) for v in scores])
    np.testing.assert_allclose(got, pooled)
    np.testing.assert_allclose(df, 8.0)


def test_two_cells_are_drawn_to_the_stated_prior() -> None:
    """PRIOR_DF degrees of freedom at PRIOR_SD of the score and its sampling error, pooled with
    what the cells say; then each cell's own."""
    scores = [[45.0, 55.0], [80.0, 81.0, 82.0]]
    rows = replicates(scores, protocol=dict(PROTOCOL), score_se=1.0)
    spread, got, df = variances(rows)
    squares = np.array([np.var(np.log(v)) * len(v) for v in scores])
    noise = np.array([np.mean([(1 / s) ** 2 for s in v]) for v in scores])
    centre = (PRIOR_DF * (PRIOR_SD**2 + noise.mean()) + squares.sum()) / (PRIOR_DF + 3)
    expected = (PRIOR_DF * centre + squares) / (PRIOR_DF + np.array([1.0, 2.0]))
    np.testing.assert_allclose(got, expected)
    assert list(df) == [PRIOR_DF + 1, PRIOR_DF + 2]
    assert (spread.kind, spread.df) == ("measured", 3.0)
    assert spread.sd == pytest.approx(np.sqrt(squares.sum() / 3 - noise.mean()))


def test_the_prior_is_recovered_and_moderated_variances_are_nearer_the_truth() -> None:
    """300 cells of four seeds; true variances 0.04 d0 / chi squared of d0 = 6.

    Log variances scatter by trigamma(1.5) + trigamma(3) = .93 + .39, known to 2 sqrt(2 / 300) or
    so of it, .2: the .39 may read .1 to .7, which is d0 of 3.7 to 21. Once moderated (9 df) the
    logarithm's squared error is trigamma(4.5) = .25; of a raw variance it is .93 + .14.
    """
    rng = np.random.default_rng(8)
    truth = 0.04 * 6 / rng.chisquare(6, 300)
    scores = [list(20 + np.sqrt(v) * rng.normal(size=4)) for v in truth]
    _, got, df = variances(replicates(scores))
    raw = np.array([np.var(v, ddof=1) for v in scores])
    assert 3.7 < df[0] - 3 < 21
    off, raw_off = (np.square(np.log(v / truth)).mean() for v in (got, raw))
    assert off == pytest.approx(0.25, abs=0.08)
    assert raw_off == pytest.approx(1.07, abs=0.3)


def test_a_spread_of_its_own_is_recovered_for_each_cell() -> None:
    """40 seeds each; sd of a log variance is sqrt(2 / 39) = .23, three of them."""
    rng = np.random.default_rng(9)
    sd = np.array([0.02, 0.05, 0.1, 0.2, 0.4])
    scores = [list(50 * np.exp(s * rng.normal(size=40))) for s in sd]
    rows = replicates(scores, protocol=dict(PROTOCOL))
    spread, got, _ = variances(rows)
    assert np.abs(np.log(got / sd**2)).max() < 3 * math.sqrt(2 / 39)
    assert spread.relative
    assert spread.block == 0.0  # no two have a seed in common
    by_id = {p.entry.entry_id: p for p in rank(rows).ranked}
    for k, s in enumerate(sd):
        place = by_id[f"e{k}"]
        assert place.training_sd == pytest.approx(s * place.score, rel=0.35)  # exp(.35) - 1
        assert place.training_source == "measured"


def test_seeds_in_common_are_a_block_by_the_analysis_of_variance() -> None:
    """Balanced: (MS of seeds - MS of the rest) / entries, from the two-way table."""
    rng = np.random.default_rng(10)
    n, seeds = 5, 4
    table = (
        rng.normal(0, 3, (n, 1)) + 2.0 * rng.normal(size=(1, seeds)) + rng.normal(size=(n, seeds))
    )
    rest = table - table.mean(0) - table.mean(1, keepdims=True) + table.mean()
    of_rest = (rest**2).sum() / ((n - 1) * (seeds - 1))
    of_seeds = n * np.square(table.mean(0) - table.mean()).sum() / (seeds - 1)
    rows = replicates([list(v) for v in table], same_seeds=True, cells=[0] * n)
    spread, got, _ = variances(rows)
    assert spread.block == pytest.approx((of_seeds - of_rest) / n)
    assert spread.df == pytest.approx((n - 1) * (seeds - 1))
    assert spread.sd == pytest.approx(math.sqrt(of_rest + spread.block))
    # one cell on the difference scale: what lies between entries is no prior for it
    np.testing.assert_allclose(got, of_rest)


@pytest.mark.parametrize("block", [0.0, 0.09])
def test_the_variance_of_shared_seeds_is_recovered(block: float) -> None:
    """30 sweeps of six entries, two of their ten seeds unshared. Own variance 0.01.

    sd of a block's estimate is (block + .01 / 6) sqrt(2 / 7) in each at the most; of the mean of 30
    a fifth of that, three of them. Without a block it is cut at zero: half of an sd more.
    """
    rng = np.random.default_rng(11)
    found, own = [], []
    for _ in range(30):
        effects = math.sqrt(block) * rng.normal(size=100)
        rows = []
        for entry in range(6):
            for seed in [*range(8), 20 + 2 * entry, 21 + 2 * entry]:
                score = 20 + entry + effects[seed] + 0.1 * rng.normal()
                item = row(len(rows), score, entry_id=f"e{entry}", seed=seed, protocol=FALLING)
                rows.append(item)
        spread = seed_spread(gather(rows))
        found.append(spread.block)
        own.append(spread.sd**2)
    sd = (block + 0.01 / 6) * math.sqrt(2 / 7)
    assert np.mean(found) == pytest.approx(
        block, abs=3 * sd / math.sqrt(30) + 0.5 * sd * (block == 0)
    )


def test_entries_on_the_same_seeds_are_told_apart_without_what_seeds_do_to_all() -> None:
    """Seeds move all by 20 %, an entry by 1 %: a step of 10 % is seen if they have seeds in
    common, and not if each has its own."""
    rng = np.random.default_rng(12)
    shared = 0.2 * rng.normal(size=4)

    def scores(effects: np.ndarray) -> list[list[float]]:
        own = 0.01 * rng.normal(size=(4, 4))
        return [list(50 * 1.1**k * np.exp(effects[k] + own[k])) for k in range(4)]

    paired = rank(
        replicates(scores(np.tile(shared, (4, 1))), same_seeds=True, protocol=dict(PROTOCOL))
    )
    alone = rank(replicates(scores(0.2 * rng.normal(size=(4, 4))), protocol=dict(PROTOCOL)))
    assert [p.entry.entry_id for p in paired.ranked] == ["e0", "e1", "e2", "e3"]
    assert [p.rank_high for p in paired.ranked] == [1, 2, 3, 4]
    assert len(paired.may_be_best) == 1
    assert len(alone.may_be_best) > 1
    # a new seed moves the score by both: 20 % and 1 %
    leader = paired.ranked[0]
    assert leader.training_sd is not None
    assert leader.training_sd / leader.score > np.std(shared)


def test_the_spread_of_many_replicates_is_without_their_sampling_error() -> None:
    rng = np.random.default_rng(4)
    rows = sweep_rows(np.full(60, 50.0), rng, seeds=4, rel_sd=0.2, rel_se=0.2)
    spread = seed_spread(gather(rows))
    # total variance 0.08 from 177 degrees of freedom: sd 0.0085, so 0.04 +- 0.0085 is training;
    # two of those are 20 % of its root. Left in, sampling would make it 0.28.
    assert spread.sd == pytest.approx(0.2, rel=0.2)
    assert spread.df == 60 * 3 - 3  # three contrasts of four seeds in common
    assert spread.kind == "measured"
    assert all(spread.of(entry).variance > 0.06 for entry in gather(rows))  # compared with it


def test_a_variance_is_never_below_sampling() -> None:
    scores = [[50.0, 50.0], [60.0, 60.1], [70.0, 70.2], [80.0, 80.1]]
    rows = replicates(scores, protocol=dict(PROTOCOL), score_se=5.0)
    spread = seed_spread(gather(rows))
    for entry in gather(rows):
        assert spread.of(entry).variance == pytest.approx((5.0 / entry.scores[0]) ** 2, rel=0.01)
        assert spread.of(entry).variance >= sampling_variance(entry, True)
    assert spread.sd == 0.0


def test_an_error_of_choosing_cases_is_no_sampling_error() -> None:
    """All entries have the same cases: it is compared as what they share."""
    (entry,) = gather([row(0, 50.0, score_se=5.0, left_out={"cases": [49.0, 51.0]})])
    assert sampling_variance(entry, True) == 0.0
    (entry,) = gather([row(0, 50.0, score_se=5.0, left_out={"subjects": [49.0, 51.0]})])
    assert sampling_variance(entry, True) == pytest.approx(0.01)


def test_a_cell_trained_once_has_the_prior_or_what_others_scatter_if_that_is_more() -> None:
    rng = np.random.default_rng(13)
    for sd, wide in ((0.02, False), (0.6, True)):
        scores = [list(50 * np.exp(sd * rng.normal(size=6))) for _ in range(4)]
        rows = replicates([*scores, [55.0]], protocol=dict(PROTOCOL))
        spread = seed_spread(gather(rows))
        last = spread.of(gather(rows)[-1])
        assert (last.replicated, last.df) == (False, PRIOR_DF)
        if wide:
            # the mean of four log variances of 5 df: sd sqrt(2 / 5 / 4) = .32, three of them
            assert math.log(last.variance / sd**2) == pytest.approx(0, abs=1.0)
        else:
            assert last.variance == pytest.approx(PRIOR_SD**2)
        by_id = {p.entry.entry_id: p.training_source for p in rank(rows).ranked}
        assert by_id == {**{f"e{k}": "measured" for k in range(4)}, "e4": "assumed"}


def test_an_entry_trained_once_has_the_spread_of_its_cell() -> None:
    scores = [[50.0, 60.0, 45.0], [70.0]]
    rows = replicates(scores, cells=[0, 0], protocol=dict(PROTOCOL))
    _, got, df = variances(rows)
    assert got[0] == got[1]
    assert df[0] == df[1]
    by_id = {p.entry.entry_id: p.training_source for p in rank(rows).ranked}
    assert by_id == {"e0": "measured", "e1": "borrowed"}


def test_the_same_number_of_samples_more_of_them_does_not_shrink_the_prior() -> None:
    few = rank([row(k, 50.0 + k, score_se=2.5) for k in range(3)])
    many = rank([row(k, 50.0 + k, score_se=0.0) for k in range(3)])
    assert few.spread.sd == many.spread.sd == PRIOR_SD
    assert few.spread.df == many.spread.df == PRIOR_DF
