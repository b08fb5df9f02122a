"""Entries measured on the same subjects: what a choice of subjects does to all cancels."""

from __future__ import annotations

import numpy as np
import pytest

from leaderboards.claims import verdict
from leaderboards.entries import gather
from leaderboards.estimates import errors_of, moves_by_subjects
from leaderboards.rank import Ranking, rank
from leaderboards.rows import Row
from leaderboards.spread import seed_spread
from tests.unit.leaderboards.synthetic import row

PSNR = {"metric": "psnr", "direction": "higher", "scale": "difference", "unit": "dB"}
GROUPS = 20


def measured(
    cases: np.ndarray, *, seeds: np.ndarray | None = None, paired: bool = True
) -> list[Row]:
    """Entries [n] by cases [n, groups] of one subject a group: the score is their mean, and
    without a group the mean of the others. With seeds [n, k] networks whose score is moved by
    them, each in a cell of its own; else estimators without parameters."""
    rows: list[Row] = []
    count = cases.shape[1]
    for entry, values in enumerate(cases):
        moves = np.zeros(1) if seeds is None else seeds[entry]
        without = np.array([np.delete(values, g).mean() for g in range(count)])
        for move in moves:
            rows.append(
                row(
                    len(rows),
                    float(values.mean() + move),
                    entry_id=f"e{entry}",
                    seed=len(rows),
                    protocol=PSNR,
                    cell={"method": f"m{entry}"},
                    values={"size/params_m": 0.0 if seeds is None else 1.0},
                    score_se=float(values.std(ddof=1) / np.sqrt(count)),
                    left_out={"cases": list(without + move)} if paired else {},
                )
            )
    return rows


def ranks(ranking: Ranking) -> dict[str, tuple[int | None, int | None]]:
    return {p.entry.entry_id: (p.rank_low, p.rank_high) for p in ranking.ranked}


def test_the_jackknife_of_means_is_their_covariance() -> None:
    """Exactly: of a mean of independent cases it is the sample covariance over their number."""
    cases = np.random.default_rng(1).normal(30, 4, (3, GROUPS))
    moves = moves_by_subjects(gather(measured(cases)), relative=False)
    assert moves is not None
    assert moves.shape == (3, GROUPS)
    np.testing.assert_allclose(moves @ moves.T, np.cov(cases) / GROUPS)


def test_of_logarithms_on_the_ratio_scale_and_the_mean_over_seeds() -> None:
    rng = np.random.default_rng(2)
    first, second = rng.uniform(1, 2, (2, 2, 5))
    rows = [
        row(10 * e + k, 1.5, entry_id=f"e{e}", left_out={"subjects": list(values)})
        for e, seeds in enumerate((first, second))
        for k, values in enumerate(seeds)
    ]
    moves = moves_by_subjects(gather(rows), relative=True)
    assert moves is not None
    covariance = moves @ moves.T
    logs = [np.log(v).mean(0) for v in (first, second)]
    for i in range(2):
        for j in range(2):
            slow = sum(
                (a - logs[i].mean()) * (b - logs[j].mean())
                for a, b in zip(logs[i], logs[j], strict=True)
            )
            assert covariance is not None
            assert covariance[i, j] == pytest.approx(4 / 5 * slow)


@pytest.mark.parametrize("trained", [False, True])
def test_a_small_difference_on_the_same_subjects_is_seen(trained: bool) -> None:
    """Subjects differ by 5 dB, so that a mean of 20 is uncertain by 1.1; the entries by .5 dB, and
    on one subject by .1 dB more or less."""
    rng = np.random.default_rng(3)
    cases = 30 + 5 * rng.normal(size=GROUPS) + 0.1 * rng.normal(size=(3, GROUPS))
    cases += np.array([[0.5], [0.0], [-0.5]])
    seeds = 0.05 * rng.normal(size=(3, 4)) if trained else None
    together = rank(measured(cases, seeds=seeds))
    assert ranks(together) == {"e0": (1, 1), "e1": (2, 2), "e2": (3, 3)}
    assert [p.entry.entry_id for p in together.may_be_best] == ["e0"]
    alone = rank(measured(cases, seeds=seeds, paired=False))
    assert set(ranks(alone).values()) == {(1, 3)}
    assert len(alone.may_be_best) == 3
    # of a score alone the subjects are nearly all the error, either way
    of_cases = cases.std(axis=1, ddof=1).mean() / np.sqrt(GROUPS)
    assert together.ranked[0].total_se == pytest.approx(of_cases, rel=0.1)


def test_what_the_score_holds_for_is_said() -> None:
    cases = np.random.default_rng(4).normal(30, 4, (2, GROUPS))
    whole, none, part = measured(cases), measured(cases, paired=False), measured(cases)
    part[0] = none[0]
    known = [
        next(x for x in verdict(rank(r)) if x.startswith("known")) for r in (whole, part, none)
    ]
    assert known[0].endswith("for subjects like those of the report part")
    assert known[1].endswith("other subjects are not in these errors")
    assert "subjects" not in known[2]


@pytest.mark.parametrize("step", [0.0, 1.0])
def test_error_rates_on_new_subjects(step: float) -> None:
    """1000 choices of 20 subjects for two entries: told apart wrongly in 5 %; with a true step of
    1 dB, 4 standard errors of a difference, as often as a paired t test says.

    3 sqrt(.05 * .95 / 1000) = .021.
    """
    rng = np.random.default_rng(5)
    told = slow = wrong = 0
    for _ in range(1000):
        cases = 30 + 5 * rng.normal(size=GROUPS) + 0.8 * rng.normal(size=(2, GROUPS))
        cases[0] += step
        ranking = rank(measured(cases))
        apart = ranks(ranking)["e0"] != (1, 2)
        t = (cases[0] - cases[1]).mean() / ((cases[0] - cases[1]).std(ddof=1) / np.sqrt(GROUPS))
        told += apart
        slow += bool(abs(t) > 2.0930)  # the 97.5 % point of Student's t with 19 df
        wrong += apart and ranks(ranking)["e0"] == (2, 2)
    assert told == slow
    if step:
        assert wrong == 0
        assert told > 900
    else:
        assert told / 1000 == pytest.approx(0.05, abs=0.021)


def test_the_degrees_of_freedom_are_those_of_the_groups() -> None:
    cases = np.random.default_rng(6).normal(30, 4, (2, 7))
    entries = gather(measured(cases))
    assert errors_of(entries, seed_spread(entries)).pair_df()[0, 1] == pytest.approx(6)


@pytest.mark.parametrize(
    "left_out",
    [
        {},
        {"cases": [1.0]},
        {"cases": [1.0, 2.0, 3.0]},
        {"cases": [-1.0, 2.0]},
        {"others": [1.0, 2.0]},
    ],
)
def test_nothing_is_common_unless_all_say_the_same_groups(left_out: dict[str, list[float]]) -> None:
    rows = [row(0, left_out={"cases": [50.0, 51.0]}), row(1, left_out=left_out)]
    assert moves_by_subjects(gather(rows), relative=True) is None
    assert len(rank(rows).ranked) == 2


def test_more_seeds_do_not_choose_more_cases() -> None:
    """The error of choosing cases stays; that of drawing samples falls with every seed."""
    said = {"left_out": {"cases": [50.0, 51.0]}, "score_se": 2.0, "entry_id": "e"}
    of_cases = [row(k, 50.0, seed=k, **said) for k in range(4)]
    of_samples = [row(k, 50.0, seed=k, **{**said, "left_out": {}}) for k in range(4)]
    (cases,), (samples,) = gather(of_cases), gather(of_samples)
    assert (cases.score_se, samples.score_se) == (2.0, 1.0)
