"""Making the autoencoder of latent diffusion, once for a data set and before its trials.

Its own is trained on the train part; one from a local diffusers folder is copied. Either way the
file beside the cache is whole or absent, two processes that want the same one wait for each other,
and what is said of it (what it is, what training it took, how well it reconstructs) is in it.
"""

from __future__ import annotations

import dataclasses
import fcntl
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from backbones.inputs import Inputs
from backbones.kl_autoencoder import AutoencoderArgs
from bench.config import Args, DataConfig, digest, like
from bench.errors import BenchError, unknown
from bench.methods import diffusers_autoencoder, own_autoencoder
from bench.methods.frozen_autoencoder import (
    UNMADE,
    FrozenAutoencoder,
    at_once,
    load,
    place,
    weights_digest,
)
from bench.methods.method import Prepared
from bench.metrics.real import RealData

PARAMETERS: Mapping[str, Any] = {
    "autoencoder": "own",  # own, or a diffusers folder with an AutoencoderKL
    "latent_factor": 2,  # picture side over latent side; of its own autoencoder
    "latent_channels": 4,
    "autoencoder_width": 16,  # channels at full resolution
    "autoencoder_kimg": 2.0,  # thousand pictures it is trained on
}
SIGMA_DATA = 0.5  # what its own latents are scaled to, as Karras et al. 2024 (2312.02696) do
MEASURED = 2048  # pictures of the train part, at most, that the latents' scale is measured on
HELD_OUT = 256  # pictures of the select part that are reconstructed, at most
FEWEST = 4  # pixels a side of a latent


@dataclass(frozen=True, kw_only=True)
class _Making:
    """An autoencoder to be made. network: what it is built from, by its `kind`; work: what is to
    be done for it."""

    name: str
    kind: str
    network: Args
    latent_channels: int
    factor: int
    work: str
    make: Callable[[], FrozenAutoencoder]


def prepare(
    inputs: Inputs,
    data: DataConfig,
    given: Mapping[str, Any],
    device: str,
    say: Callable[[str], None],
) -> Prepared:
    """The autoencoder for these pictures, from the file beside the cache or into it.

    Raises:
        BenchError: a setting that cannot be, or a folder that cannot be used.
    """
    making = _making(inputs, data, given, device, say)
    path = place(data.cache, making.name)
    with _alone(path, say):
        if not path.is_file():
            making.make().save(path)
        return _found(path)


def rehearse(
    inputs: Inputs,
    data: DataConfig,
    given: Mapping[str, Any],
    device: str,
    say: Callable[[str], None],
) -> Prepared:
    """The autoencoder beside the cache where it is there; else settings that cost as much, of one
    that is not made.

    Raises:
        BenchError: as `prepare`.
    """
    making = _making(inputs, data, given, device, say)
    path = place(data.cache, making.name)
    if path.is_file():
        return _found(path)
    settings: Args = {
        "name": making.name,
        "kind": making.kind,
        "network": making.network,
        "latent_channels": making.latent_channels,
        "factor": making.factor,
        "sigma_data": SIGMA_DATA,
        "digest": UNMADE,
    }
    note = (
        f"the autoencoder of method latent is not made in a dry run: the sweep {making.work} "
        "before its trials; forecasts are those of its size"
    )
    return Prepared(settings=settings, notes=(note,))


def _found(path: Path) -> Prepared:
    settings = load(path).settings
    notes = settings.pop("notes")
    return Prepared(settings=settings, notes=tuple(notes))


def _making(
    inputs: Inputs,
    data: DataConfig,
    given: Mapping[str, Any],
    device: str,
    say: Callable[[str], None],
) -> _Making:
    """What is asked for, checked.

    Raises:
        BenchError: a setting that cannot be, or a folder that cannot be used.
    """
    for key in given:
        if key not in PARAMETERS:
            raise unknown("setting of method latent", key, PARAMETERS)
    settings = {
        key: like(PARAMETERS[key], given.get(key, PARAMETERS[key]), key) for key in PARAMETERS
    }
    if settings["autoencoder"] == "own":
        return _own(inputs, data, settings, device, say)
    return _of_folder(Path(settings["autoencoder"]).expanduser(), inputs, data, device, say)


def _own(
    inputs: Inputs, data: DataConfig, given: Args, device: str, say: Callable[[str], None]
) -> _Making:
    """The program's own for these settings."""
    nimg = int(given["autoencoder_kimg"] * 1000)
    if nimg < own_autoencoder.BATCH:
        raise BenchError(
            f"autoencoder_kimg {given['autoencoder_kimg']:g} holds no step of "
            f"{own_autoencoder.BATCH} pictures; give more"
        )
    try:
        args = AutoencoderArgs(
            channels=inputs.channels,
            latent_channels=given["latent_channels"],
            factor=given["latent_factor"],
            width=given["autoencoder_width"],
        )
    except ValueError as error:
        raise BenchError(f"the autoencoder of method latent: {error}") from error
    _check_sides(inputs, args.factor)
    recipe = own_autoencoder.Recipe(args=args, nimg=nimg)
    tflop = own_autoencoder.training_flops(args, inputs.spatial) * nimg / 1e12

    def make() -> FrozenAutoencoder:
        say(f"training the autoencoder of method latent on {nimg / 1000:g} kimg, once for the data")
        begin, real = time.monotonic(), RealData(data.cache)
        net = own_autoencoder.train(real, recipe, device, say)
        seconds = time.monotonic() - begin
        rough = FrozenAutoencoder(net, torch.zeros(1), torch.ones(1), {})
        mean, sd = _scale(rough.to(device), real)
        what = (
            f"its own, trained once on {nimg / 1000:g} kimg ({tflop:.2g} TFLOP, {seconds:.0f} s), "
            "which no trial's budget is charged with"
        )
        return finished(
            net,
            mean,
            SIGMA_DATA / sd,
            real,
            what,
            name=name,
            kind="own",
            network=dataclasses.asdict(args),
            sigma_data=SIGMA_DATA,
        )

    name = f"own-{digest({**recipe.body(), 'data': data.digest})}"
    return _Making(
        name=name,
        kind="own",
        network=dataclasses.asdict(args),
        latent_channels=args.latent_channels,
        factor=args.factor,
        work=f"trains it on {nimg / 1000:g} kimg ({tflop:.2g} TFLOP)",
        make=make,
    )


def _of_folder(
    folder: Path, inputs: Inputs, data: DataConfig, device: str, say: Callable[[str], None]
) -> _Making:
    """The one in a diffusers folder, brought beside the data."""
    say(f"reading the autoencoder in {folder}")
    net, config = diffusers_autoencoder.from_folder(folder)
    if inputs.channels not in (1, net.channels):
        raise BenchError(
            f"autoencoder {folder} takes pictures of {net.channels} channels, and the data have "
            f"{inputs.channels}"
        )
    _check_sides(inputs, net.factor)
    grey = inputs.channels != net.channels
    name = f"diffusers-{weights_digest(net, config)}"

    def make() -> FrozenAutoencoder:
        shift, scale = diffusers_autoencoder.scaling(config)
        real = RealData(data.cache)
        on_device = net.to(device)
        frozen = FrozenAutoencoder(on_device, torch.tensor([shift]), torch.tensor([scale]), {}).to(
            device
        )
        mean, sd = _scale(frozen, real)
        # of all channels together, about their common mean, as sigma_data of pictures
        overall = (sd.square() + (mean - mean.mean()).square()).mean().sqrt()
        what = f"AutoencoderKL of a diffusers folder, scaling {scale:g} and shift {shift:g}"
        if grey:
            what += ", given grey pictures as three equal channels that are averaged back"
        return finished(
            on_device,
            torch.full((net.latent_channels,), shift),
            torch.full((net.latent_channels,), scale),
            real,
            what,
            name=name,
            kind="diffusers",
            network=config,
            sigma_data=float(overall),
        )

    return _Making(
        name=name,
        kind="diffusers",
        network=config,
        latent_channels=net.latent_channels,
        factor=net.factor,
        work=f"measures its latents on up to {MEASURED} pictures",
        make=make,
    )


def finished(
    net: nn.Module,
    shift: Tensor,
    scale: Tensor,
    real: RealData,
    what: str,
    *,
    name: str,
    kind: str,
    network: Args,
    sigma_data: float,
) -> FrozenAutoencoder:
    """The frozen autoencoder with all that is known of it."""
    facts: Any = net
    settings: Args = {
        "name": name,
        "kind": kind,
        "network": network,
        "latent_channels": int(facts.latent_channels),
        "factor": int(facts.factor),
        "sigma_data": sigma_data,
    }
    device = next(net.parameters()).device
    frozen = FrozenAutoencoder(net, shift.to(device), scale.to(device), settings).to(device)
    settings["digest"] = frozen.digest
    size = sum(p.numel() for p in net.parameters())
    settings["notes"] = [
        f"latent diffusion sees {facts.latent_channels} channels at 1/{facts.factor} of the "
        f"resolution; the autoencoder is {what}; {size / 1e6:.2g} M parameters; it reconstructs "
        f"held-out pictures at {_psnr(frozen, real):.1f} dB, a floor of what method latent can do"
    ]
    return frozen


def _psnr(frozen: FrozenAutoencoder, real: RealData) -> float:
    """Mean over pictures of the select part of the PSNR of their reconstruction; range 2."""
    x = real.images("select", HELD_OUT)
    error = (frozen.reconstruct(x) - x).double().square().flatten(1).mean(1)
    return float((10 * torch.log10(4 / error.clamp_min(1e-12))).mean())


def _scale(frozen: FrozenAutoencoder, real: RealData) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of each channel of the latents' draws over the train part."""
    sums: list[Tensor] = []
    for x in at_once(real.images("train", MEASURED)):
        mean, sd = frozen.encode(x.to(frozen.shift.device))
        square = mean.double().square() + sd.double().square()
        sums.append(torch.stack([mean.double().mean((0, 2, 3)), square.mean((0, 2, 3))]) * len(x))
    first, second = torch.stack(sums).sum(0).cpu() / min(MEASURED, len(real.data.parts["train"]))
    variance = second - first.square()
    if not bool((variance > 0).all()):
        raise BenchError("the autoencoder's latents are constant over the train part")
    return first.float(), variance.sqrt().float()


def _check_sides(inputs: Inputs, factor: int) -> None:
    sides = inputs.spatial
    if any(side % factor or side // factor < FEWEST for side in sides):
        size = "x".join(map(str, sides))
        raise BenchError(
            f"method latent: pictures of {size} have no latents at 1/{factor} of their sides "
            f"(whole numbers of at least {FEWEST}); give another --set latent_factor or --size"
        )


@contextmanager
def _alone(path: Path, say: Callable[[str], None]) -> Iterator[None]:
    """While this process makes the file, others wait; a killed one leaves the lock to the next."""
    with open(path.with_name(f".{path.name}.lock"), "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"waiting for another process that makes {path.name}")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
