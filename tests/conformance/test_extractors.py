"""Every extractor in the table keeps the contract; a new one is tested by being in the table."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from bench.metrics import EXTRACTORS, inception
from bench.metrics.extractors import (
    DEVICE_TOLERANCE,
    Extractor,
    check_extractor,
    extract,
    load_extractor,
)
from bench.metrics.frechet import FrechetReference, frechet_distance
from tests.fakes.pretrained import write_inception, write_timm
from tests.unit.metrics.pictures import blurred, echo_like, noisy


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Torch's folder of models, with a drawn file in place of Inception's."""
    folder = tmp_path_factory.mktemp("hub")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(torch.hub, "get_dir", lambda: str(folder))
        patched.setattr(inception, "SHA256", write_inception(folder))
        yield folder


@pytest.fixture(scope="module", params=sorted(EXTRACTORS.table))
def spec(request: pytest.FixtureRequest, hub: Path) -> str:
    return write_timm(hub) if request.param == "timm" else request.param


@pytest.fixture(scope="module")
def extractor(spec: str) -> Extractor:
    return load_extractor(spec)


def test_keeps_the_contract(extractor: Extractor, spec: str) -> None:
    assert check_extractor(EXTRACTORS.load(spec), spec) == 11


def test_name_and_metric(extractor: Extractor) -> None:
    """Only Inception through clean-fid is FID."""
    named = "fid" if extractor.name == "inception" else f"fd_{extractor.name}"
    assert extractor.metric == extractor.key("fd") == named
    identity = extractor.identity()
    assert identity["resizer"]
    assert re.fullmatch("[0-9a-f]{64}", str(identity["extractor_digest"]))


def test_two_builds_are_one_extractor(extractor: Extractor, spec: str) -> None:
    again = load_extractor(spec)
    pictures = echo_like(5, seed=0)
    assert again.digest == extractor.digest
    np.testing.assert_array_equal(extract(again, pictures), extract(extractor, pictures))


def test_draws_nothing_and_learns_nothing(extractor: Extractor) -> None:
    torch.manual_seed(0)
    before = torch.get_rng_state()
    extract(extractor, echo_like(3, seed=0))
    assert torch.equal(torch.get_rng_state(), before)
    assert not any(p.requires_grad for p in extractor.parameters())


@pytest.mark.parametrize("shape", [(28, 28), (32, 32), (64, 64), (48, 80)])
@pytest.mark.parametrize("channels", [1, 3])
def test_any_size(extractor: Extractor, shape: tuple[int, int], channels: int) -> None:
    rng = np.random.default_rng(0)
    pictures = rng.integers(0, 256, (3, channels, *shape), dtype=np.uint8)
    features = extract(extractor, pictures)
    assert features.shape == (3, extractor.num_features)
    assert features.dtype == np.float64


def test_batches_do_not_matter(extractor: Extractor) -> None:
    pictures = echo_like(9, seed=0)
    whole = extract(extractor, pictures)
    parts = extract(extractor, pictures, batch_size=2)
    # float32 convolutions may sum in another order at another batch size
    np.testing.assert_allclose(parts, whole, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("level", [0, 255])
def test_flat_pictures_are_finite(extractor: Extractor, level: int) -> None:
    assert np.isfinite(extract(extractor, np.full((2, 1, 32, 32), level, np.uint8))).all()


@pytest.mark.parametrize(
    "name", ["drawn", "randconv", "randconv64"]
)  # the others' weights are not here
def test_damage_moves_it_away(name: str) -> None:
    extractor = load_extractor(name)
    reference = FrechetReference.of_images(extractor, echo_like(300, seed=0))
    clean = echo_like(200, seed=1)
    floor, blur, noise = (
        frechet_distance(reference, extract(extractor, p)).value
        for p in (clean, blurred(clean, 1.0), noisy(clean, 20))
    )
    assert blur > 2 * floor
    assert noise > 2 * floor


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU to compare with the CPU")
def test_a_gpu_makes_the_cpus_features(extractor: Extractor) -> None:
    """TF32 is off while features are made, whatever it is for training."""
    pictures = echo_like(16, seed=0)
    on_cpu = extract(extractor, pictures)
    matmul, conv = torch.backends.cuda.matmul, torch.backends.cudnn
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(matmul, "allow_tf32", True)
        patched.setattr(conv, "allow_tf32", True)
        on_gpu, again = (extract(extractor, pictures, device="cuda") for _ in range(2))
    extractor.to("cpu")
    np.testing.assert_array_equal(on_gpu, again)
    assert np.abs(on_gpu - on_cpu).max() <= DEVICE_TOLERANCE * np.abs(on_cpu).max()
