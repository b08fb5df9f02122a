"""The sizes that stand beside each architecture: every scale, every width, in order of size."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

import backbones
from backbones.counting import parameters
from backbones.inputs import Inputs
from backbones.sizes import Size
from bench import networks

SIDES = {"smoke": 16, "laptop": 32, "gpu": 64, "paper": 64}


@pytest.mark.parametrize("scale", SIDES)
@pytest.mark.parametrize("name", backbones.TABLE)
def test_every_size_can_be_built_and_wider_ones_are_larger(name: str, scale: str) -> None:
    size = networks.load(name).SIZES[scale]
    inputs = Inputs(spatial=(SIDES[scale],) * 2, channels=1, out_channels=1)
    assert list(size.widths) == ["narrow", "default", "wide"]
    with torch.device("meta"):
        counts = [
            parameters(networks.build(name, inputs, **size.arguments(width)))
            for width in size.widths
        ]
    assert counts[0] < counts[1] < counts[2]
    assert all(0 < lr < 0.01 for lr in size.lr.values())
    assert size.learning_rate("edm", 9.0) == size.lr["edm"]
    assert size.learning_rate("a new scheme", 9.0) == size.lr["default"]


@pytest.mark.parametrize("name", ["adm", "ddpmpp", "ncsnpp"])
def test_the_papers_default_is_the_authors_network_at_64_pixels(name: str) -> None:
    inputs = Inputs(spatial=(64, 64), channels=1, out_channels=1)
    # ADM's defaults are for 64 pixels; the others have four levels there in place of three
    levels = {} if name == "adm" else {"multipliers": (1, 2, 2, 2)}
    with torch.device("meta"):
        net = networks.build(name, inputs, **networks.load(name).SIZES["paper"].arguments())
        authors = networks.build(name, inputs, **levels)
    assert parameters(net) == parameters(authors)


def test_arguments_are_the_shared_ones_and_the_widths() -> None:
    widths = {"default": {"width": 8}, "wide": {"width": 9, "heads": 3}}
    size = Size(args={"heads": 1, "depth": 2}, widths=widths, lr={})
    assert size.arguments() == {"heads": 1, "depth": 2, "width": 8}
    assert size.arguments("wide") == {"heads": 3, "depth": 2, "width": 9}
    with pytest.raises(ValueError, match="needs a width 'default', it has wide"):
        Size(args={}, widths={"wide": {}}, lr={})


def test_names_inputs_and_sizes_are_read_without_torch() -> None:
    modules = "backbones, backbones.inputs, backbones.sizes, bench.networks"
    code = f"import sys, {modules}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
