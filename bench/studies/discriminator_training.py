"""Trains a discriminator of real and generated pictures at all noise levels, epoch by epoch.

Kim et al. 2023 (arXiv 2211.17091), section 3: binary cross entropy between noised real and noised
generated pictures, half of each in every batch. Ours: ln sigma is uniform over the levels that
sampling crosses. Every draw is keyed by the picture's global number, so a training that is taken
up again goes on to the bit (same CPU type and threads).

In a folder: discriminator-0001.safetensors and so on, the weights after each epoch, because which
epoch guides best is found by sampling with each; training.safetensors, the newest state of all.
"""

from __future__ import annotations

import dataclasses
import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits as cross_entropy

from bench.config import digest
from bench.data.cache import CachedImages
from bench.data.value_range import BYTE_RANGE, as_float, to_uint8
from bench.errors import BenchError
from bench.metrics.memorisation import matched_indices
from bench.streams import derive_seed, normal, permutation, spread_out
from bench.studies.trained_discriminator import (
    DiscriminatorSettings,
    build_discriminator,
    logits_of,
    save_discriminator,
)
from bench.train import checkpoint

STATE = "training.safetensors"
LEVELS = (0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 20.0)  # sigmas at which it is judged
REAL, GENERATED = "real", "generated"


@dataclass(frozen=True, kw_only=True)
class LevelAccuracy:
    """How many held-out pictures, half of them real, are told rightly at one sigma."""

    sigma: float
    right: int
    count: int

    @property
    def accuracy(self) -> float:
        return self.right / self.count


@dataclass(frozen=True, kw_only=True)
class Epoch:
    """One epoch, numbered from 1: its weights, its mean training loss (nats), and the accuracy on
    pictures that are held out, by noise level."""

    number: int
    path: Path
    loss: float
    levels: tuple[LevelAccuracy, ...]


def train_discriminator(
    data: CachedImages,
    generated: NDArray[np.uint8],
    folder: Path,
    settings: DiscriminatorSettings | None = None,
    *,
    seed: int,
    part: str = "train",
    held_part: str = "select",
    device: str = "cpu",
    say: Callable[[str], None] = lambda line: None,
) -> tuple[Epoch, ...]:
    """Train on the real pictures of `part` and generated ones, uint8 [n, C, H, W] of their shape.

    Held out are a share of the generated pictures, drawn at random, and as many of `held_part`
    (fewer where it has fewer), whose subjects the training never sees. Real pictures deeper than
    8 bits are rounded to 8, so that depth does not give them away. Goes on where an earlier call
    on the same pictures, settings and seed was stopped; after more epochs than it had, too.

    Raises:
        BenchError: pictures of another shape or too few; `folder` holds another training; the
            loss is not finite.
    """
    settings = settings or DiscriminatorSettings()
    _check_pictures(data, generated)
    run = _Run(data, generated, folder, settings, seed, part, held_part, device)
    run.restore()
    while len(run.results) < settings.epochs:
        loss = run.epoch(len(run.results))
        run.keep(loss)
        say(_told(run.results[-1], settings.epochs))
    return tuple(run.results[: settings.epochs])


class _Run:
    """A training in progress: network, optimizer, and what each epoch came to."""

    def __init__(
        self,
        data: CachedImages,
        generated: NDArray[np.uint8],
        folder: Path,
        settings: DiscriminatorSettings,
        seed: int,
        part: str,
        held_part: str,
        device: str,
    ) -> None:
        self.data, self.folder, self.settings, self.seed = data, folder, settings, seed
        self.device, self.rows = device, data.parts[part]
        mixed = generated[permutation(seed, "discriminator/split", 0, len(generated))]
        held = max(round(settings.held_share * len(generated)), 1)
        self.generated, self.held_generated = mixed[held:], mixed[:held]
        self.held_rows = matched_indices(data.parts[held_part], held)
        self.shape, self.sigma_data = data.images.shape[1:], float(data.sigma_data)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derive_seed(seed, "discriminator/init"))
            made = build_discriminator(settings, self.shape, self.sigma_data)
        self.discriminator = made.to(device)
        self.optimizer = torch.optim.Adam(self.discriminator.parameters(), lr=settings.lr)
        self.results: list[Epoch] = []
        told = {k: v for k, v in dataclasses.asdict(settings).items() if k != "epochs"}
        content = hashlib.sha256(generated.tobytes()).hexdigest()
        self.identity = digest([data.digest, part, held_part, content, told, seed])

    def epoch(self, number: int) -> float:
        """Every generated picture once and as many real ones; the mean loss of both, in nats."""
        n, half = len(self.generated), self.settings.batch_size // 2
        order = permutation(self.seed, "discriminator/generated", number, n)
        self.discriminator.train()
        total = torch.zeros((), dtype=torch.float64, device=self.device)
        for first in range(0, n, half):
            chosen = self.generated[order[first : first + half]]
            places = range(number * n + first, number * n + first + len(chosen))
            real = self._real(self._real_rows(places))
            logits = torch.cat(
                [self._logits(REAL, real, places), self._logits(GENERATED, chosen, places)]
            )
            truth = torch.zeros_like(logits)
            truth[: len(chosen)] = 1
            loss = cross_entropy(logits, truth)
            self.optimizer.zero_grad(set_to_none=True)
            torch.autograd.backward(loss)
            self.optimizer.step()
            total += loss.detach().double() * len(chosen)
        mean = float(total) / n
        if not math.isfinite(mean):
            raise BenchError(
                f"the discriminator diverged in epoch {number + 1}; lower lr={self.settings.lr}"
            )
        return mean

    def keep(self, loss: float) -> None:
        """Judge the epoch that has just ended, and write its weights and the whole state."""
        number = len(self.results) + 1
        path = self.folder / f"discriminator-{number:04d}.safetensors"
        self.results.append(Epoch(number=number, path=path, loss=loss, levels=self._judged()))
        self.folder.mkdir(parents=True, exist_ok=True)
        save_discriminator(path, self.discriminator, self.settings, self.shape, self.sigma_data)
        weights = self.discriminator.net.state_dict()
        tensors = {f"net/{name}": tensor for name, tensor in weights.items()}
        packed = checkpoint.pack(self.optimizer.state_dict(), "optimizer", tensors)
        results = [{**dataclasses.asdict(e), "path": e.path.name} for e in self.results]
        state = {"identity": self.identity, "optimizer": packed, "results": results}
        checkpoint.write(self.folder / STATE, tensors, state)

    def restore(self) -> None:
        """Go on from the state in the folder, if there is one."""
        path = self.folder / STATE
        if not path.exists():
            return
        tensors, state = checkpoint.read(path)
        if state["identity"] != self.identity:
            raise BenchError(
                f"{self.folder} holds the discriminator of other pictures, settings or seed; "
                "give another folder"
            )
        weights = {k.removeprefix("net/"): v for k, v in tensors.items() if k.startswith("net/")}
        self.discriminator.net.load_state_dict(weights)
        body = checkpoint.unpack(state["optimizer"], tensors)
        checkpoint.load_optimizer(self.optimizer, body)
        self.results = [
            Epoch(
                number=result["number"],
                path=self.folder / result["path"],
                loss=result["loss"],
                levels=tuple(LevelAccuracy(**level) for level in result["levels"]),
            )
            for result in state["results"]
        ]

    def _real_rows(self, places: Sequence[int]) -> NDArray[np.int64]:
        """All real pictures in a new order each time they have all been seen."""
        n = len(self.rows)
        return self.rows[[_real_order(self.seed, k // n, n)[k % n] for k in places]]

    def _real(self, rows: NDArray[np.int64]) -> NDArray[np.uint8]:
        return to_uint8(self.data.images[rows], self.data.value_range)

    def _logits(self, kind: str, pictures: NDArray[np.uint8], places: Sequence[int]) -> Tensor:
        settings, purpose = self.settings, f"discriminator/{kind}"
        u = spread_out(self.seed, f"{purpose}/sigma", places, settings.batch_size // 2)
        low, high = math.log(settings.sigma_min), math.log(settings.sigma_max)
        sigma = torch.from_numpy(np.exp(low + (high - low) * u).astype(np.float32))
        noise = torch.from_numpy(normal(self.seed, purpose, places, pictures.shape[1:]))
        x = torch.from_numpy(as_float(pictures, BYTE_RANGE)) + sigma.view(-1, 1, 1, 1) * noise
        logits: Tensor = self.discriminator(x.to(self.device), sigma.to(self.device))
        return logits

    def _judged(self) -> tuple[LevelAccuracy, ...]:
        """The same held-out pictures with the same noise after every epoch."""
        self.discriminator.eval()
        real, generated = self._real(self.held_rows), self.held_generated[: len(self.held_rows)]

        def right(kind: str, pictures: NDArray[np.uint8], sigma: float) -> int:
            found = logits_of(
                self.discriminator,
                pictures,
                sigma,
                seed=self.seed,
                purpose=f"discriminator/held {kind}",
                device=self.device,
            )
            return int(((found > 0) == (kind == REAL)).sum())

        return tuple(
            LevelAccuracy(
                sigma=sigma,
                right=right(REAL, real, sigma) + right(GENERATED, generated, sigma),
                count=2 * len(real),
            )
            for sigma in LEVELS
        )


@lru_cache(maxsize=2)
def _real_order(seed: int, passes: int, n: int) -> NDArray[np.int64]:
    return permutation(seed, "discriminator/real", passes, n)


def _check_pictures(data: CachedImages, generated: NDArray[np.uint8]) -> None:
    expected = data.images.shape[1:]
    if generated.dtype != np.uint8 or generated.shape[1:] != expected or len(expected) != 3:
        raise BenchError(
            "generated pictures must be uint8 [n, C, H, W] of the real ones' shape "
            f"{tuple(expected)}, got {generated.dtype} {tuple(generated.shape)}"
        )
    if len(generated) < 2:
        raise BenchError(f"a discriminator needs 2 generated pictures, got {len(generated)}")


def _told(epoch: Epoch, of: int) -> str:
    levels = ", ".join(f"{level.accuracy:.0%} at {level.sigma:g}" for level in epoch.levels)
    return (
        f"discriminator epoch {epoch.number} of {of}: loss {epoch.loss:.4f}; held-out pictures "
        f"told rightly by noise level: {levels}"
    )
