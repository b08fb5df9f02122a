"""Scores without some of their subjects: by brute force, one group at a time."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import scipy.linalg

from bench.data.practice_data import write_practice_data
from bench.metrics.extractors import extract, load_extractor
from bench.metrics.frechet_metric import FrechetMetric
from bench.metrics.leaving_out import GROUPS, groups_of, means_without
from bench.metrics.metric import Evidence
from bench.metrics.psnr_metric import PSNRMetric, psnr
from bench.metrics.real import RealData
from bench.predictions import Predictions


@pytest.mark.parametrize("known", [1, 2, 7, 20, 21, 53])
def test_subjects_are_dealt_whole_and_evenly(known: int) -> None:
    rng = np.random.default_rng(0)
    names = np.sort(rng.choice(10_000, known, replace=False))
    subjects = rng.permutation(np.concatenate([names, rng.choice(names, 3 * known)]))
    groups = groups_of(subjects)
    assert set(groups) == set(range(min(GROUPS, known)))
    by_group = [set(subjects[groups == g]) for g in range(groups.max() + 1)]
    assert sum(map(len, by_group)) == known  # none in two
    assert max(map(len, by_group)) - min(map(len, by_group)) <= 1
    # the order of images is nothing to it
    again = rng.permutation(len(subjects))
    np.testing.assert_array_equal(groups_of(subjects[again]), groups[again])


def test_means_without_each_group_by_a_slow_loop() -> None:
    rng = np.random.default_rng(1)
    values, groups = rng.normal(20, 3, 40), rng.permutation(np.arange(40) % 6)
    slow = [
        sum(v for v, g in zip(values, groups, strict=True) if g != out)
        / sum(g != out for g in groups)
        for out in range(6)
    ]
    assert means_without(values, groups) == pytest.approx(slow, rel=1e-12)
    assert means_without(values, np.zeros(40, np.int64)) == []


def predicted(values: np.ndarray) -> Predictions:
    return Predictions(values=values, passes=1, outside_share=0.0)


@pytest.mark.parametrize("known", [3, 30])
def test_psnr_is_the_mean_over_the_cases_of_other_subjects(known: int) -> None:
    rng = np.random.default_rng(2)
    targets = rng.uniform(-1, 1, (45, 1, 8, 8)).astype(np.float32)
    noise = rng.uniform(0.02, 0.3, (45, 1, 1, 1)) * rng.normal(size=targets.shape)
    values = (targets + noise).clip(-1, 1).astype(np.float32)
    subjects = rng.permutation(np.concatenate([np.arange(known), rng.choice(known, 45 - known)]))
    subjects = 100 - 3 * subjects
    evidence = Evidence(
        part="report",
        real=RealData(""),
        predictions=predicted(values),
        targets=targets,
        subjects=subjects,
    )
    order = sorted(set(subjects))
    slow = []
    for out in range(min(20, known)):
        gone = order[out::20]
        kept = [i for i in range(45) if subjects[i] not in gone]
        slow.append(psnr(values[kept], targets[kept]).mean())
    found = PSNRMetric({}).left_out(evidence)
    assert set(found) == {"cases"}
    np.testing.assert_allclose(found["cases"], slow, rtol=1e-12)  # sums in another order


@pytest.mark.parametrize("subjects", [None, np.full(4, 7)])
def test_nothing_is_left_out_where_there_is_one_subject_or_none(
    subjects: np.ndarray | None,
) -> None:
    pictures = np.random.default_rng(3).uniform(-1, 1, (4, 1, 8, 8)).astype(np.float32)
    evidence = Evidence(
        part="report",
        real=RealData(""),
        predictions=predicted(pictures),
        targets=pictures[::-1],
        subjects=subjects,
    )
    assert PSNRMetric({}).left_out(evidence) == {}


def frechet(first: np.ndarray, second: np.ndarray) -> float:
    """By its definition, with SciPy's matrix root of a product."""
    a, b = np.cov(first.T), np.cov(second.T)
    root = scipy.linalg.sqrtm(a @ b)
    apart = first.mean(0) - second.mean(0)
    return float(apart @ apart + np.trace(a) + np.trace(b) - 2 * np.trace(root).real)


OWN = """
import torch
from bench.metrics.extractors import Extractor

class Mine(Extractor):
    name, num_features, input_size, resizer = "mine", 3, 0, "none"

    def forward(self, images):
        x = images.float() / 255
        return torch.stack([x.mean((1, 2, 3)), x.std((1, 2, 3)), x[:, 0, 0, 0]], 1)

build = Mine
"""


@pytest.mark.parametrize("count", [9, 64])
def test_frechet_is_the_distance_to_the_pictures_of_other_subjects(
    tmp_path: Path, count: int
) -> None:
    """Of those that stand for the part; the predictions stay as they are."""
    (tmp_path / "mine.py").write_text(OWN)
    name = f"{tmp_path / 'mine.py'}:build"
    real = RealData(str(write_practice_data(tmp_path / "cache", (8, 8)).path))
    pictures = real.pictures("train", 14)
    evidence = Evidence(part="report", real=real, predictions=predicted(pictures))
    metric = FrechetMetric({"extractor": name, "n_reference": count})
    found = metric.left_out(evidence)
    assert set(found) == {"subjects"}

    rows = real.rows("report", count)
    subjects = [int(real.data.subject[k]) for k in rows]
    known = sorted(set(subjects))
    assert len(known) > 1
    assert len(found["subjects"]) == min(20, len(known))
    judge = load_extractor(name)
    ours = extract(judge, pictures)
    for out, value in enumerate(found["subjects"]):
        gone = known[out::20]
        kept = [row for row, who in zip(rows, subjects, strict=True) if who not in gone]
        theirs = extract(judge, real.pictures_at(np.array(kept)))
        # the matrix root of a product of nearly singular covariances loses half of the digits
        assert value == pytest.approx(frechet(theirs, ours), rel=1e-6)
    estimate = metric.estimate(evidence)
    assert min(found["subjects"]) < estimate[metric.measures[0].key] < max(found["subjects"])
