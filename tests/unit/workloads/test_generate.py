"""The generation task: which pictures make a batch, and what an evaluation looks at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from bench.data.cache import load_cache
from bench.metrics.extractors import extract, load_extractor
from bench.metrics.frechet import FrechetReference, frechet_distance
from bench.metrics.throughput import Stopwatch
from bench.train.diffusion_method import Pictures
from bench.workloads import generate
from bench.workloads.generate import GenerateTask, as_float
from tests.fakes.trials import SIDE, tiny, write_cache

TRAIN = 24
OWN = """
import torch
from bench.metrics.extractors import Extractor

class Mine(Extractor):
    name, num_features, input_size, resizer = "mine", 2, 0, "none"

    def forward(self, images):
        x = images.float()
        return torch.stack([x.mean((1, 2, 3)), x.std((1, 2, 3))], 1)

build = Mine
"""


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_cache(tmp_path_factory.mktemp("fake") / "cache", per_part=TRAIN)


@dataclass
class Known:
    """A predictor whose pictures are given, and whose D is x shrunk by a factor."""

    pictures: np.ndarray[Any, Any]
    factor: float = 1.0

    def __post_init__(self) -> None:
        self.asked: list[tuple[int, str]] = []

    def generate(self, count: int, purpose: str) -> Pictures:
        self.asked.append((count, purpose))
        return Pictures(images=self.pictures[:count], nfe=3, clipped_share=0.25)

    def denoise(self, x: Tensor, sigma: Tensor) -> Tensor:
        return x * self.factor


def rows(cache: Path, part: str) -> np.ndarray[Any, Any]:
    data = load_cache(cache)
    return np.asarray(data.images[data.parts[part]])


def which(task: GenerateTask, samples: Sequence[int], seed: int = 0) -> list[int]:
    """The places in the train part of the pictures of a batch."""
    train = as_float(rows(task.data.path, "train"))
    batch = task.batch(samples, seed).target
    return [int((train == picture).flatten(1).all(1).nonzero()[0, 0]) for picture in batch]


def test_an_epoch_is_every_training_picture_once(cache: Path) -> None:
    task = GenerateTask(tiny(cache))
    first, second = which(task, range(TRAIN)), which(task, range(TRAIN, 2 * TRAIN))
    assert sorted(first) == sorted(second) == list(range(TRAIN))
    assert first != second
    assert which(task, range(TRAIN), seed=1) != first


def test_a_batch_is_its_samples_however_cut(cache: Path) -> None:
    task = GenerateTask(tiny(cache))
    whole = task.batch(range(18, 30), 0).target  # over the edge of an epoch
    parts = [task.batch([k], 0).target for k in range(18, 30)]
    assert torch.equal(whole, torch.cat(parts))
    shuffled = task.batch(range(29, 17, -1), 0).target
    assert torch.equal(whole, shuffled.flip(0))


def test_pictures_in_the_data_range() -> None:
    x = as_float(np.array([[[[0, 255, 51]]]], np.uint8))
    assert x.dtype == torch.float32
    torch.testing.assert_close(x.flatten(), torch.tensor([-1.0, 1.0, -0.6]))


def test_shape_of_a_batch(cache: Path) -> None:
    assert GenerateTask(tiny(cache)).batch(range(5), 0).target.shape == (5, 1, SIDE, SIDE)


@pytest.mark.parametrize(("part", "count"), [("select", 10), ("report", 12)])
def test_the_distance_is_to_that_part(cache: Path, part: str, count: int) -> None:
    """Against the Fréchet distance made by hand from the part's own pictures."""
    config = tiny(cache, **{"measure.n_reference": TRAIN})
    known = Known(rows(cache, "train")[::-1])
    found = GenerateTask(config).evaluate(known, part, Stopwatch())
    assert known.asked == [(count, f"sample/{part}")]
    extractor = load_extractor("randconv")
    real = FrechetReference.of_images(extractor, rows(cache, part))
    by_hand = frechet_distance(real, extract(extractor, known.pictures[:count]))
    assert found.value == found.metrics["fd_randconv"] == pytest.approx(by_hand.value, rel=1e-9)
    assert found.metrics["fd_randconv_se"] == pytest.approx(by_hand.se, rel=1e-6)
    assert found.metrics["nfe"] == 3
    assert found.metrics["clipped_pixels"] == 0.25
    train = found.metrics.get("fd_randconv_train")
    assert (train is not None) == (part == "report")
    if train is not None:  # the pictures are training pictures: it shows
        assert train < found.value


def test_both_sides_are_judged_on_the_cpu(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever the network trains: a GPU's convolutions in TF32 would not be the reference's."""
    asked: list[str] = []

    def seen(*args: Any, device: str = "cpu") -> np.ndarray[Any, Any]:
        asked.append(device)
        return extract(*args)

    monkeypatch.setattr(generate, "extract", seen)
    monkeypatch.setattr(GenerateTask, "_denoise_error", lambda *_: {})
    config = tiny(cache, **{"train.device": "cuda"})
    GenerateTask(config).evaluate(Known(rows(cache, "train")), "select", Stopwatch())
    assert asked == ["cpu"]


def test_a_users_own_extractor_judges(cache: Path, tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(OWN)
    config = tiny(cache, **{"measure.extractor": f"{file}:build"})
    generate.prepare(str(cache), config)
    known = Known(rows(cache, "train"))
    found = GenerateTask(config).evaluate(known, "report", Stopwatch()).metrics
    assert {"fd_mine", "fd_mine_se", "fd_mine_train"} <= set(found)


def test_training_pictures_all_of_them_are_at_no_distance_from_train(cache: Path) -> None:
    config = tiny(cache, **{"measure.n_reference": TRAIN, "measure.n_report": TRAIN})
    found = GenerateTask(config).evaluate(Known(rows(cache, "train")), "report", Stopwatch())
    assert found.metrics["fd_randconv_train"] == pytest.approx(0, abs=1e-3 * found.value)


@pytest.mark.parametrize("part", ["select", "report"])
def test_denoising_error_is_against_the_gaussian_optimum(cache: Path, part: str) -> None:
    """D = x has the error sigma^2; the optimum on common noise is below that at every sigma."""
    config = tiny(cache, **{"measure.denoise_sigmas": (0.1, 1.0)})
    known = Known(rows(cache, "train"))
    found = GenerateTask(config).evaluate(known, part, Stopwatch()).metrics["denoise_error"]
    best = generate.optimal_error(str(cache), part, config.measure.n_denoise, (0.1, 1.0))
    # 4 pictures of 64 pixels: the mean of 256 squared normals is 1 to 9 %
    by_hand = float(np.sqrt(np.prod(np.array([0.01, 1.0]) / best)))
    assert found == pytest.approx(by_hand, rel=0.2)
    assert found > 1


def test_references_are_stored_once_and_read_again(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_cache(tmp_path / "cache", per_part=TRAIN)
    config = tiny(folder)
    generate.prepare(str(folder), config)
    stored = sorted(p.name for p in folder.glob("reference-*"))
    assert len(stored) == 3  # train, select, report: 16 pictures each
    assert (folder / generate.GAUSSIAN).exists()
    before = GenerateTask(config).evaluate(Known(rows(folder, "train")), "report", Stopwatch())
    for cached in (generate.reference, generate.optimal_error, generate._gaussian):
        cached.cache_clear()

    def no(*_: Any, **__: Any) -> None:
        raise AssertionError("computed again")

    monkeypatch.setattr(FrechetReference, "of_images", no)
    monkeypatch.setattr(generate.GaussianDenoiser, "fit", no)
    again = GenerateTask(config).evaluate(Known(rows(folder, "train")), "report", Stopwatch())
    assert again.metrics == before.metrics
    assert sorted(p.name for p in folder.glob("reference-*")) == stored


def test_time_is_booked_where_it_goes(cache: Path) -> None:
    clock = Stopwatch()
    GenerateTask(tiny(cache)).evaluate(Known(rows(cache, "train")), "select", clock)
    seen = clock.read()
    assert seen.sample_images == 10
    assert seen.train_sec == 0
    assert seen.measure_sec > 0
