"""Calibration error, Brier score and retention against scikit-learn and slow loops."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image
from sklearn.calibration import calibration_curve
from sklearn.metrics import brier_score_loss

from bench.metrics import reliability, reliability_picture
from bench.metrics.calibration_metric import CalibrationMetric
from tests.unit.metrics.shares import evidence, hard

SIDES = (20, 24)


def calibrated(n: int = 6, sides: tuple[int, ...] = SIDES, seed: int = 0) -> tuple:
    """Shares of one class, many of them small, and truths drawn by them."""
    rng = np.random.default_rng(seed)
    values = np.rint(255 * rng.beta(0.2, 0.8, (n, 1, *sides))).astype(np.uint8)
    return values, (rng.random((n, *sides)) < values[:, 0] / 255).astype(np.uint8)


def ensembles(samples: int = 5) -> tuple:
    """Shares of 5 samples of four channels, which add up to 1, and truths."""
    rng = np.random.default_rng(1)
    chance = rng.dirichlet((4, 1, 1, 0.5), (3, *SIDES))
    votes = (rng.random((samples, 3, *SIDES, 1)) > chance.cumsum(-1)[..., :-1]).sum(-1)
    shares = np.stack([(votes == k).mean(0) for k in range(4)], 1)
    truth = (rng.random((3, *SIDES, 1)) > chance.cumsum(-1)[..., :-1]).sum(-1)
    return np.rint(255 * shares).astype(np.uint8), truth.astype(np.uint8)


def error_by_sklearn(truth: np.ndarray, share: np.ndarray) -> float:
    """Frequencies and means of its bins, weighed by the voxels of a histogram of our own. Its bins
    are of (edge, edge], so that shares are moved off the edges, to the bin that begins there."""
    moved = np.where(share < 1, share + 1e-9, share)
    true, given = calibration_curve(truth, moved, n_bins=reliability.BINS)
    voxels = np.histogram(moved, np.linspace(0, 1, reliability.BINS + 1))[0]
    return float((voxels[voxels > 0] * np.abs(true - given)).sum() / voxels.sum())


@pytest.mark.parametrize("make", [calibrated, ensembles])
def test_calibration_and_brier_are_scikit_learns(make) -> None:
    values, truth = make()
    found = CalibrationMetric({}).estimate(evidence(values, truth))
    channels = [(0, 1)] if values.shape[1] == 1 else [(k, k) for k in range(1, 4)]
    pairs = [((truth == label).ravel(), values[:, k].ravel() / 255) for k, label in channels]
    # shares were moved by 1e-9
    assert found["ece"] == pytest.approx(np.mean([error_by_sklearn(*p) for p in pairs]), abs=1e-8)
    assert found["brier"] == pytest.approx(np.mean([brier_score_loss(*p) for p in pairs]), rel=1e-9)
    undecided = [(t[(s > 0) & (s < 1)], s[(s > 0) & (s < 1)]) for t, s in pairs]
    expected = np.mean([error_by_sklearn(*p) for p in undecided])
    assert found["ece_undecided"] == pytest.approx(expected, abs=1e-8)
    counts = [len(t) / len(s) for (t, _), (_, s) in zip(undecided, pairs, strict=True)]
    assert found["undecided_voxels"] == pytest.approx(np.mean(counts), rel=1e-12)


@pytest.mark.parametrize("make", [calibrated, ensembles])
def test_retention_by_dropping_voxels_one_by_one(make) -> None:
    """The mean over many orders of voxels that are equally certain."""
    values, truth = make()
    values, truth = values[:1, :, :9, :9], truth[:1, :9, :9]
    shares = values[0] if values.shape[1] > 1 else np.stack([255 - values[0, 0], values[0, 0]])
    wrong = (shares.argmax(0) != truth[0]).ravel()
    sure = shares.max(0).ravel().astype(int)
    rng, areas = np.random.default_rng(2), []
    for _ in range(2000):
        order = np.lexsort((rng.random(len(sure)), -sure))
        curve = np.concatenate([[0], wrong[order].cumsum()]) / len(wrong)
        areas.append(np.trapezoid(curve, dx=1 / len(wrong)))
    found = CalibrationMetric({}).estimate(evidence(values, truth))
    noise = 4 * np.std(areas) / len(areas) ** 0.5 + 1e-12
    assert found["retention_area"] == pytest.approx(np.mean(areas), abs=noise)
    error = wrong.mean()
    assert 0 < error < 1
    ideal = np.trapezoid(np.concatenate([[0], np.sort(wrong).cumsum()]), dx=1) / len(wrong) ** 2
    # the ideal as a curve of single voxels, whose trapezoids are its own area
    gain = (error / 2 - found["retention_area"]) / (error / 2 - ideal)
    assert found["retention_gain"] == pytest.approx(gain, rel=1e-9)
    assert 0 < found["retention_gain"] < 1


def test_what_is_calibrated_has_a_small_error_and_what_is_too_sure_a_large_one() -> None:
    values, truth = calibrated()
    sure = np.where(values > 127, 255 - (255 - values) // 3, values // 3).astype(np.uint8)
    good, bad = (CalibrationMetric({}).estimate(evidence(v, truth)) for v in (values, sure))
    for key in ("ece", "ece_undecided"):
        assert good[key] < 0.02
        assert bad[key] > 3 * good[key]
    assert good["brier"] < bad["brier"]
    # which voxels are less certain than others is the same
    assert bad["retention_area"] == pytest.approx(good["retention_area"], rel=0.05)


def test_hard_answers_have_no_undecided_voxel_and_their_certainty_is_chance() -> None:
    _, truth = calibrated()
    answers = np.roll(truth, 1, axis=1)
    found = CalibrationMetric({}).estimate(evidence(hard(answers), truth))
    error = float((answers != truth).mean())
    assert found["undecided_voxels"] == 0
    assert "ece_undecided" not in found
    assert found["ece"] == pytest.approx(error)
    assert found["brier"] == pytest.approx(error)
    assert found["retention_area"] == pytest.approx(error / 2)
    assert found["retention_gain"] == pytest.approx(0, abs=1e-12)
    right = CalibrationMetric({}).estimate(evidence(hard(truth), truth))
    assert (right["ece"], right["brier"], right["retention_area"]) == (0, 0, 0)
    assert "retention_gain" not in right  # there is no error to find


def test_errors_are_those_of_choosing_subjects() -> None:
    """120 draws of 12 cases: the stated errors are the spread of the values, to a third, since the
    spread of 200 is known to a fifteenth and the jackknife's to a fifth."""
    stated, values = [], []
    for seed in range(120):
        shares, truth = calibrated(12, (6, 6), seed)
        found = CalibrationMetric({}).estimate(evidence(shares, truth))
        values.append((found["brier"], found["retention_area"]))
        stated.append((found["brier_se"], found["retention_area_se"]))
    spread = np.std(values, axis=0, ddof=1)
    np.testing.assert_allclose(np.sqrt(np.mean(np.square(stated), 0)), spread, rtol=0.33)


def test_without_each_subject_it_is_that_of_the_others() -> None:
    values, truth = calibrated()
    subjects = np.array([3, 3, 8, 8, 8, 5])
    asked = evidence(values, truth, subjects=subjects)
    slow = [
        CalibrationMetric({}).estimate(evidence(values[kept], truth[kept]))["ece"]
        for kept in (subjects != 3, subjects != 5, subjects != 8)
    ]
    assert CalibrationMetric({}).left_out(asked) == {"cases": pytest.approx(slow, rel=1e-9)}
    assert CalibrationMetric({}).left_out(evidence(values, truth)) == {}
    one = CalibrationMetric({}).estimate(evidence(values[:1], truth[:1]))
    assert "ece_se" not in one


@pytest.mark.parametrize("answers", ["ensembles", "hard"])
def test_the_picture_is_drawn_of_all_kinds_of_answers(answers: str) -> None:
    values, truth = ensembles()
    if answers == "hard":
        truth = (truth > 0).astype(np.uint8)
        values = hard(truth)  # nor is anything wrong
    (file,) = CalibrationMetric({}).files(evidence(values, truth))
    assert (file.name, file.real) == ("reliability.png", False)
    with Image.open(io.BytesIO(file.content)) as picture:
        assert picture.size == (1320, 648)
        pixels = np.asarray(picture.convert("RGB")).astype(np.int64)
    there = {f"#{colour:06x}" for colour in np.unique(pixels @ [65536, 256, 1]).tolist()}
    wanted = reliability_picture.COLOURS[: 3 if answers == "ensembles" else 1]
    assert set(wanted) <= there
