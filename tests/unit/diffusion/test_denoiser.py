"""The Denoiser: a perfect raw network in, the Gaussian posterior mean out, for every scheme."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from bench.conditions import Condition
from bench.diffusion.denoiser import Denoiser, loss
from bench.diffusion.gaussian import GaussianDenoiser
from bench.diffusion.grids import sigma_grid
from bench.diffusion.preconditioning import build
from bench.diffusion.preconditioning.iddpm import IDDPM
from bench.diffusion.sampling import sample
from bench.errors import BenchError

SHAPE = (2, 3, 4)  # C, H, W
RANGE = (-3.0, 11.0)
# c_noise -> sigma, solved by hand from Table 1, and the ends of c_noise.
SIGMA_OF: dict[str, tuple[Callable[[float], float], float, float]] = {
    "edm": (lambda c: math.exp(4 * c), math.log(0.002) / 4, math.log(80) / 4),
    "ve": (lambda c: 2 * math.exp(c), math.log(0.02 / 2), math.log(100 / 2)),
    "vp": (lambda c: math.sqrt(math.expm1(9.95 * (c / 999) ** 2 + 0.1 * c / 999)), 0.0, 999.0),
    "iddpm": (lambda c: float(IDDPM().u[999 - round(c)]), 0.0, 999.0),
}
SCHEMES = sorted(SIGMA_OF)


def gaussian() -> GaussianDenoiser:
    rng = np.random.default_rng(1)
    mixing = rng.standard_normal((24, 24)) / 10
    images = rng.standard_normal((500, 24)) @ mixing + 0.2
    return GaussianDenoiser.fit(images.reshape(500, *SHAPE), shrink=False)


def posterior(g: GaussianDenoiser, x: Tensor, sigma: Tensor) -> Tensor:
    """mu + Sigma (Sigma + sigma^2 I)^-1 (x - mu), by solving, one image at a time."""
    cov = g.basis @ torch.diag(g.eigenvalues) @ g.basis.T
    rows = [
        g.mean + cov @ torch.linalg.solve(cov + s**2 * torch.eye(24), row.flatten() - g.mean)
        for row, s in zip(x, sigma, strict=True)
    ]
    return torch.stack(rows).view(x.shape)


class Perfect(nn.Module):
    """F = (D*(x) - c_skip x) / c_out, seeing only c_in x and c_noise as the Denoiser hands them."""

    c_noise_range = RANGE

    def __init__(self, scheme: str, g: GaussianDenoiser) -> None:
        super().__init__()
        self.scheme, self.g = scheme, g
        self.register_buffer("in_float64", torch.zeros((), dtype=torch.float64))

    def forward(self, x_in: Tensor, c_noise: Tensor, classes: Tensor | None) -> Tensor:
        sigma_of, low, high = SIGMA_OF[self.scheme]
        raw = low + (c_noise - RANGE[0]) * (high - low) / (RANGE[1] - RANGE[0])
        sigma = torch.tensor([sigma_of(c) for c in raw.tolist()], dtype=torch.float64)
        s = sigma.view(-1, 1, 1, 1)
        forms: dict[str, tuple[Tensor, Tensor | float, Tensor]] = {
            "edm": ((s**2 + 0.25) ** -0.5, 0.25 / (s**2 + 0.25), 0.5 * s * (s**2 + 0.25) ** -0.5),
            "ve": (torch.ones_like(s), 1.0, s),
            "vp": ((s**2 + 1) ** -0.5, 1.0, -s),
            "iddpm": ((s**2 + 1) ** -0.5, 1.0, -s),
        }
        c_in, c_skip, c_out = forms[self.scheme]
        x = x_in / c_in
        return (posterior(self.g, x, sigma) - c_skip * x) / c_out


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_perfect_network_gives_the_posterior_mean(scheme: str) -> None:
    g, precond = gaussian(), build(scheme)
    denoiser = Denoiser(Perfect(scheme, g), precond)
    sigma = torch.from_numpy(sigma_grid(precond, 12))
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(12, *SHAPE, generator=generator, dtype=torch.float64)
    x = g.mean.view(SHAPE) + sigma.view(-1, 1, 1, 1) * noise
    D = denoiser(x, sigma)
    assert D.dtype == torch.float64
    # float64; c_noise -> sigma at sigma = 0.002 of VP amplifies rounding by range / slope: 1e5.
    assert torch.allclose(D, posterior(g, x, sigma), rtol=1e-8, atol=1e-8)
    assert torch.allclose(D, g(x, sigma), rtol=1e-8, atol=1e-8)
    assert torch.equal(denoiser(x[:1], float(sigma[0])), D[:1])


@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_loss_of_a_perfect_network_is_the_closed_form(scheme: str) -> None:
    g, precond = gaussian(), build(scheme, sigma_data=0.5)
    denoiser, n = Denoiser(Perfect(scheme, g), precond), 4000
    generator = torch.Generator().manual_seed(0)
    y = torch.randn(n, 24, generator=generator, dtype=torch.float64) * g.eigenvalues.sqrt()
    y = (g.mean + y @ g.basis.T).view(n, *SHAPE)
    noise = torch.randn(n, *SHAPE, generator=generator, dtype=torch.float64)
    s = float(precond.round_sigma(np.array(0.3)))
    terms = loss(denoiser, y, torch.full((n,), s, dtype=torch.float64), noise)
    expected = float(g.expected_error(s))
    # Four standard errors of a mean of 4000, estimated from the same draws.
    spread = 4 * float(terms.sq_error.std()) / math.sqrt(n)
    assert terms.sq_error.mean().item() == pytest.approx(expected, abs=spread)
    weight = (s**2 + 0.25) / (0.5 * s) ** 2 if scheme == "edm" else 1 / s**2
    assert torch.allclose(terms.weighted, weight * terms.sq_error, rtol=1e-12)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_samples_through_a_perfect_network_have_the_datas_covariance(scheme: str) -> None:
    g, precond = gaussian(), build(scheme)
    grid = sigma_grid(precond, 40)
    noise = torch.eye(24, dtype=torch.float64).view(24, *SHAPE)  # the flow is affine: its columns
    images = sample(Denoiser(Perfect(scheme, g), precond), noise, grid, sampler="heun").images
    zero = sample(Denoiser(Perfect(scheme, g), precond), noise[:1] * 0, grid, sampler="heun").images
    flow = (images - zero).flatten(1).T
    cov = g.basis @ torch.diag(g.eigenvalues) @ g.basis.T
    # Heun's relative error of x at 40 steps is 1 % (sampler_orders), of a covariance twice that.
    assert torch.linalg.matrix_norm(flow @ flow.T - cov) < 0.02 * torch.linalg.matrix_norm(cov)


class Probe(nn.Module):
    """Keeps what it was called with; answers with the state's channels."""

    c_noise_range = (0.0, 1.0)

    def __init__(self, dtype: torch.dtype = torch.float32, channels: int = 1) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones((), dtype=dtype))
        self.channels = channels
        self.calls: list[tuple[Tensor, ...]] = []

    def forward(self, *inputs: Tensor) -> Tensor:
        self.calls.append(inputs)
        return self.gain * inputs[0][:, : self.channels]


@pytest.mark.parametrize("net_dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("x_dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_dtypes(net_dtype: torch.dtype, x_dtype: torch.dtype) -> None:
    net = Probe(net_dtype)
    cond = Condition(images=torch.zeros(2, 1, 2, 2), vector=torch.zeros(2, 3))
    D = Denoiser(net, build("edm"))(torch.ones(2, 1, 2, 2, dtype=x_dtype), 1.0, cond)
    assert D.dtype == (torch.float64 if x_dtype == torch.float64 else torch.float32)
    [(inputs, c_noise, classes, vector)] = net.calls
    assert (inputs.dtype, c_noise.dtype, vector.dtype) == (net_dtype, torch.float32, net_dtype)
    assert classes is None


@pytest.mark.parametrize("spatial", [(4, 6), (2, 4, 3)])
def test_conditions_reach_the_network(spatial: tuple[int, ...]) -> None:
    """Images behind c_in x and not scaled by it; classes and vector beside c_noise."""
    net, precond = Probe(channels=2), build("edm")
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(3, 2, *spatial, generator=generator)
    cond = Condition(
        classes=torch.tensor([1, -1, 0]),
        images=torch.rand(3, 4, *spatial, generator=generator),
        vector=torch.rand(3, 5, generator=generator),
    )
    D = Denoiser(net, precond)(x, 7.0, cond)
    [(inputs, _, classes, vector)] = net.calls
    c_in = 1 / math.sqrt(7.0**2 + 0.5**2)
    torch.testing.assert_close(inputs[:, :2], c_in * x)
    assert torch.equal(inputs[:, 2:], cond.images)
    assert torch.equal(classes, cond.classes)
    assert torch.equal(vector, cond.vector)
    c_skip, c_out = 0.25 / (49 + 0.25), 7 * 0.5 * c_in
    torch.testing.assert_close(D, c_skip * x + c_out * c_in * x)


@pytest.mark.parametrize("cond", [None, Condition()])
def test_without_conditions_the_network_gets_three_arguments(cond: Condition | None) -> None:
    """A network that never heard of a vector goes on working, in the loss as well."""
    net = Probe()
    denoiser, y = Denoiser(net, build("vp")), torch.ones(2, 1, 2, 2)
    terms = loss(denoiser, y, torch.ones(2), y, cond)
    assert terms.weighted.shape == (2,)
    [(inputs, _, classes)] = net.calls
    assert inputs.shape == y.shape
    assert classes is None


def test_the_loss_passes_the_condition_on() -> None:
    net, y = Probe(), torch.ones(2, 1, 2, 2)
    loss(Denoiser(net, build("vp")), y, torch.ones(2), y, Condition(images=-y))
    assert torch.equal(net.calls[0][0][:, 1:], -y)


def test_conditions_of_other_cases_or_sizes_are_refused() -> None:
    denoiser, x = Denoiser(Probe(), build("edm")), torch.ones(2, 1, 4, 6)
    for name, part in (("classes", torch.tensor([1])), ("vector", torch.ones(3, 1))):
        with pytest.raises(BenchError, match=rf"{name} are of {len(part)} cases, the states of 2"):
            denoiser(x, 1.0, Condition(**{name: part}))
    with pytest.raises(BenchError, match="condition images are 6x4, the states 4x6"):
        denoiser(x, 1.0, Condition(images=torch.ones(2, 1, 6, 4)))


def test_a_network_without_a_range_is_refused() -> None:
    with pytest.raises(BenchError, match="Linear must declare c_noise_range"):
        Denoiser(nn.Linear(1, 1), build("edm"))
    net = Probe()
    net.c_noise_range = (1.0, 1.0)
    with pytest.raises(BenchError, match=r"got \(1\.0, 1\.0\)"):
        Denoiser(net, build("edm"))
