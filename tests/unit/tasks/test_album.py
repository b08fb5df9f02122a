"""The pictures of a trial: the way from noise is the sampler's, real ones are told of as such."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bench.config import TrialConfig
from bench.methods import build_method
from bench.methods.diffusion import Sampling
from bench.predictions import ShowsItsWay
from bench.run import steps
from bench.tasks.generate import GenerateTask
from tests.fakes.trials import tiny, write_cache
from tests.unit.workloads.test_schema import DIRECT, PICTURES, restoring


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_cache(tmp_path_factory.mktemp("fake") / "cache")


def predictor_of(config: TrialConfig) -> Sampling:
    method = build_method(config)
    predictor = method.predictor([method.net.eval()], config.seed, config.sample)
    assert isinstance(predictor, Sampling)
    return predictor


@pytest.mark.parametrize("batch", [16, 1])
@pytest.mark.parametrize("sampler", ["heun", "euler", "dpmpp_2m"])
def test_a_way_leads_from_noise_to_the_answer(cache: Path, sampler: str, batch: int) -> None:
    config = tiny(
        cache,
        **{"sample.sampler": sampler, "sample.steps": 18, "sample.batch_size": batch},
    )
    task, predictor = GenerateTask(config), predictor_of(config)
    assert isinstance(predictor, ShowsItsWay)
    cases = dataclasses.replace(task.cases("select"), keep=lambda x: x.numpy().copy())
    way = predictor.way(cases, range(4), 10)
    assert len(way) == 10
    answers = predictor.predict_some(cases, range(4))
    assert np.array_equal(way[-1].values, answers.values)  # the very pictures of the grid
    first = predictor._normal(cases.purpose, range(4), (1, 8, 8)).numpy() * 80
    np.testing.assert_allclose(way[0].values, first * 0.45 / np.hypot(80, 0.45), rtol=1e-6)
    spread = [moment.values.std() for moment in way[:3]]  # noise alone, at the data's spread
    assert spread == pytest.approx([0.45] * 3, rel=0.2)  # of 256 values
    assert predictor.sample == config.sample  # as it was


def test_more_moments_than_steps_are_as_many_as_there_are(cache: Path) -> None:
    config = tiny(cache, **{"sample.steps": 2})
    way = predictor_of(config).way(GenerateTask(config).cases("select"), range(3), 10)
    assert [moment.values.shape for moment in way] == [(3, 1, 8, 8)] * 3


def test_rungs_looks_and_the_end_have_their_pictures(cache: Path, tmp_path: Path) -> None:
    said = list(steps(tiny(cache, **{"train.look_nimg": 24}), tmp_path))
    drawn = {r.nimg: [a["name"] for a in r.artifacts] for r in said if r.artifacts}
    at = [16, 24, 32, 48]  # two rungs before the last, two looks
    named = {n: [f"samples-{n:012d}.png", f"denoising-{n:012d}.png"] for n in at}
    assert drawn == {**named, 64: ["samples.png", "denoising.png"]}
    with Image.open(tmp_path / "denoising.png") as strip:
        assert strip.size == (3 * 66 + 2, 4 * 66 + 2)  # two steps and the picture; 8 pixels by 8


@pytest.mark.parametrize("simulated", [True, False])
def test_what_estimates_a_real_picture_is_real(tmp_path: Path, simulated: bool) -> None:
    """Also without a way to show: a regression has none."""
    config = restoring(PICTURES, DIRECT)
    data = dataclasses.replace(config.data, simulated=simulated)
    said = list(steps(dataclasses.replace(config, data=data), tmp_path))
    drawn = [a for r in said for a in r.artifacts]
    assert [a["name"] for a in drawn][-1] == "samples.png"
    assert {a["real"] for a in drawn} == {not simulated}
    assert not list(tmp_path.glob("denoising*"))


def test_generated_pictures_are_nobodys(cache: Path) -> None:
    config = tiny(cache, **{"data.simulated": False})
    assert not GenerateTask(config).shows_real
