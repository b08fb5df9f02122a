"""What answering in overlapping tiles changes: one trained network, whole volumes and ever smaller
tiles of them, with common noise, so that differences are of the tiles alone.

Tiles are what a trial falls back on where a whole volume does not fit (bench.sweep.cost.footprint).
Convolutions see less far at a tile's borders, and group norms take their means over a tile.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from functools import cache, partial
from typing import ClassVar

from bench.metrics.segmentation import labels_of
from bench.predictions import Predictions
from bench.studies.sampling_studies import COLUMNS, Drawn, about, dice_picture, drawn_by, judged
from bench.studies.segmentation_arms import WORKLOADS, one_segmenter
from bench.studies.study import Answer, Findings, Setting, Study, Table
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
        drawn = {
            tile: cache(partial(drawn_by, trained, trained.task, trained.sampled(tile=tile)))
            for tile in ((), *tiles_of(trained))
        }
        otherwise = partial(_otherwise, drawn[()])
        ways = {
            tile: judged(setting, _name(tile), trained.task, draw, otherwise)
            for tile, draw in drawn.items()
        }
        cases = trained.task.cases("report").count
        rows = [
            (
                way.name,
                *way.columns,
                *(way.above(ways[()]) if tile else (None, None)),
                100 * way.beside["otherwise"],
                _sampling_gb(trained, tile),
                way.sec / cases,
            )
            for tile, way in ways.items()
        ]
        sides = trained.config.task.answered.spatial
        by_voxels = {math.prod(tile or sides): way for tile, way in ways.items()}
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
                dice_picture(self.name, setting, "voxels of a tile", {"in tiles": by_voxels}),
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


def _otherwise(whole: Callable[[], Drawn], predictions: Predictions) -> dict[str, float]:
    """The share of voxels with another label than the whole volume at once gives them."""
    _, at_once = whole()
    return {"otherwise": float((labels_of(predictions.values) != labels_of(at_once.values)).mean())}


def _sampling_gb(trained: Trained, tile: Tile) -> float:
    """Of one case at a time, predicted."""
    sample = trained.sampled(tile=tile, batch_size=1)
    return predict(dataclasses.replace(trained.config, sample=sample)).sampling_gb


def _name(tile: Tile) -> str:
    return "x".join(map(str, tile)) or "whole"


STUDY = Tiles()
