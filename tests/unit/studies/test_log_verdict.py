"""The seed's log, as embedded, and what is said of it."""

from __future__ import annotations

import numpy as np
import pytest

from bench.studies.log_verdict import judge
from bench.studies.seed_log import NOISE_STEPS, PIXELS, TEXT, seed_log


def test_the_embedded_log_is_read_whole() -> None:
    log = seed_log()

    assert len(log.losses) == 29
    assert log.skipped == 10 == TEXT.count("step: ?")
    assert (log.steps[0], log.steps[-1]) == (6784, 6822)
    assert log.losses.min() == 59.16618347167969
    assert log.losses.max() == 22187.427734375
    assert log.losses.sum() == pytest.approx(188_042.8197, abs=1e-4)  # added up by awk
    assert len(TEXT.splitlines()) == log.steps[-1] - log.steps[0] + 1  # a line a step


@pytest.fixture(scope="module")
def verdict() -> object:
    return judge()


def test_the_likeliest_counts_are_those_the_eye_sees(verdict: object) -> None:
    log = seed_log()
    near = np.round(log.losses / (PIXELS / 6))  # levels at 0, 1 and 2 times 65,536 / 6

    assert verdict.best.counts.tolist() == near.tolist()  # type: ignore[attr-defined]


def test_counts_beat_every_rival_and_batch_6_every_other(verdict: object) -> None:
    facts = verdict.facts  # type: ignore[attr-defined]

    assert facts["batch"] == 6
    assert facts["counts"] == [15, 11, 3]
    assert facts["batches_likely"] == [4, 5, 6, 7, 8]
    assert facts["batches_possible"] == [4, 5, 6]
    assert min(facts["aic"], key=facts["aic"].get) == "counts"
    assert min(facts["bic"], key=facts["bic"].get) == "counts"
    assert facts["cost_per_pixel"] == pytest.approx(0.963, abs=0.001)


def test_a_log_without_levels_is_not_explained_away() -> None:
    losses = np.random.default_rng(1).lognormal(6.5, 1.8, size=40)
    facts = judge(losses, batch=6).facts

    assert min(facts["aic"], key=facts["aic"].get) != "counts"
    assert NOISE_STEPS == 10
