"""Discriminator guidance from end to end: train, draw, train discriminators, draw again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.stats import ttest_1samp

from bench.data import cache
from bench.data.cache import CachedImages, load_cache
from bench.diffusion.noise_discriminator import Discriminator
from bench.errors import BenchError
from bench.methods import build_method
from bench.studies.added_pictures import drawn
from bench.studies.discriminator_training import train_discriminator
from bench.studies.trained import Trained
from bench.studies.trained_discriminator import (
    DiscriminatorSettings,
    load_discriminator,
    logits_of,
)
from bench.tasks.generate import GenerateTask
from bench.train.judged_weights import write_judged
from bench.train.loop import Training
from tests.fakes.trials import tiny, write_cache

BRIGHTER = 60  # grey levels, of what the generator is trained on
DRAWN = 200
SETTINGS = DiscriminatorSettings(
    width=8,
    multipliers=(1, 2),
    epochs=4,
    batch_size=32,
    lr=2e-3,
    sigma_min=0.02,
    sigma_max=5.0,
)

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("guided")


@pytest.fixture(scope="module")
def real(folder: Path) -> CachedImages:
    return load_cache(write_cache(folder / "real", per_part=DRAWN))


@pytest.fixture(scope="module")
def generator(folder: Path) -> Trained:
    """Of pictures that are all too bright; its weights are in `folder`."""
    wrong = write_cache(folder / "wrong", per_part=DRAWN)
    images = np.fromfile(wrong / cache.IMAGES, np.uint8).astype(int)
    np.clip(images + BRIGHTER, 0, 255).astype(np.uint8).tofile(wrong / cache.IMAGES)
    sizes = {"train.batch_size": 32, "train.micro_batch": 32, "train.lr": 5e-3}
    lengths = {"train.budget_nimg": 3200, "train.rungs_nimg": (3200,), "train.report_nimg": 3200}
    config = tiny(wrong, **sizes, **lengths, **{"sample.steps": 12, "sample.batch_size": DRAWN})
    run = Training(config.train, build_method(config), GenerateTask(config), config.seed, "t")
    run.advance(1600)
    write_judged(folder, run.objective.net.state_dict(), run.nimg)
    return Trained(config, folder, run.nimg)


@pytest.fixture(scope="module")
def discriminators(
    folder: Path, real: CachedImages, generator: Trained
) -> tuple[Discriminator, Discriminator]:
    """One to guide and one to judge, of other seeds, trained on other pictures."""
    made = []
    for seed in (1, 2):
        pictures = drawn(generator, real, DRAWN, purpose=f"for {seed}")
        kept = train_discriminator(real, pictures, folder / str(seed), SETTINGS, seed=seed)
        made.append(load_discriminator(kept[-1].path))
    return made[0], made[1]


def test_guided_pictures_look_more_real_to_another_discriminator(
    folder: Path,
    real: CachedImages,
    generator: Trained,
    discriminators: tuple[Discriminator, Discriminator],
) -> None:
    guide, judge = discriminators

    def pictures(weight: float) -> NDArray[Any]:
        settings = {"weight": weight, "weight_second": weight, "sigma_max": SETTINGS.sigma_max}
        guided = generator.sampled(guidance="discriminator", guidance_args=settings)
        return drawn(
            generator,
            real,
            DRAWN,
            sample=guided,
            networks={"discriminator": guide},
            purpose="judged",
        )

    def judged(values: NDArray[Any]) -> NDArray[np.float64]:
        return logits_of(judge, values, 0.2, seed=0, purpose="judge")

    plain, guided = pictures(0.0), pictures(1.0)
    assert np.array_equal(plain, drawn(generator, real, DRAWN, purpose="judged"))
    found = real.images[real.parts["report"]]
    before, after, goal = (float(judged(x).mean()) for x in (plain, guided, found))
    assert before < after < goal  # -.69, -.46, .19
    change = judged(guided) - judged(plain)
    assert ttest_1samp(change, 0.0, alternative="greater").pvalue < 1e-4  # six standard errors
    assert plain.mean() - guided.mean() > 5  # grey levels: 177 and 166, of real ones 127


def test_a_network_that_is_lacking_is_said(
    folder: Path, real: CachedImages, generator: Trained
) -> None:
    sample = generator.sampled(guidance="discriminator")
    with pytest.raises(BenchError, match="needs a network 'discriminator'"):
        drawn(generator, real, 2, sample=sample)
