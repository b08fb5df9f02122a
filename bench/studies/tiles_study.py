"""What answering in overlapping tiles changes: one trained network, whole volumes and ever smaller
tiles of them, with common noise, so that differences are of the tiles alone.

Tiles are what a trial falls back on where a whole volume does not fit (bench.sweep.cost.footprint).
Convolutions see less far at a tile's borders, and group norms take their means over a tile.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from functools import cache, partial
from typing import Any, ClassVar

import numpy as np

from bench.metrics.case_means import means_by_case
from bench.metrics.segmentation import dice_in, labels_of
from bench.studies.sampling_studies import COLUMNS, KEYS, Drawn, Judged, about, draw, drawn_by
from bench.studies.segmentation_arms import WORKLOADS, one_segmenter
from bench.studies.study import Answer, Findings, Picture, Setting, Study, Table
from bench.studies.trained import Trained
from bench.sweep.cost.footprint import predict, smaller_tiles
from bench.sweep.cost.price import unbuilt

Tile = tuple[int, ...]  # sides in voxels; none: the whole volume at once


class Tiles(Study):
    name: ClassVar[str] = "tiles"
    title: ClassVar[str] = "what does answering in tiles change?"
    workloads: ClassVar[frozenset[str]] = WORKLOADS
    of_network: ClassVar[bool] = True

    def answer(self, setting: Setting) -> Answer:
        trained = yield from one_segmenter(setting)
        whole = cache(partial(drawn_by, trained, trained.task))
        kept = {tile: _kept(setting, trained, tile, whole) for tile in ((), *tiles_of(trained))}
        ways = {
            tile: Judged(name=_name(tile), metrics=body["metrics"], dice=tuple(body["dice"]))
            for tile, body in kept.items()
        }
        rows = [
            (
                way.name,
                *(way.metrics.get(key) for key in KEYS),
                *(way.above(ways[()]) if tile else (None, None)),
                kept[tile]["otherwise"] * 100,
                _sampling_gb(trained, tile),
                kept[tile]["sec"],
            )
            for tile, way in ways.items()
        ]
        voxels = {int(np.prod(tile or trained.config.task.answered.spatial)): tile for tile in ways}
        return Findings(
            lines=(about(trained), "everything is compared with the whole volume at once"),
            tables=(
                Table(
                    name=self.name,
                    title="quality against the size of a tile",
                    columns=(
                        *("tile", *COLUMNS, "above whole", "+-", "voxels otherwise, %"),
                        *("GB, predicted", "s a case"),
                    ),
                    rows=rows,
                ),
            ),
            pictures=(
                Picture(
                    name=self.name,
                    draw=partial(
                        draw,
                        curves={
                            "in tiles": {n: ways[t].metrics["dice"] for n, t in voxels.items()}
                        },
                        xlabel="voxels of a tile",
                        label=setting.label,
                    ),
                ),
            ),
        )


def tiles_of(trained: Trained) -> list[Tile]:
    """Ever smaller tiles, to the patch that the network was trained on; of one trained on whole
    volumes to half of them."""
    task = trained.config.task
    sides = task.answered.spatial
    halves = [-(-side // 2) for side in sides]
    least = tuple(map(min, task.inputs.spatial, halves))
    return list(smaller_tiles(sides, least, unbuilt(task, trained.config.method).divisor))


def _kept(
    setting: Setting, trained: Trained, tile: Tile, whole: Callable[[], Drawn]
) -> dict[str, Any]:
    """What tiles of one size answered; worked out once."""
    setting.say(f"drawing: {_name(tile)}")

    def work() -> dict[str, Any]:
        at_once = labels_of(whole()[1].values)
        start = time.perf_counter()
        predictor, predictions = drawn_by(trained, trained.task, trained.sampled(tile=tile))
        seconds = (time.perf_counter() - start) / trained.task.cases("report").count
        evidence = trained.task.evidence(predictor, "report", predictions)
        return {
            "metrics": trained.task.estimates(evidence),
            "dice": means_by_case(dice_in(evidence), evidence).tolist(),
            "otherwise": float((labels_of(predictions.values) != at_once).mean()),
            "sec": seconds,
        }

    kept: dict[str, Any] = setting.kept.numbers(f"tiles-{_name(tile)}", work)
    return kept


def _sampling_gb(trained: Trained, tile: Tile) -> float:
    """Of one case at a time, predicted."""
    sample = trained.sampled(tile=tile, batch_size=1)
    return predict(dataclasses.replace(trained.config, sample=sample)).sampling_gb


def _name(tile: Tile) -> str:
    return "x".join(map(str, tile)) or "whole"


STUDY = Tiles()
