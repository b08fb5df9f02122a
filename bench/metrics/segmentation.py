"""Label maps and their overlap: what segmentation metrics compare, and Dice (1945) of each class.

Predictions are shares: uint8 [n, K, *spatial], 0..255 for 0..1, of the samples of an ensemble or a
probability. K = 1 is one foreground class, else there is a channel for each class, background
first. Classes are numbered from 1; the background is never judged.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.errors import BenchError
from bench.metrics.metric import Evidence

FOREGROUND_ABOVE = 127  # of 255, where there is one channel
FULL = 255  # a share of 1

Labels = NDArray[np.uint8]  # [n, *spatial], 0 background


def labels_of(values: NDArray[Any]) -> Labels:
    """Shares uint8 [n, K, *spatial], 2D or 3D -> label maps uint8 [n, *spatial].

    One channel: 1 where the share is above FOREGROUND_ABOVE. More: the channel with the largest
    share, the lower class of those that are equal.

    Raises:
        BenchError: what is no array of shares.
    """
    require_shares(values)
    if values.shape[1] == 1:
        return (values[:, 0] > FOREGROUND_ABOVE).astype(np.uint8)
    return values.argmax(axis=1).astype(np.uint8)


def classes_in(values: NDArray[Any]) -> int:
    """How many foreground classes shares [n, K, *spatial] have: K - 1, or the one of K = 1."""
    return max(values.shape[1] - 1, 1)


def require_shares(values: NDArray[Any]) -> None:
    """BenchError for predictions that are no shares of classes."""
    if values.dtype != np.uint8 or values.ndim not in (4, 5):
        raise BenchError(
            "segmentation metrics judge shares of classes, uint8 [n, K, *spatial] in 2D or 3D; "
            f"predictions are {values.dtype} {list(values.shape)}"
        )


def dice(predicted: Labels, target: Labels, n_classes: int) -> NDArray[np.float64]:
    """2 |A and B| / (|A| + |B|) of each case and class.

    Args:
        predicted: label maps [n, *spatial].
        target: the same of what is true.
        n_classes: foreground classes, labels 1 to n_classes.

    Returns:
        float64 [n, n_classes]. 1 where both masks are empty, 0 where one is. MONAI differs in
        its default `ignore_empty`: a case without the true class is NaN and left out of means,
        whatever was predicted; with ignore_empty=False it is as here. torchmetrics' dice_score is
        NaN where both are empty.
    """
    require_alike(predicted, target)
    found = np.empty((len(target), n_classes), np.float64)
    for case, (answer, truth) in enumerate(zip(predicted, target, strict=True)):
        # how often each pair of labels meets, in one pass over the voxels
        width = max(n_classes, int(answer.max()), int(truth.max())) + 1
        pairs = np.bincount(truth.ravel().astype(np.int64) * width + answer.ravel())
        meets = np.pad(pairs, (0, width * width - len(pairs))).reshape(width, width)
        both = meets.diagonal()[1 : n_classes + 1]
        sizes = (meets.sum(0) + meets.sum(1))[1 : n_classes + 1]
        found[case] = np.divide(2 * both, sizes, out=np.ones(n_classes), where=sizes > 0)
    return found


def require_alike(predicted: NDArray[Any], target: NDArray[Any]) -> None:
    """BenchError for label maps of different shapes."""
    if predicted.shape != target.shape:
        raise BenchError(
            f"label maps to be compared must have one shape: predicted {list(predicted.shape)}, "
            f"true {list(target.shape)}"
        )


def labels_in(evidence: Evidence) -> tuple[Labels, Labels]:
    """Predicted and true label maps, once an evaluation.

    Raises:
        BenchError: predictions that are no shares, targets of another shape, or a label that no
            class has.
    """

    def compared() -> tuple[Labels, Labels]:
        targets = evidence.targets
        assert targets is not None
        predicted = labels_of(evidence.predictions.values)
        require_alike(predicted, targets)
        classes, highest = classes_in(evidence.predictions.values), int(targets.max(initial=0))
        if highest > classes:
            raise BenchError(f"a target has label {highest}; predictions have classes to {classes}")
        return predicted, targets.astype(np.uint8, copy=False)

    return evidence.once("segmentation labels", compared)


def dice_in(evidence: Evidence) -> NDArray[np.float64]:
    """Dice [n, classes], once an evaluation."""
    predicted, targets = labels_in(evidence)
    classes = classes_in(evidence.predictions.values)
    return evidence.once("dice", lambda: dice(predicted, targets, classes))
