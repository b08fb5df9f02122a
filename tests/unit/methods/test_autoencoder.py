"""The autoencoders of latent diffusion: the program's own, and one from a diffusers folder."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.distributions import Normal, kl_divergence

from backbones.inputs import Inputs
from backbones.kl_autoencoder import AutoencoderArgs, KLAutoencoder, kl_to_unit
from bench.config import DataConfig
from bench.errors import BenchError
from bench.methods import diffusers_autoencoder
from bench.methods.frozen_autoencoder import FrozenAutoencoder, load, place
from bench.methods.method import Prepared
from bench.methods.own_autoencoder import training_flops
from bench.methods.preparing_autoencoder import SIGMA_DATA, prepare
from bench.metrics.real import RealData
from bench.streams import normal
from tests.fakes.trials import INPUTS, write_cache

QUICK = {"autoencoder_width": 8, "autoencoder_kimg": 1.0, "latent_channels": 2}
SLEEPER = """
import sys, time
from tests.unit.methods.test_autoencoder import QUICK, made
def say(text):
    print(text, flush=True)
    time.sleep(600)
made(sys.argv[1], QUICK, say)
"""


def made(cache: Path | str, given: Mapping[str, Any], say: Any = print) -> Prepared:
    data = DataConfig(name="fake", digest="fake0", simulated=True, cache=str(cache))
    return prepare(INPUTS, data, given, "cpu", say)


def frozen_of(cache: Path, made: Prepared) -> FrozenAutoencoder:
    return load(place(str(cache), made.settings["name"]))


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_cache(tmp_path_factory.mktemp("own") / "cache", per_part=48)


def test_its_own_is_trained_once_and_reconstructs(cache: Path) -> None:
    said: list[str] = []
    first = made(cache, QUICK, said.append)
    again = made(cache, QUICK, said.append)
    assert first == again
    begun = "training the autoencoder of method latent on 1 kimg, once for the data"
    assert [line for line in said if not line.startswith("autoencoder:")] == [begun]
    real = RealData(str(cache))
    x = real.images("report", 24)
    error = float((frozen_of(cache, first).reconstruct(x) - x).square().mean())
    flat = float((real.images("train", 48).mean() - x).square().mean())
    assert error < 0.5 * flat  # seen: 0.40, of latents with half the numbers of a picture
    psnr = float(first.notes[0].partition("held-out pictures at ")[2].partition(" dB")[0])
    assert psnr > 10


def test_its_latents_have_the_stated_scale(cache: Path) -> None:
    prepared = made(cache, QUICK)
    assert prepared.settings["sigma_data"] == SIGMA_DATA
    frozen, train = frozen_of(cache, prepared), RealData(str(cache)).images("train", 48)
    mean, sd = frozen.encode(train)
    drawn = mean + sd * torch.from_numpy(normal(0, "draw", range(48), tuple(mean.shape[1:])))
    assert mean.shape == (48, 2, 4, 4)
    for channel in range(2):  # 768 numbers: the draw's own error is a few percent
        assert float(drawn[:, channel].mean()) == pytest.approx(0, abs=0.05)
        assert float(drawn[:, channel].std()) == pytest.approx(SIGMA_DATA, rel=0.05)


def test_other_settings_or_data_make_another(cache: Path, tmp_path: Path) -> None:
    one = made(cache, QUICK).settings
    wider = made(cache, {**QUICK, "latent_channels": 3}).settings
    elsewhere = made(write_cache(tmp_path / "cache", per_part=48, seed=1), QUICK).settings
    assert len({one["digest"], wider["digest"], elsewhere["digest"]}) == 3


def test_the_same_is_made_again_elsewhere_and_draws_nothing(cache: Path, tmp_path: Path) -> None:
    torch.manual_seed(4)
    before = torch.get_rng_state()
    again = made(write_cache(tmp_path / "cache", per_part=48), QUICK)
    assert again.settings == made(cache, QUICK).settings
    assert torch.equal(torch.get_rng_state(), before)


def test_killed_half_way_it_leaves_nothing_and_the_next_makes_it(tmp_path: Path) -> None:
    folder = write_cache(tmp_path / "cache", per_part=48)
    command = [sys.executable, "-c", SLEEPER, str(folder)]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=dict(os.environ))
    assert child.stdout is not None
    assert child.stdout.readline().startswith("training the autoencoder")
    child.send_signal(signal.SIGKILL)
    child.wait()
    child.stdout.close()
    assert not [p for p in folder.iterdir() if "autoencoder" in p.name and p.suffix != ".lock"]
    said: list[str] = []
    name = made(folder, QUICK, said.append).settings["name"]
    assert place(str(folder), name).is_file()
    assert not [text for text in said if "waiting" in text]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"latent_factor": 3}, "factor must be a power of two from 2 on, got 3"),
        ({"latent_factor": 4}, "pictures of 8x8 have no latents at 1/4 of their sides"),
        ({"latent_channels": 0}, "latent_channels must be at least 1, got 0"),
        ({"autoencoder_kimg": 0.01}, "autoencoder_kimg 0.01 holds no step of 32 pictures"),
        ({"autoencoder_kimg": "much"}, "autoencoder_kimg must be float, got 'much'"),
        ({"latent_chanels": 2}, "did you mean 'latent_channels'"),
        ({"autoencoder": "nowhere"}, "autoencoder nowhere is neither 'own' nor a folder"),
    ],
)
def test_a_setting_that_cannot_be_is_refused(
    given: dict[str, Any], message: str, cache: Path
) -> None:
    with pytest.raises(BenchError, match=message):
        made(cache, {**QUICK, **given})


def test_the_divergence_is_torchs() -> None:
    mean, logvar = (torch.from_numpy(normal(0, name, range(3), (2, 4, 4))) for name in "ab")
    oracle = kl_divergence(Normal(mean, (0.5 * logvar).exp()), Normal(0.0, 1.0))
    # float32 sums of 32 terms
    torch.testing.assert_close(
        kl_to_unit(mean, logvar), oracle.flatten(1).sum(1), rtol=1e-5, atol=0
    )


@pytest.mark.parametrize("factor", [2, 4, 8])
def test_shapes_at_each_factor(factor: int) -> None:
    net = KLAutoencoder(AutoencoderArgs(channels=3, latent_channels=5, factor=factor, width=4))
    mean, logvar = net.moments(torch.zeros(2, 3, 16, 24))
    assert mean.shape == logvar.shape == (2, 5, 16 // factor, 24 // factor)
    assert net.decode(mean).shape == (2, 3, 16, 24)


def test_what_training_costs_is_counted() -> None:
    """By hand, at width 1, 8x8 and factor 2: convolutions of 9 weights a channel pair at 64, 16
    and (decoding) 16 and 64 places; backward twice forward, but for the picture's own gradient."""
    args = AutoencoderArgs(channels=1, latent_channels=1, factor=2, width=1)
    first = 64
    encoder = first + 16 * 2 + 2 * 16 * 4 + 16 * 4  # in, halving, residual of 2 wide, to 2 moments
    decoder = 16 * 2 + 2 * 16 * 4 + 64 * 2 + 2 * 64 + 64  # in, residual, doubling, residual, out
    flops = 2 * 9 * (3 * (encoder + decoder) - first)
    assert training_flops(args, (8, 8)) == flops


# --- diffusers folders


@pytest.fixture(scope="module")
def vae() -> Any:
    diffusers = pytest.importorskip("diffusers")
    torch.manual_seed(0)
    return diffusers.AutoencoderKL(
        in_channels=3,
        out_channels=3,
        latent_channels=4,
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        block_out_channels=(8, 8),
        layers_per_block=1,
        norm_num_groups=4,
        scaling_factor=0.6,
        shift_factor=0.1,
    ).eval()


@pytest.mark.parametrize("inside", ["", "vae"])
def test_a_diffusers_folder_codes_as_diffusers_does(
    vae: Any, inside: str, cache: Path, tmp_path: Path
) -> None:
    vae.save_pretrained(tmp_path / "folder" / inside)
    prepared = made(cache, {"autoencoder": str(tmp_path / "folder")})
    frozen, x = frozen_of(cache, prepared), RealData(str(cache)).images("report", 5)
    mean, sd = frozen.encode(x)
    with torch.no_grad():
        drawn_from = vae.encode(x.repeat(1, 3, 1, 1)).latent_dist
        decoded = vae.decode(mean / 0.6 + 0.1).sample.mean(1, keepdim=True)
    # the same float32 operations; the scaling is done in another order
    torch.testing.assert_close(mean, (drawn_from.mean - 0.1) * 0.6, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(sd, drawn_from.std * 0.6, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(frozen.decode(mean, 1), decoded, rtol=1e-5, atol=1e-5)
    settings = prepared.settings
    assert (settings["latent_channels"], settings["factor"]) == (4, 2)
    train = RealData(str(cache)).images("train", 48)
    mean, sd = frozen.encode(train)
    variance = sd.square().mean() + mean.var(unbiased=False)
    assert settings["sigma_data"] == pytest.approx(float(variance.sqrt()), rel=1e-4)
    assert "given grey pictures as three equal channels that are averaged back" in prepared.notes[0]
    assert str(tmp_path) not in json.dumps([settings, prepared.notes])  # places are private


def test_a_diffusers_autoencoder_is_known_by_its_weights(
    vae: Any, cache: Path, tmp_path: Path
) -> None:
    vae.save_pretrained(tmp_path / "one")
    vae.save_pretrained(tmp_path / "moved")
    one, moved = (made(cache, {"autoencoder": str(tmp_path / f)}) for f in ("one", "moved"))
    assert one == moved
    weight = next(vae.parameters())
    with torch.no_grad():
        weight.add_(1e-3)
        vae.save_pretrained(tmp_path / "other")
        weight.sub_(1e-3)
    other = made(cache, {"autoencoder": str(tmp_path / "other")})
    assert other.settings["digest"] != one.settings["digest"]


def _pickled(folder: Path) -> None:
    weights = folder / diffusers_autoencoder.WEIGHTS
    weights.rename(folder / "diffusion_pytorch_model.bin")


def _without_weights(folder: Path) -> None:
    (folder / diffusers_autoencoder.WEIGHTS).unlink()


def _without_configuration(folder: Path) -> None:
    (folder / diffusers_autoencoder.CONFIG).unlink()


def _of_a_network(folder: Path) -> None:
    (folder / diffusers_autoencoder.CONFIG).write_text('{"_class_name": "UNet2DModel"}')


def _cut(folder: Path) -> None:
    weights = folder / diffusers_autoencoder.WEIGHTS
    weights.write_bytes(weights.read_bytes()[:1000])


def _of_other_sizes(folder: Path) -> None:
    path = folder / diffusers_autoencoder.CONFIG
    path.write_text(path.read_text().replace('"layers_per_block": 1', '"layers_per_block": 2'))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (_pickled, "diffusion_pytorch_model.bin is a pickle, which can run code, and is not read"),
        (_without_weights, "diffusion_pytorch_model.safetensors is missing"),
        (_without_configuration, "there is no config.json, in it or in its vae"),
        (_of_a_network, "config.json describes UNet2DModel, not AutoencoderKL"),
        (_cut, "cannot be read: "),
        (_of_other_sizes, "does not fit config.json .missing keys"),
    ],
)
def test_a_folder_that_cannot_be_used_is_refused_by_name(
    spoil: Any, message: str, vae: Any, cache: Path, tmp_path: Path
) -> None:
    vae.save_pretrained(tmp_path / "folder")
    spoil(tmp_path / "folder")
    with pytest.raises(BenchError, match=message):
        made(cache, {"autoencoder": str(tmp_path / "folder")})


def test_colour_for_a_grey_autoencoder_is_refused(cache: Path, tmp_path: Path) -> None:
    diffusers = pytest.importorskip("diffusers")
    grey = diffusers.AutoencoderKL(
        in_channels=1, out_channels=1, block_out_channels=(8,), norm_num_groups=4
    )
    grey.save_pretrained(tmp_path / "folder")
    data = DataConfig(name="fake", digest="fake0", simulated=True, cache=str(cache))
    colour = Inputs(spatial=(8, 8), channels=3, out_channels=3)
    with pytest.raises(BenchError, match="takes pictures of 1 channels, and the data have 3"):
        prepare(colour, data, {"autoencoder": str(tmp_path / "folder")}, "cpu", print)
