"""The design: valid, different, the trial's own first, the same for a seed, over every axis."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from bench.config import MethodConfig, TrialConfig
from bench.diffusion import samplers
from bench.errors import BenchError
from bench.methods import build_method
from bench.tune.candidates import EMA, SAMPLERS, design
from tests.fakes.trials import NETS, tiny, write_cache


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_cache(tmp_path_factory.mktemp("fake") / "cache", classes=3)


def trial(cache: Path, preconditioning: str = "edm", **sample: object) -> TrialConfig:
    method = MethodConfig(
        backbone="ddpmpp", backbone_args=NETS["ddpmpp"], preconditioning=preconditioning
    )
    settings = {"sample.steps": 10, **{f"sample.{k}": v for k, v in sample.items()}}
    return tiny(cache, method=method, **settings)


def test_own_setting_first_then_different_ones_the_same_for_a_seed(cache: Path) -> None:
    config = trial(cache)
    found = design(config, 60, 0, any_ema=True)
    assert found[0].sample == config.sample
    assert [one.number for one in found] == list(range(60))
    assert len({repr(one.sample) for one in found}) == 60
    assert design(config, 60, 0, any_ema=True) == found
    assert design(config, 60, 1, any_ema=True)[1:] != found[1:]
    assert {one.sample.sampler for one in found} == set(SAMPLERS)
    assert {one.sample.ema for one in found} >= set(EMA)
    assert {one.sample.clip for one in found} == {True, False}


@pytest.mark.parametrize("preconditioning", ["edm", "vp", "ve", "iddpm"])
def test_every_candidate_can_be_drawn_by_and_costs_what_it_says(
    cache: Path, preconditioning: str
) -> None:
    config = trial(cache, preconditioning)
    method = build_method(config)
    task_inputs = config.task.inputs
    assert task_inputs.channels == 1
    for one in design(config, 25, 0, any_ema=False):
        assert one.sample.ema == config.sample.ema
        solver = samplers.load(one.sample.sampler)
        assert not (solver.multistep and one.sample.S_churn)
        assert one.nfe == solver.nfe(one.sample.steps)
        assert 4 <= one.nfe <= 2.2 * 19  # the trial's own is Heun of 10 steps
        method.predictor([method.net], 0, one.sample)


def test_own_grid_and_process_only_where_they_differ(cache: Path) -> None:
    of_edm = design(trial(cache), 80, 0, any_ema=True)
    assert {(one.sample.grid, one.sample.process) for one in of_edm} == {("edm", "sigma")}
    of_vp = design(trial(cache, "vp"), 80, 0, any_ema=True)
    assert {one.sample.grid for one in of_vp} == {"edm", "own"}
    assert {one.sample.process for one in of_vp} == {"sigma", "own"}


def test_guidance_weight_only_where_the_trial_is_guided(cache: Path) -> None:
    assert all(not one.sample.guidance_args for one in design(trial(cache), 20, 0, any_ema=True))
    guided = trial(cache, guidance="classifier_free")
    inputs = dataclasses.replace(guided.task.inputs, n_classes=3)
    guided = dataclasses.replace(guided, task=dataclasses.replace(guided.task, inputs=inputs))
    weights = {
        one.sample.guidance_args["weight"] for one in design(guided, 20, 0, any_ema=True)[1:]
    }
    assert len(weights) > 10
    assert all(1 <= weight <= 4 for weight in weights)


def test_a_method_that_draws_nothing_is_refused(cache: Path) -> None:
    method = MethodConfig(kind="direct", backbone="ddpmpp", backbone_args=NETS["ddpmpp"])
    with pytest.raises(BenchError, match="nothing to tune"):
        design(tiny(cache, method=method), 10, 0, any_ema=True)
