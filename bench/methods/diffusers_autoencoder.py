"""An autoencoder from a local diffusers folder: the AutoencoderKL that Stable Diffusion uses.

`config.json` and `diffusion_pytorch_model.safetensors`, in the folder or in its `vae/`. Nothing is
downloaded, no code of the folder is run and no pickle is read. Its scaling_factor and shift_factor
scale the latents, as diffusers' pipelines do: (z - shift) * scaling.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from bench.errors import BenchError

CLASS, CONFIG, WEIGHTS = "AutoencoderKL", "config.json", "diffusion_pytorch_model.safetensors"
INSTALL = "pip install 'diffusion-bench[latent]'"


class DiffusersNetwork(nn.Module):
    """An AutoencoderKL as a FrozenAutoencoder takes it."""

    def __init__(self, vae: Any) -> None:
        super().__init__()
        self.vae = vae
        config = vae.config
        self.channels, self.latent_channels = int(config.in_channels), int(config.latent_channels)
        self.factor = 2 ** (len(config.block_out_channels) - 1)

    def moments(self, x: Tensor) -> tuple[Tensor, Tensor]:
        drawn_from = self.vae.encode(x).latent_dist
        return drawn_from.mean, drawn_from.logvar

    def decode(self, z: Tensor) -> Tensor:
        decoded: Tensor = self.vae.decode(z).sample
        return decoded


def build(config: Mapping[str, Any]) -> DiffusersNetwork:
    """The network of the fields of an AutoencoderKL, with weights of no meaning.

    Raises:
        BenchError: diffusers is not installed, or does not take these values.
    """
    try:
        return DiffusersNetwork(_library().from_config(dict(config)))
    except (TypeError, ValueError, KeyError) as error:
        raise BenchError(f"diffusers builds no {CLASS} of this configuration: {error}") from error


def from_folder(folder: Path) -> tuple[DiffusersNetwork, dict[str, Any]]:
    """The network with its weights, and its configuration as plain values.

    Raises:
        BenchError: what the folder lacks, or has and should not; diffusers is not installed.
    """
    place = autoencoder_folder(folder)
    config = _config(place)
    if not (place / WEIGHTS).is_file():
        pickled = sorted(p.name for p in place.glob("*.bin"))
        if pickled:
            raise BenchError(
                f"autoencoder {folder}: {pickled[0]} is a pickle, which can run code, and is not "
                f"read; save the weights as {WEIGHTS}"
            )
        raise BenchError(f"autoencoder {folder}: {WEIGHTS} is missing")
    library = _library()
    logging.getLogger("diffusers").setLevel(logging.ERROR)
    try:
        with torch.random.fork_rng(devices=[]):
            vae, loaded = library.from_pretrained(
                str(place),
                use_safetensors=True,
                local_files_only=True,
                low_cpu_mem_usage=False,
                torch_dtype=torch.float32,
                output_loading_info=True,
            )
    except Exception as error:  # of damaged files diffusers and its libraries raise anything
        first = f"{type(error).__name__}: {error}".splitlines()[0]
        raise BenchError(f"autoencoder {folder} cannot be read: {first}") from error
    for what in ("missing_keys", "unexpected_keys", "mismatched_keys"):
        if loaded.get(what):
            raise BenchError(
                f"autoencoder {folder}: {WEIGHTS} does not fit {CONFIG} ({what.replace('_', ' ')}: "
                f"{sorted(map(str, loaded[what]))[0]})"
            )
    return DiffusersNetwork(vae), config


def autoencoder_folder(folder: Path) -> Path:
    """The folder itself, or the `vae` of a whole pipeline's.

    Raises:
        BenchError: there is no autoencoder's configuration.
    """
    if not folder.is_dir():
        raise BenchError(
            f"autoencoder {folder} is neither 'own' nor a folder; give a local diffusers folder "
            f"with {CONFIG} and {WEIGHTS}"
        )
    for place in (folder, folder / "vae"):
        if (place / CONFIG).is_file():
            return place
    raise BenchError(f"autoencoder {folder}: there is no {CONFIG}, in it or in its vae")


def _config(place: Path) -> dict[str, Any]:
    """The configuration without what is about files and versions."""
    try:
        config = json.loads((place / CONFIG).read_bytes())
    except (OSError, ValueError) as error:
        raise BenchError(f"autoencoder {place}: {CONFIG} is not read: {error}") from error
    if not isinstance(config, dict) or config.get("_class_name") != CLASS:
        named = config.get("_class_name") if isinstance(config, dict) else type(config).__name__
        raise BenchError(f"autoencoder {place}: {CONFIG} describes {named}, not {CLASS}")
    return {k: v for k, v in config.items() if not k.startswith("_")}


def scaling(config: Mapping[str, Any]) -> tuple[float, float]:
    """shift_factor and scaling_factor; where a configuration has none, 0 and 0.18215:

    Stable Diffusion's first autoencoders state neither and mean the defaults of the class.
    """
    shift, scale = config.get("shift_factor"), config.get("scaling_factor", 0.18215)
    return float(shift or 0.0), float(scale)


def _library() -> Any:
    try:
        from diffusers import AutoencoderKL
    except ImportError as error:
        raise BenchError(
            f"an autoencoder from a diffusers folder needs diffusers: {INSTALL}"
        ) from error
    return AutoencoderKL
