"""Labels of shares, Dice by sets, and what the metrics of a segmentation say of cases."""

from __future__ import annotations

import csv
import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from bench.errors import BenchError
from bench.metrics.case_means import class_measures
from bench.metrics.dice_metric import HEAD, DiceMetric
from bench.metrics.hd95_metric import HD95Metric
from bench.metrics.segmentation import classes_in, dice, labels_of
from bench.metrics.surface_distance import hd95
from tests.unit.metrics.label_maps import random_maps
from tests.unit.metrics.shares import evidence, hard

maps = st.integers(2, 3).flatmap(
    lambda dims: st.tuples(
        *(arrays(np.uint8, (2, 4, 3, 5)[: dims + 1], elements=st.integers(0, 3)) for _ in range(2))
    )
)


@settings(deadline=None, max_examples=60)
@given(maps)
def test_dice_is_that_of_sets_of_voxels(pair: tuple[np.ndarray, np.ndarray]) -> None:
    predicted, target = pair
    found = dice(predicted, target, 3)
    for case, label in np.ndindex(2, 3):
        one, other = (set(np.flatnonzero(m[case] == label + 1).tolist()) for m in pair)
        if one or other:
            assert found[case, label] == 2 * len(one & other) / (len(one) + len(other))
        else:
            assert found[case, label] == 1
    np.testing.assert_array_equal(found, dice(target, predicted, 3))
    np.testing.assert_array_equal(found[::-1], dice(predicted[::-1], target[::-1], 3))
    # of some classes alone the same
    np.testing.assert_array_equal(found[:, :2], dice(predicted, target, 2))


def test_labels_of_one_channel_and_of_more() -> None:
    one = np.array([0, 126, 127, 128, 255], np.uint8).reshape(1, 1, 5, 1)
    assert labels_of(one).ravel().tolist() == [0, 0, 0, 1, 1]
    assert labels_of(one).shape == (1, 5, 1)
    more = np.array([[9, 9, 0], [9, 8, 9], [7, 9, 9]], np.uint8).reshape(1, 3, 3, 1)
    assert labels_of(more).ravel().tolist() == [0, 0, 1]  # ties to the lower class
    assert (classes_in(one), classes_in(more)) == (1, 2)
    volumes = np.random.default_rng(0).integers(0, 256, (2, 4, 3, 5, 6), np.uint8)
    labels = labels_of(volumes)
    for place in np.ndindex(labels.shape):
        shares = volumes[place[0], :, *place[1:]].tolist()
        assert labels[place] == shares.index(max(shares))


@pytest.mark.parametrize("values", [np.zeros((2, 1, 4, 4)), np.zeros((2, 4, 4), np.uint8)])
def test_what_is_no_share_is_refused(values: np.ndarray) -> None:
    with pytest.raises(BenchError, match=r"judge shares of classes, uint8 \[n, K, \*spatial\]"):
        labels_of(values)


def test_targets_that_no_prediction_can_be_are_refused() -> None:
    values = np.zeros((2, 1, 4, 4), np.uint8)
    with pytest.raises(BenchError, match="a target has label 2; predictions have classes to 1"):
        DiceMetric({}).estimate(evidence(values, np.full((2, 4, 4), 2, np.uint8)))
    with pytest.raises(BenchError, match=r"predicted \[2, 4, 4\], true \[2, 4, 5\]"):
        DiceMetric({}).estimate(evidence(values, np.zeros((2, 4, 5), np.uint8)))
    with pytest.raises(BenchError, match="foreground_classes must be 1 to 255, got 0"):
        HD95Metric({"foreground_classes": 0})


def test_means_are_over_cases_of_the_classes_that_are_present() -> None:
    predicted, target = random_maps((10, 12))
    shares = hard(predicted, classes=3)  # a third class that no target has, nor any prediction
    overlap, distance = dice(predicted, target, 2), hd95(predicted, target, 2)
    given_classes = {"foreground_classes": 3}
    subjects = np.array([4, 4, 9, 7])
    asked = evidence(shares, target, subjects=subjects)
    found = {
        **DiceMetric(given_classes).estimate(asked),
        **HD95Metric(given_classes).estimate(asked),
    }
    for key, values in (("dice", overlap), ("hd95", distance)):
        by_case = values.mean(axis=1)
        assert found[key] == pytest.approx(by_case.mean(), rel=1e-12)
        assert found[f"{key}_spread"] == pytest.approx(by_case.std(ddof=1), rel=1e-12)
        assert found[f"{key}_class_1"] == pytest.approx(values[:, 0].mean(), rel=1e-12)
        assert found[f"{key}_class_2"] == pytest.approx(values[:, 1].mean(), rel=1e-12)
        assert f"{key}_class_3" not in found
        # two cases of one subject are one draw: sums of deviations by subject
        apart = by_case - by_case.mean()
        sums = np.array([apart[:2].sum(), apart[2], apart[3]])
        assert found[f"{key}_se"] == pytest.approx(np.sqrt(3 / 2 * (sums**2).sum()) / 4, rel=1e-9)
    assert found["hd95_median"] == pytest.approx(np.median(distance.mean(axis=1)), rel=1e-12)
    assert found["hd95_one_empty"] == 0
    assert found["hd95_found"] == pytest.approx(distance.mean(), rel=1e-12)
    assert found["hd95_unspaced"] == 4


def test_without_each_group_of_subjects_both_are_means_of_the_others() -> None:
    predicted, target = random_maps((10, 12))
    asked = evidence(hard(predicted, 2), target, subjects=np.array([4, 4, 9, 7]))
    kept = [[2, 3], [0, 1, 2], [0, 1, 3]]  # without 4, 7 and 9
    for metric, values in (
        (DiceMetric({}), dice(predicted, target, 2)),
        (HD95Metric({}), hd95(predicted, target, 2)),
    ):
        slow = [values[rows].mean() for rows in kept]
        assert metric.left_out(asked) == {"cases": pytest.approx(slow, rel=1e-12)}
        assert metric.left_out(evidence(hard(predicted, 2), target)) == {}


def test_empty_masks_are_counted_and_kept_apart() -> None:
    target = np.zeros((4, 10, 10), np.uint8)
    target[:3, 2:5, 2:5] = 1
    predicted = target.copy()
    predicted[0] = 0  # missed
    predicted[3, 7, 7] = 1  # there is nothing
    predicted[1, 5, 2] = 1
    spacing = np.full((4, 2), 2, np.float32)
    asked = evidence(hard(predicted), target, spacing=spacing)
    found = HD95Metric({}).estimate(asked)
    far = np.sqrt(2) * 20
    near = hd95(predicted[1:3], target[1:3], 1, spacing[1:3]).ravel()
    assert 0 < near[0] < far
    assert near[1] == 0
    assert found["hd95"] == pytest.approx((2 * far + near.sum()) / 4)
    assert (found["hd95_one_empty"], found["hd95_unspaced"]) == (2, 0)
    assert found["hd95_found"] == pytest.approx(near.mean())
    scores = [0, 2 * 9 / 19, 1, 0]
    assert DiceMetric({}).estimate(asked)["dice"] == pytest.approx(np.mean(scores))
    none = evidence(hard(np.zeros_like(target)), np.zeros_like(target))
    assert DiceMetric({}).estimate(none)["dice"] == 1  # no class is present: all are asked for
    assert "hd95_found" not in HD95Metric({}).estimate(none)


@pytest.mark.parametrize("simulated", [True, False])
def test_the_table_has_a_row_for_each_case_and_class(simulated: bool) -> None:
    predicted, target = random_maps((10, 12))
    predicted[1][predicted[1] == 2] = 0
    spacing = np.tile(np.array([1, 3], np.float32), (4, 1))
    asked = evidence(
        hard(predicted, 2),
        target,
        spacing=spacing,
        subjects=np.array([1, 1, 0, 2]),
        subject_ids=("s0", "s1", "s2"),
        simulated=simulated,
    )
    (file,) = DiceMetric({}).files(asked)
    assert file.name == "segmentation_cases.csv"
    assert file.real is not simulated
    rows = list(csv.DictReader(io.StringIO(file.content.decode())))
    assert tuple(rows[0]) == HEAD
    assert [(r["case"], r["class"]) for r in rows] == [(str(k), c) for k in range(4) for c in "12"]
    assert [r["subject"] for r in rows[::2]] == ["s1", "s1", "s0", "s2"]
    overlap, distance = dice(predicted, target, 2), hd95(predicted, target, 2, spacing)
    assert [float(r["dice"]) for r in rows] == pytest.approx(overlap.ravel(), abs=1e-6)
    assert [float(r["hd95_mm"]) for r in rows] == pytest.approx(distance.ravel(), abs=1e-4)
    for row in rows:
        case, label = int(row["case"]), int(row["class"])
        assert int(row["voxels_true"]) == (target[case] == label).sum()
        assert int(row["voxels_predicted"]) == (predicted[case] == label).sum()
        assert row["one_empty"] == ("1" if (case, label) == (1, 2) else "0")


def test_one_class_needs_no_columns_of_its_own() -> None:
    assert class_measures({}, "dice", "Dice", direction="higher") == []
    keys = [m.key for m in DiceMetric({"foreground_classes": 2}).measures]
    assert keys == ["dice", "dice_spread", "dice_class_1", "dice_class_2"]
