"""Every sampler in the table passes the suite a user's has to pass; a broken one does not."""

from __future__ import annotations

from pathlib import Path as FilePath

import pytest
import torch
from torch import Tensor

from bench import doors
from bench.diffusion import sampler_conformance as suite
from bench.diffusion import samplers
from bench.diffusion.grids import edm_grid
from bench.diffusion.samplers.ddim import DDPM
from bench.diffusion.samplers.dpmpp_2m import DPMSolverPP2M
from bench.diffusion.samplers.euler import Euler
from bench.diffusion.samplers.heun import Heun
from bench.diffusion.samplers.solver import Path
from bench.diffusion.sampling import sample
from bench.errors import BenchError

TABLE = samplers.SAMPLERS.table


@pytest.mark.parametrize("rule", sorted(suite.CHECKS))
@pytest.mark.parametrize("sampler", sorted(TABLE))
def test_the_tables_samplers_pass(sampler: str, rule: str) -> None:
    suite.CHECKS[rule](samplers.load(sampler))


class CountsWrong(Heun):
    @classmethod
    def nfe(cls, steps: int) -> int:
        return 2 * steps


class InFloat32(Euler):
    def step(self, path: Path, x: Tensor, t: float, t_next: float) -> Tensor:
        return super().step(path, x.float(), t, t_next)


class Boastful(Euler):
    order = 2


class OnlyGoodInSigma(Euler):
    """Forgets the scaling of the state."""

    def step(self, path: Path, x: Tensor, t: float, t_next: float) -> Tensor:
        D = path.denoise(x * path.scale(t), t)
        return D + path.sigma(t_next) / path.sigma(t) * (x - D)


class FallsShort(Heun):
    def step(self, path: Path, x: Tensor, t: float, t_next: float) -> Tensor:
        if path.sigma(t_next) == 0:
            path.denoise(x, t)
            return x
        return super().step(path, x, t, t_next)


class MixesImages(Euler):
    def step(self, path: Path, x: Tensor, t: float, t_next: float) -> Tensor:
        x = super().step(path, x, t, t_next)
        return x + 1e-15 * x.mean(0)


class SharedState(Euler):
    runs: list[float] = []  # noqa: RUF012  # the mistake this sampler stands for

    def step(self, path: Path, x: Tensor, t: float, t_next: float) -> Tensor:
        self.runs.append(t)
        return super().step(path, x, t, t_next) * (1 + 1e-15 * len(self.runs))


class DrawsNoise(Euler):
    def step(self, path: Path, x: Tensor, t: float, t_next: float) -> Tensor:
        return super().step(path, x, t, t_next) + 0 * torch.randn(1)


class WritesInPlace(Euler):
    def step(self, path: Path, x: Tensor, t: float, t_next: float) -> Tensor:
        return x.add_(path.slope(x, t, times=t_next - t))


class ClaimsNoise(Euler):
    stochastic = True


class HidesItsNoise(DDPM):
    def __init__(self) -> None:
        super().__init__()
        self.stochastic = False


class TooLoud(DDPM):
    """Keeps the direction of a deterministic step beside the noise."""

    def step(self, path: Path, x: Tensor, t: float, t_next: float) -> Tensor:
        quiet = Euler().step(path, x, t, t_next)
        return quiet + 0.1 * path.sigma(t_next) * path.scale(t_next) * path.noise(x)


class HidesItsMemory(DPMSolverPP2M):
    multistep = False


BROKEN = {
    "counts its evaluations": (CountsWrong, "a run evaluates 1 times"),
    "keeps float64": (InFloat32, "must be float64"),
    "converges with its order": (Boastful, "declared order 2, measured 0.9"),
    "lands on the estimate": (FallsShort, "is missed by"),
    "draws what it declares": (ClaimsNoise, "stochastic is True, other noise changes: False"),
    "keeps images apart": (MixesImages, "splitting a batch"),
    "starts afresh": (SharedState, "must live in the instance"),
    "leaves the world alone": (DrawsNoise, "global generator"),
    "can be cut": (HidesItsMemory, "multistep = True"),
}


@pytest.mark.parametrize("rule", sorted(BROKEN))
def test_each_rule_catches_a_sampler_that_breaks_it(rule: str) -> None:
    broken, verdict = BROKEN[rule]
    with pytest.raises(BenchError, match=verdict):
        suite.CHECKS[rule](broken)


def test_other_mistakes_are_caught_too() -> None:
    with pytest.raises(BenchError, match=r"measured .* with process 'own'"):
        suite.converges_with_its_order(OnlyGoodInSigma)
    with pytest.raises(BenchError, match="in place"):
        suite.leaves_the_world_alone(WritesInPlace)
    with pytest.raises(BenchError, match="must declare stochastic = True"):
        suite.draws_what_it_declares(HidesItsNoise)
    with pytest.raises(BenchError, match=r"declared order 1, measured -0.9"):
        suite.converges_with_its_order(TooLoud)
    for part in (Euler(), object, len):
        with pytest.raises(BenchError, match=r"must be a subclass of .*Solver"):
            suite.is_a_solver(part)


GOOD = """
from bench.diffusion.samplers.solver import Solver

class Midpoint(Solver):
    order = 2

    @classmethod
    def nfe(cls, steps):
        return 2 * steps - 1

    def step(self, path, x, t, t_next):
        if path.sigma(t_next) == 0:
            return x + path.slope(x, t, times=t_next - t)
        middle = (t + t_next) / 2
        half = x + path.slope(x, t, times=middle - t)
        return x + path.slope(half, middle, times=t_next - t, stage=2)
"""


def test_a_users_sampler_comes_as_a_file(tmp_path: FilePath) -> None:
    file = tmp_path / "midpoint.py"
    file.write_text(GOOD)
    name = f"{file}:Midpoint"
    noise = torch.ones(1, 1, 2, 2)
    drawn = sample(lambda x, sigma, cond: x / (1 + sigma**2), noise, edm_grid(9), sampler=name)
    assert drawn.nfe == samplers.nfe(name, 9) == 17
    assert (
        doors.VERDICTS[name]
        == f"sampler midpoint.py:Midpoint passes {len(suite.CHECKS)} conformance checks"
    )


def test_a_users_broken_sampler_is_refused_in_one_line(tmp_path: FilePath) -> None:
    file = tmp_path / "midpoint.py"
    file.write_text(GOOD.replace("2 * steps - 1", "2 * steps"))
    with pytest.raises(BenchError, match=r"breaks its contract \(counts its evaluations\): nfe\(1"):
        samplers.load(f"{file}:Midpoint")
    file.write_text(GOOD.replace("def step", "def stride"))
    with pytest.raises(BenchError, match=r"\(is a solver\): TypeError: .*abstract.*step") as caught:
        samplers.load(f"{file}:Midpoint")
    assert "\n" not in str(caught.value)


def test_an_unknown_sampler_names_the_nearest() -> None:
    with pytest.raises(BenchError, match=r"unknown sampler 'huen'; did you mean 'heun'\?"):
        samplers.nfe("huen", 3)
