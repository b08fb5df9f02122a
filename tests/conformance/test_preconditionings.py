"""Every preconditioning in the table passes the suite a user's has to pass; a broken one does not.

The real backbones are held to the suite's 1 % separation of noise levels in their output.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import backbones
from backbones.inputs import Inputs
from bench import doors, networks
from bench.diffusion import preconditioning
from bench.diffusion import preconditioning_conformance as suite
from bench.diffusion.denoiser import Denoiser
from bench.diffusion.grids import GRID_KINDS, sigma_grid
from bench.diffusion.preconditioning.edm import EDM
from bench.diffusion.preconditioning.scheme import Coefficients
from bench.diffusion.preconditioning.ve import VEProcess
from bench.diffusion.process import Process
from bench.errors import BenchError

SCHEMES = sorted(preconditioning.PRECONDITIONINGS.table)
# of those an architecture knows
SMALL = {"width": 32, "multipliers": (1, 1), "blocks": 1, "groups": 8}


@pytest.mark.parametrize("rule", sorted(suite.CHECKS))
@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_tables_preconditionings_pass(scheme: str, rule: str) -> None:
    suite.CHECKS[rule](preconditioning.load(scheme))


def grid_of(scheme: str, n: int, kind: str) -> Tensor:
    precond = preconditioning.build(scheme)
    return torch.from_numpy(sigma_grid(precond, suite.steps_within(precond, n, kind), kind))


def test_without_the_mapping_edm_levels_are_not_separated_by_time_steps() -> None:
    c_noise = grid_of("edm", 40, "edm").log() / 4
    rows = suite.Positional().embed(c_noise.float())
    assert suite.separation(rows) < suite.MIN_SEPARATION


@pytest.mark.parametrize("kind", GRID_KINDS)
@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("architecture", sorted(backbones.TABLE))
def test_every_backbone_tells_neighbouring_levels_apart(
    architecture: str, scheme: str, kind: str
) -> None:
    torch.manual_seed(0)
    known = networks.args_of(architecture)
    args: dict[str, Any] = {key: value for key, value in SMALL.items() if key in known}
    inputs = Inputs(spatial=(8, 8), channels=1, out_channels=1)
    net = networks.build(architecture, inputs, **args)
    for p in net.parameters():  # layers that start near zero would hide the noise level
        if p.ndim > 1:
            nn.init.normal_(p, std=p[0].numel() ** -0.5)
    denoiser = Denoiser(net.eval(), preconditioning.build(scheme))
    c_noise = denoiser.network_c_noise(grid_of(scheme, 18, kind)).float()
    image = torch.randn(1, 1, 8, 8).expand(len(c_noise), -1, -1, -1)
    with torch.no_grad():
        out = net(image, c_noise, None)
    assert suite.separation(out.flatten(1)) >= suite.MIN_SEPARATION


class Careless(EDM):
    """Checks nothing of its fields."""

    def __post_init__(self) -> None:
        pass


class Narrowing(EDM):
    def loss_weight(self, sigma: Tensor) -> Tensor:
        return super().loss_weight(sigma).float()


class OutOfRange(EDM):
    def c_noise_range(self) -> tuple[float, float]:
        return -1.0, 1.0


class Falling(EDM):
    def sigma_from_uniform(self, u: np.ndarray) -> np.ndarray:
        return super().sigma_from_uniform(1 - 2.0**-53 - u)


class TooHigh(EDM):
    def own_grid(self, n: int) -> np.ndarray:
        return 2 * super().own_grid(n)


class WrongSlope(VEProcess):
    def sigma_slope(self, t: float) -> float:
        return 1 / math.sqrt(t)


class WrongProcess(EDM):
    def own_process(self) -> Process:
        return WrongSlope()


class Coarse(EDM):
    """Its c_noise hardly moves with sigma below 1."""

    def coefficients(self, sigma: Tensor) -> Coefficients:
        return super().coefficients(sigma)._replace(c_noise=sigma)

    def c_noise_range(self) -> tuple[float, float]:
        return self.sigma_min, self.sigma_max


class Exploding(EDM):
    def coefficients(self, sigma: Tensor) -> Coefficients:
        return super().coefficients(sigma)._replace(c_out=math.inf * sigma)


BROKEN = {
    "refuses bad fields": (Careless, "=nan is accepted"),
    "has coefficients": (Narrowing, "loss_weight of sigma .3, 4. torch.float64"),
    "c_noise fills its range": (OutOfRange, r"c_noise_range says \(-1.0, 1.0\)"),
    "training noise is an inverse CDF": (Falling, "must not fall"),
    "grids descend in range": (TooHigh, r"own grid of 1 steps leaves \[0.002, 80\]"),
    "own process is one": (WrongProcess, r"sigma_slope\(.*\) is .*, not"),
    "separates neighbouring levels": (Coarse, "differ by .* of their embedding"),
    "trains in 2D and 3D": (Exploding, "weighted loss is not finite"),
}


@pytest.mark.parametrize("rule", sorted(BROKEN))
def test_each_rule_catches_a_scheme_that_breaks_it(rule: str) -> None:
    broken, verdict = BROKEN[rule]
    with pytest.raises(BenchError, match=verdict):
        suite.CHECKS[rule](dataclass(frozen=True, kw_only=True)(broken))


def test_what_is_no_dataclass_of_a_scheme_is_refused() -> None:
    class Undecorated(EDM):
        pass

    with pytest.raises(BenchError, match="must be a frozen dataclass"):
        suite.is_a_preconditioning(Undecorated)
    for part in (EDM(), object, len):
        with pytest.raises(BenchError, match="must be a subclass"):
            suite.is_a_preconditioning(part)


MINE = """
from dataclasses import dataclass
from bench.diffusion.preconditioning.edm import EDM

@dataclass(frozen=True, kw_only=True)
class Mine(EDM):
    name = "mine"
    P_mean: float = 0.0
"""


def test_a_users_preconditioning_comes_as_a_file(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(MINE)
    name = f"{file}:Mine"
    assert preconditioning.build(name, sigma_data=0.3).sigma_data == 0.3
    verdict = f"preconditioning {Path(name).name} passes {len(suite.CHECKS)} conformance checks"
    assert doors.VERDICTS[name] == verdict
    file.write_text(MINE + "    def c_noise_range(self):\n        return (0.0, 1.0)\n")
    doors.VERDICTS.pop(name)
    with pytest.raises(BenchError, match=r"Mine breaks its contract \(c_noise fills its range\)"):
        preconditioning.load(name)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_bad_fields_are_named(scheme: str) -> None:
    with pytest.raises(BenchError, match=r"did you mean 'sigma_data'\?"):
        preconditioning.build(scheme, sigma_dat=0.5)
    for field in fields(preconditioning.load(scheme)):
        with pytest.raises(BenchError, match=scheme):
            preconditioning.build(scheme, **{field.name: "much"})


def test_unknown_preconditioning_names_the_nearest() -> None:
    with pytest.raises(BenchError, match=r"unknown preconditioning 'emd'; did you mean 'edm'\?"):
        preconditioning.build("emd")
