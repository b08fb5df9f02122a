"""What every backbone must show before it is used: the table's own and a user's alike.

A check takes `make`, a function that builds the network from keywords resolution, in_channels,
out_channels and n_classes (backbones.build with name and settings filled in), and raises
ConformanceError saying what was expected, what was seen and where to look. All run in eval mode
at a small resolution with generic weights, since a network that starts at zero shows nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor

from backbones import counting
from backbones.backbone import Backbone

Make = Callable[..., Backbone]
RESOLUTION = 16
N_POINTS = 18
SEPARATION = 0.02  # of the output's size; the table's own networks reach 0.06 and more


class ConformanceError(ValueError):
    """A backbone breaks the contract of backbones.backbone."""


def check(make: Make, resolution: int = RESOLUTION) -> list[str]:
    """Run every check; the failures, one line each: empty for a network that may be used."""
    failures = []
    for name, one in CHECKS.items():
        try:
            one(make, resolution)
        except ConformanceError as error:
            failures.append(f"{name}: {error}")
    return failures


@torch.no_grad()
def shapes(make: Make, resolution: int) -> None:
    """Any number of channels in and out; float32; finite."""
    for c_in, c_out in ((1, 1), (3, 3), (2, 5)):
        net = _generic(make, resolution, in_channels=c_in, out_channels=c_out)
        y = net(_images(resolution, c_in), _points(net, 3))
        expected = (3, c_out, resolution, resolution)
        _require(tuple(y.shape) == expected, f"output has shape {tuple(y.shape)}, not {expected}")
        _require(y.dtype == torch.float32, f"output is {y.dtype}, not float32")
        _require(bool(y.isfinite().all()), "output is not finite")


@torch.no_grad()
def image_by_image(make: Make, resolution: int) -> None:
    """An image's output does not depend on the others in its batch."""
    net = _generic(make, resolution)
    x, c_noise = _images(resolution), _points(net, 3)
    together, alone = net(x, c_noise), net(x[1:2], c_noise[1:2])
    # Rounding only: convolutions of other batch sizes may add up in another order.
    error = float((together[1:2] - alone).norm() / alone.norm())
    _require(error < 1e-4, f"an image alone differs from itself in a batch by {error:.1e}")


@torch.no_grad()
def classes(make: Make, resolution: int) -> None:
    """The class changes the output; -1 is None, no class; None is possible."""
    net = _generic(make, resolution, n_classes=4)
    x, c_noise = _images(resolution)[:1].expand(3, -1, -1, -1), _points(net, 3)[1].expand(3)
    y = net(x, c_noise, torch.tensor([0, 3, -1]))
    free = net(x, c_noise)
    scale = float(free.norm())
    for a, b in ((0, 1), (0, 2), (1, 2)):
        gap = float((y[a] - y[b]).norm()) / scale
        _require(gap > 1e-4, f"two classes (or class and none) differ by {gap:.1e} only")
    error = float((y[2] - free[2]).norm()) / scale
    _require(error < 1e-5, f"class -1 differs from no class at all by {error:.1e}")


@torch.no_grad()
def noise_levels(make: Make, resolution: int) -> None:
    """Neighbouring points of an 18-point grid over c_noise_range are told apart.

    Three grids: even, EDM's (rho = 7) in ln(sigma), and EDM's in VP's time t(sigma).
    """
    net = _generic(make, resolution)
    low, high = net.c_noise_range
    _require(low < high, f"c_noise_range is empty: {net.c_noise_range}")
    x = _images(resolution)[:1].expand(N_POINTS, -1, -1, -1)
    for name, positions in grids().items():
        y = net(x, low + (high - low) * positions.float()).flatten(1)
        size = float(y.square().mean().sqrt())
        for i, (a, b) in enumerate(pairwise(y)):
            gap = float((a - b).square().mean().sqrt()) / size
            _require(
                gap > SEPARATION,
                f"points {i} and {i + 1} of {N_POINTS} ({name} grid) differ by {gap:.1e} of the "
                f"output, need {SEPARATION}: c_noise_range {net.c_noise_range} does not fit the "
                "noise embedding's frequencies (backbones.embeddings has three that work)",
            )


def gradients(make: Make, resolution: int) -> None:
    """Every parameter gets a gradient, finite and not zero."""
    net = _generic(make, resolution, n_classes=3).train()
    cond = torch.tensor([0, 1, 2])
    net(_images(resolution), _points(net, 3), cond).square().mean().backward()
    for name, parameter in net.named_parameters():
        gradient = parameter.grad
        _require(gradient is not None, f"{name} gets no gradient: is it used?")
        assert gradient is not None
        _require(bool(gradient.isfinite().all()), f"the gradient of {name} is not finite")
        _require(bool(gradient.any()), f"the gradient of {name} is zero everywhere")


def seeding(make: Make, resolution: int) -> None:
    """torch.manual_seed fixes the weights; another seed gives others."""
    first, again, other = (_seeded(make, resolution, seed).state_dict() for seed in (1, 1, 2))
    same = all(torch.equal(first[key], again[key]) for key in first)
    _require(same, "the same torch.manual_seed gives other weights")
    differs = any(not torch.equal(first[key], other[key]) for key in first)
    _require(differs, "another torch.manual_seed gives the same weights")


@torch.no_grad()
def saving(make: Make, resolution: int) -> None:
    """state_dict holds all there is: a network of another seed that loads it is the same one."""
    net, other = _generic(make, resolution), _seeded(make, resolution, 2).eval()
    other.load_state_dict(net.state_dict())
    x, c_noise = _images(resolution), _points(net, 3)
    same = torch.equal(net(x, c_noise), other(x, c_noise))
    _require(same, "state_dict does not hold everything the output depends on")


@torch.no_grad()
def evaluation(make: Make, resolution: int) -> None:
    """In eval mode the output is a function of the inputs: no dropout, no running statistics."""
    net = _generic(make, resolution)
    x, c_noise = _images(resolution), _points(net, 3)
    same = torch.equal(net(x, c_noise), net(x, c_noise))
    _require(same, "two calls in eval mode differ: dropout or state that changes")


def totals(make: Make, resolution: int) -> None:
    """The blocks' parameters add up; training costs more FLOPs than a forward pass."""
    net = _seeded(make, resolution, 1)
    total = counting.parameters(net)
    parts = sum(block.parameters for block in counting.blocks(net))
    _require(parts == total, f"the blocks have {parts} parameters, the network {total}")
    forward = counting.forward_flops(net, resolution, net.in_channels)
    training = counting.training_flops(net, resolution, net.in_channels)
    _require(0 < forward < training, f"FLOPs: {forward} forward, {training} in training")


CHECKS: dict[str, Callable[[Make, int], None]] = {
    "shapes": shapes,
    "image_by_image": image_by_image,
    "classes": classes,
    "noise_levels": noise_levels,
    "gradients": gradients,
    "seeding": seeding,
    "saving": saving,
    "evaluation": evaluation,
    "totals": totals,
}


def grids(n: int = N_POINTS) -> dict[str, Tensor]:
    """Positions in [0, 1], float64 [n]: see noise_levels."""
    rho, sigma_min, sigma_max, beta_d, beta_min = 7.0, 0.002, 80.0, 19.9, 0.1
    even = torch.linspace(0, 1, n, dtype=torch.float64)
    low, high = sigma_min ** (1 / rho), sigma_max ** (1 / rho)
    sigma = (low + even * (high - low)) ** rho
    log = (sigma / sigma_min).log() / math.log(sigma_max / sigma_min)
    # sigma(t)^2 + 1 = exp(beta_d t^2 / 2 + beta_min t), solved for t
    t = ((beta_min**2 + 2 * beta_d * sigma.square().log1p()).sqrt() - beta_min) / beta_d
    return {"even": even, "ln(sigma)": log, "VP time": t}


def _seeded(make: Make, resolution: int, seed: int, **sizes: int) -> Backbone:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return make(
            **{
                "resolution": resolution,
                "in_channels": 1,
                "out_channels": 1,
                "n_classes": 0,
                **sizes,
            }
        )


def _generic(make: Make, resolution: int, **sizes: int) -> Backbone:
    """A network in eval mode whose weights are all away from zero, of the usual sizes."""
    net = _seeded(make, resolution, 1, **sizes).eval()
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in net.parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            if parameter.dim() > 1:
                parameter.copy_(noise / math.sqrt(parameter[0].numel()))
            else:
                parameter.add_(0.1 * noise)
    return net


def _images(resolution: int, channels: int = 1) -> Tensor:
    generator = torch.Generator().manual_seed(4)
    return torch.randn(3, channels, resolution, resolution, generator=generator)


def _points(net: Backbone, n: int) -> Tensor:
    low, high = net.c_noise_range
    return torch.linspace(low + (high - low) / 7, high, n)


def _require(fact: bool, message: str) -> None:
    if not fact:
        raise ConformanceError(message)
