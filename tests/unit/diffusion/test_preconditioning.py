"""Closed forms of the four schemes (Karras et al. 2022, Table 1), by hand and by slow loops."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest
import torch
from scipy import stats

from bench.diffusion.preconditioning import build
from bench.diffusion.preconditioning.edm import EDM
from bench.diffusion.preconditioning.iddpm import IDDPM
from bench.diffusion.preconditioning.vp import VP
from bench.errors import BenchError

SIGMAS = [0.005, 0.02, 0.3, 1.0, 7.5, 80.0]
REL = 1e-12  # float64 elementary functions

# c_skip, c_out, c_in, lambda written out for one sigma; c_noise below.
TABLE_1: dict[str, Callable[[float], tuple[float, ...]]] = {
    "vp": lambda s: (1, -s, 1 / math.sqrt(s**2 + 1), 1 / s**2),
    "ve": lambda s: (1, s, 1, 1 / s**2),
    "iddpm": lambda s: (1, -s, 1 / math.sqrt(s**2 + 1), 1 / s**2),
    "edm": lambda s: (
        0.25 / (s**2 + 0.25),
        s * 0.5 / math.sqrt(s**2 + 0.25),
        1 / math.sqrt(s**2 + 0.25),
        (s**2 + 0.25) / (s * 0.5) ** 2,
    ),
}


@pytest.mark.parametrize("sigma", SIGMAS)
@pytest.mark.parametrize("scheme", sorted(TABLE_1))
def test_coefficients_are_table_1(scheme: str, sigma: float) -> None:
    precond, at = build(scheme), torch.tensor([sigma], dtype=torch.float64)
    c_skip, c_out, c_in, _ = precond.coefficients(at)
    measured = [t.item() for t in (c_skip, c_out, c_in, precond.loss_weight(at))]
    assert measured == pytest.approx(TABLE_1[scheme](sigma), rel=REL)


@pytest.mark.parametrize("scheme", sorted(TABLE_1))
def test_loss_weight_gives_the_raw_network_unit_weight(scheme: str) -> None:
    precond, sigma = build(scheme, sigma_data=0.7), torch.tensor(SIGMAS, dtype=torch.float64)
    product = precond.loss_weight(sigma) * precond.coefficients(sigma).c_out ** 2
    assert product.tolist() == pytest.approx([1.0] * len(SIGMAS), rel=REL)


@pytest.mark.parametrize("scheme", ["vp", "ve"])
@pytest.mark.parametrize("sigma_data", [0.25, 0.5])
def test_the_weight_between_is_the_geometric_mean_of_the_authors_and_edms(
    scheme: str, sigma_data: float
) -> None:
    sigma = torch.tensor(SIGMAS, dtype=torch.float64)
    weight = build(scheme, sigma_data=sigma_data, weighting="between").loss_weight(sigma)
    authors = build(scheme, sigma_data=sigma_data).loss_weight(sigma)
    edm = build("edm", sigma_data=sigma_data).loss_weight(sigma)
    mean = (authors * edm).sqrt()
    assert weight.tolist() == pytest.approx(mean.tolist(), rel=REL)


@pytest.mark.parametrize("scheme", ["vp", "ve"])
def test_an_unknown_weighting_is_named(scheme: str) -> None:
    with pytest.raises(BenchError, match=r"'betwen'; did you mean 'between'\?"):
        build(scheme, weighting="betwen")


@pytest.mark.parametrize("sigma_data", [0.25, 0.5, 1.3])
def test_edm_has_unit_variance_of_input_and_target(sigma_data: float) -> None:
    # Var(c_in (y + n)) = c_in^2 (sd^2 + s^2); Var((y - c_skip x) / c_out) likewise, y and n apart.
    sigma = torch.tensor(SIGMAS, dtype=torch.float64)
    c = build("edm", sigma_data=sigma_data).coefficients(sigma)
    of_input = c.c_in**2 * (sigma_data**2 + sigma**2)
    of_target = ((1 - c.c_skip) ** 2 * sigma_data**2 + c.c_skip**2 * sigma**2) / c.c_out**2
    assert of_input.tolist() == pytest.approx([1.0] * len(SIGMAS), rel=REL)
    assert of_target.tolist() == pytest.approx([1.0] * len(SIGMAS), rel=1e-9)  # 1 - c_skip cancels


@pytest.mark.parametrize("sigma", [0.01, 0.5, 30.0])
def test_edm_unit_variance_holds_in_drawn_numbers(sigma: float) -> None:
    generator = torch.Generator().manual_seed(0)
    y, n = torch.randn(2, 100_000, generator=generator, dtype=torch.float64)
    y, n = 0.5 * y, sigma * n
    c = EDM().coefficients(torch.tensor(sigma, dtype=torch.float64))
    target = (y - c.c_skip * (y + n)) / c.c_out
    # Four standard deviations of a variance from 1e5 draws: 4 sqrt(2e-5) = 0.018.
    assert (c.c_in * (y + n)).var().item() == pytest.approx(1, abs=0.018)
    assert target.var().item() == pytest.approx(1, abs=0.018)


def test_c_noise_of_the_continuous_schemes() -> None:
    sigma = torch.tensor(SIGMAS, dtype=torch.float64)
    edm = build("edm").coefficients(sigma).c_noise
    ve = build("ve").coefficients(sigma).c_noise
    assert edm.tolist() == pytest.approx([math.log(s) / 4 for s in SIGMAS], rel=REL)
    assert ve.tolist() == pytest.approx([math.log(s / 2) for s in SIGMAS], rel=REL)


def test_vp_sigma_of_t_is_the_formula_and_its_inverse_goes_back() -> None:
    vp = VP()
    for at in (0.01, 0.1, 0.5, 1.0):
        slow = math.sqrt(math.exp(0.5 * 19.9 * at**2 + 0.1 * at) - 1)
        assert float(vp.sigma(at)) == pytest.approx(slow, rel=1e-12)
    t = np.geomspace(1e-7, 1, 300)
    back = vp.time(torch.from_numpy(vp.sigma(t))).numpy()
    np.testing.assert_allclose(back, t, rtol=1e-12)  # no cancellation at small t: float64
    sigma = torch.logspace(-3, 2, 200, dtype=torch.float64)
    np.testing.assert_allclose(vp.sigma(vp.time(sigma).numpy()), sigma.numpy(), rtol=1e-12)
    c_noise = vp.coefficients(torch.from_numpy(vp.sigma(t))).c_noise
    np.testing.assert_allclose(c_noise.numpy(), 999 * t, rtol=1e-12)
    assert vp.sigma_max == pytest.approx(152.167, abs=1e-3)  # sqrt(e^10.05 - 1)


def slow_levels(M: int, C1: float, C2: float) -> list[float]:
    def abar(j: int) -> float:
        return math.sin(math.pi / 2 * j / (M * (C2 + 1))) ** 2

    u = [0.0] * (M + 1)
    for j in range(M, 0, -1):
        u[j - 1] = math.sqrt((u[j] ** 2 + 1) / max(abar(j - 1) / abar(j), C1) - 1)
    return u[:M]


@pytest.mark.parametrize(("M", "C1", "C2"), [(1000, 0.001, 0.008), (50, 0.01, 0.02)])
def test_iddpm_levels_are_the_recursion(M: int, C1: float, C2: float) -> None:
    u = IDDPM(M=M, C1=C1, C2=C2, j_0=0).u
    # A slow loop accumulates M roundings, worst where u is small: u^2 = 4e-5 next to 1.
    np.testing.assert_allclose(u, slow_levels(M, C1, C2), rtol=1e-9)
    assert (np.diff(u) < 0).all()
    assert u[0] == u.max()


def test_iddpm_range_and_first_grid_level() -> None:
    precond = IDDPM()
    grid = precond.own_grid(18)
    assert (grid[0], grid[-1]) == (precond.u[8], precond.u[999])
    assert 80 < grid[0] < 81
    for n in (2, 18, 19, 992):  # 19 has exact halves
        slow = [math.floor(8 + Fraction(991 * i, n - 1) + Fraction(1, 2)) for i in range(n)]
        np.testing.assert_array_equal(precond.own_grid(n), precond.u[slow])
    assert precond.own_grid(1).tolist() == [precond.u[8]]


def test_iddpm_level_is_the_argmin() -> None:
    precond = IDDPM()
    sigma = np.concatenate([np.geomspace(1e-4, 1e5, 400), precond.u[::37]])
    slow = [min(range(1000), key=lambda j: abs(precond.u[j] - s)) for s in sigma]
    level = precond.level(torch.from_numpy(sigma))
    assert level.tolist() == slow
    assert precond.level(torch.from_numpy(sigma).view(-1, 2)).shape == (len(sigma) // 2, 2)
    np.testing.assert_array_equal(precond.round_sigma(sigma), precond.u[slow])
    c_noise = precond.coefficients(torch.from_numpy(sigma)).c_noise
    assert c_noise.tolist() == [999 - j for j in slow]


# Kolmogorov-Smirnov on 4000 uniforms of a fixed seed; a true law fails below 0.001 once in 1000.
U = np.random.default_rng(0).random(4000)


def test_training_noise_of_edm_is_log_normal() -> None:
    assert (
        stats.kstest(np.log(EDM().sigma_from_uniform(U)), stats.norm(-1.2, 1.2).cdf).pvalue > 1e-3
    )
    other = EDM(P_mean=-0.4, P_std=1.0)
    assert stats.kstest(np.log(other.sigma_from_uniform(U)), stats.norm(-0.4, 1).cdf).pvalue > 1e-3
    assert EDM().sigma_from_uniform(np.array([0.5]))[0] == pytest.approx(math.exp(-1.2), rel=REL)


def test_training_noise_of_ve_is_log_uniform() -> None:
    sigma = build("ve").sigma_from_uniform(U)
    law = stats.uniform(math.log(0.02), math.log(100 / 0.02)).cdf
    assert stats.kstest(np.log(sigma), law).pvalue > 1e-3


def test_training_noise_of_vp_is_uniform_in_time() -> None:
    vp = VP()
    t = vp.time(torch.from_numpy(vp.sigma_from_uniform(U))).numpy()
    assert stats.kstest(t, stats.uniform(1e-5, 1 - 1e-5).cdf).pvalue > 1e-3
    ends = VP(epsilon_t=0.01).sigma_from_uniform(np.array([0, 1 - 2.0**-53]))
    assert ends.tolist() == pytest.approx([VP().sigma(0.01), VP().sigma_max], rel=1e-12)


def test_training_noise_of_iddpm_is_every_level_alike() -> None:
    precond = IDDPM()
    cells = (np.arange(3000) + 0.5) / 3000  # three to a level
    values, counts = np.unique(precond.sigma_from_uniform(cells), return_counts=True)
    np.testing.assert_array_equal(values, precond.u[::-1])
    assert (counts == 3).all()


def test_rules_between_fields() -> None:
    with pytest.raises(BenchError, match="'edm': 0 < sigma_min < sigma_max"):
        EDM(sigma_min=90.0)
    with pytest.raises(BenchError, match="'edm': P_std=0 must be > 0"):
        EDM(P_std=0)
    with pytest.raises(BenchError, match=r"'ve': 0 < sigma_min < sigma_max"):
        build("ve", sigma_max=0.01)
    with pytest.raises(BenchError, match=r"'vp': epsilon_t=1\.5 must lie between 0 and 1"):
        VP(epsilon_t=1.5)
    with pytest.raises(BenchError, match=r"'iddpm': M=10\.5 must be whole"):
        build("iddpm", M=10.5)
    with pytest.raises(BenchError, match=r"995 steps asked, 992 levels"):
        IDDPM().own_grid(995)
