"""Images and label maps at a lower resolution: blocks of voxels become one.

An image takes the block's mean, a label map the label that most of the block has (the lowest of
those that are equal). A voxel of the lower resolution lies in the middle of its block, so that an
answer which is repeated over the block is not shifted. Sides must be multiples of the step:
scikit-image's block_reduce would fill up others with zeros.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from skimage.measure import block_reduce


def block_means(image: NDArray[np.float32], step: int) -> NDArray[np.float32]:
    """float32 [C, *spatial] -> [C, *spatial / step]."""
    block = (1, *(step,) * (image.ndim - 1))
    return np.asarray(block_reduce(image, block, np.mean, func_kwargs={"dtype": np.float32}))


def block_labels(labels: NDArray[np.uint8], step: int) -> NDArray[np.uint8]:
    """uint8 [*spatial] -> [*spatial / step]."""
    classes = range(int(labels.max(initial=0)) + 1)
    counts = np.stack([block_reduce(labels == label, step, np.sum) for label in classes])
    return np.asarray(counts.argmax(axis=0), np.uint8)
