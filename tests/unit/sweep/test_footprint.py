"""Predicted memory: counts with known answers, monotone in what costs memory, and what fits."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

from backbones.inputs import Inputs
from bench import networks
from bench.config import MethodConfig, TaskConfig, TrialConfig, canonical
from bench.data.practice_data import practice_trial
from bench.sweep.cost import footprint
from bench.sweep.cost.footprint import _Alive
from bench.sweep.cost.price import cost
from bench.sweep.deciding.resolve import default_params, resolve
from bench.workloads.echo import LAPTOP
from tests.unit.sweep.fakes import frame


def config_of(architecture: str, width: int, side: int, batch: int) -> TrialConfig:
    """A laptop trial of this network on square grey pictures."""
    inputs = Inputs(spatial=(side, side), channels=1, out_channels=1)
    everything = frame(
        scale=dataclasses.replace(LAPTOP, budget_tflop=1e6),
        task=TaskConfig(kind="generate", inputs=inputs),
    )
    cell = {"architecture": architecture, "preconditioning": "edm"}
    params = {**default_params(LAPTOP, cell), "width": width, "batch_size": batch}
    return resolve(everything, params, 0)


def small(batch: int = 8, width: int = 16) -> TrialConfig:
    return config_of("ddpmpp", width, 32, batch)


def with_train(config: TrialConfig, **changes: Any) -> TrialConfig:
    return dataclasses.replace(config, train=dataclasses.replace(config.train, **changes))


def gb(config: TrialConfig) -> footprint.Footprint:
    return footprint.predict(config)


def test_what_is_alive_at_once_is_counted_exactly() -> None:
    """Of a chain of three layers two results live at a time; a view is no memory of its own."""
    with torch.device("meta"):
        net = nn.Sequential(nn.Linear(10, 100), nn.Linear(100, 200), nn.Linear(200, 50))
        x = torch.zeros(1, 10)
    with torch.no_grad(), _Alive() as alive:
        kept = net(x).view(50, 1).t()
    assert alive.most == 4 * (100 + 200)  # then 200 + 50
    assert alive.now == 4 * 50
    del kept
    assert alive.now == 0


def test_the_state_is_counted_from_the_parameters() -> None:
    size = cost(small().task, small().method).parameters * 4
    for optimizer, moments in (("adam", 2), ("muon", 1)):
        config = with_train(small(), optimizer=optimizer)
        copies = 1 + moments + 3  # weights, moments, three averages
        assert gb(config).state_gb * 1e9 == pytest.approx(size * (copies + 1))  # and gradients


def test_a_checkpoints_copy_is_of_the_process_and_not_of_a_step() -> None:
    """A GPU's is copied to the host."""
    config = with_train(small(), optimizer="adam")
    kept = cost(config.task, config.method).parameters * 4 * 6  # weights, two moments, 3 averages
    assert gb(config).checkpoint_gb * 1e9 == pytest.approx(kept)
    assert gb(config).training_peak_gb == gb(config).state_gb + gb(config).training_gb
    assert gb(with_train(config, device="cuda")).checkpoint_gb == 0


def test_activations_grow_linearly_with_the_micro_batch() -> None:
    config = small(32)
    half = with_train(config, micro_batch=16)
    assert gb(config).training_gb == pytest.approx(2 * gb(half).training_gb)
    assert gb(config).state_gb == gb(half).state_gb


def test_bf16_keeps_what_torchs_own_autocast_keeps() -> None:
    """Against autocast itself on fake tensors, which the meta device of the prediction has not."""
    config = with_train(small(), precision="bfloat16")
    args = {**config.method.backbone_args, "dropout": 0.5}
    with FakeTensorMode(), torch.device("cpu"):
        inputs = Inputs(spatial=(32, 32), channels=1, out_channels=1)
        made = networks.build("ddpmpp", inputs, **args)
        x, noise = torch.zeros(1, 1, 32, 32), torch.zeros(1)
        weights = {footprint._place(p) for p in made.parameters()}
        kept: dict[int, torch.Tensor] = {}

        def pack(tensor: torch.Tensor) -> torch.Tensor:
            kept[footprint._place(tensor)] = tensor
            return tensor

        with (
            torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor),
            torch.autocast("cpu", torch.bfloat16),
        ):
            made(x, noise)
    saved = [t for place, t in kept.items() if place not in weights]
    cast = sum(p.numel() * 2 for p in made.parameters() if p.dim() > 1)
    real = sum(t.untyped_storage().nbytes() for t in saved) - cast
    mine = footprint._network("ddpmpp", canonical(args), inputs, "cpu").saved_bytes
    # the rest is what CPU kernels save for themselves (the statistics of attention, masks)
    assert mine == pytest.approx(real, rel=0.05)


def test_bf16_is_of_training_and_saves_less_on_a_gpu() -> None:
    whole = gb(small())
    half = gb(with_train(small(), precision="bfloat16"))
    assert half.training_gb < 0.6 * whole.training_gb
    assert (half.state_gb, half.sampling_gb) == (whole.state_gb, whole.sampling_gb)
    on_gpu = gb(with_train(small(), precision="bfloat16", device="cuda"))
    assert half.training_gb < on_gpu.training_gb < whole.training_gb  # its norms stay in float32


def test_an_optimizer_is_asked_for_its_moments() -> None:
    kept = {name: footprint._moments(name) for name in ("adam", "adamw", "sgd", "lion")}
    assert kept == {"adam": 2.0, "adamw": 2.0, "sgd": 1.0, "lion": 1.0}  # timm's sgd has momentum


def test_each_worker_holds_its_share_and_the_gradients_twice() -> None:
    config = small(32)
    four = with_train(config, workers=4, micro_batch=8)
    assert gb(four).training_gb == pytest.approx(gb(config).training_gb / 4)
    weights = cost(config.task, config.method).parameters * 4
    assert (gb(four).state_gb - gb(config).state_gb) * 1e9 == pytest.approx(weights)
    assert gb(four).sampling_gb < gb(config).sampling_gb


def test_fit_takes_the_largest_micro_batch_that_fits() -> None:
    config = config_of("ncsnpp", 64, 64, 64)
    whole = gb(config).peak_gb
    assert footprint.fit(config, whole) == config
    fitted = footprint.fit(config, whole * 0.7)
    assert fitted is not None
    assert fitted.train.batch_size == config.train.batch_size
    assert 64 % fitted.train.micro_batch == 0
    assert gb(fitted).peak_gb <= whole * 0.7
    twice = with_train(fitted, micro_batch=2 * fitted.train.micro_batch)
    assert gb(twice).peak_gb > whole * 0.7


def test_fit_then_draws_fewer_pictures_at_once() -> None:
    config = config_of("small_unet", 64, 64, 4)
    big = dataclasses.replace(
        config,
        sample=dataclasses.replace(config.sample, batch_size=4096),
        measure=dataclasses.replace(config.measure, n_report=4096),
    )
    limit = gb(config).peak_gb
    fitted = footprint.fit(big, limit)
    assert fitted is not None
    assert fitted.sample.batch_size < 4096
    assert gb(fitted).peak_gb <= limit


def test_what_cannot_fit_is_none() -> None:
    config = small()
    assert footprint.fit(config, gb(config).base_gb) is None


def test_a_machine_is_shared_with_something_kept_back() -> None:
    assert footprint.share_gb(20.0 + footprint.RESERVE_GB, 4) == 5.0
    assert footprint.share_gb(1.0, 2) == 0.0


def test_a_whole_volume_is_answered_in_tiles_where_it_does_not_fit() -> None:
    """One at a time first; then in tiles no smaller than the training patch, both samplings."""
    inputs = Inputs(spatial=(16,) * 3, channels=1, out_channels=1, condition_channels=7)
    network = {"width": 8, "multipliers": (1, 2), "blocks": 1, "groups": 4}
    method = MethodConfig(backbone="volume_unet", backbone_args=network, preconditioning="edm")
    task = TaskConfig(kind="segment", inputs=inputs, whole=(96, 64, 64))
    trial = practice_trial(task, method)
    trial = dataclasses.replace(
        trial,
        train=dataclasses.replace(trial.train, batch_size=1, micro_batch=1),
        sample=dataclasses.replace(trial.sample, batch_size=4),
        own_sample=dataclasses.replace(trial.sample, batch_size=4, steps=5),
    )
    at_once = footprint._sampled(trial, batch_size=1)
    assert footprint.fit(trial, gb(at_once).peak_gb) == at_once
    saved_gb = 0.4 * gb(at_once).sampling_gb
    fitted = footprint.fit(trial, gb(at_once).peak_gb - saved_gb)
    assert fitted is not None
    assert fitted.sample.tile == (48, 64, 64)
    assert fitted.own_sample is not None
    assert (fitted.own_sample.tile, fitted.own_sample.steps) == ((48, 64, 64), 5)
    assert footprint.fit(trial, gb(trial).base_gb) is None
    estimator = MethodConfig(kind="classical", backbone="otsu")
    assert footprint.fit(dataclasses.replace(trial, method=estimator), 0.5) is None


def test_tiles_suit_the_network_and_are_no_smaller_than_a_patch() -> None:
    sides = list(footprint.smaller_tiles((100, 48, 64), (16, 16, 16), 4))
    assert sides[:3] == [(52, 48, 64), (52, 48, 32), (28, 48, 32)]
    assert all(side % 4 == 0 and side >= 16 for tile in sides for side in tile[1:])
    assert list(footprint.smaller_tiles((16, 16), (16, 16), 4)) == []
