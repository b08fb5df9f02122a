"""Changes of colour: what each label does, how often, and that nothing else changes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from bench.data.cache import load_cache
from bench.tasks.augment import LABELS
from bench.tasks.colour_augment import COLOURS, recoloured
from bench.tasks.generate import GenerateTask
from tests.fakes.trials import tiny, write_cache


def _pictures(channels: int = 3, count: int = 64) -> torch.Tensor:
    return torch.rand(count, channels, 5, 6, generator=torch.Generator().manual_seed(0)) * 2 - 1


def test_each_picture_is_what_its_labels_say() -> None:
    before = _pictures()
    after, labels = recoloured(before, 0.6, range(64), 3)
    for x, y, (brightness, contrast, saturation) in zip(
        before.double().numpy(), after.numpy(), labels.double().numpy(), strict=True
    ):
        bright = (x + brightness) * 2**contrast
        grey = bright.mean(axis=0)
        for channel in range(3):
            expected = grey + (bright[channel] - grey) * 2**saturation
            assert np.allclose(y[channel], expected, atol=1e-5)  # float32 against float64


@pytest.mark.parametrize("p", [0.1, 0.5])
def test_each_change_has_the_stated_probability_and_spread(p: float) -> None:
    _, labels = recoloured(_pictures(count=1).expand(4000, -1, -1, -1), p, range(4000), 3)
    done = labels != 0
    # sd of a share of 4000 is at most .0079; four of them
    assert torch.allclose(done.float().mean(dim=0), torch.tensor(p), atol=0.032)
    spreads = [float(column[column != 0].std()) for column in labels.T]
    assert spreads == pytest.approx([0.2, 0.5, 1.0], rel=0.15)  # of 400 draws or more: 4 sd


def test_no_probability_is_no_change_and_grey_has_no_saturation() -> None:
    same, labels = recoloured(_pictures(), 0.0, range(64), 3)
    assert torch.allclose(same, _pictures(), atol=1e-6)  # a sum taken apart and put together
    assert not labels.any()
    _, grey = recoloured(_pictures(channels=1), 1.0, range(64), 3)
    assert grey[:, :2].all()
    assert not grey[:, 2].any()


def test_draws_are_keyed_by_the_sample_and_labels_are_fed(tmp_path: Path) -> None:
    whole, labels = recoloured(_pictures(), 0.5, range(64), 3)
    part, some = recoloured(_pictures()[10:20], 0.5, range(10, 20), 3)
    assert torch.equal(whole[10:20], part)
    assert torch.equal(labels[10:20], some)
    cache = write_cache(tmp_path / "cache", per_part=24)
    raw = GenerateTask.describe(load_cache(cache))
    for given, count in (
        ({"augment_colour": 0.5}, len(COLOURS)),
        ({"augment_colour": 0.5, "augment": 0.1}, len(COLOURS) + len(LABELS)),
    ):
        task = GenerateTask.configure(raw, given)
        assert task.inputs.vector_dim == count
        made = GenerateTask(tiny(cache, task=task))
        vector = made.batch(range(8), 0).condition.vector
        assert vector is not None
        assert vector.shape == (8, count)
        assert vector.any()
        sampled = made.cases("select").condition([0, 1]).vector
        assert sampled is not None
        assert sampled.shape == (2, count)
        assert not sampled.any()
