"""What every backbone must show before it is used: the table's own and a user's alike.

A check takes `make`, which builds the network for given Inputs (an architecture's `build` with its
arguments filled in), and the small sizes it builds at; it raises ConformanceError saying what was
expected, what was seen and where to look. All run in eval mode with generic weights, since a
network that starts at zero shows nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor

from backbones import counting
from backbones.backbone import Backbone, size_text
from backbones.inputs import Inputs

Make = Callable[[Inputs], Backbone]
Spatial = tuple[int, ...]
SIDES: dict[int, tuple[int, ...]] = {2: (16, 32, 64), 3: (8, 16, 32)}  # tried, by dimensions
N_POINTS = 18
SEPARATION = 0.02  # of the output's size; the table's own networks reach 0.06 and more


class ConformanceError(ValueError):
    """A backbone breaks the contract of backbones.backbone."""


def check(make: Make) -> int:
    """Run every check in every number of dimensions the network is for; how many there were.

    Neither torch's global generator nor a default device is touched or heeded.

    Raises:
        ConformanceError: the first rule that is broken, or whatever else the network raised.
    """
    passed = 0
    with torch.random.fork_rng(devices=[]), torch.device("cpu"), torch.enable_grad():
        for spatial in small_sizes(make):
            for rule, one in CHECKS.items():
                try:
                    one(make, spatial)
                except ConformanceError as error:
                    raise ConformanceError(f"{rule}: {error}") from error
                except (Exception, SystemExit) as error:  # whatever a user's code may raise
                    raise ConformanceError(
                        f"{rule}, at {size_text(spatial)}: {_one_line(error)}"
                    ) from error
                passed += 1
    return passed


def small_sizes(make: Make) -> list[Spatial]:
    """In 2D and in 3D the smallest size tried that the network builds at.

    Raises:
        ConformanceError: it builds at none of them; why it refused the first.
    """
    sizes, refusals = [], []
    for dims, sides in SIDES.items():
        for side in sides:
            try:
                net = _seeded(make, inputs_at((side,) * dims), 1)
            except (Exception, SystemExit) as error:  # whatever a user's code may raise
                refusals.append(f"{size_text((side,) * dims)}: {_one_line(error)}")
                continue
            _require(
                isinstance(net, Backbone),
                f"built a {type(net).__name__}, not a Backbone; "
                "derive the network from backbones.backbone.Backbone",
            )
            sizes.append((side,) * dims)
            break
    _require(bool(sizes), f"it can be built at no size tried; at {'; '.join(refusals[:1])}")
    return sizes


def inputs_at(
    spatial: Spatial,
    *,
    channels: int = 1,
    out_channels: int = 1,
    n_classes: int = 0,
    vector_dim: int = 0,
) -> Inputs:
    """Inputs of the checks: one channel in and out unless told otherwise."""
    return Inputs(
        spatial=spatial,
        channels=channels,
        out_channels=out_channels,
        n_classes=n_classes,
        vector_dim=vector_dim,
    )


@torch.no_grad()
def shapes(make: Make, spatial: Spatial) -> None:
    """Any number of channels in and out; float32; finite."""
    for c_in, c_out in ((1, 1), (3, 3), (2, 5)):
        _check_shape(make, inputs_at(spatial, channels=c_in, out_channels=c_out))


@torch.no_grad()
def aspect(make: Make, spatial: Spatial) -> None:
    """The first or the last side may be the longest, and three times a power of two."""
    first, last = spatial[0], spatial[-1]
    _check_shape(make, inputs_at((*spatial[:-1], 3 * last)))
    _check_shape(make, inputs_at((3 * first, *spatial[1:])))


@torch.no_grad()
def evaluation(make: Make, spatial: Spatial) -> None:
    """In eval mode the output is a function of the inputs: no dropout, no running statistics."""
    net = _generic(make, inputs_at(spatial))
    x, c_noise, _, _ = _cases(net)
    same = torch.equal(net(x, c_noise), net(x, c_noise))
    _require(same, "two calls in eval mode differ: dropout or state that changes")


@torch.no_grad()
def image_by_image(make: Make, spatial: Spatial) -> None:
    """An image's output does not depend on the others in its batch."""
    net = _generic(make, inputs_at(spatial))
    x, c_noise, _, _ = _cases(net)
    together, alone = net(x, c_noise), net(x[1:2], c_noise[1:2])
    # Rounding only: convolutions of other batch sizes may add up in another order.
    error = float((together[1:2] - alone).norm() / alone.norm())
    _require(error < 1e-4, f"an image alone differs from itself in a batch by {error:.1e}")


@torch.no_grad()
def classes(make: Make, spatial: Spatial) -> None:
    """The class changes the output, -1 is None, no class, None is possible; or it is refused."""
    inputs = inputs_at(spatial, n_classes=4)
    if _refuses(make, inputs):
        return
    net = _generic(make, inputs)
    x, c_noise = _one_case(net, 3)
    y = net(x, c_noise, torch.tensor([0, 3, -1]))
    free = net(x, c_noise)
    scale = float(free.norm())
    for a, b in ((0, 1), (0, 2), (1, 2)):
        gap = float((y[a] - y[b]).norm()) / scale
        _require(gap > 1e-4, f"two classes (or class and none) differ by {gap:.1e} only")
    error = float((y[2] - free[2]).norm()) / scale
    _require(error < 1e-5, f"class -1 differs from no class at all by {error:.1e}")


@torch.no_grad()
def numbers(make: Make, spatial: Spatial) -> None:
    """Each number of a case changes the output, zeros are None, None is possible; or refused."""
    inputs = inputs_at(spatial, vector_dim=3)
    if _refuses(make, inputs):
        return
    net = _generic(make, inputs)
    x, c_noise = _one_case(net, 4)
    y = net(x, c_noise, None, torch.eye(4, 3))
    free = net(x, c_noise)
    scale = float(free.norm())
    for place in range(3):
        gap = float((y[place] - y[3]).norm()) / scale
        _require(gap > 1e-4, f"number {place} of a case changes the output by {gap:.1e} only")
    error = float((y[3] - free[3]).norm()) / scale
    _require(error < 1e-5, f"numbers that are zero differ from none at all by {error:.1e}")


@torch.no_grad()
def noise_levels(make: Make, spatial: Spatial) -> None:
    """Neighbouring points of an 18-point grid over c_noise_range are told apart.

    Three grids: even, EDM's (rho = 7) in ln(sigma), and EDM's in VP's time t(sigma).
    """
    net = _generic(make, inputs_at(spatial))
    low, high = net.c_noise_range
    _require(low < high, f"c_noise_range is empty: {net.c_noise_range}")
    x, _ = _one_case(net, N_POINTS)
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


def gradients(make: Make, spatial: Spatial) -> None:
    """Every parameter gets a gradient, finite and not zero, with all that the network takes."""
    with_classes, with_numbers = (
        not _refuses(make, inputs_at(spatial, n_classes=3)),
        not _refuses(make, inputs_at(spatial, vector_dim=2)),
    )
    inputs = inputs_at(spatial, n_classes=3 * with_classes, vector_dim=2 * with_numbers)
    net = _generic(make, inputs).train()
    net(*_cases(net)).square().mean().backward()
    for name, parameter in net.named_parameters():
        gradient = parameter.grad
        _require(gradient is not None, f"{name} gets no gradient: is it used?")
        assert gradient is not None
        _require(bool(gradient.isfinite().all()), f"the gradient of {name} is not finite")
        _require(bool(gradient.any()), f"the gradient of {name} is zero everywhere")


def seeding(make: Make, spatial: Spatial) -> None:
    """torch.manual_seed fixes the weights; another seed gives others."""
    inputs = inputs_at(spatial)
    first, again, other = (_seeded(make, inputs, seed).state_dict() for seed in (1, 1, 2))
    same = all(torch.equal(first[key], again[key]) for key in first)
    _require(same, "the same torch.manual_seed gives other weights")
    differs = any(not torch.equal(first[key], other[key]) for key in first)
    _require(differs, "another torch.manual_seed gives the same weights")


@torch.no_grad()
def saving(make: Make, spatial: Spatial) -> None:
    """state_dict holds all there is: a network of another seed that loads it is the same one."""
    inputs = inputs_at(spatial)
    net, other = _generic(make, inputs), _seeded(make, inputs, 2).eval()
    other.load_state_dict(net.state_dict())
    x, c_noise, _, _ = _cases(net)
    same = torch.equal(net(x, c_noise), other(x, c_noise))
    _require(same, "state_dict does not hold everything the output depends on")


def totals(make: Make, spatial: Spatial) -> None:
    """The blocks' parameters add up; training costs more FLOPs than a forward pass."""
    net = _seeded(make, inputs_at(spatial), 1)
    total = counting.parameters(net)
    parts = sum(block.parameters for block in counting.blocks(net))
    _require(parts == total, f"the blocks have {parts} parameters, the network {total}")
    forward, training = counting.forward_flops(net), counting.training_flops(net)
    _require(0 < forward < training, f"FLOPs: {forward} forward, {training} in training")


CHECKS: dict[str, Callable[[Make, Spatial], None]] = {
    "shapes": shapes,
    "aspect": aspect,
    "evaluation": evaluation,
    "image_by_image": image_by_image,
    "classes": classes,
    "numbers": numbers,
    "noise_levels": noise_levels,
    "gradients": gradients,
    "seeding": seeding,
    "saving": saving,
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


def _one_line(error: BaseException) -> str:
    text = str(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"
    return text.splitlines()[0] if text else type(error).__name__


def _check_shape(make: Make, inputs: Inputs) -> None:
    net = _generic(make, inputs)
    x, c_noise, _, _ = _cases(net)
    y, expected = net(x, c_noise), (len(x), inputs.out_channels, *inputs.spatial)
    _require(tuple(y.shape) == expected, f"output has shape {tuple(y.shape)}, not {expected}")
    _require(y.dtype == torch.float32, f"output is {y.dtype}, not float32")
    _require(bool(y.isfinite().all()), "output is not finite")


def _refuses(make: Make, inputs: Inputs) -> bool:
    """Whether a network that is built for less cannot be built for this."""
    try:
        _seeded(make, inputs, 1)
    except ValueError:
        return True
    return False


def _seeded(make: Make, inputs: Inputs, seed: int) -> Backbone:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return make(inputs)


def _generic(make: Make, inputs: Inputs) -> Backbone:
    """A network in eval mode whose weights are all away from zero, of the usual sizes."""
    net = _seeded(make, inputs, 1).eval()
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in net.parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            if parameter.dim() > 1:
                parameter.copy_(noise / math.sqrt(parameter[0].numel()))
            else:
                parameter.add_(0.1 * noise)
    return net


def _cases(net: Backbone, n: int = 3) -> tuple[Tensor, Tensor, Tensor | None, Tensor | None]:
    """n cases as forward takes them; noise levels over the range, but not at its lower end."""
    x, _, cond, vector = counting.example(net.inputs, n)
    low, high = net.c_noise_range
    return x, torch.linspace(low + (high - low) / 7, high, n), cond, vector


def _one_case(net: Backbone, n: int) -> tuple[Tensor, Tensor]:
    """One image n times, at one noise level."""
    x, c_noise, _, _ = _cases(net)
    return x[1:2].expand(n, *x.shape[1:]), c_noise[1].expand(n)


def _require(fact: bool, message: str) -> None:
    if not fact:
        raise ConformanceError(message)
