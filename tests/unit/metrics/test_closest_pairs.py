"""The pairs that a person looks at: the nearest, and nobody's picture leaves the disk unasked."""

from __future__ import annotations

import dataclasses
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from bench.data.cache import INDEX
from bench.data.cache_index import read_index, write_index
from bench.data.practice_data import write_practice_data
from bench.metrics import copying
from bench.metrics.closest_pairs import closest
from bench.metrics.copying_metric import LEVEL, CopyingMetric, searched_rows
from bench.metrics.metric import Evidence
from bench.metrics.real import RealData
from bench.predictions import Predictions
from bench.run import run_trial, steps
from bench.tasks.task import GIVEN_BACK
from bench.track.writer import Writer
from tests.fakes.copier import COPIER
from tests.fakes.trials import tiny, write_cache

TILE, GAP, HEAD = 128, 4, 16  # pixels of a pair's pictures, between them, of a caption


def test_the_nearest_come_first_and_a_training_picture_once() -> None:
    samples = copying.Nearness(
        distance=np.ones(5),
        log_ratio=np.array([-1.0, -3.0, -2.0, -5.0, 0.0]),
        picture=np.array([7, 4, 4, 2, 7]),
    )
    assert closest(samples).tolist() == [3, 1, 0]


def test_a_copy_stands_beside_what_it_copies_also_mirrored(tmp_path: Path) -> None:
    real = RealData(str(write_practice_data(tmp_path / "cache", (8, 8)).path))
    train = real.pictures_at(searched_rows(real))
    drawn = np.concatenate([train[[5]], train[[9], ..., ::-1], 255 - real.pictures("report", 10)])
    metric = CopyingMetric(dict(CopyingMetric.settings_taken()))
    predictions = Predictions(values=drawn, passes=1, outside_share=0.0)
    evidence = Evidence(part="report", real=real, predictions=predictions)
    (file,) = metric.files(evidence)
    page = np.asarray(Image.open(io.BytesIO(file.content)))[..., 0]
    tops = [HEAD + row * (TILE + HEAD + GAP) + HEAD for row in range(2)]
    shown = [
        [page[top : top + TILE : 16, left : left + TILE : 16] for left in (0, TILE + GAP)]
        for top in tops
    ]
    for pair in shown:
        np.testing.assert_array_equal(*pair)
    copies = {picture.tobytes() for picture in drawn[:2, 0]}
    assert {np.ascontiguousarray(pair[0]).tobytes() for pair in shown} == copies


@pytest.mark.parametrize("simulated", [True, False])
def test_a_trial_leaves_them_and_they_leave_only_if_nobody_is_shown(
    tmp_path: Path, simulated: bool
) -> None:
    cache, trial = write_cache(tmp_path / "cache"), tmp_path / "trial"
    index = dataclasses.replace(read_index(cache / INDEX), simulated=simulated)
    write_index(cache / INDEX, index)
    metrics = {"measure.metrics": ("fd", "copying"), "measure.args": {"n_reference": 16}}
    last = run_trial(tiny(cache, **metrics, **{"data.simulated": simulated}), trial)
    assert last.outcome == "completed", last.cause
    assert {a["name"]: a["real"] for a in last.artifacts}["closest.png"] == (not simulated)
    assert (trial / "closest.png").stat().st_size < 100_000
    artifacts = [{**a, "path": str(trial / a["path"])} for a in last.artifacts]
    assert uploaded(artifacts, share_real=False) == {
        "samples.png",
        "denoising.png",
        *(("closest.png",) if simulated else ()),
    }
    assert "closest.png" in uploaded(artifacts, share_real=True)  # --log-real-images


@pytest.mark.parametrize("simulated", [True, False])
def test_samples_that_are_real_pictures_stay_here_too(tmp_path: Path, simulated: bool) -> None:
    cache = write_cache(tmp_path / "cache", per_part=96)
    index = dataclasses.replace(read_index(cache / INDEX), simulated=simulated)
    write_index(cache / INDEX, index)
    config = tiny(
        cache,
        **{
            "data.simulated": simulated,
            "measure.metrics": ("fd", "copying"),
            "measure.args": {"n_reference": 16},
            "method.kind": COPIER,
        },
    )
    reports = list(steps(config, tmp_path / "trial"))
    assert reports[-1].outcome == "completed", reports[-1].cause
    assert reports[-1].metrics["eval/copied_p"] < LEVEL
    drawn = {a["name"]: a["real"] for report in reports for a in report.artifacts}
    assert len(drawn) == 4  # two rungs before the last, the end and the pairs
    assert set(drawn.values()) == {not simulated}
    assert (GIVEN_BACK in reports[-1].notes) == (not simulated)


def uploaded(artifacts: list[dict[str, Any]], *, share_real: bool) -> set[str]:
    """What MLflow would be given."""
    given = []

    class Client:
        def log_artifact(self, run_id: str, path: str, folder: str) -> None:
            given.append(Path(path).name)

    writer = Writer.__new__(Writer)  # without a store
    writer._client = Client()
    assert not writer.upload("run", artifacts, share_real=share_real)
    return set(given)
