"""Every preconditioning in the table keeps the contract of its base, with any noise embedding.

Separation of noise levels (design, contract 2). Criterion: on sampling grids of 18 and 40 steps,
EDM's and the scheme's own, the embeddings of neighbouring points differ by at least 1 % of their
norm, more than twice the rounding of bfloat16 (2^-8), so that no precision in use merges them.
Embeddings here are written afresh from their papers; the real backbones are held to the
same 1 % in their output.
"""

from __future__ import annotations

import math
from dataclasses import fields
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import backbones
from bench.diffusion import preconditioning
from bench.diffusion.denoiser import Denoiser, loss
from bench.diffusion.grids import GRID_KINDS, sigma_grid
from bench.errors import BenchError

SCHEMES = sorted(preconditioning.TABLE)
MIN_SEPARATION = 0.01
CHANNELS = 64
SMALL = {"width": 32, "multipliers": (1, 1), "blocks": 1}  # of those an architecture knows


class Positional(nn.Module):
    """Vaswani et al. 2017: frequencies 1 .. 1/10000 for steps 0 .. 999."""

    c_noise_range = (0.0, 999.0)

    def embed(self, c: Tensor) -> Tensor:
        angles = c[:, None] * 10000.0 ** -torch.linspace(0, 1, CHANNELS // 2)
        return torch.cat([angles.cos(), angles.sin()], 1)

    def forward(self, x: Tensor, c_noise: Tensor, cond: Tensor | None) -> Tensor:
        return x * self.embed(c_noise).sum(1)[:, None, None, None]


class Fourier(Positional):
    """Tancik et al. 2020: random frequencies of scale 16, for ln(sigma/2) of VE."""

    c_noise_range = (math.log(0.01), math.log(50))

    def embed(self, c: Tensor) -> Tensor:
        frequencies = 16 * torch.randn(CHANNELS // 2, generator=torch.Generator().manual_seed(0))
        angles = 2 * math.pi * c[:, None] * frequencies
        return torch.cat([angles.cos(), angles.sin()], 1)


class SinusoidalConcatenated(Positional):
    """seeds/birds_ddpm.txt: 1 to 1000 turns over a variance in [0, 1], joined to the input."""

    c_noise_range = (0.0, 1.0)

    def embed(self, c: Tensor) -> Tensor:
        angles = 2 * math.pi * c[:, None] * 1000.0 ** torch.linspace(0, 1, CHANNELS // 2)
        return torch.cat([angles.sin(), angles.cos()], 1)

    def forward(self, x: Tensor, c_noise: Tensor, cond: Tensor | None) -> Tensor:
        maps = self.embed(c_noise)[:, :, None, None].expand(-1, -1, *x.shape[2:])
        return x * torch.cat([x, maps], 1).sum(1, keepdim=True)


def separation(rows: Tensor) -> float:
    """The smallest distance of neighbouring rows [n, d], relative to their RMS norm."""
    rows = rows.double()
    norm = (rows[1:].square().sum(1) + rows[:-1].square().sum(1)).div(2).sqrt()
    return float(((rows[1:] - rows[:-1]).norm(dim=1) / norm).min())


def grid_of(scheme: str, n: int, kind: str) -> Tensor:
    return torch.from_numpy(sigma_grid(preconditioning.build(scheme), n, kind))


@pytest.mark.parametrize("kind", GRID_KINDS)
@pytest.mark.parametrize("n", [18, 40])
@pytest.mark.parametrize("network", [Positional, Fourier, SinusoidalConcatenated])
@pytest.mark.parametrize("scheme", SCHEMES)
def test_every_pairing_separates_neighbouring_levels(
    scheme: str, network: type[Positional], n: int, kind: str
) -> None:
    net = network()
    denoiser = Denoiser(net, preconditioning.build(scheme))
    c_noise = denoiser.network_c_noise(grid_of(scheme, n, kind)).float()
    assert separation(net.embed(c_noise)) >= MIN_SEPARATION
    low, high = net.c_noise_range
    slack = 1e-6 * (high - low)  # float32
    assert low - slack <= c_noise.min() <= c_noise.max() <= high + slack


def test_without_the_mapping_edm_levels_are_not_separated_by_time_steps() -> None:
    c_noise = grid_of("edm", 40, "edm").log() / 4
    assert separation(Positional().embed(c_noise.float())) < MIN_SEPARATION


@pytest.mark.parametrize("kind", GRID_KINDS)
@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("architecture", sorted(backbones.TABLE))
def test_every_backbone_tells_neighbouring_levels_apart(
    architecture: str, scheme: str, kind: str
) -> None:
    torch.manual_seed(0)
    known = {field.name for field in fields(backbones.load(architecture).Args)}
    args: dict[str, Any] = {key: value for key, value in SMALL.items() if key in known}
    net = backbones.build(architecture, resolution=8, in_channels=1, out_channels=1, **args)
    for p in net.parameters():  # layers that start near zero would hide the noise level
        if p.ndim > 1:
            nn.init.normal_(p, std=p[0].numel() ** -0.5)
    denoiser = Denoiser(net.eval(), preconditioning.build(scheme))
    c_noise = denoiser.network_c_noise(grid_of(scheme, 18, kind)).float()
    image = torch.randn(1, 1, 8, 8).expand(len(c_noise), -1, -1, -1)
    with torch.no_grad():
        out = net(image, c_noise, None)
    assert separation(out.flatten(1)) >= MIN_SEPARATION


@pytest.mark.parametrize("scheme", SCHEMES)
def test_coefficients_keep_shape_dtype_and_sign(scheme: str) -> None:
    precond = preconditioning.build(scheme)
    for dtype in (torch.float32, torch.float64):
        sigma = grid_of(scheme, 12, "own").to(dtype).view(3, 4)
        values = (*precond.coefficients(sigma), precond.loss_weight(sigma))
        for value in values:
            assert value.shape == sigma.shape
            assert value.dtype == dtype
            assert value.isfinite().all()
        assert (precond.loss_weight(sigma) > 0).all()
        assert (precond.coefficients(sigma).c_in > 0).all()


@pytest.mark.parametrize("scheme", SCHEMES)
def test_c_noise_rises_with_sigma_and_fills_its_range(scheme: str) -> None:
    precond = preconditioning.build(scheme)
    ends = torch.tensor([precond.sigma_min, precond.sigma_max], dtype=torch.float64)
    low, high = precond.c_noise_range()
    c_noise = precond.coefficients(ends).c_noise
    # VP counts its time from 0, one ten-thousandth of the range below epsilon_t.
    assert c_noise.tolist() == pytest.approx([low, high], abs=1e-4 * (high - low))
    middle = precond.coefficients(grid_of(scheme, 40, "own").flip(0)).c_noise
    assert (middle.diff() > 0).all()


@pytest.mark.parametrize("scheme", SCHEMES)
def test_training_noise_is_a_finite_inverse_cdf(scheme: str) -> None:
    precond = preconditioning.build(scheme)
    u = np.array([0.0, 2.0**-53, 1e-9, *np.linspace(0.001, 0.999, 500), 1 - 2.0**-53])
    sigma = precond.sigma_from_uniform(u)
    assert sigma.dtype == np.float64
    assert np.isfinite(sigma).all()
    assert (sigma > 0).all()
    assert (np.diff(sigma) >= 0).all()
    assert np.array_equal(precond.round_sigma(sigma), sigma)


@pytest.mark.parametrize("kind", GRID_KINDS)
@pytest.mark.parametrize("n", [1, 2, 18, 40])
@pytest.mark.parametrize("scheme", SCHEMES)
def test_grids_descend_within_the_schemes_range(scheme: str, n: int, kind: str) -> None:
    precond = preconditioning.build(scheme)
    grid = sigma_grid(precond, n, kind)
    assert grid.dtype == np.float64
    assert grid.shape == (n,)
    assert (np.diff(grid) < 0).all()
    slack = 1e-12  # float64 powers
    assert precond.sigma_min * (1 - slack) <= grid.min()
    assert grid.max() <= precond.sigma_max * (1 + slack)
    assert np.array_equal(precond.round_sigma(grid), grid)


@pytest.mark.parametrize("spatial", [(4, 4), (2, 4, 4)])
@pytest.mark.parametrize("scheme", SCHEMES)
def test_denoiser_and_loss_are_finite_in_2d_and_3d_and_pass_gradients(
    scheme: str, spatial: tuple[int, ...]
) -> None:
    class Net(nn.Module):
        c_noise_range = (0.0, 1.0)

        def __init__(self) -> None:
            super().__init__()
            self.gain = nn.Parameter(torch.ones(()))

        def forward(self, x: Tensor, c_noise: Tensor, cond: Tensor | None) -> Tensor:
            return self.gain * x + c_noise.view(-1, *(1,) * (x.ndim - 1))

    precond = preconditioning.build(scheme)
    denoiser = Denoiser(Net(), precond)
    images, noise = torch.randn(2, 5, 1, *spatial, generator=torch.Generator().manual_seed(0))
    sigma = torch.from_numpy(precond.sigma_from_uniform(np.linspace(0.01, 0.99, 5)))
    terms = loss(denoiser, images, sigma, noise)
    assert terms.weighted.shape == terms.sq_error.shape == (5,)
    assert terms.weighted.dtype == terms.sq_error.dtype == torch.float32
    assert terms.weighted.isfinite().all()
    terms.weighted.mean().backward()
    gradient = denoiser.net.gain.grad
    assert gradient is not None
    assert gradient != 0


@pytest.mark.parametrize("scheme", SCHEMES)
def test_bad_fields_are_named(scheme: str) -> None:
    with pytest.raises(BenchError, match=r"did you mean 'sigma_data'\?"):
        preconditioning.build(scheme, sigma_dat=0.5)
    for field in fields(preconditioning.load(scheme)):
        with pytest.raises(BenchError, match=f"{scheme}.*{field.name}=.*must be finite"):
            preconditioning.build(scheme, **{field.name: math.nan})
        with pytest.raises(BenchError, match=scheme):
            preconditioning.build(scheme, **{field.name: "much"})
    with pytest.raises(BenchError, match=r"sigma_data=0\.0 must be > 0"):
        preconditioning.build(scheme, sigma_data=0.0)


def test_unknown_preconditioning_names_the_nearest() -> None:
    with pytest.raises(BenchError, match=r"unknown preconditioning 'emd'; did you mean 'edm'\?"):
        preconditioning.build("emd")
