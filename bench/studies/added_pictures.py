"""Pictures that a trained generator draws, and data whose training part they are added to."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from bench.config import SampleConfig, digest
from bench.data import cache
from bench.data.cache import CachedImages, load_cache
from bench.data.cache_index import read_index, write_index
from bench.studies.trained import Networks, Trained


def drawn(
    trained: Trained,
    data: CachedImages,
    count: int,
    *,
    sample: SampleConfig | None = None,
    networks: Networks | None = None,
    purpose: str = "study/drawn",
) -> NDArray[Any]:
    """`count` pictures of a generator, as values of `data`: [count, C, ...].

    sample: in place of the trial's own. networks: what its guidance needs, by name. purpose: names
    the random streams; the same purpose, the same noise, so that ways to sample compare in pairs.

    Raises:
        BenchError: the trial kept no weights, or the guidance lacks a network.
    """
    low, high = data.value_range

    def keep(x: Tensor) -> NDArray[Any]:
        values = low + (x.clamp(-1, 1).double() + 1) / 2 * (high - low)
        whole = values.round() if data.images.dtype.kind == "u" else values
        return np.asarray(whole.cpu().numpy().astype(data.images.dtype))

    return trained.drawn(count, purpose, sample=sample, networks=networks, keep=keep)


def with_training(
    data: CachedImages, folder: Path, name: str, rows: NDArray[np.int64], added: NDArray[Any]
) -> CachedImages:
    """A cache in `folder` whose training part is these rows of the data's own and the added
    pictures; select and report are untouched. An added picture is a subject of its own, of unknown
    class, and has no values beside it."""
    if (folder / cache.INDEX).exists():  # of a run of the study before
        return load_cache(folder)
    held_out = np.concatenate([data.parts["select"], data.parts["report"]])
    kept = np.sort(np.concatenate([rows, held_out]))
    part = np.empty(len(data.images), np.uint8)
    for code, where in enumerate(data.parts.values()):
        part[where] = code
    count = len(added)
    ids = [*data.subject_ids, *(f"{name}-{i}" for i in range(count))]
    first = len(data.subject_ids)
    columns: dict[str, NDArray[Any]] = {
        "subject": np.append(data.subject[kept], np.arange(first, first + count)).astype(np.int32),
        "part": np.append(part[kept], np.zeros(count)).astype(np.uint8),
    }
    if data.labels is not None:
        columns["label"] = np.append(data.labels[kept], np.full(count, -1)).astype(np.int64)
    if data.vector is not None:
        unknown = np.full((count, data.vector.shape[1]), np.nan, np.float32)
        columns["vector"] = np.concatenate([data.vector[kept], unknown])
    images = np.concatenate([data.images[kept], added.astype(data.images.dtype)])
    folder.mkdir(parents=True, exist_ok=True)
    images.tofile(folder / cache.IMAGES)
    np.savez(folder / cache.FRAMES, **columns)  # type: ignore[arg-type]  # numpy's stub
    index = read_index(data.path / cache.INDEX)
    content = digest([data.digest, name, kept.tolist(), int(images.astype(np.float64).sum())])
    write_index(
        folder / cache.INDEX,
        replace(
            index,
            digest=content,
            shape=tuple(images.shape),
            subject_ids=tuple(ids),
            mask_count=0,
            name=f"{data.name}-{name}",
        ),
    )
    return load_cache(folder)
