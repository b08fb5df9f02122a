"""What a preconditioning is: how a raw network becomes D(x; sigma), and which sigmas it trains on.

Karras et al. 2022 (arXiv 2206.00364), Eq. 7 and Eq. 8, Table 1:
D(x; sigma) = c_skip x + c_out F(c_in x; c_noise), loss lambda(sigma) ||D(y + n; sigma) - y||^2.
Ours: training noise as an inverse CDF, so that one uniform per sample index gives one sigma.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.diffusion.process import PROCESS_KINDS, SIGMA_PROCESS, Process
from bench.errors import BenchError, unknown

if TYPE_CHECKING:
    from torch import Tensor

Array = NDArray[np.float64]
WEIGHTINGS = ("authors", "between")  # of the score-matching schemes' losses
WORDS: dict[str, tuple[type, str]] = {"str": (str, "a word"), "bool": (bool, "true or false")}


class Coefficients(NamedTuple):
    """The four coefficients of Eq. 7, each of sigma's shape and dtype."""

    c_skip: Tensor
    c_out: Tensor
    c_in: Tensor
    c_noise: Tensor


@dataclass(frozen=True, kw_only=True)
class Preconditioning(ABC):
    """One scheme of Table 1. Immutable, without randomness or device state; safe to share.

    Functions of tensors keep dtype and device (pass float64: the Denoiser does); functions of
    arrays are float64. Every sigma is positive. `sigma_data` is the standard deviation of the data
    in the network's range, measured by the caller; every scheme carries it so that nobody has to
    branch on names, EDM alone uses it. Fields are finite numbers, words (str) or switches (bool).
    """

    name: ClassVar[str]
    antithetic = False
    """Whether training draws come in mirrored pairs (see streams.mirrored); a scheme where that is
    to be chosen makes it a field."""
    sigma_data: float = 0.5

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            kind = getattr(field.type, "__name__", field.type)  # a name, however it is annotated
            if kind in WORDS:
                word, what = WORDS[kind]
                self.require(isinstance(value, word), f"{field.name}={value!r} must be {what}")
                continue
            if not math.isfinite(value):
                self.require(False, f"{field.name}={value!r} must be finite")
            if kind == "int":
                self.require(isinstance(value, int), f"{field.name}={value!r} must be whole")
        self.require(self.sigma_data > 0, f"sigma_data={self.sigma_data} must be > 0")

    def require(self, rule: bool, text: str) -> None:
        """BenchError with the scheme's name unless the rule holds."""
        if not rule:
            raise BenchError(f"preconditioning {self.name!r}: {text}")

    @property
    @abstractmethod
    def sigma_min(self) -> float:
        """The smallest sigma the scheme is meant for."""

    @property
    @abstractmethod
    def sigma_max(self) -> float:
        """The largest sigma the scheme is meant for."""

    @abstractmethod
    def coefficients(self, sigma: Tensor) -> Coefficients:
        """c_skip, c_out, c_in and c_noise at sigma (any shape)."""

    @abstractmethod
    def loss_weight(self, sigma: Tensor) -> Tensor:
        """lambda(sigma) of Table 1, of sigma's shape."""

    @abstractmethod
    def sigma_from_uniform(self, u: Array) -> Array:
        """Training noise: the inverse CDF at u in [0, 1), never decreasing in u, finite, > 0."""

    @abstractmethod
    def own_grid(self, n: int) -> Array:
        """The scheme's own sampling grid: n sigmas, descending, without the final 0."""

    @abstractmethod
    def own_process(self) -> Process:
        """The scheme's own time and scaling, sigma(t) and s(t) of Table 1, for sampling."""

    @abstractmethod
    def c_noise_range(self) -> tuple[float, float]:
        """(smallest, largest) c_noise on the scheme's training and sampling range."""

    @property
    def level_count(self) -> int | None:
        """How many noise levels it knows; None where sigma is continuous."""
        return None

    def round_sigma(self, sigma: Array) -> Array:
        """The nearest sigma the scheme knows: itself, except where levels are discrete."""
        return np.asarray(sigma, dtype=np.float64)


def require_weighting(name: str, weighting: str) -> None:
    """BenchError unless `score_weight` knows the weighting; `name` is the scheme's."""
    if weighting not in WEIGHTINGS:
        raise unknown(f"weighting of preconditioning {name!r}", weighting, WEIGHTINGS)


def score_weight(sigma: Tensor, sigma_data: float, weighting: str) -> Tensor:
    """lambda(sigma) of a scheme whose network estimates the noise.

    `authors`: 1 / sigma^2, all noise levels alike in the network's output. `between`, ours: the
    geometric mean of that and EDM's weight. D errs by sigma times the network's error, so in a
    short training high sigmas need the larger share.
    """
    weight = 1 / sigma**2
    if weighting == "between":
        weight = weight * (1 + (sigma / sigma_data) ** 2).sqrt()
    return weight


def process_of(precond: Preconditioning, kind: str = "sigma") -> Process:
    """The process a scheme is sampled with: `sigma` for all alike, or the scheme's `own`."""
    if kind == "sigma":
        return SIGMA_PROCESS
    if kind == "own":
        return precond.own_process()
    raise unknown("process", kind, PROCESS_KINDS)
