"""Finding and building networks: every setting, sizes that fit and do not, files from outside."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

import backbones

UNETS = ["adm", "ddpmpp", "ncsnpp"]
TINY: dict[str, Any] = {"width": 8, "multipliers": (1, 2), "blocks": 1, "attention": ()}
GREY = {"resolution": 8, "in_channels": 1, "out_channels": 1}


def _run(name: str, side: int, **options: Any) -> torch.Tensor:
    net = backbones.build(name, resolution=side, in_channels=1, out_channels=1, **options)
    with torch.no_grad():
        out: torch.Tensor = net(torch.randn(2, 1, side, side), torch.tensor([0.1, 0.9]))
    return out


@pytest.mark.parametrize("name", UNETS)
@pytest.mark.parametrize(
    "options",
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
def test_every_setting_builds_and_runs(name: str, options: dict[str, Any]) -> None:
    assert _run(name, 12, **{**TINY, **options}).shape == (2, 1, 12, 12)


@pytest.mark.parametrize(
    "options",
    [
        {"widths": (8, 12)},
        {"widths": [7, 5, 3]},
        {"width": 6, "blocks": 1},
        {"attention": (12, 6), "width": 8, "channels_per_head": 4},
        {"embedding_dims": 8, "width": 8},
    ],
)
def test_every_setting_of_the_small_unet(options: dict[str, Any]) -> None:
    side = 24 if "widths" not in options else 12
    assert _run("small_unet", side, **options).shape == (2, 1, side, side)


@pytest.mark.parametrize("name", [*UNETS, "small_unet"])
def test_a_resolution_the_levels_do_not_divide_is_refused_with_the_remedy(name: str) -> None:
    levels = {"widths": (8, 8, 8)} if name == "small_unet" else {**TINY, "multipliers": (1, 1, 1)}
    with pytest.raises(ValueError, match=r"multiple of 4, not 30; take 28 or 32"):
        backbones.build(name, resolution=30, in_channels=1, out_channels=1, **levels)
    with pytest.raises(ValueError, match=r"multiple of 4, not 2; take 4"):
        backbones.build(name, resolution=2, in_channels=1, out_channels=1, **levels)


def test_names_and_settings_that_do_not_exist_name_those_that_do() -> None:
    with pytest.raises(ValueError, match=r"unknown backbone 'ddpmp'; did you mean 'ddpmpp'\?"):
        backbones.load("ddpmp")
    with pytest.raises(ValueError, match=r"no setting 'widht'; did you mean 'width'\?.*dropout"):
        backbones.build("adm", **GREY, widht=3)
    with pytest.raises(ValueError, match="in_channels must be a whole number from 1 up, not 0"):
        backbones.build("adm", resolution=8, in_channels=0, out_channels=1)


@pytest.mark.parametrize(
    ("name", "args", "match"),
    [
        ("adm", {"width": 9}, "even"),
        ("adm", {"width": 2}, "width must be a whole number from 4 up, not 2"),
        ("adm", {"width": 16.0}, r"width must be a whole number from 4 up, not 16\.0"),
        ("adm", {"multipliers": ("1", 2)}, r"multipliers must be a whole number.*not '1'"),
        ("adm", {"channels_per_head": 0}, "channels_per_head"),
        ("ddpmpp", {"multipliers": ()}, "multipliers"),
        ("ddpmpp", {"multipliers": (1, 0)}, "multipliers"),
        ("ddpmpp", {"blocks": 0}, "blocks"),
        ("ddpmpp", {"attention": (0,)}, "attention"),
        ("ncsnpp", {"dropout": 1.0}, "dropout"),
        ("ncsnpp", {"augment_dim": -1}, "augment_dim"),
        ("small_unet", {"width": 0}, "^small_unet: width must be"),
        ("small_unet", {"widths": ()}, "widths"),
        ("small_unet", {"blocks": 0}, "blocks"),
        ("small_unet", {"dropout": -0.1}, "dropout"),
        ("small_unet", {"embedding_dims": 5}, "even"),
        ("small_unet", {"channels_per_head": 0}, "channels_per_head"),
        ("small_unet", {"attention": (-8,)}, "attention"),
    ],
)
def test_settings_that_cannot_be(name: str, args: dict[str, Any], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        backbones.build(name, **GREY, **args)


def test_inputs_that_cannot_be() -> None:
    net = backbones.build("ddpmpp", **GREY, n_classes=2, **TINY)
    x, t = torch.randn(2, 1, 8, 8), torch.ones(2)
    with pytest.raises(ValueError, match="3 channels, the network was built for 1"):
        net(torch.randn(2, 3, 8, 8), t)
    with pytest.raises(ValueError, match=r"multiples of 2.*not 8x7"):
        net(torch.randn(2, 1, 8, 7), t)
    with pytest.raises(ValueError, match="c_noise must have shape"):
        net(x, torch.ones(1))
    with pytest.raises(ValueError, match="cond must have shape"):
        net(x, t, torch.tensor([0]))
    with pytest.raises(ValueError, match=r"classes must be in 0\.\.1.*not 0\.\.2"):
        net(x, t, torch.tensor([0, 2]))
    plain = backbones.build("ddpmpp", **GREY, **TINY)
    with pytest.raises(ValueError, match="network without"):
        plain(x, t, torch.tensor([0, 1]))


def test_networks_start_silent() -> None:
    for name in UNETS:
        torch.manual_seed(0)
        bound = 1e-3 if name != "adm" else 0.0  # xavier weights times 1e-5; ADM exactly zero
        assert float(_run(name, 8, **TINY).abs().max()) <= bound
    assert float(_run("small_unet", 8, widths=(8, 8)).abs().max()) == 0.0


def test_files_from_outside_are_refused_with_the_reason(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no file .*missing\.py"):
        backbones.load(f"{tmp_path}/missing.py:build")
    (tmp_path / "broken.py").write_text("import nowhere_to_be_found")
    with pytest.raises(ValueError, match="fails to import: ModuleNotFoundError"):
        backbones.load(f"{tmp_path}/broken.py:build")
    (tmp_path / "empty.py").write_text("build = print")
    with pytest.raises(ValueError, match="has no Args"):
        backbones.load(f"{tmp_path}/empty.py:build")
    with pytest.raises(ValueError, match="has no make"):
        backbones.load(f"{tmp_path}/empty.py:make")
    (tmp_path / "other.py").write_text(
        "import dataclasses, torch\n"
        "Args = dataclasses.make_dataclass('Args', [])\n"
        "def build(**sizes): return torch.nn.Identity()\n"
    )
    with pytest.raises(ValueError, match="built a Identity, not a Backbone"):
        backbones.build(f"{tmp_path}/other.py:build", **GREY)


def test_importing_the_package_imports_no_torch() -> None:
    code = "import sys, backbones; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
