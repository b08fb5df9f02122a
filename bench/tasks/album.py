"""The pictures of a trial: what was predicted, and the way of a few from noise to picture.

PNG files in the trial's folder; each is told of as an artifact with whether it shows somebody's
real picture, so that such a one stays on this disk (contract 12). Any task that has pictures, and
any predictor that shows its way, is drawn.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.files import whole
from bench.pictures import COLUMNS, save_grid
from bench.predictions import Predictor, ShowsItsWay
from bench.tasks.task import Evaluation, Task

ROWS, MOMENTS = 4, 10  # of a strip: pictures, and the steps of their way

Artifact = dict[str, Any]


class Album:
    """The pictures of one trial."""

    def __init__(self, folder: Path, task: Task) -> None:
        self.folder, self.task = folder, task
        self._new: list[Artifact] = []

    def draw(
        self, evaluation: Evaluation, predictor: Predictor, part: str, nimg: int | None = None
    ) -> None:
        """The files of an evaluation, samples.png and denoising.png; these with the images seen in
        their names, where training goes on after them."""
        for file in evaluation.files:
            with whole(self.folder / file.name) as path:
                path.write_bytes(file.content)
            self._new.append({"name": file.name, "path": file.name, "real": file.real})
        if evaluation.pictures is None:
            return
        when = "" if nimg is None else f"-{nimg:012d}"
        real = self.task.shows_real or evaluation.gives_back
        self._save(f"samples{when}.png", evaluation.pictures, real)
        if isinstance(predictor, ShowsItsWay):
            cases = self.task.cases(part)
            way = predictor.way(cases, range(min(ROWS, cases.count)), MOMENTS)
            moments = [p for p in map(self.task.pictures, way) if p is not None]
            rows = np.stack(moments, axis=1)  # [pictures, moments, C, *spatial]
            self._save(
                f"denoising{when}.png", rows.reshape(-1, *rows.shape[2:]), real, len(moments)
            )

    def taken(self) -> list[Artifact]:
        """What was drawn since it was last asked."""
        new, self._new = self._new, []
        return new

    def _save(
        self, name: str, pictures: NDArray[np.uint8], real: bool, columns: int = COLUMNS
    ) -> None:
        with whole(self.folder / name) as path:
            save_grid(pictures, path, columns)
        self._new.append({"name": name, "path": name, "real": real})
