"""How a discriminator scales its input and its noise level."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from bench.diffusion import guidance
from bench.diffusion.noise_discriminator import Discriminator
from bench.diffusion.preconditioning.edm import EDM

SIGMA_DATA, LOW, HIGH = 0.4, 0.01, 25.0


class Linear(nn.Module):
    """The sum of a picture, times a weight; remembers what it was given."""

    c_noise_range = (0.0, 999.0)

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(3.0))

    def forward(self, x: Tensor, c_noise: Tensor) -> Tensor:
        self.given = (x.detach(), c_noise)
        return self.weight * x.flatten(1).sum(1)


def discriminator() -> Discriminator:
    made = Discriminator(Linear(), EDM(sigma_data=SIGMA_DATA, sigma_min=LOW, sigma_max=HIGH))
    return made.requires_grad_(False)


def test_pictures_and_noise_levels_are_scaled_as_edms() -> None:
    x = torch.ones(3, 1, 2, 2, dtype=torch.float64)
    sigma = torch.tensor([LOW, math.sqrt(LOW * HIGH), HIGH], dtype=torch.float64)
    made = discriminator()
    logits = made(x, sigma)
    scaled, c_noise = made.net.given  # type: ignore[misc]
    assert (scaled.dtype, c_noise.dtype, logits.shape) == (torch.float32, torch.float32, (3,))
    expected = [1 / math.hypot(s, SIGMA_DATA) for s in sigma.tolist()]
    assert scaled[:, 0, 0, 0].tolist() == pytest.approx(expected, rel=1e-6)  # float32
    assert c_noise.tolist() == pytest.approx([0.0, 499.5, 999.0], abs=1e-3)  # of ln(sigma) / 4


def test_it_guides_by_the_gradient_in_the_unscaled_state() -> None:
    """Of logit 3 c_in sum(x): D moves by w sigma^2 3 c_in in every pixel."""
    sigma, x = 2.0, torch.ones(2, 1, 2, 2, dtype=torch.float64)
    D = guidance.build("discriminator", weight=1.5).estimate(
        lambda x, sigma, cond: 0 * x,
        x,
        sigma,
        None,
        stage=1,
        others={"discriminator": discriminator()},
    )
    expected = torch.full_like(x, 1.5 * sigma**2 * 3 / math.hypot(sigma, SIGMA_DATA))
    torch.testing.assert_close(D, expected, rtol=1e-6, atol=0)  # the network's float32
    assert D.dtype == torch.float64
