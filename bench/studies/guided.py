"""A trained generator with a discriminator beside it: drawn from, taught, and the weights chosen.

Which epoch and which weights guide best is found on `select`; nothing here looks at `report`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.errors import BenchError
from bench.nonfinite import NonFiniteError
from bench.studies.discriminator_training import Epoch, train_discriminator
from bench.studies.study import Setting
from bench.studies.trained import Networks, Trained
from bench.studies.trained_discriminator import DiscriminatorSettings, load_discriminator

NAME = "discriminator"
# First order, second order, boost: DG's own; more of each; and the two readings of the echo
# paper's "weight of 5 ... no guidance for the correction ... a scaling of 2".
WEIGHTS = (
    *((1.0, 0.0, 1.0), (2.0, 0.0, 1.0), (5.0, 0.0, 1.0)),
    *((10.0, 0.0, 1.0), (5.0, 0.0, 2.0), (1.0, 1.0, 1.0), (2.0, 2.0, 1.0)),
)
DG_OWN = (2.0, 0.0, 1.0)
# Where noised pictures can be told apart at all: above, half of all training would be for nothing.
SIGMAS = (0.02, 5.0)


@dataclass(frozen=True, kw_only=True)
class Size:
    """How much of it a scale can bear: pictures that the generator draws, and how discriminators
    are trained on them."""

    pictures: int
    epochs: int
    batch_size: int = 128
    lr: float = 3e-4


SIZES = {
    "smoke": Size(pictures=48, epochs=2, batch_size=24),
    # in batches of 128 the loss after 8 epochs is .55, in these .33
    "laptop": Size(pictures=512, epochs=8, batch_size=32, lr=1e-3),
    "gpu": Size(pictures=8192, epochs=10),
    "paper": Size(pictures=50_000, epochs=10),
}


@dataclass(frozen=True, kw_only=True)
class Tried:
    """One way to guide, and its score on `select`; None: not finite."""

    width: int
    epoch: int
    weight: float
    weight_second: float
    boost: float
    score: float | None


@dataclass(frozen=True, kw_only=True)
class Choice:
    """The best way found, all that were tried, and the discriminators' epochs by width."""

    best: Tried
    tried: tuple[Tried, ...]
    epochs: Mapping[int, Sequence[Epoch]]


class Guided:
    """One generator's discriminators, of one study."""

    def __init__(self, setting: Setting, trained: Trained) -> None:
        config = trained.config
        standard = config.task.args.get("standardise", "none")
        if config.method.kind != "diffusion" or standard != "none":
            raise BenchError(
                "a discriminator sees pictures as they are, and this generator draws "
                f"{'standardised ones' if standard != 'none' else 'by ' + config.method.kind}"
            )
        self.setting, self.trained = setting, trained
        self.size = SIZES[setting.scale.name if setting.scale.name in SIZES else "laptop"]

    def generated(self) -> NDArray[np.uint8]:
        """What the generator draws unguided, to teach discriminators with: [n, C, H, W]."""

        def draw() -> NDArray[Any]:
            self.setting.say(f"drawing {self.size.pictures} pictures for the discriminator")
            return self.trained.drawn(self.size.pictures, "study/teach")

        return self.setting.kept.array("generated", draw)

    def epochs(self, width: int) -> Sequence[Epoch]:
        """A discriminator of this width, taught; goes on where it was stopped."""
        setting, config = self.setting, self.trained.config
        return train_discriminator(
            setting.data,
            self.generated(),
            setting.folder / f"discriminator-{width}",
            DiscriminatorSettings(
                width=width,
                epochs=self.size.epochs,
                batch_size=self.size.batch_size,
                lr=self.size.lr,
                sigma_min=SIGMAS[0],
                sigma_max=SIGMAS[1],
            ),
            seed=setting.seed,
            device=config.train.device,
            say=setting.say,
        )

    def networks(self, epochs: Sequence[Epoch], number: int) -> Networks:
        """The discriminator after epoch `number`, as sampling wants it."""
        device = self.trained.config.train.device
        return {NAME: load_discriminator(epochs[number - 1].path, device)}

    def sampling(self, tried: Tried) -> Any:
        """The trial's sampling, guided so."""
        args = {"weight": tried.weight, "weight_second": tried.weight_second, "boost": tried.boost}
        args["sigma_max"] = SIGMAS[1]
        return self.trained.sampled(guidance=NAME, guidance_args=args)

    def choose(self, widths: Sequence[int]) -> Choice:
        """For every width the epoch that guides best with DG's own weights, then the weights."""
        tried: list[Tried] = []
        epochs = {width: self.epochs(width) for width in widths}
        for width in widths:
            found = [
                self._try(epochs[width], width, epoch.number, DG_OWN) for epoch in epochs[width]
            ]
            best = _best(found)
            others = [weights for weights in WEIGHTS if weights != DG_OWN]
            found += [self._try(epochs[width], width, best.epoch, weights) for weights in others]
            tried += found
        return Choice(best=_best(tried), tried=tuple(tried), epochs=epochs)

    def _try(
        self, epochs: Sequence[Epoch], width: int, number: int, weights: tuple[float, float, float]
    ) -> Tried:
        first, second, boost = weights
        way = Tried(
            width=width, epoch=number, weight=first, weight_second=second, boost=boost, score=None
        )

        def measure() -> float | None:
            self.setting.say(
                f"width {width}, epoch {number}, weights {first:g} and {second:g}, boost {boost:g}"
            )
            networks = self.networks(epochs, number)
            try:
                return self.trained.evaluate("select", self.sampling(way), networks=networks).value
            except NonFiniteError:
                return None

        key = f"guided-{width}-{number}-{first:g}-{second:g}-{boost:g}"
        return dataclasses.replace(way, score=self.setting.kept.numbers(key, measure))


def _best(tried: Sequence[Tried]) -> Tried:
    """The lowest score; the first where none is finite."""
    return min(tried, key=lambda way: float("inf") if way.score is None else way.score)
