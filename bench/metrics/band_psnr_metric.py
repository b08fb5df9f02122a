"""PSNR by band of radial frequency, and how much of the clean picture's detail an answer has.

The error of a band is the part of the mean squared error at its frequencies, so that the errors of
the bands add up to the whole; low, mid and high are below 1/8, below 1/4, and from 1/4 cycles a
pixel on. Beside it stands the answer's power in the high band by the clean picture's: below 1 an
answer is blurred, above 1 it has noise (or detail of its own invention).
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from bench.metrics.metric import Estimates, Evidence, Metric
from bench.metrics.psnr_metric import DATA_RANGE, MOST_DB, require_floats, standard_error
from bench.metrics.spectrum import BANDS, in_bands, power
from leaderboards.measures import Measure

MEANING = {
    "low": "errors below 1/8 cycles a pixel, as PSNR",
    "mid": "errors of 1/8 to 1/4 cycles a pixel",
    "high": "errors from 1/4 cycles a pixel on: fine detail",
}


class BandPSNRMetric(Metric):
    """`psnr_low`, `psnr_mid`, `psnr_high` and `detail_power`."""

    needs: ClassVar[frozenset[str]] = frozenset({"targets"})

    @property
    def measures(self) -> tuple[Measure, ...]:
        bands = [
            Measure(
                key=f"psnr_{name}",
                title=f"PSNR {name}",
                direction="higher",
                scale="difference",
                unit="dB",
                drop=7,
                meaning=MEANING[name],
            )
            for name in BANDS
        ]
        detail = Measure(
            key="detail_power",
            title="detail power",
            drop=6,
            meaning="power from 1/4 cycles a pixel on, by the clean pictures': below 1 is blurred",
        )
        return (*bands, detail)

    def estimate(self, evidence: Evidence) -> Estimates:
        values, targets = evidence.predictions.values, evidence.targets
        assert targets is not None
        require_floats(values)
        estimates: dict[str, float] = {}
        for name, error in in_bands(power(values.astype(np.float64) - targets)).items():
            decibels = _decibels(error)
            estimates[f"psnr_{name}"] = float(decibels.mean())
            estimates |= standard_error(f"psnr_{name}", decibels, evidence.subjects)
        there = float(in_bands(power(targets))["high"].sum())
        if there > 0:
            estimates["detail_power"] = float(in_bands(power(values))["high"].sum()) / there
        return estimates


def _decibels(error: NDArray[np.float64]) -> NDArray[np.float64]:
    least = DATA_RANGE**2 / 10 ** (MOST_DB / 10)
    return np.asarray(10 * np.log10(DATA_RANGE**2 / np.maximum(error, least)))
