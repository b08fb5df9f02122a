"""The generated pictures nearest to training pictures, each beside the one it is near to, as a PNG.

So that a person sees what `copying` counts. Of generated pictures near to one and the same training
picture the nearest alone is shown; the training picture is mirrored where its mirror image is the
nearer.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bench.files import ResultFile
from bench.metrics import copying
from bench.metrics.real import RealData
from bench.pictures import captioned_rows

NAME, PAIRS = "closest.png", 8
COLUMNS = ("generated", "training picture")


def closest(samples: copying.Nearness) -> NDArray[np.int64]:
    """Which samples are shown, the nearest first."""
    order = np.argsort(samples.log_ratio, kind="stable")
    first = np.unique(samples.picture[order], return_index=True)[1]
    return order[np.sort(first)[:PAIRS]]


def closest_pairs(
    pictures: NDArray[np.uint8],
    features: NDArray[np.float64],
    samples: copying.Nearness,
    train: copying.Known,
    null: NDArray[np.float64],
    real: RealData,
    rows: NDArray[np.int64],
) -> ResultFile:
    """Of generated pictures [n, C, *spatial] with features [n, D]; `rows`: of the training pictures
    that were searched; `null`: how near real subjects come, ascending."""
    pairs = []
    for k in closest(samples).tolist():
        place, ratio = int(samples.picture[k]), samples.log_ratio[k]
        theirs = real.pictures_at(rows[place : place + 1])[0]
        mirrored = train.mirror_is_nearer(features[k], place)
        passed = len(null) - int(np.searchsorted(null, ratio, side="right"))
        caption = f"{k}: {ratio:.2f}, nearer than {passed} of {len(null)} subjects"
        pair = [pictures[k], theirs[..., ::-1] if mirrored else theirs]
        pairs.append((f"{caption} (mirrored)" if mirrored else caption, pair))
    page = captioned_rows(COLUMNS, pairs)
    return ResultFile(name=NAME, content=page, real=not real.data.simulated)
