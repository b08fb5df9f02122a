"""Segmented volumes to look at: three planes through the object, truth, answer and uncertainty.

segmented.png shows the best, the median and the worst case by Dice; each plane is the one with most
of the truth (of a case without any, of the answer; else the middle). Classes have colours of a
colour-blind-safe set (Okabe and Ito 2008). Axes of volumes run to the patient's right, front and
top, so planes are turned to have the top of the head, or the forehead, up.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.files import ResultFile
from bench.metrics.segmentation import FULL, classes_in, dice, labels_of
from bench.pictures import captioned_rows

COLOURS = np.array(
    [(230, 159, 0), (86, 180, 233), (0, 158, 115), (240, 228, 66), (213, 94, 0), (204, 121, 167)],
    np.float32,
)
OPACITY = 0.55
PLANES = ("sagittal", "coronal", "axial")
COLUMNS = ("image", "truth", "answer", "uncertainty")
Labels = NDArray[np.uint8]
Image = NDArray[np.float32]  # [C, *spatial] in [-1, 1]


def slice_pages(
    *,
    images: Sequence[Image],
    truth: Labels,
    shares: NDArray[np.uint8],
    samples: NDArray[np.uint8],
    real: bool,
) -> tuple[ResultFile, ...]:
    """segmented.png of all cases in one order.

    Args:
        truth: label maps [n, *spatial].
        shares: the judged answers [n, K, *spatial].
        samples: what they are the mean of [n, samples, K, *spatial].
    """
    answers = labels_of(shares)
    scores = dice(answers, truth, classes_in(shares)).mean(1)
    order = np.argsort(-scores, kind="stable").tolist()
    chosen = {"best": order[0], "median": order[len(order) // 2], "worst": order[-1]}
    rows = []
    for name, k in chosen.items():
        unsure = uncertainty(samples[k])
        for axis, plane in planes(truth[k], answers[k]):
            cut = [slice(None)] * truth[k].ndim
            if axis is not None:
                cut[axis] = slice(plane, plane + 1)
            where = tuple(cut)
            image = images[k][(slice(None), *where)]
            title = f"{name}, case {k}: Dice {scores[k]:.3f}"
            named = title if axis is None else f"{title}, {PLANES[axis]} {plane}"
            rows.append(
                (
                    named,
                    [
                        _upright(grey(image), axis),
                        _upright(coloured(image, truth[k][where]), axis),
                        _upright(coloured(image, answers[k][where]), axis),
                        _upright(_three(unsure[where]), axis),
                    ],
                )
            )
    page = captioned_rows(COLUMNS, rows)
    return (ResultFile(name="segmented.png", content=page, real=real),)


def planes(truth: Labels, answer: Labels) -> list[tuple[int | None, int]]:
    """For each axis the plane to be shown; a picture is shown as it is."""
    if truth.ndim == 2:
        return [(None, 0)]
    chosen: list[tuple[int | None, int]] = []
    for axis in range(3):
        others = tuple(a for a in range(3) if a != axis)
        for labels in (truth, answer):
            there = (labels > 0).sum(axis=others)
            if there.any():
                chosen.append((axis, int(there.argmax())))
                break
        else:
            chosen.append((axis, truth.shape[axis] // 2))
    return chosen


def uncertainty(samples: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """uint8 [*spatial] of one case's samples [n, K, *spatial], 255 for none more unsure.

    Of several the standard deviation over them, largest over classes, twice (0.5 is the most that
    shares can spread); of one p (1 - p) of its own shares, four times.
    """
    shares = samples.astype(np.float32) / FULL
    spread = 2 * shares.std(0) if len(shares) > 1 else 4 * (shares * (1 - shares))[0]
    unsure: NDArray[np.float32] = spread.max(0).clip(0, 1)
    return np.rint(unsure * FULL).astype(np.uint8)


def overlay(image: Image, labels: Labels) -> NDArray[np.uint8]:
    """uint8 [3, H, W]: a case in one plane with its classes in colour."""
    axis, plane = planes(labels, labels)[-1]
    if axis is None:
        return coloured(image, labels)
    cut = (slice(None),) * axis + (slice(plane, plane + 1),)
    return _upright(coloured(image[(slice(None), *cut)], labels[cut]), axis)


def coloured(image: Image, labels: Labels) -> NDArray[np.uint8]:
    """uint8 [3, *spatial]: the image in grey, its classes over it."""
    picture = grey(image).astype(np.float32)
    colours = COLOURS[(labels.astype(np.int64) - 1) % len(COLOURS)]
    mixed = (1 - OPACITY) * picture + OPACITY * np.moveaxis(colours, -1, 0)
    return np.where(labels > 0, mixed, picture).round().astype(np.uint8)


def grey(image: Image) -> NDArray[np.uint8]:
    """uint8 [3, *spatial] of the last channel (FLAIR, where there are four), black to its most."""
    channel = image[-1]
    low, high = float(channel.min()), float(np.quantile(channel, 0.999))
    scaled = (channel - low) / max(high - low, 1e-6)
    return _three(np.rint(scaled.clip(0, 1) * 255).astype(np.uint8))


def _three(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.repeat(picture[None], 3, axis=0)


def _upright(picture: NDArray[Any], axis: int | None) -> NDArray[np.uint8]:
    """[3, *spatial] of one plane -> [3, H, W]; the later axis of the two runs up."""
    if axis is None:
        return np.ascontiguousarray(picture)
    plane = picture.squeeze(axis + 1)
    return np.ascontiguousarray(plane.transpose(0, 2, 1)[:, ::-1])
