"""Label maps of two classes for segmentation tests: pairs [4, *spatial], no class of any empty."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Maps = NDArray[np.uint8]
CASES = 4


def random_maps(shape: tuple[int, ...]) -> tuple[Maps, Maps]:
    """Voxels drawn one by one, few to many."""
    rng = np.random.default_rng(1)
    drawn = []
    for _ in range(2):
        shares = np.array([0.01, 0.05, 0.3, 0.6]).reshape(-1, *(1,) * len(shape))
        some = rng.random((CASES, *shape)) < shares
        maps = (some * rng.integers(1, 3, some.shape)).astype(np.uint8)
        for one in maps.reshape(CASES, -1):
            one[rng.choice(one.size, 2, replace=False)] = 1, 2
        drawn.append(maps)
    return drawn[0], drawn[1]


def tiny(shape: tuple[int, ...]) -> tuple[Maps, Maps]:
    """One voxel of each class, anywhere: corners and borders too."""
    rng = np.random.default_rng(2)
    maps = np.zeros((2, CASES, int(np.prod(shape))), np.uint8)
    for one in maps.reshape(2 * CASES, -1):
        one[rng.choice(one.size, 2, replace=False)] = 1, 2
    maps[:, 0] = 0
    maps[0, 0, [0, 1]], maps[1, 0, [-1, -2]] = (1, 2), (1, 2)  # opposite corners
    return maps[0].reshape(CASES, *shape), maps[1].reshape(CASES, *shape)


def touching(shape: tuple[int, ...]) -> tuple[Maps, Maps]:
    """Blocks that share a face with each other, and borders of the volume."""
    predicted, target = np.zeros((2, CASES, *shape), np.uint8)
    middle = shape[0] // 2
    for case in range(CASES):
        predicted[case, :middle, 2 : 6 + case], target[case, middle:, 2 : 6 + case] = 1, 1
        predicted[case, :middle, 6 + case :], target[case, :middle, 7 + case :] = 2, 2
    return predicted, target


def hollow(shape: tuple[int, ...]) -> tuple[Maps, Maps]:
    """A shell with something in it, as an enhancing rim around a necrotic core."""
    places = np.indices(shape)
    maps = np.zeros((2, CASES, *shape), np.uint8)
    for number, one in enumerate(maps.reshape(2 * CASES, *shape)):
        middle = np.array(shape) / 2 + np.random.default_rng(number).uniform(-1, 1, len(shape))
        away = np.sqrt(sum((x - m) ** 2 for x, m in zip(places, middle, strict=True)))
        one[(away > 3) & (away < 5 + number % 3)] = 1
        one[away < 2] = 2
    return maps[0], maps[1]


def one_hot(maps: Maps, classes: int) -> NDArray[np.float32]:
    """[n, *spatial] -> [n, classes + 1, *spatial]."""
    return np.stack([maps == label for label in range(classes + 1)], 1).astype(np.float32)
