"""Generated pictures as training data: only the training part changes; the comparison is paired."""

from __future__ import annotations

import csv
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from scipy.stats import ttest_rel

from bench.cli import main
from bench.config import MethodConfig
from bench.data.cache import FRAMES, CachedImages, load_cache
from bench.data.practice_data import practice_trial, write_practice_data
from bench.studies import augment_study as augment
from bench.studies.added_pictures import with_training
from bench.studies.study import Ran
from bench.tasks.restore import RestoreTask
from bench.workloads.workload import load
from leaderboards.measures import Measure


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> CachedImages:
    job = load("chexpert")
    return job.open_data(None, job.scale("smoke"), tmp_path_factory.mktemp("home"), {})


def test_only_the_training_part_changes(data: CachedImages, tmp_path: Path) -> None:
    rows = data.parts["train"][::2]
    added = np.full((5, *data.images.shape[1:]), 7, data.images.dtype)
    more = with_training(data, tmp_path / "more", "x", rows, added)

    assert len(more.parts["train"]) == len(rows) + 5
    train = more.images[more.parts["train"]]
    assert np.array_equal(train[:-5], data.images[rows])
    assert (train[-5:] == 7).all()
    for part in ("select", "report"):
        ours, theirs = more.images[more.parts[part]], data.images[data.parts[part]]
        assert np.array_equal(ours, theirs)
        subjects = [more.subject_ids[i] for i in more.subject[more.parts[part]]]
        assert subjects == [data.subject_ids[i] for i in data.subject[data.parts[part]]]
    assert more.digest != data.digest
    assert more.simulated == data.simulated
    assert len({more.subject_ids[i] for i in more.subject[-5:]}) == 5
    assert more.labels is not None
    assert (more.labels[-5:] == -1).all()


def test_held_out_noise_stays_where_training_pictures_go(tmp_path: Path) -> None:
    """Of data whose parts lie among each other, as files do."""
    whole = write_practice_data(tmp_path / "whole", (8, 8))
    index = np.load(whole.path / FRAMES)
    columns = {name: index[name] for name in index.files}
    columns["part"] = np.roll(np.arange(len(columns["part"]), dtype=np.uint8) % 3, 1)
    np.savez(whole.path / FRAMES, **columns)
    mixed = load_cache(whole.path)
    half = with_training(mixed, tmp_path / "half", "h", mixed.parts["train"][::2], mixed.images[:0])
    assert half.parts["report"].tolist() != mixed.parts["report"].tolist()
    method = MethodConfig(kind="classical", backbone="gaussian_filter", backbone_args={"sigma": 1})
    tasks = [
        RestoreTask(practice_trial(RestoreTask.describe(data), method, str(data.path)))
        for data in (mixed, half)
    ]
    for part in ("select", "report"):
        assert np.array_equal(*(task.noisy(part) for task in tasks))


def ran(name: str, seed: int, value: float) -> Ran:
    arm = SimpleNamespace(name=name, seed=seed)
    return cast(Ran, SimpleNamespace(arm=arm, outcome="completed", metrics={"eval/psnr": value}))


@pytest.mark.parametrize(("gain", "said"), [(0.5, "helps"), (-0.5, "harms"), (0.0, "cannot be")])
def test_a_change_is_paired_by_seed(gain: float, said: str) -> None:
    base, change = [20.0, 25.0, 23.0], [gain - 0.05, gain + 0.05, gain]
    trials = [ran(augment.NONE, s, v) for s, v in enumerate(base)]
    trials += [ran("100% added", s, v + change[s]) for s, v in enumerate(base)]
    score = Measure(key="psnr", title="PSNR", direction="higher", scale="difference")

    table, lines = augment._compare(trials, score, 10)

    row: Any = table.rows[1]
    expected = ttest_rel(np.array(base) + change, base).confidence_interval(0.95)
    assert row[3] == pytest.approx(gain, abs=1e-9)
    assert row[4:] == pytest.approx((expected.low, expected.high), abs=1e-9)
    assert said in lines[0]


@pytest.mark.slow
def test_the_augment_study_end_to_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(augment, "SEEDS", 2)
    args = ("--scale", "smoke", "--budget", "0.3", "--home", str(tmp_path))
    with pytest.raises(SystemExit) as left:
        main(["study", "chexpert", "augment", *args])

    assert not left.value.code
    folder = tmp_path / "studies" / "chexpert-augment-1"
    names = sorted(path.name for path in folder.iterdir())
    assert names == ["generated.png", "shares.csv", "study.json", "trials.csv"]
    rows = list(csv.DictReader((folder / "trials.csv").open()))
    assert len(rows) == 8
    assert {row["outcome"] for row in rows} == {"completed"}
    assert len({row["kimg"] for row in rows}) == 1  # equal images, so at one network equal FLOPs
