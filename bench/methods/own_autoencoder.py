"""The autoencoder that the program trains itself, once for a data set, before the trials.

Squared error and a faint pull of the latents towards N(0, 1) (Rombach et al. 2022, KL-reg.), on
the train part alone; Adam, cosine decay. Every draw is keyed and the weights' digest is kept, so
trials on one machine share one autoencoder; another CPU may train another, which is another entry.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from itertools import chain, count, islice
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from backbones.kl_autoencoder import AutoencoderArgs, KLAutoencoder, kl_to_unit
from bench.errors import BenchError
from bench.metrics.real import RealData
from bench.nonfinite import NonFiniteError
from bench.streams import derive_seed, normal, permutation

SEED = 0  # one autoencoder, whatever the trial's seed
KL_WEIGHT = 1e-6  # of the divergence a pixel, beside the squared error a pixel
BATCH, LR, GRAD_CLIP = 32, 2e-3, 1.0
SAID_EVERY = 30.0  # seconds
VERSION = 1  # of this recipe


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """What is trained, and for how long."""

    args: AutoencoderArgs
    nimg: int

    def body(self) -> dict[str, Any]:
        """Plain values that make another autoencoder when they change."""
        fixed = {"batch": BATCH, "lr": LR, "kl_weight": KL_WEIGHT, "seed": SEED}
        return {"version": VERSION, **asdict(self.args), "nimg": self.nimg, **fixed}


class OwnNetwork(KLAutoencoder):
    """As a FrozenAutoencoder takes it."""

    def __init__(self, args: AutoencoderArgs) -> None:
        super().__init__(args)
        self.channels, self.latent_channels = args.channels, args.latent_channels
        self.factor = args.factor


def build(config: Mapping[str, Any]) -> OwnNetwork:
    """The network of these fields of AutoencoderArgs.

    Raises:
        BenchError: values that cannot be.
    """
    try:
        return OwnNetwork(AutoencoderArgs(**config))
    except ValueError as error:
        raise BenchError(f"autoencoder: {error}") from error


def train(real: RealData, recipe: Recipe, device: str, say: Callable[[str], None]) -> OwnNetwork:
    """A network trained by a recipe on the train part; torch's global generator is left alone.

    Raises:
        NonFiniteError: its loss is not finite.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(SEED, "autoencoder init"))
        net = build(asdict(recipe.args)).to(device)
    optimizer = torch.optim.Adam(net.parameters(), lr=LR)
    steps = max(1, recipe.nimg // BATCH)
    said_at = time.monotonic()
    for step, rows in enumerate(_batches(real.data.parts["train"], steps)):
        for group in optimizer.param_groups:
            group["lr"] = LR * 0.5 * (1 + math.cos(math.pi * step / steps))
        x = real.images_at(rows).to(device)
        loss = loss_of(net, x, range(step * BATCH, step * BATCH + len(x)))
        if not math.isfinite(float(loss.detach())):
            raise NonFiniteError(f"the autoencoder's loss is not finite at step {step}")
        optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(net.parameters(), GRAD_CLIP)
        optimizer.step()
        if time.monotonic() - said_at > SAID_EVERY:
            said_at = time.monotonic()
            say(f"autoencoder: {step + 1} of {steps} steps, loss {float(loss.detach()):.2g}")
    return net.eval()


def training_flops(args: AutoencoderArgs, spatial: tuple[int, ...]) -> int:
    """FLOPs of a step on one picture, without running it."""
    with torch.device("meta"):
        net = KLAutoencoder(args)
        x = torch.empty(1, args.channels, *spatial)
    with FlopCounterMode(display=False) as counter:
        torch.autograd.backward(net.decode(net.moments(x)[0]).sum())
    return int(counter.get_total_flops())


def loss_of(net: KLAutoencoder, x: Tensor, samples: range) -> Tensor:
    """Mean squared error and KL_WEIGHT times the divergence, both a pixel of the picture."""
    mean, logvar = net.moments(x)
    noise = torch.from_numpy(normal(SEED, "autoencoder draw", samples, tuple(mean.shape[1:])))
    z = mean + (0.5 * logvar).exp() * noise.to(mean.device)
    divergence = kl_to_unit(mean, logvar).mean() / math.prod(x.shape[1:])
    return (net.decode(z) - x).square().mean() + KL_WEIGHT * divergence


def _batches(rows: NDArray[np.int64], steps: int) -> Iterator[NDArray[np.int64]]:
    """Rows of the train part, epoch by epoch in a new order each."""
    orders = (permutation(SEED, "autoencoder order", epoch, len(rows)) for epoch in count())
    places = chain.from_iterable(orders)
    for _ in range(steps):
        yield rows[list(islice(places, BATCH))]
