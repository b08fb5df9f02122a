"""Building networks: every setting, sizes that fit and do not, what is refused and how."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from backbones.inputs import Inputs
from bench import networks
from bench.errors import BenchError

UNETS = ["adm", "ddpm_unet", "ddpmpp", "ncsnpp"]
TINY: dict[str, Any] = {"width": 8, "multipliers": (1, 2), "blocks": 1, "attention": ()}
TINY_DIT: dict[str, Any] = {"depth": 1, "hidden_size": 16, "heads": 2}
GREY = Inputs(spatial=(8, 8), channels=1, out_channels=1)


def _run(name: str, side: int, **args: Any) -> torch.Tensor:
    net = networks.build(name, replace(GREY, spatial=(side, side)), **args)
    with torch.no_grad():
        out: torch.Tensor = net(torch.randn(2, 1, side, side), torch.tensor([0.1, 0.9]))
    return out


@pytest.mark.parametrize("name", UNETS)
@pytest.mark.parametrize(
    "args",
    [
        {"width": 10},
        {"width": 36, "multipliers": (1, 4)},  # 144 channels: 32 groups do not divide them
        {"multipliers": (3,)},
        {"multipliers": [1, 1, 2]},  # a list, as JSON has it
        {"blocks": 3},
        {"attention": (12, 6)},
        {"dropout": 0.5},
    ],
)
def test_every_setting_builds_and_runs(name: str, args: dict[str, Any]) -> None:
    assert _run(name, 12, **{**TINY, **args}).shape == (2, 1, 12, 12)


@pytest.mark.parametrize(
    "args",
    [
        {"widths": (8, 12)},
        {"widths": [7, 5, 3]},
        {"width": 6, "blocks": 1},
        {"attention": (12, 6), "width": 8, "channels_per_head": 4},
        {"embedding_dims": 8, "width": 8},
    ],
)
def test_every_setting_of_the_small_unet(args: dict[str, Any]) -> None:
    side = 24 if "widths" not in args else 12
    assert _run("small_unet", side, **args).shape == (2, 1, side, side)


@pytest.mark.parametrize(
    "args", [{"patch_size": 3}, {"hidden_size": 20, "heads": 5}, {"depth": 2}, {"dropout": 0.5}]
)
def test_every_setting_of_the_dit(args: dict[str, Any]) -> None:
    assert _run("dit", 12, **{**TINY_DIT, **args}).shape == (2, 1, 12, 12)


@pytest.mark.parametrize("name", [*UNETS, "small_unet"])
def test_sides_that_the_levels_do_not_divide_are_refused_with_the_remedy(name: str) -> None:
    levels = {"widths": (8, 8, 8)} if name == "small_unet" else {**TINY, "multipliers": (1, 1, 1)}
    for spatial in ((30, 30), (30, 32), (32, 30)):
        with pytest.raises(BenchError, match=r"multiple of 4, not 30; take 28 or 32"):
            networks.build(name, replace(GREY, spatial=spatial), **levels)
    with pytest.raises(BenchError, match=r"multiple of 4, not 2; take 4"):
        networks.build(name, replace(GREY, spatial=(2, 2)), **levels)


def test_sides_that_the_patches_do_not_divide_are_refused() -> None:
    with pytest.raises(BenchError, match="multiple of patch_size 4, not 6"):
        networks.build("dit", replace(GREY, spatial=(8, 6)), patch_size=4, **TINY_DIT)


@pytest.mark.parametrize("name", [*UNETS, "small_unet", "dit"])
def test_networks_of_pictures_refuse_volumes(name: str) -> None:
    with pytest.raises(BenchError, match=rf"{name}: the network is for pictures .*not for 8x8x16"):
        networks.build(name, replace(GREY, spatial=(8, 8, 16)))


@pytest.mark.parametrize(
    ("name", "args", "match"),
    [
        ("adm", {"width": 9}, "even"),
        ("adm", {"width": 2}, "width must be a whole number from 4 up, not 2"),
        ("adm", {"width": 16.0}, r"width must be a whole number from 4 up, not 16\.0"),
        ("adm", {"width": (16, 16)}, r"width must be a whole number from 4 up, not \(16, 16\)"),
        ("adm", {"multipliers": ("1", 2)}, r"multipliers must be a whole number.*not '1'"),
        ("adm", {"multipliers": 2}, "multipliers must be a list of whole numbers, not 2"),
        ("adm", {"channels_per_head": 0}, "channels_per_head"),
        ("ddpmpp", {"multipliers": ()}, "multipliers must have one number or more"),
        ("ddpmpp", {"multipliers": (1, 0)}, "multipliers"),
        ("ddpmpp", {"blocks": 0}, "blocks"),
        ("ddpmpp", {"attention": (0,)}, "attention"),
        ("ddpmpp", {"attention": 8}, "attention must be a list"),
        ("ncsnpp", {"dropout": 1.0}, "dropout"),
        ("small_unet", {"width": 0}, "^small_unet: width must be"),
        ("small_unet", {"widths": ()}, "widths"),
        ("small_unet", {"blocks": 0}, "blocks"),
        ("small_unet", {"dropout": -0.1}, "dropout"),
        ("small_unet", {"embedding_dims": 5}, "even"),
        ("small_unet", {"channels_per_head": 0}, "channels_per_head"),
        ("small_unet", {"attention": (-8,)}, "attention"),
        ("dit", {"depth": 0}, "^dit: depth must be"),
        ("dit", {"hidden_size": 18, "heads": 2}, "multiple of 4 .*, not 18"),
        ("dit", {"hidden_size": 16, "heads": 3}, r"multiple of 3 \(heads\), not 16"),
        ("dit", {"patch_size": 2.0}, "patch_size must be a whole number"),
        ("dit", {"dropout": 2}, "dropout"),
    ],
)
def test_settings_that_cannot_be(name: str, args: dict[str, Any], match: str) -> None:
    with pytest.raises(BenchError, match=match):
        networks.build(name, GREY, **args)


def test_inputs_that_cannot_be() -> None:
    net = networks.build("ddpmpp", replace(GREY, n_classes=2, vector_dim=3), **TINY)
    x, t = torch.randn(2, 1, 8, 8), torch.ones(2)
    with pytest.raises(ValueError, match="3 channels, the network was built for 1"):
        net(torch.randn(2, 3, 8, 8), t)
    with pytest.raises(ValueError, match=r"4 dimensions .*not shape \(2, 1, 8\)"):
        net(torch.randn(2, 1, 8), t)
    with pytest.raises(ValueError, match=r"multiples of 2.*not 8x7"):
        net(torch.randn(2, 1, 8, 7), t)
    with pytest.raises(ValueError, match="c_noise must have shape"):
        net(x, torch.ones(1))
    with pytest.raises(ValueError, match="cond must have shape"):
        net(x, t, torch.tensor([0]))
    with pytest.raises(ValueError, match=r"classes must be in 0\.\.1.*not 0\.\.2"):
        net(x, t, torch.tensor([0, 2]))
    with pytest.raises(ValueError, match=r"vector must have shape \(2, 3\).*not \(2, 2\)"):
        net(x, t, None, torch.ones(2, 2))
    plain = networks.build("ddpmpp", GREY, **TINY)
    with pytest.raises(ValueError, match="network without"):
        plain(x, t, torch.tensor([0, 1]))


def test_networks_start_silent() -> None:
    for name in UNETS:
        torch.manual_seed(0)
        bound = 1e-3 if name != "adm" else 0.0  # xavier weights times 1e-5; ADM exactly zero
        assert float(_run(name, 8, **TINY).abs().max()) <= bound
    assert float(_run("small_unet", 8, widths=(8, 8)).abs().max()) == 0.0
    assert float(_run("dit", 8, **TINY_DIT).abs().max()) == 0.0
