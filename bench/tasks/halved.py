"""Images and label maps at a lower resolution: blocks of voxels become one.

An image takes the block's mean, a label map the label that most of the block has (the lowest of
those that are equal). A voxel of the lower resolution lies in the middle of its block, so that an
answer which is repeated over the block is not shifted.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def block_means(image: NDArray[np.float32], step: int) -> NDArray[np.float32]:
    """float32 [C, *spatial] -> [C, *spatial / step]; sides are multiples of step."""
    return np.asarray(_blocks(image, step).mean(axis=-1, dtype=np.float32))


def block_labels(labels: NDArray[np.uint8], step: int) -> NDArray[np.uint8]:
    """uint8 [*spatial] -> [*spatial / step]."""
    blocks = _blocks(labels[None], step)[0]
    counts = np.stack([(blocks == k).sum(axis=-1) for k in range(int(labels.max(initial=0)) + 1)])
    return np.asarray(counts.argmax(axis=0), np.uint8)


def _blocks(values: NDArray[Any], step: int) -> NDArray[Any]:
    """[C, *spatial] -> [C, *spatial / step, step ** dims]."""
    dims = values.ndim - 1
    sides = [(side // step, step) for side in values.shape[1:]]
    apart = values.reshape(len(values), *(n for pair in sides for n in pair))
    order = (0, *range(1, 2 * dims, 2), *range(2, 2 * dims + 1, 2))
    return apart.transpose(order).reshape(len(values), *(n for n, _ in sides), -1)
