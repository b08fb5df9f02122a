"""Random streams keyed by (seed, purpose, index): one seed in, every draw derived and named.

A stream never depends on rank, worker or micro-batch, only on the sample's index in the global
order, so several workers draw what one would. Philox is counter-based (Salmon et al. 2011): the
key is a digest of (seed, purpose), the index is put in the counter's high words.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray


def stream(seed: int, purpose: str, index: int = 0) -> np.random.Generator:
    """The generator for one sample index of one purpose; `index` is any non-negative integer."""
    digest = hashlib.blake2b(f"{seed}/{purpose}".encode(), digest_size=16).digest()
    key = np.frombuffer(digest, dtype=np.uint64)
    return np.random.Generator(np.random.Philox(key=key, counter=[0, 0, index, 0]))


def normal(
    seed: int, purpose: str, indices: Iterable[int], shape: tuple[int, ...]
) -> NDArray[np.float32]:
    """Standard normal noise, one stream a sample: float32 [len(indices), *shape]."""
    rows = [stream(seed, purpose, i).standard_normal(shape, dtype=np.float32) for i in indices]
    return np.stack(rows) if rows else np.empty((0, *shape), np.float32)


def uniform(seed: int, purpose: str, indices: Iterable[int]) -> NDArray[np.float64]:
    """Uniforms in [0, 1), one a sample: float64 [len(indices)]."""
    return np.array([stream(seed, purpose, i).random() for i in indices])


def mirrored(seed: int, purpose: str, indices: Iterable[int]) -> NDArray[np.float64]:
    """Antithetic uniforms in [0, 1): samples 2k and 2k+1 get u and its mirror 1 - 2^-53 - u.

    u is a multiple of 2^-53, so the mirror is one as well, and equal cells of [0, 1) mirror each
    other without exception. Sample 2k has what `uniform` gives it.
    """
    numbers = np.array(list(indices), dtype=np.int64)
    u, odd = uniform(seed, purpose, (numbers - numbers % 2).tolist()), numbers % 2 == 1
    return np.where(odd, 1 - 2.0**-53 - u, u)


def spread_out(
    seed: int, purpose: str, indices: Iterable[int], batch_size: int
) -> NDArray[np.float64]:
    """Uniforms in [0, 1) that divide it evenly over each batch of `batch_size` samples in a row.

    Sample r of batch b gets the fractional part of u_b + r / batch_size, u_b being uniform and one
    for the batch (Kingma et al. 2021, arXiv 2107.00630, appendix I.1). Each value is uniform by
    itself; each of batch_size equal cells of [0, 1) has one value of a batch, up to rounding.
    """
    batches, places = np.divmod(np.array(list(indices), dtype=np.int64), batch_size)
    own, of = np.unique(batches, return_inverse=True)
    offsets = uniform(seed, purpose, own.tolist())
    return np.asarray(np.mod(offsets[of] + places / batch_size, 1.0))


def permutation(seed: int, purpose: str, epoch: int, n: int) -> NDArray[np.int64]:
    """The order of n items in one epoch."""
    return stream(seed, purpose, epoch).permutation(n)


def derive_seed(seed: int, purpose: str, index: int = 0) -> int:
    """A new 63-bit seed for a library that wants one (Optuna's samplers, a trial's own seed)."""
    return int(stream(seed, purpose, index).integers(0, 2**63 - 1))
