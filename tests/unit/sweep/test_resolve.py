"""Resolving parameters: equal training FLOPs, whole batches, nothing unknown."""

from __future__ import annotations

import dataclasses
import random
from typing import Any

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from backbones import ddpmpp
from backbones.sizes import Size
from bench import networks
from bench.config import MethodConfig, TrialConfig
from bench.errors import BenchError
from bench.sweep.cost.price import COSTLESS, cost
from bench.sweep.deciding.resolve import Frame, default_params, resolve
from bench.workloads.echo import LAPTOP, SMOKE
from tests.unit.sweep.fakes import frame, plan

DEFAULTS = plan().defaults
FRAME = frame()
INPUTS = FRAME.task.inputs


def with_budget(tflop: float) -> Frame:
    return frame(scale=dataclasses.replace(SMOKE, budget_tflop=tflop))


def counted(config: TrialConfig) -> int:
    """Forward and backward FLOPs of an image by PyTorch's own counter, on real tensors."""
    net = networks.build(config.method.backbone, INPUTS, **config.method.backbone_args)
    with FlopCounterMode(display=False) as counter:
        net(torch.zeros(1, 1, 16, 16), torch.zeros(1), None).sum().backward()
    return int(counter.get_total_flops())


@pytest.mark.parametrize(
    "default", DEFAULTS, ids=lambda d: f"{d['architecture']}-{d['preconditioning']}"
)
def test_all_cells_train_for_the_same_flops_within_a_batch(default: dict[str, Any]) -> None:
    for batch in (8, 16):
        for width in ("narrow", "default", "wide"):
            config = resolve(FRAME, {**default, "batch_size": batch, "width": width}, 0)
            price = cost(config.task, config.method).training_flops
            spent = config.train.budget_nimg * price
            budget = SMOKE.budget_tflop * 1e12
            assert budget - batch * price < spent <= budget


@pytest.mark.parametrize("default", DEFAULTS[:4], ids=lambda d: d["architecture"])
def test_the_price_is_what_pytorch_counts(default: dict[str, Any]) -> None:
    config = resolve(FRAME, default, 0)
    mine = cost(config.task, config.method).training_flops
    # The backward pass of the very first layer may or may not make the input's gradient: under 3 %.
    assert mine == pytest.approx(counted(config), rel=0.03)


@pytest.mark.parametrize("default", DEFAULTS[:4], ids=lambda d: d["architecture"])
@pytest.mark.parametrize("key", COSTLESS)
def test_what_is_called_costless_changes_no_count(default: dict[str, Any], key: str) -> None:
    method = resolve(FRAME, {**default, key: 0.0}, 0).method
    if key not in method.backbone_args:
        pytest.skip("this architecture has no such argument")
    task = FRAME.task
    bare = dataclasses.replace(
        method, backbone_args={k: v for k, v in method.backbone_args.items() if k != key}
    )
    assert cost(task, method) == cost(task, bare)
    counts = set()
    for value in (0.0, 0.3):
        args = {**method.backbone_args, key: value}
        config = dataclasses.replace(
            resolve(FRAME, default, 0), method=dataclasses.replace(method, backbone_args=args)
        )
        net = networks.build(method.backbone, INPUTS, **args)
        counts.add((counted(config), sum(p.numel() for p in net.parameters())))
    assert len(counts) == 1


def test_rungs_are_whole_batches_and_rise_to_the_budget() -> None:
    draw = random.Random(0)
    for _ in range(40):
        default, batch = draw.choice(DEFAULTS), draw.choice((8, 16, 24))
        config = resolve(with_budget(draw.uniform(0.01, 3.0)), {**default, "batch_size": batch}, 0)
        rungs, train = config.train.rungs_nimg, config.train
        assert rungs[-1] == train.budget_nimg
        assert list(rungs) == sorted(set(rungs))
        assert all(rung % batch == 0 for rung in rungs)
        for rung, fraction in zip(rungs, SMOKE.rungs, strict=True):
            assert abs(rung - fraction * train.budget_nimg) <= batch
        assert train.report_nimg % batch == 0
        assert train.micro_batch == batch


def test_parameters_land_where_they_belong() -> None:
    params = {
        "architecture": "ddpmpp",
        "preconditioning": "edm",
        "lr": 3e-3,
        "optimizer": "adamw",
        "schedule": "cosine",
        "batch_size": 16,
        "dropout": 0.1,
        "width": "wide",
        "P_mean": -1.0,
        "warmup_fraction": 0.2,
    }
    config = resolve(FRAME, params, 7)
    assert config.seed == 7
    train = config.train
    assert (train.lr, train.optimizer, train.schedule) == (3e-3, "adamw", "cosine")
    assert (train.batch_size, train.warmup_fraction) == (16, 0.2)
    assert config.method.backbone_args == {
        **dataclasses.asdict(ddpmpp.Args()),
        **SMOKE.size("ddpmpp").arguments("wide"),
        "dropout": 0.1,
    }
    noise = {"P_mean": -1.0, "P_std": 1.2, "sigma_min": 0.002, "sigma_max": 80.0}
    assert config.method.preconditioning_args == noise
    assert train.weight_decay == SMOKE.defaults["weight_decay"]
    assert resolve(FRAME, {**params, "optimizer": "adam"}, 0).train.weight_decay == 0.0
    assert TrialConfig.from_dict(config.to_dict()) == config
    assert resolve(FRAME, {**params, "width": 12}, 0).method.backbone_args["width"] == 12
    # What only other architectures take is left out, not refused.
    other = resolve(FRAME, {**DEFAULTS[1], "channels_per_head": 8}, 0)
    assert "channels_per_head" not in other.method.backbone_args


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"droput": 0.1}, "unknown parameter 'droput'; did you mean 'dropout'?"),
        ({"P_men": 0.1}, "unknown parameter 'P_men'; did you mean 'P_mean'?"),
        ({"width": "widde"}, "unknown width of adm 'widde'; did you mean 'wide'?"),
        ({"architecture": "ddpmp"}, "unknown backbone 'ddpmp'; did you mean 'ddpmpp'?"),
        ({"preconditioning": "emd"}, "unknown preconditioning 'emd'; did you mean 'edm'?"),
        ({"schedule": "cosin"}, "unknown schedule 'cosin'; did you mean 'cosine'?"),
        ({"optimizer": "adamm"}, "unknown optimizer 'adamm'; did you mean 'adam"),
        ({"lr": -1.0}, "train.lr must be positive"),
        ({"batch_size": 0}, "batch_size"),
        ({"width": 0}, "width"),
        ({"dropout": 1.5}, "dropout"),
        ({"P_std": -1.0}, "P_std"),
    ],
    ids=lambda v: "-".join(v) if isinstance(v, dict) else "",
)
def test_mistakes_are_said(change: dict[str, Any], message: str) -> None:
    with pytest.raises(BenchError) as refusal:
        resolve(FRAME, {**DEFAULTS[0], **change}, 0)
    assert message in str(refusal.value)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("tflop", [1e-9, 1e-4, 5e-4])
def test_a_budget_too_small_for_its_rungs_is_refused(tflop: float) -> None:
    with pytest.raises(BenchError, match=r"too few for 3 rungs; raise --budget"):
        resolve(with_budget(tflop), DEFAULTS[0], 0)


def test_what_is_not_suggested_is_the_scales_default() -> None:
    for default in DEFAULTS:
        cell = {k: default[k] for k in ("architecture", "preconditioning")}
        assert resolve(FRAME, cell, 0) == resolve(FRAME, default, 0)


def test_the_laptop_scale_resolves_in_every_corner() -> None:
    inputs = dataclasses.replace(INPUTS, spatial=(32, 32))
    laptop = frame(scale=LAPTOP, task=dataclasses.replace(FRAME.task, inputs=inputs))
    for default in DEFAULTS[:4]:
        for width, batch in (("narrow", 64), ("wide", 16)):
            resolve(laptop, {**default, "width": width, "batch_size": batch}, 0)


def test_cost_names_a_networks_mistake() -> None:
    method = MethodConfig(backbone="adm", backbone_args={"multipliers": (1, 2), "widht": 8})
    with pytest.raises(BenchError, match="widht"):
        cost(FRAME.task, method)


def cell(architecture: str, preconditioning: str) -> dict[str, str]:
    return {"architecture": architecture, "preconditioning": preconditioning}


def test_a_setup_has_its_own_default_learning_rate() -> None:
    assert default_params(LAPTOP, cell("adm", "edm"), "adam")["lr"] == 1e-3
    assert default_params(LAPTOP, cell("adm", "vp"), "adam")["lr"] == 3e-3
    assert default_params(SMOKE, cell("adm", "vp"))["lr"] == 2e-3
    # all but edm are alike
    assert default_params(LAPTOP, cell("adm", "iddpm"), "adam")["lr"] == 3e-3
    bare = dataclasses.replace(LAPTOP, sizes={"adm": Size(args={}, widths={"default": {}}, lr={})})
    assert default_params(bare, cell("adm", "edm"), "adam")["lr"] == LAPTOP.defaults["lr"]


def test_an_optimizer_and_a_setup_have_defaults_of_their_own() -> None:
    edm, vp = (default_params(LAPTOP, cell("adm", setup)) for setup in ("edm", "vp"))
    assert (edm["optimizer"], edm["lr"], vp["lr"]) == ("muon", 4e-3, 4e-3)
    assert vp["weighting"] == "between"
    assert "weighting" not in edm
    assert "weighting" not in default_params(SMOKE, cell("adm", "vp"))  # the authors' own


def test_a_preconditionings_words_switches_and_numbers_are_parameters() -> None:
    given = {"predict": "x0", "antithetic": False, "train_steps": 20}
    config = resolve(FRAME, {**DEFAULTS[0], "preconditioning": "fast_ddpm", **given}, 0)
    args = config.method.preconditioning_args
    assert {**args, **given} == args
    assert config.sample.steps == FRAME.sample.steps  # sampling's own
    again = TrialConfig.from_dict(config.to_dict())
    assert again.entry_id == config.entry_id
    with pytest.raises(BenchError, match=r"predict in preconditioning 'ddpm': 'eps'"):
        resolve(FRAME, {**DEFAULTS[0], "preconditioning": "ddpm", "predict": "eps"}, 0)


def test_a_cell_without_a_network_is_refused_in_one_line() -> None:
    with pytest.raises(BenchError, match=r"cell_axes need 'architecture'.*are preconditioning"):
        default_params(SMOKE, {"preconditioning": "edm"})
