"""Peak signal-to-noise ratio of each case in dB: mean, spread over cases, shares beyond two marks.

torchmetrics' peak_signal_noise_ratio, a case at a time (the mean of decibels, not the decibels of
the mean error), over the data range -1 to 1: a peak of 2.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from bench.errors import BenchError
from bench.metrics.leaving_out import groups_of, means_without
from bench.metrics.metric import Estimates, Evidence, Metric
from leaderboards.measures import Measure

DATA_RANGE = 2.0  # of predictions and targets in [-1, 1]
MOST_DB = 100.0  # of a case that is equal to its target; its PSNR is infinite
GOOD_DB, POOR_DB = 30.0, 25.0  # the seed document's marks
QUANTILES = {"min": 0.0, "q1": 0.25, "median": 0.5, "q3": 0.75, "max": 1.0}
TITLES = {"min": "lowest", "q1": "quartile 1", "median": "median", "q3": "quartile 3"}


class PSNRMetric(Metric):
    """`psnr` and its distribution over cases."""

    needs: ClassVar[frozenset[str]] = frozenset({"targets"})

    def __init__(self, settings: Mapping[str, Any]) -> None:
        super().__init__(settings)
        import torchmetrics.functional.image  # noqa: F401  # seconds, which no trial is charged for

    @property
    def measures(self) -> tuple[Measure, ...]:
        whole = Measure(
            key="psnr",
            title="PSNR",
            direction="higher",
            scale="difference",
            unit="dB",
            live=True,
            meaning="mean over cases of each one's PSNR; data range 2 (pixels from -1 to 1)",
        )
        quantiles = [
            Measure(
                key=f"psnr_{name}",
                title=f"PSNR {TITLES.get(name, 'highest')}",
                direction="higher",
                scale="difference",
                unit="dB",
                drop=12 if name in ("min", "max") else 16,
            )
            for name in QUANTILES
        ]
        return (
            whole,
            *quantiles,
            Measure(
                key=f"psnr_above_{GOOD_DB:.0f}",
                title=f"above {GOOD_DB:.0f} dB",
                direction="higher",
                scale="difference",
                drop=11,
                meaning="share of cases",
            ),
            Measure(
                key=f"psnr_below_{POOR_DB:.0f}",
                title=f"below {POOR_DB:.0f} dB",
                direction="lower",
                scale="difference",
                drop=11,
                meaning="share of cases",
            ),
        )

    def protocol(self) -> Mapping[str, Any]:
        return {"data_range": DATA_RANGE}

    def estimate(self, evidence: Evidence) -> Estimates:
        values = psnr_of(evidence)
        estimates = {
            "psnr": float(values.mean()),
            **{f"psnr_{name}": float(np.quantile(values, q)) for name, q in QUANTILES.items()},
            f"psnr_above_{GOOD_DB:.0f}": float((values > GOOD_DB).mean()),
            f"psnr_below_{POOR_DB:.0f}": float((values < POOR_DB).mean()),
        }
        return {**estimates, **standard_error("psnr", values, evidence.subjects)}

    def left_out(self, evidence: Evidence) -> Mapping[str, list[float]]:
        return cases_left_out(psnr_of(evidence), evidence)


def cases_left_out(values: NDArray[np.float64], evidence: Evidence) -> Mapping[str, list[float]]:
    """Of a mean over cases [n]."""
    if evidence.subjects is None:
        return {}
    without = means_without(values, groups_of(evidence.subjects))
    return {"cases": without} if without else {}


def psnr_of(evidence: Evidence) -> NDArray[np.float64]:
    """The PSNR of each case, once an evaluation."""
    targets = evidence.targets
    assert targets is not None
    return evidence.once("psnr", lambda: psnr(evidence.predictions.values, targets))


def psnr(values: NDArray[Any], targets: NDArray[Any]) -> NDArray[np.float64]:
    """Floats [N, C, *spatial] in [-1, 1], twice -> dB [N], at most MOST_DB."""
    import torch
    from torchmetrics.functional.image import peak_signal_noise_ratio

    require_floats(values)
    answers, truths = (torch.from_numpy(array.astype(np.float64)) for array in (values, targets))
    decibels = peak_signal_noise_ratio(
        answers,
        truths,
        data_range=DATA_RANGE,
        reduction="none",
        dim=tuple(range(1, answers.ndim)),
    )
    return np.asarray(decibels.clamp(max=MOST_DB).numpy())


def standard_error(
    key: str, values: NDArray[np.float64], subjects: NDArray[np.int64] | None
) -> dict[str, float]:
    """Of the mean over cases [n], where there are two subjects or more: those of one subject are
    one draw together. Without subjects each case is one by itself."""
    _, of = np.unique(np.arange(len(values)) if subjects is None else subjects, return_inverse=True)
    apart = np.bincount(of, weights=values - values.mean())
    count = len(apart)
    if count < 2:
        return {}
    spread = float(np.sqrt(count / (count - 1) * (apart**2).sum()))
    return {f"{key}_se": spread / len(values)}


def require_floats(values: NDArray[Any]) -> None:
    """BenchError for predictions that are no pixels in [-1, 1]."""
    if values.dtype.kind != "f":
        raise BenchError(
            f"PSNR and SSIM compare floats in [-1, 1], and predictions are {values.dtype}"
        )
