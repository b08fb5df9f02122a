"""What every guidance must show before it is used: the table's own and a user's alike."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from typing import Any

import torch
from torch import Tensor

from bench.conditions import Condition
from bench.diffusion.grids import edm_grid
from bench.diffusion.guidance.guiding import Guidance
from bench.diffusion.sampling import sample
from bench.suite import require, run


def check(part: Any, name: str) -> int:
    """The number of checks that a Guidance class passed; BenchError naming the rule it breaks."""
    return run("guidance", name, part, CHECKS)


def is_a_guidance(part: Any) -> None:
    """A frozen dataclass and complete subclass of Guidance, made without arguments."""
    require(
        isinstance(part, type) and issubclass(part, Guidance),
        "it must be a subclass of bench.diffusion.guidance.guiding.Guidance",
    )
    require("__dataclass_fields__" in vars(part), "it must be a frozen dataclass of its settings")
    part()
    require(bool(getattr(part, "name", "")), "it must declare `name`")
    lacking = set(part.needs) - set(part.stand_ins())
    require(not lacking, f"stand_ins() lacks {sorted(lacking)}, which it needs")


def gives_images(guidance: type[Guidance]) -> None:
    """Finite images of the state's shape, 2D or 3D, with float64 states asked of the denoiser."""
    for shape in ((3, 1, 4, 6), (3, 2, 2, 4, 3)):
        images = _sampled(guidance, torch.ones(shape, dtype=torch.float64), range(3))
        require(images.shape == shape, f"images {shape} became {tuple(images.shape)}")
        require(bool(images.isfinite().all()), "an estimate is not finite")


def keeps_images_apart(guidance: type[Guidance]) -> None:
    """Splitting a batch changes no image."""
    noise = torch.randn(3, 1, 4, 4, generator=torch.Generator().manual_seed(0)).double()
    whole = _sampled(guidance, noise, range(3))
    parts = [_sampled(guidance, noise[:1], range(1)), _sampled(guidance, noise[1:], range(1, 3))]
    require(torch.equal(whole, torch.cat(parts)), "splitting a batch changes its images")


def leaves_the_world_alone(guidance: type[Guidance]) -> None:
    """torch's generator is not drawn from, no gradient is left, settings do not change."""
    before, made = torch.get_rng_state(), guidance()
    settings = [getattr(made, field.name) for field in fields(made)]
    x = torch.ones(2, 1, 2, 2, dtype=torch.float64)
    for stage in (1, 2):
        with torch.no_grad():
            D = made.estimate(
                _denoise, x, 1.0, _condition(range(2)), stage=stage, others=made.stand_ins()
            )
        require(not D.requires_grad, "an estimate must be detached")
    require(torch.equal(torch.get_rng_state(), before), "it draws from torch's global generator")
    require(bool((x == 1).all()), "it changes the state it is given in place")
    require(
        settings == [getattr(made, field.name) for field in fields(made)], "its settings change"
    )


CHECKS: dict[str, Callable[[Any], None]] = {
    "is a guidance": is_a_guidance,
    "gives images": gives_images,
    "keeps images apart": keeps_images_apart,
    "leaves the world alone": leaves_the_world_alone,
}


def _denoise(x: Tensor, sigma: float, cond: Condition | None) -> Tensor:
    """Of N(class / 4, 1 / 4), class -1 included."""
    assert cond is not None
    assert cond.classes is not None
    mean = (cond.classes.double() / 4).view(-1, *(1,) * (x.ndim - 1))
    return mean + (x - mean) * (0.25 / (0.25 + sigma**2))


def _condition(rows: range) -> Condition:
    return Condition(classes=torch.tensor([row % 2 for row in rows]))


def _sampled(guidance: type[Guidance], noise: Tensor, rows: range) -> Tensor:
    made = guidance()
    return sample(
        _denoise,
        noise,
        edm_grid(6),
        cond=_condition(rows),
        guidance=made,
        networks=made.stand_ins(),
    ).images
