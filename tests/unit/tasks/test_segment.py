"""The segmentation task: patches with their places, label maps as images, what is judged."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch

from backbones.coordinates import coordinates
from bench.config import MethodConfig, TrialConfig
from bench.data.cache import CachedImages
from bench.data.practice_data import practice_trial, write_practice_data
from bench.data.readers.brats_layout import MASK_NAMES
from bench.errors import BenchError
from bench.metrics.real import RealData
from bench.metrics.throughput import Stopwatch
from bench.tasks.patch_placement import patch_start
from bench.tasks.segment import SegmentTask
from tests.unit.tasks.test_restore import Answering

DIFFUSION = MethodConfig(backbone="volume_unet", preconditioning="edm")
SIDES = (12, 16, 20)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> CachedImages:
    return write_practice_data(tmp_path_factory.mktemp("practice") / "cache", SIDES)


def trial(data: CachedImages, **given: Any) -> TrialConfig:
    described = SegmentTask.configure(SegmentTask.describe(data), given)
    config = practice_trial(described, DIFFUSION, str(data.path))
    measure = dataclasses.replace(config.measure, metrics=("dice",))
    return dataclasses.replace(config, measure=measure)


def test_a_network_gets_patches_and_is_asked_for_whole_volumes(data: CachedImages) -> None:
    config = trial(data, patch=8)
    inputs = config.task.inputs
    assert (inputs.spatial, config.task.answered.spatial) == ((8, 8, 8), SIDES)
    assert (inputs.channels, inputs.condition_channels) == (1, 1 + 3)
    assert config.task.answer_patches == pytest.approx(np.prod(SIDES) / 8**3)
    task = SegmentTask(config)
    batch = task.batch(range(6), 0)
    assert batch.target.shape == (6, 1, 8, 8, 8)
    assert set(batch.target.unique().tolist()) == {-1.0, 1.0}
    cases = task.cases("select")
    assert cases.condition([0, 1]).images.shape == (2, 4, *SIDES)


def test_patches_are_cut_where_their_coordinates_say(data: CachedImages) -> None:
    task = SegmentTask(trial(data, patch=8))
    batch, whole = task.batch(range(30), 3), coordinates(SIDES)
    images = task.real.images_at(data.parts["train"])
    starts = set()
    for sample in range(30):
        start = patch_start(SIDES, (8, 8, 8), sample, 3)
        starts.add(start)
        where = tuple(slice(a, a + 8) for a in start)
        given = batch.condition.images[sample]
        assert torch.equal(given[1:], whole[(slice(None), *where)])
        same = [torch.equal(given[:1], image[(slice(None), *where)]) for image in images]
        assert sum(same) == 1
        assert torch.equal(batch.target[sample] > 0, given[:1] > 0)  # of the practice masks
    assert len(starts) > 10


def test_places_reach_both_borders_and_prefer_the_middle() -> None:
    starts = np.array([patch_start((32,), (16,), k, 0)[0] for k in range(4000)])
    assert (starts.min(), starts.max()) == (0, 16)
    share = np.bincount(starts, minlength=17) / 4000
    # of 0..4 plus 0..12: all five ways lead to each start from 4 to 12, one to either border
    assert share[4:13].mean() == pytest.approx(5 / 65, rel=0.1)
    assert share[0] < 0.03 > share[16]


def test_sigma_data_is_the_spread_of_the_label_maps(data: CachedImages) -> None:
    config = trial(data)
    masks = np.stack([data.masks[row, 0] for row in data.parts["train"]]).astype(np.float64)
    assert config.task.sigma_data == pytest.approx((2 * masks - 1).std(), rel=1e-6)


def test_half_resolution_answers_at_full(data: CachedImages) -> None:
    task = SegmentTask(trial(data, resolution="half"))
    assert task.config.task.inputs.spatial == (6, 8, 10)
    in_patches = trial(data, resolution="half", patch=8).task
    assert (in_patches.inputs.spatial, in_patches.whole) == ((4, 4, 4), (6, 8, 10))
    condition = task.cases("report").condition([2]).images
    rows = task.rows("report")
    full = task.real.images_at(rows[2:3])
    torch.testing.assert_close(condition[:, :1], torch.nn.functional.avg_pool3d(full, 2))
    answers = Answering(lambda images, numbers: images[:, :1])
    values = answers.predict(task.cases("report")).values
    assert values.shape == (7, 1, *SIDES)
    assert np.array_equal(values[:, :, ::2, ::2, ::2], values[:, :, 1::2, 1::2, 1::2])


def test_the_right_answer_has_a_dice_of_one_and_leaves_its_pictures(data: CachedImages) -> None:
    task = SegmentTask(trial(data))
    right = Answering(lambda images, numbers: images[:, :1].sign())  # masks are images above 0
    seen = task.evaluate(right, "report", Stopwatch())
    assert seen.value == 1.0
    assert {file.name for file in seen.files} >= {"segmented.png", "segmentation_cases.csv"}
    assert seen.pictures.shape[:2] == (7, 3)
    wrong = Answering(lambda images, numbers: -images[:, :1].sign())
    assert task.evaluate(wrong, "select", Stopwatch()).value == 0.0


def test_samples_of_a_case_are_averaged(data: CachedImages) -> None:
    task = SegmentTask(trial(data, samples=3))
    drawn = Answering(
        lambda images, numbers: torch.stack(
            [x[:1].sign() if n % 3 else -x[:1].sign() for x, n in zip(images, numbers, strict=True)]
        )
    )
    predictions = drawn.predict(task.cases("report"))
    assert len(predictions.values) == 21
    mean = task.averaged(predictions).values
    assert set(np.unique(mean)) == {85, 170}  # a third, and two thirds, of 255
    assert task.evaluate(drawn, "report", Stopwatch()).value == 1.0


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"patch": 13}, "give 4 to 12 voxels"),
        ({"patch": 3}, "give 4 to 12 voxels"),
        ({"patch": 9, "resolution": "half"}, "half needs even sides"),
        ({"patch": 6, "resolution": "half"}, "give 8 to 12 voxels"),
        ({"resolution": "third"}, "unknown resolution"),
        ({"regions": "some"}, "unknown regions"),
        ({"samples": 0}, "samples must be at least 1"),
        ({"patches": 8}, "did you mean"),
    ],
)
def test_what_cannot_be_is_refused(data: CachedImages, given: dict[str, Any], said: str) -> None:
    with pytest.raises(BenchError, match=said):
        SegmentTask.configure(SegmentTask.describe(data), given)


def test_data_without_label_maps_are_refused(data: CachedImages) -> None:
    with pytest.raises(BenchError, match="needs label maps"):
        SegmentTask.describe(dataclasses.replace(data, masks=None))


def test_classes_that_are_told_apart_have_columns_of_their_own(data: CachedImages) -> None:
    one = SegmentTask.describe(data)
    three = dataclasses.replace(one, inputs=dataclasses.replace(one.inputs, out_channels=4))
    assert SegmentTask.metric_settings(one) == {}
    assert SegmentTask.metric_settings(three) == {"foreground_classes": 3}


def test_the_papers_figures_stand_beside_merged_tumours_alone(data: CachedImages) -> None:
    task = SegmentTask(trial(data, regions="merged"))
    assert task.references() == ()  # these are no regions of BraTS
    named = dataclasses.replace(data, mask_names=MASK_NAMES)
    task.real = cast(RealData, SimpleNamespace(data=named))
    published = task.references()
    assert [one.values["eval/dice"] for one in published] == [0.888, 0.899]
    assert all("not ranked" in one.notes[0] for one in published)
