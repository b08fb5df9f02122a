"""What real pictures and simple models score, on a tiny cache."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bench.data.practice_data import write_practice_data
from bench.metrics.copying_metric import CopyingMetric
from bench.metrics.extractors import extract
from bench.metrics.frechet import frechet_distance
from bench.metrics.frechet_metric import FrechetMetric, reference
from bench.metrics.memorisation import of_subjects
from bench.metrics.real import RealData, extractor_named
from bench.tasks import real_references
from bench.tasks.real_references import gaussian_pictures, references_of
from leaderboards.references import FLOOR

SETTINGS = {"extractor": "randconv", "n_reference": 64}


def test_subjects_are_matched_and_give_in_turn() -> None:
    owners = np.repeat(np.arange(10), 6)
    rows = np.arange(100, 160)
    got = of_subjects(rows, owners, 4, 10)
    counts = np.bincount(owners[got - 100], minlength=10)
    assert sorted(counts[counts > 0]) == [2, 2, 3, 3]
    np.testing.assert_array_equal(got, of_subjects(rows, owners, 4, 10))
    assert (np.diff(got) > 0).all()
    assert len(of_subjects(rows, owners, 99, 999)) == 60


def test_they_are_what_trials_would_score_and_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = RealData(str(write_practice_data(tmp_path / "cache", (8, 8)).path))
    metrics = [FrechetMetric(SETTINGS), CopyingMetric(SETTINGS)]
    made = references_of(real, metrics, 12)
    by_key = {one.key: one for one in made}
    assert list(by_key) == [FLOOR, "floor by frame", "training copies", "linear-Gaussian"]
    parts, owners = real.data.parts, real.data.subject
    asked = len(np.unique(owners[parts["report"]]))
    select = of_subjects(parts["select"], owners[parts["select"]], asked, 12)
    features = extract(extractor_named("randconv"), real.pictures_at(select))
    by_hand = frechet_distance(reference(real, "randconv", "report", 64), features)
    assert by_key[FLOOR].values["eval/fd_randconv"] == pytest.approx(by_hand.value)
    copies, floor = by_key["training copies"].values, by_key[FLOOR].values
    assert copies["eval/authentic"] == 0
    assert copies["eval/copied"] > floor["eval/copied"]
    monkeypatch.setattr(real_references, "_measured", None)
    assert references_of(real, metrics, 12) == made


def test_gaussian_pictures_have_the_data_s_mean_and_spread(tmp_path: Path) -> None:
    real = RealData(str(write_practice_data(tmp_path / "cache", (8, 8)).path))
    drawn = gaussian_pictures(real, 400).astype(float)
    train = real.pictures("train", 999).astype(float)
    assert drawn.shape[1:] == train.shape[1:]
    error = train.std() / 400**0.5
    assert abs(drawn.mean() - train.mean()) < 10 * error
    assert drawn.std() == pytest.approx(train.std(), rel=0.2)
