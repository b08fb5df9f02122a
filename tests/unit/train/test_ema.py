"""Averages of weights against slow loops over all weights there ever were, and closed forms."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.optimize import brentq
from torch import nn

from bench.train.ema import Averages, gamma_of
from bench.train.flat import FlatParameters


class Path1(nn.Module):
    """One weight that is set from outside."""

    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.tensor([0.0]))


def follow(path: np.ndarray, step: int, short_nimg: int = 8) -> dict[str, float]:
    """The averages after weights have gone through `path`, one value a step of `step` images."""
    net = Path1()
    averages = Averages(net, FlatParameters(net), (0.05, 0.10), short_nimg)
    for i, value in enumerate(path, 1):
        with torch.no_grad():
            net.w.fill_(float(value))
        averages.update(i * step, step)
    return {key: averages.named(key)["w"].item() for key in averages.weights}


@pytest.mark.parametrize("sigma_rel", [0.02, 0.05, 0.10, 0.15, 0.25])
def test_gamma_is_the_root_of_equation_126(sigma_rel: float) -> None:
    def excess(gamma: float) -> float:
        return (gamma + 1) ** 0.5 / ((gamma + 2) * (gamma + 3) ** 0.5) - sigma_rel

    assert gamma_of(sigma_rel) == pytest.approx(brentq(excess, 0, 1e4, xtol=1e-12), rel=1e-9)


@pytest.mark.parametrize(("sigma_rel", "gamma"), [(0.05, 16.97), (0.10, 6.94)])
def test_gamma_of_the_paper(sigma_rel: float, gamma: float) -> None:
    assert gamma_of(sigma_rel) == pytest.approx(gamma, abs=0.005)  # as printed in section 3.1


@pytest.mark.parametrize("sigma_rel", [0.05, 0.10, 0.2])
def test_gamma_gives_that_width(sigma_rel: float) -> None:
    """The standard deviation of a density proportional to s^gamma on [0, 1] is sigma_rel."""
    s = np.linspace(0, 1, 200_001)
    weight = s ** gamma_of(sigma_rel)
    weight /= weight.sum()
    mean = weight @ s
    # 2e5 rectangles of a smooth integrand: about 1e-5
    assert np.sqrt(weight @ (s - mean) ** 2) == pytest.approx(sigma_rel, rel=1e-4)


@pytest.mark.parametrize("step", [1, 4, 32])
def test_power_average_is_the_weighted_sum(step: int) -> None:
    """Slow loop over all stored weights: value i counts prod of beta after it, times (1 - beta)."""
    path = np.random.default_rng(0).standard_normal(60)
    averages = follow(path, step)
    for key, sigma_rel in (("power0.05", 0.05), ("power0.1", 0.10)):
        gamma = gamma_of(sigma_rel)
        t = np.arange(1, 61) * step
        # telescoping: the product of ((t-d) / t)^(gamma+1) over later steps is (t_i / T)^(gamma+1)
        share = (t / t[-1]) ** (gamma + 1) - ((t - step) / t[-1]) ** (gamma + 1)
        assert share.sum() == pytest.approx(1.0)
        # float32 averages of values of order 1, 60 roundings
        assert averages[key] == pytest.approx(share @ path, abs=5e-6)


def test_power_average_nears_the_integral() -> None:
    """For weights w(t) = t/T the integral of s^gamma w / that of s^gamma is (g+1)/(g+2)."""
    steps = 4000
    averages = follow(np.arange(1, steps + 1) / steps, 16)
    for key, sigma_rel in (("power0.05", 0.05), ("power0.1", 0.10)):
        gamma = gamma_of(sigma_rel)
        # steps of 1/4000 make the sum right to 1/8000; float32 adds less
        assert averages[key] == pytest.approx((gamma + 1) / (gamma + 2), abs=2e-4)


def test_there_is_one_average_a_width_and_a_short_one() -> None:
    net = Path1()
    averages = Averages(net, FlatParameters(net), (0.05, 0.10), 8)
    assert list(averages.weights) == ["power0.05", "power0.1", "short"]


@pytest.mark.parametrize(("step", "half_life"), [(1, 8), (4, 32), (16, 64)])
def test_short_average_halves(step: int, half_life: int) -> None:
    """After a jump from 0 to 1, half of the way is gone one half-life later, 3/4 after two."""
    before, one = np.zeros(200), half_life // step
    for lives, part in ((1, 0.5), (2, 0.75)):
        path = np.concatenate([before, np.ones(lives * one)])
        assert follow(path, step, half_life)["short"] == pytest.approx(part, abs=1e-5)


def test_early_averages_have_forgotten_the_initialisation() -> None:
    """Initial weights are no part of an average, however long: the first step replaces them."""
    averages = follow(np.array([5.0]), 8, short_nimg=10**6)
    assert set(averages.values()) == {5.0}
    # and the short one is a plain mean while the run is shorter than itself
    averages = follow(np.array([1.0, 2.0, 6.0]), 8, short_nimg=10**6)
    assert averages["short"] == pytest.approx(3.0, abs=1e-6)


def test_averages_own_their_tensors_and_copy_out() -> None:
    net = Path1()
    averages = Averages(net, FlatParameters(net), (0.1,), 8)
    with torch.no_grad():
        net.w.fill_(3.0)
    assert averages.named("short")["w"].item() == 0.0
    averages.update(8, 8)
    other = Path1()
    averages.copy_to("short", other)
    assert other.w.item() == 3.0
    with torch.no_grad():
        other.w.fill_(9.0)
    assert averages.named("short")["w"].item() == 3.0


def test_averages_are_float32_whatever_the_network() -> None:
    net = Path1().to(torch.bfloat16)
    averages = Averages(net, FlatParameters(net), (0.1,), 8)
    assert {w.dtype for ws in averages.weights.values() for w in ws} == {torch.float32}
