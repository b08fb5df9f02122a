"""The generation task: batches of images, and pictures judged against real ones.

At a rung the pictures are compared with the `select` part; at the end fresh ones, of another
stream, once with `report`, and with `train` beside it (memorisation). The real side of every
distance is computed once a data set and extractor, kept beside the cache, and shared by all trials.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bench.config import TrialConfig
from bench.data.cache import CachedImages, load_cache
from bench.diffusion.gaussian import GaussianDenoiser
from bench.metrics.denoising_error import denoising_error, squared_errors
from bench.metrics.extractors import Extractor, extract, load_extractor
from bench.metrics.frechet import FrechetReference, frechet_distance
from bench.metrics.memorisation import matched_indices
from bench.streams import permutation
from bench.train.objective import Batch
from bench.workloads.workload import Clock, Evaluation

REFERENCE_SEED = 0  # which real images stand for a part: the same for every trial and sweep
GAUSSIAN = "gaussian.safetensors"
GAUSSIAN_IMAGES = 4096  # at most, of the train part


class GenerateTask:
    """Generate images like those of the data set. Immutable; shared by the trials of a process."""

    def __init__(self, config: TrialConfig) -> None:
        self.config = config
        self.measure = config.measure
        self.data = _cache(config.data.cache)
        self.train = self.data.parts["train"]

    def batch(self, samples: Sequence[int], seed: int) -> Batch:
        n = len(self.train)
        places = [self._order(seed, k // n)[k % n] for k in samples]
        return Batch(target=as_float(self.data.images[self.train[places]]))

    def _order(self, seed: int, epoch: int) -> np.ndarray[Any, Any]:
        return _permutation(seed, epoch, len(self.train))

    def evaluate(self, predictor: Any, part: str, clock: Clock) -> Evaluation:
        final = part == "report"
        count = self.measure.n_report if final else self.measure.n_select
        with clock.phase("sample") as drawn:
            made = predictor.generate(count, f"sample/{part}")
            drawn(count)
        with clock.phase("measure"):
            cache, size = self.config.data.cache, self.measure.n_reference
            judge = self.measure.extractor
            extractor = _extractor(judge)
            # as the reference, whatever trains: a GPU's TF32 convolutions would be another judge
            features = extract(extractor, made.images, device="cpu")
            distance = frechet_distance(reference(cache, judge, part, size), features)
            metrics = {
                extractor.metric: distance.value,
                "clipped_pixels": made.clipped_share,
                "nfe": float(made.nfe),
            }
            if distance.se is not None:
                metrics[f"{extractor.metric}_se"] = distance.se
            metrics |= self._denoise_error(predictor, part)
            if final:
                # as many real pictures on both sides: the distance falls with their number
                size = min(size, len(self.data.parts["report"]))
                train = frechet_distance(reference(cache, judge, "train", size), features)
                metrics[f"{extractor.metric}_train"] = train.value
        return Evaluation(metrics=metrics, value=distance.value, pictures=made.images[:64])

    def _denoise_error(self, predictor: Any, part: str) -> dict[str, float]:
        """The error of D on real images of the part, at common noise, relative to the optimal
        linear-Gaussian denoiser of the train part on the same images and noise."""
        sigmas, count = self.measure.denoise_sigmas, self.measure.n_denoise
        result = denoising_error(
            predictor.denoise,
            _denoise_images(self.config.data.cache, part, count),
            sigmas=sigmas,
            noise_seed=REFERENCE_SEED,
            optimal_error=optimal_error(self.config.data.cache, part, count, sigmas),
        )
        error = {"denoise_error": result.weighted}
        return error if result.se is None else {**error, "denoise_error_se": result.se}


def as_float(images: np.ndarray[Any, Any]) -> Tensor:
    """uint8 N C *spatial -> float32 in [-1, 1]."""
    return torch.from_numpy(np.ascontiguousarray(images)).float().div_(127.5).sub_(1)


@lru_cache(maxsize=4)
def _cache(folder: str) -> CachedImages:
    return load_cache(Path(folder))


@lru_cache(maxsize=4)
def _permutation(seed: int, epoch: int, n: int) -> np.ndarray[Any, Any]:
    return permutation(seed, "order", epoch, n)


@lru_cache(maxsize=4)
def _extractor(name: str) -> Extractor:
    return load_extractor(name)


@lru_cache(maxsize=16)
def reference(cache: str, extractor: str, part: str, count: int) -> FrechetReference:
    """The real side of the distance, from the file beside the cache or computed into it.

    `extractor` is a name in the table or a user's "file.py:build".
    """
    judge = _extractor(extractor)
    path = Path(cache) / f"reference-{judge.digest[:12]}-{part}-{count}.npz"
    if path.exists():
        return FrechetReference.load(path)
    data = _cache(cache)
    rows = matched_indices(data.parts[part], count, seed=REFERENCE_SEED)
    made = FrechetReference.of_images(judge, np.asarray(data.images[rows]))
    made.save(path)
    return made


def _denoise_images(cache: str, part: str, count: int) -> Tensor:
    """The images of a part that D is tried on: the same for every trial."""
    data = _cache(cache)
    return as_float(data.images[matched_indices(data.parts[part], count, seed=REFERENCE_SEED)])


@lru_cache(maxsize=16)
def optimal_error(
    cache: str, part: str, count: int, sigmas: tuple[float, ...]
) -> np.ndarray[Any, Any]:
    """Per-pixel squared error of the optimal linear-Gaussian denoiser at each sigma."""
    fitted = _gaussian(cache)
    images = _denoise_images(cache, part, count)
    errors = squared_errors(fitted, images, sigmas=sigmas, noise_seed=REFERENCE_SEED)
    return np.asarray(errors.mean(0))


@lru_cache(maxsize=4)
def _gaussian(cache: str) -> GaussianDenoiser:
    path = Path(cache) / GAUSSIAN
    if path.exists():
        return GaussianDenoiser.load(path)
    data = _cache(cache)
    rows = matched_indices(data.parts["train"], GAUSSIAN_IMAGES, seed=REFERENCE_SEED)
    fitted = GaussianDenoiser.fit(as_float(data.images[rows]))
    fitted.save(path)
    return fitted


def prepare(cache: str, config: TrialConfig) -> None:
    """Compute what all trials share, once, before they start."""
    for part in ("train", "select", "report"):
        reference(cache, config.measure.extractor, part, config.measure.n_reference)
    report = len(_cache(cache).parts["report"])
    size = min(config.measure.n_reference, report)
    reference(cache, config.measure.extractor, "train", size)
    _gaussian(cache)
