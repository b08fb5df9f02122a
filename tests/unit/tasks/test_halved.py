"""Blocks of voxels as one: means by pooling, labels by counting; no shift on the way back."""

from __future__ import annotations

import numpy as np
import torch

from bench.tasks.halved import block_labels, block_means


def test_means_are_those_of_average_pooling() -> None:
    rng = np.random.default_rng(0)
    volume = rng.standard_normal((3, 4, 8, 6)).astype(np.float32)
    pooled = torch.nn.functional.avg_pool3d(torch.from_numpy(volume), 2)
    np.testing.assert_allclose(block_means(volume, 2), pooled.numpy(), atol=1e-6)
    image = rng.standard_normal((2, 4, 8)).astype(np.float32)
    pooled = torch.nn.functional.avg_pool2d(torch.from_numpy(image), 2)
    np.testing.assert_allclose(block_means(image, 2), pooled.numpy(), atol=1e-6)


def test_a_block_has_the_label_that_most_of_it_has() -> None:
    labels = np.random.default_rng(1).integers(0, 3, (4, 6, 8), np.uint8)
    found = block_labels(labels, 2)
    assert found.shape == (2, 3, 4)
    for place in np.ndindex(*found.shape):
        block = labels[tuple(slice(2 * at, 2 * at + 2) for at in place)]
        assert found[place] == np.bincount(block.ravel()).argmax()


def test_a_ball_that_is_halved_and_repeated_stays_where_it_is() -> None:
    grid = np.indices((16, 16, 16)) - 7.5
    ball = ((grid**2).sum(0) < 25).astype(np.uint8)
    back = block_labels(ball, 2)
    for axis in range(3):
        back = back.repeat(2, axis=axis)
    middle = [(np.indices(back.shape)[axis] * back).sum() / back.sum() for axis in range(3)]
    np.testing.assert_allclose(middle, 7.5)
