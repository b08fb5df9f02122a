"""Every backbone in the table, and a network of volumes from a file, passes the conformance checks.

And each check fails on a network that breaks its rule, so that passing means something.
"""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import backbones
from backbones.backbone import Backbone
from backbones.conformance import CHECKS, ConformanceError, Make, Spatial, check, small_sizes
from backbones.embeddings import Sinusoidal
from backbones.inputs import Inputs
from bench import networks
from tests.fakes import volume_net

SMALL: Spatial = (16, 16)


def _make(name: str) -> Make:
    architecture = networks.load(name)
    args = architecture.Args(**architecture.SIZES["smoke"].arguments())
    return lambda inputs: architecture.build(inputs, args)


@pytest.mark.parametrize("rule", CHECKS)
@pytest.mark.parametrize("name", backbones.TABLE)
def test_every_backbone_of_the_table_conforms(name: str, rule: str) -> None:
    CHECKS[rule](_make(name), SMALL)


@pytest.mark.parametrize("name", backbones.TABLE)
def test_every_backbone_of_the_table_takes_classes_and_numbers(name: str) -> None:
    inputs = Inputs(spatial=SMALL, channels=1, out_channels=1, n_classes=2, vector_dim=2)
    _make(name)(inputs)  # what a network refuses, the checks pass over


def test_a_network_of_volumes_conforms_in_three_dimensions() -> None:
    def make(inputs: Inputs) -> Backbone:
        return volume_net.build(inputs, volume_net.Args())

    assert small_sizes(make) == [(8, 8, 8)]
    assert check(make) == len(CHECKS)


class Breaker(Backbone):
    """A plain network that breaks one rule, named by `fault`."""

    def __init__(self, fault: str, inputs: Inputs) -> None:
        c_noise_range = (0.0, 1e-3) if fault == "noise_levels" else (0.0, 1.0)
        super().__init__(inputs, c_noise_range=c_noise_range)
        self.fault = fault
        self.inside = nn.Conv2d(inputs.in_channels, 8, 3, padding=1)
        self.norm = nn.BatchNorm2d(8)
        self.classes = nn.Embedding(inputs.n_classes + 1, 8)
        self.numbers = nn.Linear(inputs.vector_dim, 8, bias=False) if inputs.vector_dim else None
        self.waves = Sinusoidal(16)
        self.noise = nn.Linear(16, 8)
        self.outside = nn.Conv2d(8, inputs.out_channels, 3, padding=1)
        self.hidden: Tensor
        self.register_buffer("hidden", torch.randn(8, 1, 1), persistent=fault != "saving")
        if fault == "gradients":
            self.unused = nn.Linear(2, 2)
        if fault == "totals":
            self.extra = nn.Parameter(torch.ones(8, 1, 1))
        if fault == "seeding":
            generator = torch.Generator().manual_seed(torch.seed())
            nn.init.normal_(self.noise.weight, generator=generator)

    def forward(
        self,
        x: Tensor,
        c_noise: Tensor,
        cond: Tensor | None = None,
        vector: Tensor | None = None,
    ) -> Tensor:
        emb = self.noise(self.waves(c_noise))
        none = torch.full(c_noise.shape, -1, dtype=torch.int64, device=x.device)
        cond = none if cond is None or self.fault == "classes" else cond
        emb = emb + self.classes(cond + 1)
        if self.numbers is not None and vector is not None and self.fault != "numbers":
            emb = emb + self.numbers(vector)
        h = torch.tanh(self.inside(x) + emb[:, :, None, None] + self.hidden)
        if self.fault == "image_by_image":
            h = F.batch_norm(h, None, None, training=True)
        if self.fault == "evaluation":
            h = F.dropout(h, 0.1, training=True)
        if self.fault == "totals":
            h = h * self.extra
        y: Tensor = self.outside(self.norm(h))
        if self.fault == "aspect":
            y = y[..., : min(x.shape[2:]), : min(x.shape[2:])]
        return y[:, :1] if self.fault == "shapes" else y


@pytest.mark.parametrize("rule", CHECKS)
def test_a_check_fails_on_a_network_that_breaks_its_rule(rule: str) -> None:
    with pytest.raises(ConformanceError):
        CHECKS[rule](partial(Breaker, rule), SMALL)
    with pytest.raises(ConformanceError, match=f"^{rule}"):
        check(partial(Breaker, rule))


def test_the_breakers_break_nothing_else() -> None:
    # batch statistics in eval come from the norm's buffers, so the plain network is sound
    assert check(partial(Breaker, "nothing")) == len(CHECKS)
