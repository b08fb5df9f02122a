"""Every guidance in the table passes the suite a user's has to pass; a broken one does not."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from bench import doors
from bench.diffusion import guidance
from bench.diffusion import guidance_conformance as suite
from bench.diffusion.guidance.guiding import Guidance
from bench.diffusion.guidance.unguided import Unguided
from bench.errors import BenchError


@pytest.mark.parametrize("rule", sorted(suite.CHECKS))
@pytest.mark.parametrize("name", sorted(guidance.GUIDANCES.table))
def test_the_tables_guidances_pass(name: str, rule: str) -> None:
    suite.CHECKS[rule](guidance.GUIDANCES.load(name))


@dataclass(frozen=True, kw_only=True)
class LacksItsStandIn(Unguided):
    needs = ("discriminator",)


@dataclass(frozen=True, kw_only=True)
class Infinite(Unguided):
    def estimate(self, *inputs: Any, **options: Any) -> Tensor:
        return super().estimate(*inputs, **options) / 0


@dataclass(frozen=True, kw_only=True)
class MixesImages(Unguided):
    def estimate(self, *inputs: Any, **options: Any) -> Tensor:
        estimate = super().estimate(*inputs, **options)
        return estimate + 1e-9 * estimate.mean(0)


@dataclass(frozen=True, kw_only=True)
class Draws(Unguided):
    def estimate(self, *inputs: Any, **options: Any) -> Tensor:
        torch.randn(1)
        return super().estimate(*inputs, **options)


@dataclass(frozen=True, kw_only=True)
class KeepsGradients(Unguided):
    def estimate(self, denoise: Any, x: Tensor, *inputs: Any, **options: Any) -> Tensor:
        with torch.enable_grad():
            return super().estimate(
                denoise, x.detach().clone().requires_grad_(), *inputs, **options
            )


BROKEN: list[tuple[str, type[Guidance], str]] = [
    ("is a guidance", LacksItsStandIn, r"lacks \['discriminator'\]"),
    ("gives images", Infinite, "not finite"),
    ("keeps images apart", MixesImages, "splitting a batch"),
    ("leaves the world alone", Draws, "global generator"),
    ("leaves the world alone", KeepsGradients, "must be detached"),
]


@pytest.mark.parametrize(("rule", "broken", "verdict"), BROKEN)
def test_each_rule_catches_a_guidance_that_breaks_it(
    rule: str, broken: type[Guidance], verdict: str
) -> None:
    with pytest.raises(BenchError, match=verdict):
        suite.CHECKS[rule](broken)


MINE = """
from dataclasses import dataclass
from bench.diffusion.guidance.guiding import Guidance

@dataclass(frozen=True, kw_only=True)
class Damped(Guidance):
    name = "damped"
    share: float = 0.9

    def estimate(self, denoise, x, sigma, cond, *, stage, others):
        return self.share * denoise(x, sigma, cond)
"""


def test_a_users_guidance_comes_as_a_file(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(MINE)
    name = f"{file}:Damped"
    assert guidance.build(name, share=0.5).share == 0.5
    assert (
        doors.VERDICTS[name]
        == f"guidance {Path(name).name} passes {len(suite.CHECKS)} conformance checks"
    )
    file.write_text(MINE.replace("@dataclass(frozen=True, kw_only=True)\n", ""))
    doors.VERDICTS.pop(name)
    with pytest.raises(BenchError, match=r"Damped breaks .* must be a frozen dataclass"):
        guidance.build(name)


def test_an_unknown_guidance_names_the_nearest() -> None:
    with pytest.raises(BenchError, match=r"unknown guidance 'nome'; did you mean 'none'\?"):
        guidance.build("nome")
