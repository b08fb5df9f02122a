"""The floor: what real pictures score against real pictures, at two resolutions.

The echo paper splits the real frames in two and calls the distance between the halves optimal: .95
at 112 pixels, .88 at 64. Frames of one video are in both halves then, and are near copies. Split
by subject the halves are of different people, as a generator's samples are; that is the floor that
means something.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from bench.data.cache import CachedImages
from bench.metrics.extractors import extract
from bench.metrics.frechet import FrechetReference, frechet_distance
from bench.metrics.real import RealData, extractor_named
from bench.studies.study import (
    FAILS,
    OPEN,
    Answer,
    Claim,
    Findings,
    Picture,
    Setting,
    Study,
    Table,
    need_subjects,
)

SIZES = {112: ".95", 64: ".88"}  # pixels: what the paper found, by frame, with Inception
SPLITS = 10


class Optimal(Study):
    name: ClassVar[str] = "optimal"
    title: ClassVar[str] = "what do real pictures score against real pictures?"
    workloads: ClassVar[frozenset[str]] = frozenset({"echo"})

    def answer(self, setting: Setting) -> Answer:
        need_subjects(setting.data, "", 4)
        yield ()
        judge = extractor_named(str(setting.measuring["extractor"]))
        rows, lines = [], []
        ratios: list[float] = []
        sure: list[bool] = []
        for size, published in SIZES.items():
            setting.say(f"reading the pictures at {size} x {size}")
            data = setting.at_size((size, size))
            found = setting.kept.numbers(
                f"floors-{size}", partial(_floors, data, judge, setting.seed)
            )
            for way, values in found["values"].items():
                mean, sd = float(np.mean(values)), float(np.std(values, ddof=1))
                paper = published if way == "frame" else "-"
                rows.append((size, way, found["pictures"], mean, sd, paper))
            by_frame, by_subject = (float(np.mean(v)) for v in found["values"].values())
            ratios.append(by_subject / by_frame)
            sure.append(_surely_above(found["values"]["subject"], found["values"]["frame"]))
            lines.append(
                f"{size} x {size}: {by_frame:.3g} split by frame, {by_subject:.3g} by subject, "
                f"{by_subject / by_frame:.1f} times as much"
            )
        side = judge.input_size
        if side < max(SIZES):
            lines.append(
                f"{judge.name} sees every picture at {side} x {side}, so that larger sizes can "
                "hardly differ by it; the paper's Inception sees 299 x 299"
            )
        return Findings(
            lines=tuple(lines),
            tables=(
                Table(
                    name="optimal",
                    title=f"{judge.metric} between halves of the real pictures, {SPLITS} splits",
                    columns=("pixels", "split by", "pictures", "mean", "sd", "paper's, not ours"),
                    rows=rows,
                ),
            ),
            pictures=(
                Picture(
                    name="optimal",
                    draw=partial(_draw, rows=rows, title=judge.metric, label=setting.label),
                ),
            ),
            claims=(
                Claim(
                    text="halves of the real frames give the lowest distance that is possible",
                    verdict=FAILS if all(sure) else OPEN,
                    evidence="a generator is judged by subjects it has not seen: split by subject "
                    "the floor is "
                    + ", ".join(f"{r:.1f}" for r in ratios)
                    + " times as high, at "
                    + ", ".join(f"{size} px" for size in SIZES),
                ),
            ),
        )


def _surely_above(high: Sequence[float], low: Sequence[float]) -> bool:
    """Whether the splits' values lie two of their standard deviations apart."""
    spread = math.hypot(float(np.std(high, ddof=1)), float(np.std(low, ddof=1)))
    return float(np.mean(high) - np.mean(low)) > 2 * spread


def _floors(data: CachedImages, judge: Any, seed: int) -> dict[str, Any]:
    """Distances between halves of all pictures, by frame and by subject: {way: [SPLITS]}."""
    real = RealData(str(data.path))
    features = extract(judge, real.pictures_at(np.arange(len(data.images))))
    rng = np.random.default_rng(seed)
    persons = np.unique(data.subject)
    values: dict[str, list[float]] = {"frame": [], "subject": []}
    for _ in range(SPLITS):
        first = np.isin(data.subject, rng.permutation(persons)[: len(persons) // 2])
        # equally many pictures in all halves of both ways: a distance falls with their number
        count = min(int(first.sum()), int((~first).sum()))
        mixed = rng.permutation(len(features))
        values["frame"].append(_between(features, mixed[:count], mixed[count : 2 * count]))
        one, other = (rng.permutation(np.flatnonzero(side))[:count] for side in (first, ~first))
        values["subject"].append(_between(features, one, other))
    return {"pictures": len(features), "values": values}


def _between(
    features: NDArray[np.float64], one: NDArray[np.int64], other: NDArray[np.int64]
) -> float:
    reference = FrechetReference.of_features(features[one], digest="")
    return frechet_distance(reference, features[other]).value


def _draw(path: Path, *, rows: Sequence[Sequence[Any]], title: str, label: str) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 3.5), layout="constrained")
    axes = figure.add_subplot()
    names = [f"{size} px, by {way}" for size, way, *_ in rows]
    axes.barh(names, [row[3] for row in rows], xerr=[row[4] for row in rows], capsize=3)
    axes.invert_yaxis()
    axes.set(xlabel=title, title=f"real against real ({label})")
    figure.savefig(path, dpi=110, format="png")


STUDY = Optimal()
