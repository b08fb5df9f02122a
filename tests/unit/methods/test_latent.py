"""Latent diffusion: with an exact autoencoder it is pixel diffusion of the turned data."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from backbones import counting
from backbones.inputs import Inputs
from bench.config import MethodConfig, TaskConfig, TrialConfig
from bench.errors import BenchError
from bench.methods import build_method, frozen_autoencoder
from bench.methods.frozen_autoencoder import FrozenAutoencoder
from bench.methods.latent import Latent
from bench.predictions import Cases
from bench.run import run_trial
from bench.streams import normal
from bench.sweep.cost import footprint
from bench.sweep.cost.price import cost
from bench.train.objective import Batch
from tests.fakes import orthogonal_autoencoder
from tests.fakes.trials import NETS, tiny, write_cache

KIND = f"{orthogonal_autoencoder.__file__}:build"
SAMPLES = (0, 5, 9)
# two float32 turns (sums of 4 products, 1e-7 each) carried through a network's few layers
TOLERANCE = 2e-5


def exact_trial(cache: Path) -> TrialConfig:
    """A latent trial on `cache` whose autoencoder loses nothing."""
    settings = {
        "name": "exact",
        "kind": KIND,
        "network": {},
        "latent_channels": 4,
        "factor": 2,
        "sigma_data": 0.45,
    }
    net = orthogonal_autoencoder.Orthogonal()
    frozen = FrozenAutoencoder(net, torch.zeros(4), torch.ones(4), settings)
    settings["digest"] = frozen.digest
    frozen.save(frozen_autoencoder.place(str(cache), "exact"))
    return tiny(
        cache,
        **{
            "method.kind": "latent",
            "method.backbone_args": {**NETS["ddpmpp"], "dropout": 0.0},
            "method.settings": settings,
        },
    )


def of_turned(config: TrialConfig) -> TrialConfig:
    """The pixel diffusion trial of the same data, turned."""
    inputs = Inputs(spatial=(4, 4), channels=4, out_channels=4)
    return replace(
        config,
        task=replace(config.task, inputs=inputs),
        method=replace(config.method, kind="diffusion", settings={}),
    )


@pytest.fixture
def config(tmp_path: Path) -> TrialConfig:
    return exact_trial(write_cache(tmp_path / "cache"))


def test_the_loss_is_that_of_pixel_diffusion_of_the_turned_data(config: TrialConfig) -> None:
    latent, pixel = build_method(config), build_method(of_turned(config))
    pictures = torch.from_numpy(normal(0, "pictures", SAMPLES, (1, 8, 8)))
    turned = orthogonal_autoencoder.turned(pictures)
    one = latent.terms(Batch(target=pictures), SAMPLES, 7)
    other = pixel.terms(Batch(target=turned), SAMPLES, 7)
    assert torch.equal(one.sigma, other.sigma)
    torch.testing.assert_close(one.loss, other.loss, rtol=TOLERANCE, atol=TOLERANCE)
    torch.testing.assert_close(one.sq_error, other.sq_error, rtol=TOLERANCE, atol=TOLERANCE)
    another = pixel.terms(Batch(target=turned.flip(1)), SAMPLES, 7)
    assert not torch.allclose(one.loss, another.loss, rtol=TOLERANCE, atol=TOLERANCE)


def test_the_samples_are_those_of_pixel_diffusion_turned_back(config: TrialConfig) -> None:
    latent, pixel = build_method(config), build_method(of_turned(config))
    for method in (latent, pixel):
        torch.manual_seed(1)
        for parameter in method.net.parameters():  # last layers start at zero
            torch.nn.init.normal_(parameter, std=0.05)
        method.net.eval()
    cases = Cases(key=(), purpose="test", count=5, keep=lambda x: x.float().numpy())
    sample = replace(config.sample, steps=4)
    answers = latent.predictor([latent.net], 3, sample).predict(cases)
    states = pixel.predictor([pixel.net], 3, sample).predict(cases)
    back = orthogonal_autoencoder.turned_back(torch.from_numpy(states.values))
    np.testing.assert_allclose(answers.values, back, rtol=1e-4, atol=1e-4)
    assert answers.passes == states.passes == Latent.passes(replace(config, sample=sample))
    outside = float(((back < -1) | (back > 1)).float().mean())
    assert answers.outside_share == pytest.approx(outside, abs=0.01)  # one pixel of 320 at the edge


def test_a_trial_runs_without_what_it_cannot_measure(config: TrialConfig, tmp_path: Path) -> None:
    metrics = (*config.measure.metrics, "reconstruction")
    measured = replace(config, measure=replace(config.measure, metrics=metrics))
    end = run_trial(measured, tmp_path / "trial")
    assert (end.outcome, end.cause) == ("completed", "")
    assert "eval/fd_randconv" in end.metrics
    assert not [key for key in end.metrics if "denoise" in key]
    assert end.metrics["eval/reconstruction_psnr"] > 100  # nothing is lost
    assert end.metrics["eval/reconstruction_fd_randconv"] < 1e-3


def test_a_score_that_the_method_cannot_give_is_a_failed_row(
    config: TrialConfig, tmp_path: Path
) -> None:
    measure = replace(config.measure, metrics=("denoise_error", "fd"))
    end = run_trial(replace(config, measure=measure), tmp_path / "trial")
    assert end.outcome == "failed"
    assert end.cause == (
        "denoise_error is the score and needs denoise, which method latent does not give"
    )


def test_cost_and_memory_are_those_of_the_latents_and_of_what_runs_beside(
    config: TrialConfig,
) -> None:
    """By hand: the network at 4x4 with 4 channels; a turn of 4x4 numbers at 16 places is 2 * 4 * 4
    * 16 FLOPs either way."""
    price, pixel = cost(config.task, config.method), cost(config.task, of_turned(config).method)
    turned = of_turned(config)
    alone = cost(turned.task, turned.method)
    turn = 2 * 4 * 4 * 16
    assert price.forward_flops == alone.forward_flops < pixel.forward_flops
    assert price.training_flops == alone.training_flops + turn
    assert price.prediction_flops == turn
    assert price.parameters == alone.parameters
    assert price.parameters == counting.parameters(build_method(config).net)
    assert footprint.predict(config).training_gb == footprint.predict(turned).training_gb


def test_the_autoencoder_is_part_of_what_a_trial_is(config: TrialConfig) -> None:
    settings = {**config.method.settings, "digest": "other"}
    other = replace(config, method=replace(config.method, settings=settings))
    assert other.entry_id != config.entry_id
    with pytest.raises(BenchError, match="another than this trial's; start a new sweep"):
        build_method(other)


def test_an_autoencoder_that_is_gone_or_damaged_is_said(config: TrialConfig) -> None:
    path = frozen_autoencoder.place(config.data.cache, "exact")
    whole = path.read_bytes()
    path.write_bytes(whole[:-4] + b"abcd")
    with pytest.raises(BenchError, match="is not what it says it is; delete it"):
        frozen_autoencoder.load(path)
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(BenchError, match="is damaged"):
        frozen_autoencoder.load(path)
    path.unlink()
    with pytest.raises(BenchError, match="is not beside the data any more"):
        frozen_autoencoder.load(path)


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        (
            Inputs(spatial=(8, 8), channels=1, out_channels=1, condition_channels=1),
            "method latent draws pictures from noise, and task restore answers images",
        ),
        (Inputs(spatial=(8, 8, 8), channels=1, out_channels=1), "takes? no volumes"),
    ],
)
def test_a_task_it_cannot_answer_is_refused(inputs: Inputs, message: str) -> None:
    with pytest.raises(BenchError, match=message):
        Latent.inputs(TaskConfig(kind="restore", inputs=inputs))


def test_without_its_autoencoder_it_is_refused() -> None:
    method = MethodConfig(kind="latent", backbone="ddpmpp", preconditioning="edm")
    with pytest.raises(BenchError, match="needs its autoencoder"):
        cost(tiny().task, method)


def test_standardised_pixels_are_refused_before_anything_is_trained(tmp_path: Path) -> None:
    cache = write_cache(tmp_path / "cache")
    task = replace(tiny(cache).task, args={"standardise": "set"})
    with pytest.raises(BenchError, match="standardise is of pixels"):
        Latent.prepare(task, tiny(cache).data, {}, "cpu", lambda text: None)
