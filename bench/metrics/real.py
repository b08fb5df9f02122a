"""The real side of measuring: pictures of a part and what metrics know of them, made once.

Features and references are kept beside the cache, so that all trials of all sweeps on the same
data share them; which pictures stand for a part is the same for every trial.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.data.cache import CachedImages, load_cache
from bench.data.value_range import as_float, to_uint8
from bench.diffusion.gaussian import GaussianDenoiser
from bench.files import whole
from bench.metrics.extractors import Extractor, extract, load_extractor
from bench.metrics.memorisation import matched_indices

REFERENCE_SEED = 0  # which real pictures stand for a part
GAUSSIAN = "gaussian.safetensors"
GAUSSIAN_IMAGES = 4096  # at most, of the train part


class RealData:
    """One cache as metrics see it. Reads only; `cache` is its folder. Features are made on
    `device`, and kept for each kind of device: the CPU's and CUDA's agree, but not to the bit."""

    def __init__(self, cache: str, device: str = "cpu") -> None:
        self.folder = Path(cache)
        self.device = device_here(device)

    def kept(self, name: str) -> Path:
        """Where something made of features lies beside the cache: "reference-x.npz"."""
        kind = torch.device(self.device).type
        path = self.folder / name
        return path if kind == "cpu" else path.with_stem(f"{path.stem}-{kind}")

    @property
    def data(self) -> CachedImages:
        return _cache(str(self.folder))

    def rows(self, part: str, count: int) -> NDArray[np.int64]:
        """Which images stand for a part: at most `count`, ascending."""
        return matched_indices(self.data.parts[part], count, seed=REFERENCE_SEED)

    def pictures_at(self, rows: NDArray[np.int64]) -> NDArray[np.uint8]:
        """uint8 [n, C, *spatial] of these images, as predictions of pictures are kept."""
        return to_uint8(self.data.images[rows], self.data.value_range)

    def images_at(self, rows: NDArray[np.int64]) -> Tensor:
        """float32 [n, C, *spatial] in [-1, 1] of these images, as networks are trained on them."""
        return torch.from_numpy(as_float(self.data.images[rows], self.data.value_range))

    def pictures(self, part: str, count: int) -> NDArray[np.uint8]:
        """`pictures_at` of those that stand for a part."""
        return self.pictures_at(self.rows(part, count))

    def images(self, part: str, count: int) -> Tensor:
        """`images_at` of those that stand for a part."""
        return self.images_at(self.rows(part, count))

    def features(
        self, extractor: str, part: str, count: int, *, mirrored: bool = False
    ) -> NDArray[np.float64]:
        """Features [n, D] of the pictures of a part, or of their mirror images, from the file
        beside the cache or into it."""
        return _features(str(self.folder), self.device, extractor, part, count, mirrored)

    def gaussian(self) -> GaussianDenoiser:
        """The linear-Gaussian denoiser of the train part."""
        return _gaussian(str(self.folder))


def device_here(device: str) -> str:
    """A trial's device, or the CPU where this process has none such (a driver on another node)."""
    there = torch.device(device).type != "cuda" or torch.cuda.is_available()
    return device if there else "cpu"


@lru_cache(maxsize=4)
def _cache(folder: str) -> CachedImages:
    return load_cache(Path(folder))


@lru_cache(maxsize=4)
def extractor_named(name: str) -> Extractor:
    """The extractor of a name, built once a process."""
    return load_extractor(name)


@lru_cache(maxsize=16)
def _features(
    folder: str, device: str, extractor: str, part: str, count: int, mirrored: bool
) -> NDArray[np.float64]:
    judge, real = extractor_named(extractor), RealData(folder, device)
    way = "-mirrored" if mirrored else ""
    path = real.kept(f"features-{judge.digest[:12]}-{part}-{count}{way}.npy")
    if path.exists():
        return np.asarray(np.load(path))
    pictures = real.pictures(part, count)
    features = extract(judge, pictures[..., ::-1] if mirrored else pictures, device=device)
    with whole(path) as partial, partial.open("wb") as file:
        np.save(file, features)
    return features


@lru_cache(maxsize=4)
def _gaussian(folder: str) -> GaussianDenoiser:
    path = Path(folder) / GAUSSIAN
    if path.exists():
        return GaussianDenoiser.load(path)
    fitted = GaussianDenoiser.fit(RealData(folder).images("train", GAUSSIAN_IMAGES))
    fitted.save(path)
    return fitted
