"""Thresholds as rivals of a segmentation network: on a drawn head, by hand, through the method."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from bench.conditions import Condition
from bench.config import MethodConfig, TrialConfig
from bench.errors import BenchError
from bench.methods.classical import ESTIMATORS, Classical
from bench.methods.thresholding import background, otsu, threshold
from bench.predictions import Cases
from tests.unit.methods.test_direct import trial


def head(shape: tuple[int, ...] = (20, 22, 24)) -> tuple[np.ndarray, np.ndarray]:
    """Two modalities in [-1, 1], air at -1, and a lesion that is bright in the second alone."""
    rng = np.random.default_rng(0)
    places = np.indices(shape) - np.array(shape).reshape(-1, *(1,) * len(shape)) / 2
    away = np.sqrt((places**2).sum(0))
    brain, lesion = away < 9, np.sqrt(((places - 2) ** 2).sum(0)) < 3
    first = np.where(brain, -0.2 + 0.05 * rng.standard_normal(shape), -1)
    second = np.where(brain, -0.4 + 0.05 * rng.standard_normal(shape), -1)
    second[lesion] += 1
    image = np.concatenate([np.stack([first, second]).clip(-1, 1), np.zeros((3, *shape))])
    return image, lesion


@pytest.mark.parametrize("shape", [(24, 26), (20, 22, 24)])
def test_otsu_finds_the_bright_lesion_and_not_the_head(shape: tuple[int, ...]) -> None:
    image, lesion = head(shape)
    np.testing.assert_array_equal(otsu(image, modality=1)[0] > 0, lesion)
    # between the two groups, wherever scikit-image's histogram puts it
    assert otsu(image, modality=0).max() == 1
    assert ((otsu(image, modality=0)[0] > 0) & (image[0] == -1)).sum() == 0


def test_a_threshold_takes_its_share_of_the_brain() -> None:
    image, lesion = head()
    inside = image[1] > -1
    for share in (0.02, 0.2):
        found = threshold(image, modality=1, share=share)[0] > 0
        assert found.sum() == pytest.approx(share * inside.sum(), abs=1)
        assert not (found & ~inside).any()
        assert image[1][found].min() > image[1][inside & ~found].max()
    exact = lesion.sum() / inside.sum()
    np.testing.assert_array_equal(threshold(image, modality=1, share=exact)[0] > 0, lesion)


@pytest.mark.parametrize("name", ["background", "otsu", "threshold"])
def test_scores_are_those_of_one_channel_or_of_classes(name: str) -> None:
    image, _ = head()
    estimator = ESTIMATORS.load(name)
    given: dict[str, Any] = {} if name == "background" else {"modality": 1}
    one = estimator(image, **given)
    assert one.shape == (1, *image.shape[1:])
    assert set(np.unique(one)) <= {-1.0, 1.0}
    assert (one.max() == 1) == (name != "background")
    many = estimator(image, **given, out_channels=4)
    np.testing.assert_array_equal(many.argmax(0), one[0] > 0)
    assert set(np.unique(many)) == {-1.0, 1.0}
    assert (many.sum(0) == -2).all()  # one channel of the four is 1


def test_where_there_is_nothing_to_divide_all_is_background() -> None:
    nothing, flat = np.full((1, 6, 6), -1.0), np.full((1, 6, 6), -1.0)
    flat[0, 1:5, 1:5] = 0.3
    for image in (nothing, flat):
        for estimator in (otsu, threshold):
            np.testing.assert_array_equal(estimator(image), background(image))


def test_settings_that_cannot_be_are_refused() -> None:
    image, _ = head()
    with pytest.raises(BenchError, match="0 to 4, or -1 for the last; got 5"):
        otsu(image, modality=5)
    with pytest.raises(BenchError, match="got -6"):
        threshold(image, modality=-6)
    for share in (0.0, 1.0):
        with pytest.raises(BenchError, match="above 0 and below 1; got"):
            threshold(image, share=share)


def segmenting(channels: int, backbone: str, **settings: Any) -> TrialConfig:
    """A trial whose answers have so many channels, of condition images of five."""
    config = trial()
    inputs = replace(
        config.task.inputs, spatial=(20, 22, 24), condition_channels=5, out_channels=channels
    )
    args = Classical.whole_arguments(backbone, settings)
    return replace(
        config,
        task=replace(config.task, inputs=inputs),
        method=MethodConfig(kind="classical", backbone=backbone, backbone_args=args),
    )


@pytest.mark.parametrize("channels", [1, 3])
def test_the_method_tells_them_how_many_channels_are_asked_for(channels: int) -> None:
    image, lesion = head()
    config = segmenting(channels, "otsu", modality=1)
    cases = Cases(
        key=("report",),
        purpose="thresholds",
        count=2,
        keep=lambda x: x.numpy(),
        condition=lambda places: Condition(
            images=torch.from_numpy(np.stack([image] * len(places))).float()
        ),
    )
    found = Classical(config).predictor([], 0, config.sample).predict(cases)
    assert found.values.shape == (2, channels, *lesion.shape)
    assert (found.passes, found.outside_share) == (0, 0)
    labels = found.values[:, 0] > 0 if channels == 1 else found.values.argmax(1)
    np.testing.assert_array_equal(labels, np.stack([lesion] * 2))


def test_how_many_channels_is_no_setting_of_theirs() -> None:
    assert Classical.argument_names("background") == []
    assert Classical.whole_arguments("threshold", {}) == {"modality": -1, "share": 0.05}
    with pytest.raises(BenchError, match="setting of estimator otsu 'out_channels'"):
        Classical.whole_arguments("otsu", {"out_channels": 2})
