"""A discriminator of a study: its settings, the file of one epoch, what it says of pictures."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from backbones import adm
from backbones.inputs import Inputs
from backbones.noise_classifier import NoiseClassifier
from bench.data.value_range import BYTE_RANGE, as_float
from bench.diffusion.noise_discriminator import Discriminator
from bench.diffusion.preconditioning.edm import EDM
from bench.errors import BenchError
from bench.streams import normal
from bench.train import checkpoint


@dataclass(frozen=True, kw_only=True)
class DiscriminatorSettings:
    """Network and training; batch_size counts both kinds, lr is Adam's.

    width, multipliers, blocks: as of backbones.unet.UNetArgs. epochs: times that every generated
    picture is seen, and as many real ones. held_share: of the generated pictures, held out.
    """

    width: int = 32
    multipliers: tuple[int, ...] = (1, 2, 2)
    blocks: int = 1
    epochs: int = 10
    batch_size: int = 128
    lr: float = 3e-4
    sigma_min: float = 0.002
    sigma_max: float = 80.0
    held_share: float = 0.1

    def __post_init__(self) -> None:
        if self.epochs < 1 or self.batch_size < 2 or self.batch_size % 2:
            raise BenchError(
                f"a discriminator needs an epoch or more and an even batch_size, got "
                f"epochs={self.epochs} and batch_size={self.batch_size}"
            )
        if not 0 < self.lr < math.inf or not 0 < self.held_share < 1:
            raise BenchError(
                f"a discriminator needs lr > 0 and 0 < held_share < 1, got lr={self.lr} and "
                f"held_share={self.held_share}"
            )


def build_discriminator(
    settings: DiscriminatorSettings, shape: Sequence[int], sigma_data: float
) -> Discriminator:
    """A new one for pictures of shape [C, H, W]; weights from torch's global generator.

    Raises:
        BenchError: volumes, or sides that the levels do not divide.
    """
    try:
        args = adm.Args(
            width=settings.width,
            multipliers=settings.multipliers,
            blocks=settings.blocks,
            attention=(8,),
            dropout=0.0,
        )
        inputs = Inputs(spatial=tuple(shape[1:]), channels=shape[0], out_channels=1)
        net = NoiseClassifier(inputs, args)
    except ValueError as error:
        raise BenchError(f"discriminator: {error}") from error
    low, high = settings.sigma_min, settings.sigma_max
    return Discriminator(net, EDM(sigma_data=sigma_data, sigma_min=low, sigma_max=high))


def save_discriminator(
    path: Path,
    made: Discriminator,
    settings: DiscriminatorSettings,
    shape: Sequence[int],
    sigma_data: float,
) -> None:
    """Weights and all that building it again takes; BenchError if the disk does not take it."""
    told = {"settings": asdict(settings), "shape": list(shape), "sigma_data": sigma_data}
    checkpoint.write(path, made.net.state_dict(), told)


def load_discriminator(path: Path, device: str = "cpu") -> Discriminator:
    """The discriminator of one epoch's file, to be asked; BenchError for a broken one."""
    weights, told = checkpoint.read(path)
    settings = DiscriminatorSettings(
        **{**told["settings"], "multipliers": tuple(told["settings"]["multipliers"])}
    )
    with torch.random.fork_rng(devices=[]):  # what building draws is overwritten
        made = build_discriminator(settings, told["shape"], told["sigma_data"])
    made.net.load_state_dict(weights)
    return made.to(device).eval().requires_grad_(False)


@torch.no_grad()
def logits_of(
    discriminator: Discriminator,
    pictures: NDArray[np.uint8],
    sigma: float,
    *,
    seed: int,
    purpose: str,
    batch_size: int = 256,
    device: str = "cpu",
) -> NDArray[np.float64]:
    """log(p / (1 - p)) of each picture, uint8 [n, C, H, W], noised to sigma: float64 [n].

    The noise of picture i is that of (seed, purpose, i).
    """
    found = [np.zeros(0)]
    for first in range(0, len(pictures), batch_size):
        block = pictures[first : first + batch_size]
        numbers = range(first, first + len(block))
        noise = torch.from_numpy(normal(seed, purpose, numbers, block.shape[1:]))
        x = torch.from_numpy(as_float(block, BYTE_RANGE)) + sigma * noise
        found.append(discriminator(x.to(device), sigma).double().cpu().numpy())
    return np.concatenate(found)
