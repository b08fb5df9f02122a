"""Standardised pictures: the way in and out, D between them, and what an entry is known by."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from bench.conditions import NOTHING, Condition
from bench.config import TrialConfig
from bench.data.cache import load_cache
from bench.data.value_range import as_float
from bench.errors import BenchError
from bench.run import run_trial
from bench.tasks.generate import GenerateTask
from bench.tasks.standardising import LEAST, Standard
from tests.fakes.trials import tiny, write_cache


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_cache(tmp_path_factory.mktemp("fake") / "cache", per_part=24)


def described(cache: Path, standardise: str) -> TrialConfig:
    raw = GenerateTask.describe(load_cache(cache))
    once = GenerateTask.configure(raw, {"standardise": standardise})
    # a sweep configures what all share, then each trial again
    assert GenerateTask.configure(once, {"standardise": standardise}) == once
    return tiny(cache, task=once)


def test_by_the_set_train_has_mean_0_and_deviation_1(cache: Path) -> None:
    config = described(cache, "set")
    data = load_cache(cache)
    train = as_float(data.images[data.parts["train"]], data.value_range).astype(np.float64)
    target = GenerateTask(config).batch(range(24), 0).target.double()
    # 1e-6: float32 pixels and map
    assert float(target.mean()) == pytest.approx(0, abs=1e-6)
    assert float(target.std(correction=0)) == pytest.approx(1, rel=1e-4)  # sigma_data is stored
    assert config.task.sigma_data == 1
    low, high = config.task.data_range
    assert low == pytest.approx((-1 - train.mean()) / train.std(), rel=1e-4)
    assert high == pytest.approx((1 - train.mean()) / train.std(), rel=1e-4)


def test_by_each_picture_every_one_has_and_a_flat_one_stays_small(cache: Path) -> None:
    target = GenerateTask(described(cache, "image")).batch(range(24), 0).target.double()
    flat = target.flatten(1)
    assert torch.allclose(flat.mean(dim=1), torch.zeros(24).double(), atol=1e-5)  # float32
    assert torch.allclose(flat.std(dim=1, correction=0), torch.ones(24).double(), atol=1e-5)
    standard = Standard(mean=0.1, std=0.4, each=True)
    nearly = torch.full((1, 1, 4, 4), 0.5)
    nearly[0, 0, 0, 0] += LEAST / 10
    assert float(standard.to_network(nearly).abs().max()) < 0.2


def test_what_is_drawn_comes_back_as_the_pictures(cache: Path) -> None:
    task = GenerateTask(described(cache, "set"))
    rows = task.real.rows("report", 10)
    standard = Standard.of(task.config.task.args)
    assert standard is not None
    drawn = standard.to_network(task.real.images_at(rows))
    assert np.array_equal(task.cases("report").keep(drawn), task.real.pictures_at(rows))


@pytest.mark.parametrize("sigma", [0.01, 0.3, 7.0, 200.0])
def test_the_denoiser_in_pixels_is_the_wiener_filter_there(sigma: float) -> None:
    def of_unit_gaussian(x: Tensor, level: Tensor, _: Condition) -> Tensor:
        return x / (1 + level.view(-1, 1, 1, 1) ** 2)

    mean, std = -0.2, 0.45
    inner = Standard(mean=mean, std=std, each=False).denoiser(of_unit_gaussian)
    x = torch.randn(3, 1, 4, 4, dtype=torch.float64)
    found = inner(x, torch.full((3,), sigma, dtype=torch.float64), NOTHING)
    expected = mean + std**2 / (std**2 + sigma**2) * (x - mean)
    assert torch.allclose(found, expected, rtol=1e-12)  # float64


def test_none_is_as_it_was_before_there_was_a_choice(cache: Path) -> None:
    config = described(cache, "none")
    assert not {"standardise", "pixels", "augment_colour"} & set(config.task.args)
    assert config.task.data_range == (-1, 1)
    assert config.task.sigma_data == pytest.approx(load_cache(cache).sigma_data)
    assert "standardise" not in GenerateTask(config).protocol()
    assert GenerateTask(described(cache, "set")).protocol()["standardise"] == "set"
    ids = {described(cache, name).entry_id for name in ("none", "set", "image")}
    assert len(ids) == 3


def test_an_unknown_one_is_refused(cache: Path) -> None:
    with pytest.raises(BenchError, match="unknown standardise 'sets'; did you mean 'set'"):
        described(cache, "sets")


@pytest.mark.parametrize("standardise", ["set", "image"])
def test_a_trial_runs_to_its_end(cache: Path, tmp_path: Path, standardise: str) -> None:
    end = run_trial(described(cache, standardise), tmp_path)
    assert (end.outcome, end.cause) == ("completed", "")
    assert end.metrics["eval/denoise_error"] > 0
