"""Scores trained by Dice and cross-entropy: the values, and that they find what is there."""

from __future__ import annotations

import math

import pytest
import torch

from bench.methods.direct_segmentation import cross_entropy, probabilities, soft_dice


@pytest.mark.parametrize("channels", [1, 3])
def test_the_right_answer_costs_nothing_and_the_wrong_one_much(channels: int) -> None:
    labels = torch.arange(2 * 4 * 4).reshape(2, 4, 4) % max(channels, 2)
    wanted = torch.stack([labels == k for k in range(channels)], 1).float()
    if channels == 1:
        wanted = (labels > 0).float()[:, None]
    right = (2 * wanted - 1) * 30
    assert cross_entropy(right, wanted).shape == soft_dice(right, wanted).shape == (2,)
    torch.testing.assert_close(cross_entropy(right, wanted), torch.zeros(2))
    torch.testing.assert_close(soft_dice(right, wanted), torch.ones(2))
    assert float(cross_entropy(-right, wanted).min()) > 5
    assert float(soft_dice(-right, wanted).max()) < 0.5


def test_ignorance_costs_the_logarithm_of_the_classes() -> None:
    for channels in (1, 4):
        wanted = torch.zeros(1, channels, 5)
        wanted[:, 0] = 1
        nats = math.log(max(channels, 2))
        loss = cross_entropy(torch.zeros(1, channels, 5), wanted)
        torch.testing.assert_close(loss, torch.full((1,), nats))


def test_empty_masks_are_found_empty() -> None:
    nothing = torch.zeros(1, 1, 3, 3, 3)
    assert float(soft_dice(nothing - 30, nothing)) == pytest.approx(1)
    assert float(soft_dice(nothing + 30, nothing)) == pytest.approx(1 / 28)


def test_probabilities_of_several_classes_sum_to_one() -> None:
    torch.testing.assert_close(probabilities(torch.randn(2, 3, 4)).sum(1), torch.ones(2, 4))
    assert float(probabilities(torch.zeros(1, 1, 2)).max()) == 0.5
