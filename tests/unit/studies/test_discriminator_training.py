"""A discriminator of two kinds of white noise, whose best logit is known."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.stats import kstest
from torch import Tensor, nn

from bench.data.cache import CachedImages, load_cache
from bench.diffusion.noise_discriminator import Discriminator
from bench.diffusion.preconditioning.edm import EDM
from bench.errors import BenchError
from bench.studies import discriminator_training
from bench.studies.discriminator_training import LEVELS, Epoch, train_discriminator
from bench.studies.trained_discriminator import (
    DiscriminatorSettings,
    load_discriminator,
    logits_of,
)
from bench.train import checkpoint
from tests.fakes.trials import write_cache

SIDE, N = 8, 256
MEAN, SPREAD = 0.06, 0.3  # real pictures have mean MEAN, generated ones -MEAN, in [-1, 1]
SETTINGS = DiscriminatorSettings(
    width=8, multipliers=(1, 2), epochs=3, batch_size=64, lr=1e-2, held_share=0.2
)


def pictures(n: int, mean: float, seed: int) -> NDArray[np.uint8]:
    noise = np.random.default_rng(seed).standard_normal((n, 1, SIDE, SIDE))
    return np.clip(np.rint(127.5 * (1 + mean + SPREAD * noise)), 0, 255).astype(np.uint8)


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Networks as small as these are slower on more."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> CachedImages:
    cache = load_cache(write_cache(tmp_path_factory.mktemp("real") / "cache", per_part=4))
    parts = {"train": np.arange(N), "select": np.arange(N, N + 64), "report": np.arange(0)}
    images: Any = pictures(N + 64, MEAN, 0)
    return replace(cache, images=images, parts=parts, sigma_data=SPREAD)


GENERATED = pictures(N, -MEAN, 1)


@pytest.fixture(scope="module")
def trained(real: CachedImages, tmp_path_factory: pytest.TempPathFactory) -> tuple[Epoch, ...]:
    return train_discriminator(real, GENERATED, tmp_path_factory.mktemp("d"), SETTINGS, seed=1)


def test_the_logit_learned_follows_the_exact_one(trained: tuple[Epoch, ...]) -> None:
    """log N(x; MEAN) - log N(x; -MEAN) = 2 MEAN sum(x) / (SPREAD^2 + sigma^2)."""
    made = load_discriminator(trained[-1].path)
    assert not any(p.requires_grad for p in made.parameters())
    generator = torch.Generator().manual_seed(2)
    fresh = np.concatenate([pictures(200, MEAN, 3), pictures(200, -MEAN, 4)])
    for sigma in (0.05, 0.2, 1.0):
        x = torch.from_numpy(fresh / 127.5 - 1)
        x = x + sigma * torch.randn(x.shape, generator=generator, dtype=torch.float64)
        exact = 2 * MEAN * x.flatten(1).sum(1) / (SPREAD**2 + sigma**2)
        found = made(x, sigma).double()
        assert np.corrcoef(exact, found)[0, 1] > 0.7  # .83 to .88; a net that ignores x has 0


class Spy(nn.Module):
    """A network that keeps what it is trained on."""

    c_noise_range = (math.log(SETTINGS.sigma_min) / 4, math.log(SETTINGS.sigma_max) / 4)

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(()))
        self.seen: list[tuple[Tensor, Tensor]] = []

    def forward(self, x: Tensor, c_noise: Tensor) -> Tensor:
        if self.training:
            self.seen.append((x.detach(), c_noise))
        return self.weight * x.flatten(1).sum(1)


def test_it_trains_on_pictures_noised_evenly_in_ln_sigma(
    real: CachedImages, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spy = Spy()
    edm = EDM(sigma_data=SPREAD, sigma_min=SETTINGS.sigma_min, sigma_max=SETTINGS.sigma_max)
    made = Discriminator(spy, edm)
    monkeypatch.setattr(discriminator_training, "build_discriminator", lambda *_: made)
    train_discriminator(real, GENERATED, tmp_path, replace(SETTINGS, epochs=2), seed=1)
    for kind in (0, 1):  # real, then generated
        seen = spy.seen[kind::2]
        sigma = torch.cat([4 * c_noise for _, c_noise in seen]).double().exp()
        x = torch.cat([x for x, _ in seen]) * torch.hypot(sigma, torch.tensor(SPREAD)).view(
            -1, 1, 1, 1
        )
        assert len(x) == 2 * (N - 51)  # every generated picture twice, and as many real ones
        share = torch.log(sigma / SETTINGS.sigma_min) / math.log(
            SETTINGS.sigma_max / SETTINGS.sigma_min
        )
        assert kstest(share.numpy(), "uniform").pvalue > 0.01
        noisy, clean = sigma > 10, sigma < 0.01
        assert (x[noisy].flatten(1).std(1) / sigma[noisy]).mean() == pytest.approx(1.0, abs=0.05)
        assert x[clean].std() == pytest.approx(SPREAD, rel=0.1)
        levels = (x[clean] + 1) * 127.5
        assert (levels - levels.round()).abs().mean() < 0.3  # whole grey levels, a little noise


def test_accuracy_is_of_held_out_pictures_by_noise_level(trained: tuple[Epoch, ...]) -> None:
    assert [epoch.number for epoch in trained] == [1, 2, 3]
    levels = {level.sigma: level for level in trained[-1].levels}
    assert tuple(levels) == LEVELS
    assert {level.count for level in levels.values()} == {2 * 51}  # a fifth of the generated
    # the best possible: Phi(sqrt(64) MEAN / hypot(SPREAD, sigma)) = .94 at .05 and .51 at 20
    assert levels[0.05].accuracy > 0.8
    assert abs(levels[20.0].accuracy - 0.5) < 0.15  # three standard errors
    assert trained[-1].loss < trained[0].loss < 0.72  # ln 2 = .693 for one that knows nothing


def test_a_training_taken_up_again_is_the_same_to_the_bit(
    real: CachedImages, trained: tuple[Epoch, ...], tmp_path: Path
) -> None:
    first = train_discriminator(real, GENERATED, tmp_path, replace(SETTINGS, epochs=1), seed=1)
    torch.randn(3)  # another state of torch's own generator
    rest = train_discriminator(real, GENERATED, tmp_path, SETTINGS, seed=1)
    assert len(first) == 1
    for one, other in zip(rest, trained, strict=True):
        assert (one.loss, one.levels) == (other.loss, other.levels)
        weights, others = checkpoint.read(one.path)[0], checkpoint.read(other.path)[0]
        assert all(torch.equal(weights[name], others[name]) for name in others)
    done = train_discriminator(real, GENERATED, tmp_path, SETTINGS, seed=1, say=pytest.fail)
    assert done == rest
    with pytest.raises(BenchError, match="holds the discriminator of other pictures, settings or"):
        train_discriminator(real, GENERATED, tmp_path, SETTINGS, seed=2)


def test_torchs_generator_is_left_alone(trained: tuple[Epoch, ...]) -> None:
    before = torch.get_rng_state()
    load_discriminator(trained[0].path)
    assert torch.equal(torch.get_rng_state(), before)


def test_logits_do_not_depend_on_the_batch(trained: tuple[Epoch, ...]) -> None:
    made, asked = load_discriminator(trained[-1].path), GENERATED[:7]
    whole = logits_of(made, asked, 0.5, seed=0, purpose="a")
    split = logits_of(made, asked, 0.5, seed=0, purpose="a", batch_size=3)
    np.testing.assert_allclose(whole, split, rtol=1e-4, atol=1e-5)  # float32, other batch size
    assert logits_of(made, asked[:0], 0.5, seed=0, purpose="a").shape == (0,)


def test_pictures_that_do_not_fit_are_refused_in_one_line(
    real: CachedImages, tmp_path: Path
) -> None:
    wrong: list[Any] = [GENERATED[:, :, :4], GENERATED / 255.0, GENERATED[:, 0], GENERATED[:1]]
    for generated in wrong:
        with pytest.raises(BenchError, match=r"^[^\n]*(must be uint8|needs 2 generated)[^\n]*$"):
            train_discriminator(real, generated, tmp_path, SETTINGS, seed=0)
    deep = replace(SETTINGS, multipliers=(1, 1, 1, 1, 1))
    with pytest.raises(BenchError, match="discriminator: 5 levels halve the image"):
        train_discriminator(real, GENERATED, tmp_path, deep, seed=0)
    with pytest.raises(BenchError, match="even batch_size"):
        DiscriminatorSettings(batch_size=3)
    assert list(tmp_path.iterdir()) == []
