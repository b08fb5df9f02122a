"""Dice near the borders of patches or tiles, and away from them: what a seam would cost.

See bench.metrics.border_band for what a border is. Without a seam both are alike but for where the
classes lie; the difference is to be compared with that of a trial that sees the whole.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from bench.errors import BenchError
from bench.metrics.border_band import border_band
from bench.metrics.case_means import means_by_case
from bench.metrics.metric import Estimates, Evidence, Metric
from bench.metrics.psnr_metric import standard_error
from bench.metrics.real import RealData
from bench.metrics.segmentation import classes_in, dice, labels_in
from leaderboards.measures import Measure

SETTINGS = {"band_patch": 0, "band_stride": 0, "band_width": 2}


class BandDiceMetric(Metric):
    """`dice_band` and `dice_inside`.

    Settings, in voxels: `band_patch`, the side of a patch, 0 for half of each side of the image;
    `band_stride`, from patch to patch, 0 for as much; `band_width`, on each side of a border.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"targets"})

    @classmethod
    def settings_taken(cls) -> Mapping[str, Any]:
        return SETTINGS

    @property
    def measures(self) -> tuple[Measure, ...]:
        patch, _, width = self._sizes
        size = f"{patch} voxels" if patch else "half an image's side"
        where = f"{width} voxels of a border of patches of {size}"
        return (
            Measure(
                key="dice_band", title="Dice band", direction="higher", scale="difference", drop=8,
                meaning=f"Dice of the voxels within {where}",
            ),
            Measure(
                key="dice_inside", title="Dice inside", direction="higher", scale="difference",
                drop=8, meaning=f"Dice of the voxels farther than {where}",
            ),
        )  # fmt: skip

    def protocol(self) -> Mapping[str, Any]:
        return {"band": list(self._sizes)}

    def prepare(self, real: RealData, part_counts: Mapping[str, int]) -> None:
        """Sizes that do not suit the images are refused before a trial begins."""
        super().prepare(real, part_counts)
        self._band(real.data.images.shape[2:])

    def estimate(self, evidence: Evidence) -> Estimates:
        predicted, targets = labels_in(evidence)
        classes = classes_in(evidence.predictions.values)
        band = self._band(targets.shape[1:])
        estimates: dict[str, float] = {}
        for key, place in (("dice_band", band), ("dice_inside", ~band)):
            values = dice(predicted[:, place], targets[:, place], classes)
            by_case = means_by_case(values, evidence)
            estimates[key] = float(np.mean(by_case))
            estimates |= standard_error(key, by_case, evidence.subjects)
        return estimates

    def _band(self, spatial: Sequence[int]) -> NDArray[np.bool_]:
        """bool [*spatial].

        Raises:
            BenchError: sizes that do not suit the image, or leave nothing away from borders.
        """
        patch, stride, width = self._sizes
        patches = patch or tuple(side // 2 for side in spatial)
        try:
            band = border_band(spatial, patches, width, stride or None)
        except BenchError as error:
            raise BenchError(f"metric band_dice: {error}; set band_patch or band_width") from error
        if band.all():
            raise BenchError(
                f"metric band_dice: band_width {width} leaves no voxel away from the borders of "
                "patches; give a smaller one"
            )
        return band

    @property
    def _sizes(self) -> tuple[int, int, int]:
        settings = {**SETTINGS, **self.settings}
        return settings["band_patch"], settings["band_stride"], settings["band_width"]
