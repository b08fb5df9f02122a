"""Images that are not square: a turned image gives the turned output, attention at the right level.

Oracle: convolutions, norms, resampling and attention all commute with swapping height and width,
once every kernel is swapped, too.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch

from backbones.counting import blocks
from backbones.inputs import Inputs
from bench import networks

SMALL: dict[str, Any] = {"width": 8, "multipliers": (1, 2), "blocks": 1, "attention": (24,)}
SMALL_UNET: dict[str, Any] = {"width": 4, "blocks": 1, "attention": (24,)}
ARGS = {"adm": SMALL, "ddpmpp": SMALL, "ncsnpp": SMALL, "small_unet": SMALL_UNET}


def _inputs(*spatial: int) -> Inputs:
    return Inputs(spatial=spatial, channels=2, out_channels=1, n_classes=3, vector_dim=2)


@pytest.mark.parametrize("name", ARGS)
@torch.no_grad()
def test_a_turned_image_gives_the_turned_output(name: str) -> None:
    torch.manual_seed(0)
    wide = networks.build(name, _inputs(24, 40), **ARGS[name]).double().eval()
    tall = networks.build(name, _inputs(40, 24), **ARGS[name]).double().eval()
    for parameter in wide.parameters():
        parameter.add_(0.1 * torch.randn_like(parameter))
    state = wide.state_dict()
    tall.load_state_dict({k: v.transpose(2, 3) if v.dim() == 4 else v for k, v in state.items()})
    x = torch.randn(2, 2, 24, 40, dtype=torch.float64)
    more = (torch.tensor([0.2, 0.9]), torch.tensor([1, -1]), torch.randn(2, 2))
    out = wide(x, *more)
    assert out.shape == (2, 1, 24, 40)
    torch.testing.assert_close(tall(x.transpose(2, 3), *more), out.transpose(2, 3))


@pytest.mark.parametrize("name", ARGS)
def test_attention_goes_by_the_smaller_side(name: str) -> None:
    for spatial in ((24, 40), (40, 24)):
        listed = blocks(networks.build(name, _inputs(*spatial), **ARGS[name]))
        assert spatial in {b.spatial for b in listed if b.attention}
        other = networks.build(name, _inputs(*spatial), **{**ARGS[name], "attention": (40,)})
        assert spatial not in {b.spatial for b in blocks(other) if b.attention}
