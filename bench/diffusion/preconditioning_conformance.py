"""What every preconditioning must show before it is used: the table's own and a user's alike.

Separation of noise levels (design, contract 2). Criterion: on sampling grids of 18 and 40 steps (or
as many as a scheme of few levels has), EDM's and the scheme's own, the embeddings of neighbouring
points differ by at least 1 % of their norm, more than twice the rounding of bfloat16 (2^-8), so
that no precision in use merges them. The embeddings here are written afresh from their papers.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import fields
from itertools import product
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from bench.diffusion.denoiser import Denoiser, loss
from bench.diffusion.grids import GRID_KINDS, sigma_grid
from bench.diffusion.preconditioning.scheme import Preconditioning
from bench.errors import BenchError
from bench.suite import require, run

MIN_SEPARATION = 0.01
CHANNELS = 64


def check(part: Any, name: str) -> int:
    """The number of checks that a Preconditioning class passed; BenchError naming the rule."""
    return run("preconditioning", name, part, CHECKS)


class Positional(nn.Module):
    """Vaswani et al. 2017: frequencies 1 .. 1/10000 for steps 0 .. 999."""

    c_noise_range = (0.0, 999.0)

    def embed(self, c: Tensor) -> Tensor:
        """c_noise [n] -> embeddings [n, CHANNELS]."""
        angles = c[:, None] * 10000.0 ** -torch.linspace(0, 1, CHANNELS // 2)
        return torch.cat([angles.cos(), angles.sin()], 1)


class Fourier(Positional):
    """Tancik et al. 2020: random frequencies of scale 16, for ln(sigma/2) of VE."""

    c_noise_range = (math.log(0.01), math.log(50))

    def embed(self, c: Tensor) -> Tensor:
        frequencies = 16 * torch.randn(CHANNELS // 2, generator=torch.Generator().manual_seed(0))
        angles = 2 * math.pi * c[:, None] * frequencies
        return torch.cat([angles.cos(), angles.sin()], 1)


class SinusoidalConcatenated(Positional):
    """1 to 1000 turns over a variance in [0, 1], as networks do that join it to the input."""

    c_noise_range = (0.0, 1.0)

    def embed(self, c: Tensor) -> Tensor:
        angles = 2 * math.pi * c[:, None] * 1000.0 ** torch.linspace(0, 1, CHANNELS // 2)
        return torch.cat([angles.sin(), angles.cos()], 1)


EMBEDDINGS: tuple[type[Positional], ...] = (Positional, Fourier, SinusoidalConcatenated)


def separation(rows: Tensor) -> float:
    """The smallest distance of neighbouring rows [n, d], relative to their RMS norm."""
    rows = rows.double()
    norm = (rows[1:].square().sum(1) + rows[:-1].square().sum(1)).div(2).sqrt()
    return float(((rows[1:] - rows[:-1]).norm(dim=1) / norm).min())


def steps_within(precond: Preconditioning, n: int, kind: str) -> int:
    """n, or the most steps below that a scheme of discrete levels has room for on this grid."""
    if precond.level_count is None:
        return n
    for steps in range(min(n, precond.level_count), 1, -1):
        try:
            sigma_grid(precond, steps, kind)
        except BenchError:
            continue
        return steps
    return 1


def is_a_preconditioning(part: Any) -> None:
    """A frozen dataclass and complete subclass of Preconditioning, with defaults, and a name."""
    require(
        isinstance(part, type) and issubclass(part, Preconditioning),
        "it must be a subclass of bench.diffusion.preconditioning.scheme.Preconditioning",
    )
    require("__dataclass_fields__" in vars(part), "it must be a frozen dataclass of its settings")
    part()
    require(bool(getattr(part, "name", "")), "it must declare `name`")


def refuses_bad_fields(scheme: type[Preconditioning]) -> None:
    """NaN in any field, and sigma_data = 0, are refused by the field's name."""
    bad = [(field.name, math.nan) for field in fields(scheme)] + [("sigma_data", 0.0)]
    for name, value in bad:
        try:
            scheme(**{name: value})
        except BenchError as error:
            require(f"{name}=" in str(error), f"the error for {name}={value} does not name it")
        else:
            raise BenchError(f"{name}={value} is accepted; call super().__post_init__()")


def has_coefficients(scheme: type[Preconditioning]) -> None:
    """Coefficients and loss weight keep shape and dtype; finite; c_in and the weight positive."""
    precond = scheme()
    for dtype in (torch.float32, torch.float64):
        sigma = _grid(precond, 12, "own").to(dtype)
        sigma = sigma[torch.arange(12) % len(sigma)].view(3, 4)
        coefficients = precond.coefficients(sigma)
        values = {**coefficients._asdict(), "loss_weight": precond.loss_weight(sigma)}
        for name, value in values.items():
            require(
                value.shape == sigma.shape and value.dtype == dtype,
                f"{name} of sigma [3, 4] {dtype} is {list(value.shape)} {value.dtype}",
            )
            require(bool(value.isfinite().all()), f"{name} is not finite on the own grid")
        for name in ("c_in", "loss_weight"):
            require(bool((values[name] > 0).all()), f"{name} must be > 0")


def c_noise_fills_its_range(scheme: type[Preconditioning]) -> None:
    """c_noise rises with sigma, from one end of c_noise_range to the other."""
    precond = scheme()
    low, high = precond.c_noise_range()
    ends = torch.tensor([precond.sigma_min, precond.sigma_max], dtype=torch.float64)
    at_ends = precond.coefficients(ends).c_noise.tolist()
    slack = 1e-4 * (high - low)  # VP counts its time from 0, that much below epsilon_t
    require(
        abs(at_ends[0] - low) <= slack and abs(at_ends[1] - high) <= slack,
        f"c_noise is {at_ends} at sigma_min and sigma_max, c_noise_range says {(low, high)}",
    )
    rising = precond.coefficients(_grid(precond, 40, "own").flip(0)).c_noise.diff()
    require(bool((rising > 0).all()), "c_noise must rise with sigma on the own grid")


def training_noise_is_an_inverse_cdf(scheme: type[Preconditioning]) -> None:
    """sigma_from_uniform is finite, positive, never falling, on levels the scheme knows."""
    precond = scheme()
    u = np.array([0.0, 2.0**-53, 1e-9, *np.linspace(0.001, 0.999, 500), 1 - 2.0**-53])
    sigma = precond.sigma_from_uniform(u)
    require(sigma.dtype == np.float64, f"sigma_from_uniform gives {sigma.dtype}, not float64")
    require(
        bool(np.isfinite(sigma).all() and (sigma > 0).all()),
        "sigma_from_uniform must be finite and > 0 on [0, 1)",
    )
    require(bool((np.diff(sigma) >= 0).all()), "sigma_from_uniform must not fall with u")
    require(
        np.array_equal(precond.round_sigma(sigma), sigma),
        "it trains on sigmas that round_sigma does not keep",
    )


def grids_descend_in_range(scheme: type[Preconditioning]) -> None:
    """Both grids of 1, 2, 18 and 40 steps: float64, falling, within [sigma_min, sigma_max]."""
    precond, slack = scheme(), 1e-12  # float64 powers
    for kind, n in product(GRID_KINDS, (1, 2, 18, 40)):
        n = steps_within(precond, n, kind)
        grid, where = sigma_grid(precond, n, kind), f"the {kind} grid of {n} steps"
        require(grid.dtype == np.float64, f"{where} is {grid.dtype}, not float64")
        require(grid.shape == (n,), f"{where} has shape {grid.shape}")
        require(bool((np.diff(grid) < 0).all()), f"{where} does not descend")
        require(
            precond.sigma_min * (1 - slack) <= grid.min()
            and grid.max() <= precond.sigma_max * (1 + slack),
            f"{where} leaves [{precond.sigma_min:g}, {precond.sigma_max:g}]",
        )
        require(np.array_equal(precond.round_sigma(grid), grid), f"{where} is between levels")


def own_process_is_one(scheme: type[Preconditioning]) -> None:
    """time is the inverse of sigma(t); the slopes are the derivatives; it ends unscaled at 0."""
    precond = scheme()
    process = precond.own_process()
    origin = process.time(0.0)
    require(
        process.sigma(origin) == 0 and process.scale(origin) == 1,
        "own_process must have sigma = 0 and s = 1 at t(0)",
    )
    for sigma in _grid(precond, 12, "own").tolist():
        t = process.time(sigma)
        back = process.sigma(t)
        require(abs(back / sigma - 1) < 1e-9, f"own_process: sigma(time({sigma:g})) is {back:.12g}")
        h = 1e-5 * t  # central differences: relative error about 1e-10, and rounding about 1e-10
        for name, function, derivative in (
            ("sigma", process.sigma, process.sigma_slope),
            ("scale", process.scale, process.scale_slope),
        ):
            numeric = (function(t + h) - function(t - h)) / (2 * h)
            size = max(abs(numeric), 1e-3 * function(t) / t)
            require(
                abs(derivative(t) - numeric) < 1e-5 * size,
                f"own_process: {name}_slope({t:g}) is {derivative(t):g}, not {numeric:g}",
            )


def separates_neighbouring_levels(scheme: type[Preconditioning]) -> None:
    """With every embedding, through the Denoiser's mapping, and inside the embedding's range."""
    precond = scheme()
    for make, n, kind in product(EMBEDDINGS, (18, 40), GRID_KINDS):
        net = make()
        c_noise = Denoiser(net, precond).network_c_noise(_grid(precond, n, kind)).float()
        gap, where = separation(net.embed(c_noise)), f"{make.__name__}, {kind} grid of {n} steps"
        require(
            gap >= MIN_SEPARATION,
            f"neighbouring noise levels differ by {gap:.1e} of their embedding ({where})",
        )
        low, high = net.c_noise_range
        slack = 1e-6 * (high - low)  # float32
        require(
            bool(low - slack <= c_noise.min() <= c_noise.max() <= high + slack),
            f"c_noise leaves the embedding's range ({where})",
        )


def trains_in_2d_and_3d(scheme: type[Preconditioning]) -> None:
    """The loss is finite, one number per sample, and passes gradients to the network."""
    precond = scheme()
    for spatial in ((4, 6), (2, 4, 3)):
        generator = torch.Generator().manual_seed(0)
        images, noise = torch.randn(2, 5, 1, *spatial, generator=generator)
        sigma = torch.from_numpy(precond.sigma_from_uniform(np.linspace(0.01, 0.99, 5)))
        denoiser = Denoiser(_Gain(), precond)
        terms = loss(denoiser, images, sigma, noise)
        for name, value in (("weighted", terms.weighted), ("sq_error", terms.sq_error)):
            require(
                value.shape == (5,) and value.dtype == torch.float32,
                f"{name} loss of 5 samples is {list(value.shape)} {value.dtype}",
            )
            require(bool(value.isfinite().all()), f"{name} loss is not finite")
        terms.weighted.mean().backward()
        gradient = denoiser.net.gain.grad
        require(gradient is not None and bool(gradient != 0), "the network gets no gradient")


CHECKS: dict[str, Callable[[Any], None]] = {
    "is a preconditioning": is_a_preconditioning,
    "refuses bad fields": refuses_bad_fields,
    "has coefficients": has_coefficients,
    "c_noise fills its range": c_noise_fills_its_range,
    "training noise is an inverse CDF": training_noise_is_an_inverse_cdf,
    "grids descend in range": grids_descend_in_range,
    "own process is one": own_process_is_one,
    "separates neighbouring levels": separates_neighbouring_levels,
    "trains in 2D and 3D": trains_in_2d_and_3d,
}


class _Gain(nn.Module):
    """A network of one weight that sees its noise level."""

    c_noise_range = (0.0, 1.0)

    def __init__(self) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(()))

    def forward(self, x: Tensor, c_noise: Tensor, classes: Tensor | None) -> Tensor:
        return self.gain * x + c_noise.view(-1, *(1,) * (x.ndim - 1))


def _grid(precond: Preconditioning, n: int, kind: str) -> Tensor:
    return torch.from_numpy(sigma_grid(precond, steps_within(precond, n, kind), kind))
