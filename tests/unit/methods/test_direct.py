"""The direct method: what its network is asked, that it learns, and that it goes on exactly."""

from __future__ import annotations

import dataclasses
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bench.conditions import Condition
from bench.config import MeasureConfig, MethodConfig, TrialConfig
from bench.errors import BenchError
from bench.methods import load_method
from bench.methods.direct import Direct
from bench.run import run_trial, steps
from bench.tasks import build_task
from bench.train import checkpoint
from bench.train.objective import Batch
from tests.fakes import restore
from tests.fakes.trials import NETS, timeless, tiny

SPATIAL = (8, 8)


def trial(**changes: Any) -> TrialConfig:
    """A tiny trial of the fake restoration; keys as of `tiny`."""
    config = tiny(
        task=restore.described(restore.RestoreTask, SPATIAL),
        method=MethodConfig(kind="direct", backbone="small_unet", backbone_args=NETS["small_unet"]),
        measure=MeasureConfig(
            metrics=(f"{restore.HERE}:SquaredError", "clipping"), n_select=10, n_report=12
        ),
    )
    for key, value in changes.items():
        section, _, name = key.partition(".")
        part = replace(getattr(config, section), **{name: value})
        config = replace(config, **{section: part})
    return config


def method_of(config: TrialConfig, seed: int = 0) -> Direct:
    torch.manual_seed(seed)
    method = Direct(config)
    torch.nn.init.normal_(list(method.net.parameters())[-2], std=0.1)  # starts at zero
    method.net.eval()
    return method


def test_its_network_reads_the_condition_alone() -> None:
    task = trial().task
    inputs = Direct.inputs(task)
    assert inputs is not None
    assert (inputs.channels, inputs.in_channels, inputs.out_channels) == (0, 1, 1)
    with pytest.raises(BenchError, match="maps condition images to an answer, and task generate"):
        Direct.inputs(tiny().task)
    assert load_method("direct").passes(trial()) == 1


def test_terms_are_the_squared_errors_of_the_networks_answers() -> None:
    config = trial()
    method, samples = method_of(config), [5, 2, 40]
    batch = build_task(config).batch(samples, config.seed)
    x = batch.condition.images
    assert x is not None
    middle = sum(method.net.c_noise_range) / 2  # type: ignore[operator]
    with torch.no_grad():
        answer = method.net(x, torch.full((3,), middle), None)
        terms = method.terms(batch, samples, config.seed)
    by_hand = [((answer[k] - batch.target[k]) ** 2).mean() for k in range(3)]
    torch.testing.assert_close(terms.loss, torch.stack(by_hand))
    assert terms.sigma is None
    assert terms.sq_error is None


def test_a_class_and_numbers_reach_its_network() -> None:
    task = trial().task
    inputs = dataclasses.replace(task.inputs, n_classes=3, vector_dim=2)
    method = method_of(trial(**{"task.inputs": inputs}))
    images, target = torch.zeros(2, 1, 8, 8), torch.zeros(2, 1, 8, 8)

    def losses(classes: list[int], vector: list[list[float]]) -> torch.Tensor:
        condition = Condition(
            images=images, classes=torch.tensor(classes), vector=torch.tensor(vector)
        )
        with torch.no_grad():
            return method.terms(Batch(target=target, condition=condition), range(2), 0).loss

    zeros = [[0.0, 0.0], [0.0, 0.0]]
    plain = losses([0, 1], zeros)
    for changed in (losses([2, 1], zeros), losses([0, 1], [[1.0, 0.5], [0.0, 0.0]])):
        assert changed[0] != plain[0]
        assert changed[1] == plain[1]  # what the other has is none of its business


def test_two_networks_answer_with_their_mean() -> None:
    config = trial()
    one, other = method_of(config, 0), method_of(config, 1)
    cases = build_task(config).cases("select")

    def answers(*nets: Any) -> np.ndarray[Any, Any]:
        kept = dataclasses.replace(cases, keep=lambda x: x.numpy())
        values: np.ndarray[Any, Any] = one.predictor(nets, 0, config.sample).predict(kept).values
        return values

    first, second = answers(one.net), answers(other.net)
    assert not np.allclose(first, second, atol=1e-2)
    np.testing.assert_allclose(answers(one.net, other.net), (first + second) / 2, atol=1e-6)
    assert one.predictor([one.net, other.net], 0, config.sample).predict(cases).passes == 2
    assert one.predictor([one.net], 0, config.sample).denoise is None


@pytest.mark.parametrize("batch", [1, 4, 64])
def test_the_batch_of_prediction_changes_nothing(batch: int) -> None:
    """Each of 3 samples of a case is the one answer that there is; float32 rounds to 1e-6."""
    config = trial()
    method = method_of(config)
    cases = dataclasses.replace(build_task(config).cases("select"), samples=3)
    sample = replace(config.sample, batch_size=batch)
    values = method.predictor([method.net], 0, sample).predict(cases).values
    once = dataclasses.replace(cases, samples=1)
    expected = method.predictor([method.net], 0, config.sample).predict(once).values
    np.testing.assert_allclose(values, expected.repeat(3, axis=0), atol=1e-5)


def test_it_learns(tmp_path: Path) -> None:
    """Not only runs: the error falls below half of what doing nothing leaves."""
    longer = {"budget_nimg": 1600, "rungs_nimg": (800, 1600), "report_nimg": 800, "lr": 1e-2}
    config = trial()
    config = replace(config, train=replace(config.train, **longer))
    learnt = run_trial(config, tmp_path / "direct")
    identity = replace(config, method=MethodConfig(kind="classical", backbone="identity"))
    idle = run_trial(identity, tmp_path / "identity")
    # the damage has a variance of .25, cut to the range [-1, 1] before it is measured
    assert 0.05 < idle.metrics["eval/mse"] < 0.25
    assert learnt.metrics["eval/mse"] < 0.5 * idle.metrics["eval/mse"]


@pytest.mark.parametrize("stop", [1, 3, 5])
def test_stopped_and_taken_up_it_is_the_same_to_the_bit(tmp_path: Path, stop: int) -> None:
    config = trial(**{"method.backbone_args": {**NETS["small_unet"], "dropout": 0.1}})
    whole = [timeless(report) for report in steps(config, tmp_path / "whole")]
    for _, report in zip(range(stop), steps(config, tmp_path / "cut"), strict=False):
        assert report.outcome is None
    torch.manual_seed(1)  # another process knows nothing of this one's generator
    again = [timeless(report) for report in steps(config, tmp_path / "cut")]
    assert again[-1] == whole[-1]
    assert again[-1]["outcome"] == "completed"
    one, other = (
        checkpoint.read(tmp_path / n / "weights.safetensors")[0] for n in ("whole", "cut")
    )
    assert all(torch.equal(one[key], other[key]) for key in one)
