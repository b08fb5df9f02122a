"""Every backbone in the table, and a user's own from a file, passes the conformance checks.

And each check fails on a network that breaks its rule, so that passing means something.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import backbones
from backbones.backbone import Backbone
from backbones.conformance import CHECKS, RESOLUTION, ConformanceError, Make, check
from backbones.embeddings import Sinusoidal

SMALL: dict[str, dict[str, Any]] = {
    "small_unet": {"width": 8},
}
SMALL_UNET = {"width": 8, "multipliers": (1, 2), "blocks": 1, "attention": (8,)}

OWN = """
from dataclasses import dataclass
import torch
from torch import nn
from backbones.backbone import Backbone
from backbones.embeddings import Sinusoidal

@dataclass(frozen=True, kw_only=True)
class Args:
    width: int = 8

class Mine(Backbone):
    def __init__(self, args, **sizes):
        super().__init__(**sizes, c_noise_range=(0.0, 1.0))
        self.inside = nn.Conv2d(self.in_channels, args.width, 3, padding=1)
        self.noise = nn.Sequential(Sinusoidal(16), nn.Linear(16, args.width))
        self.classes = nn.Embedding(self.n_classes + 1, args.width) if self.n_classes else None
        self.outside = nn.Conv2d(args.width, self.out_channels, 3, padding=1)

    def forward(self, x, c_noise, cond=None):
        emb = self.noise(c_noise)
        if self.classes is not None:
            none = torch.full(c_noise.shape, -1, dtype=torch.int64)
            emb = emb + self.classes((none if cond is None else cond) + 1)
        return self.outside(torch.tanh(self.inside(x) + emb[:, :, None, None]))

def network(*, resolution, in_channels, out_channels, n_classes, args):
    return Mine(args, resolution=resolution, in_channels=in_channels,
                out_channels=out_channels, n_classes=n_classes)
"""


@pytest.mark.parametrize("rule", CHECKS)
@pytest.mark.parametrize("name", backbones.TABLE)
def test_every_backbone_of_the_table_conforms(name: str, rule: str) -> None:
    CHECKS[rule](partial(backbones.build, name, **SMALL.get(name, SMALL_UNET)), RESOLUTION)


def test_a_users_own_backbone_conforms_through_the_same_door(tmp_path: Path) -> None:
    path = tmp_path / "my_net.py"
    path.write_text(OWN)
    assert check(partial(backbones.build, f"{path}:network", width=12)) == []


class Breaker(Backbone):
    """A plain network that breaks one rule, named by `fault`."""

    def __init__(self, fault: str, **sizes: int) -> None:
        c_noise_range = (0.0, 1e-3) if fault == "noise_levels" else (0.0, 1.0)
        super().__init__(**sizes, c_noise_range=c_noise_range)
        self.fault = fault
        self.inside = nn.Conv2d(self.in_channels, 8, 3, padding=1)
        self.norm = nn.BatchNorm2d(8)
        self.classes = nn.Embedding(self.n_classes + 1, 8)
        self.waves = Sinusoidal(16)
        self.noise = nn.Linear(16, 8)
        self.outside = nn.Conv2d(8, self.out_channels, 3, padding=1)
        self.hidden: Tensor
        self.register_buffer("hidden", torch.randn(8, 1, 1), persistent=fault != "saving")
        if fault == "gradients":
            self.unused = nn.Linear(2, 2)
        if fault == "counting":
            self.extra = nn.Parameter(torch.ones(8, 1, 1))
        if fault == "seeding":
            generator = torch.Generator().manual_seed(torch.seed())
            nn.init.normal_(self.noise.weight, generator=generator)

    def forward(self, x: Tensor, c_noise: Tensor, cond: Tensor | None = None) -> Tensor:
        emb = self.noise(self.waves(c_noise))
        none = torch.full(c_noise.shape, -1, dtype=torch.int64, device=x.device)
        cond = none if cond is None or self.fault == "classes" else cond
        emb = emb + self.classes(cond + 1)
        h = torch.tanh(self.inside(x) + emb[:, :, None, None] + self.hidden)
        if self.fault == "image_by_image":
            h = F.batch_norm(h, None, None, training=True)
        if self.fault == "evaluation":
            h = F.dropout(h, 0.1, training=True)
        if self.fault == "counting":
            h = h * self.extra
        y: Tensor = self.outside(self.norm(h))
        return y[:, :1] if self.fault == "shapes" else y


def _maker(fault: str) -> Make:
    return partial(Breaker, fault)


@pytest.mark.parametrize("rule", CHECKS)
def test_a_check_fails_on_a_network_that_breaks_its_rule(rule: str) -> None:
    with pytest.raises(ConformanceError):
        CHECKS[rule](_maker(rule), RESOLUTION)


def test_the_breakers_break_nothing_else() -> None:
    # batch statistics in eval come from the norm's buffers, so the plain network is sound
    assert check(_maker("nothing")) == []
