"""An autoencoder that no trial trains: pictures to latents of a known scale, and back; its file.

It lies beside the data's cache in one safetensors file, so that whoever has the data has it; its
digest, of every weight and of the scaling, is part of what a trial is.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol, cast

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from bench.config import Args, canonical
from bench.doors import Family
from bench.errors import BenchError
from bench.files import whole

# Of each kind, the function that builds its network from the plain values of its configuration.
NETWORKS = Family(
    kind="kind of autoencoder",
    table={
        "own": "bench.methods.own_autoencoder:build",
        "diffusers": "bench.methods.diffusers_autoencoder:build",
    },
)
SETTINGS = "settings"  # in a file's metadata
CODED_AT_ONCE = 64  # pictures
UNMADE = ""  # digest of one that is only rehearsed


class Network(Protocol):
    """What an autoencoder is made of. Not trained here, draws nothing.

    channels: of its pictures. latent_channels. factor: side of a picture over that of a latent.
    """

    channels: int
    latent_channels: int
    factor: int

    def moments(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Pictures [N, channels, H, W] in [-1, 1] -> mean and log-variance of their latents."""
        ...

    def decode(self, z: Tensor) -> Tensor:
        """Latents -> pictures, not clipped."""
        ...


class FrozenAutoencoder(nn.Module):
    """Latents are (z - shift) * scale, channel by channel; float32 in and out, no gradients.

    settings: plain values: `kind` and `network` build it again; `latent_channels`, `factor` and
    `sigma_data` (of the scaled latents of the train part) say what a trial sees; `digest` is of
    weights and scaling; `name` is that of its file. Grey pictures are repeated to the network's
    three channels and averaged back.
    """

    shift: Tensor
    scale: Tensor

    def __init__(self, net: nn.Module, shift: Tensor, scale: Tensor, settings: Args) -> None:
        super().__init__()
        self.net, self.settings = net, settings
        self.register_buffer("shift", shift.float())
        self.register_buffer("scale", scale.float())
        self.eval().requires_grad_(False)

    @property
    def network(self) -> Network:
        return cast(Network, self.net)

    @torch.no_grad()
    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Pictures [N, C, H, W] in [-1, 1] -> mean and standard deviation of scaled latents."""
        with torch.autocast(x.device.type, enabled=False):
            wide = x.float().expand(-1, self.network.channels, -1, -1)
            mean, logvar = self.network.moments(wide)
            shift, scale = self._of_channels()
            return (mean - shift) * scale, (0.5 * logvar).exp() * scale

    @torch.no_grad()
    def decode(self, z: Tensor, channels: int) -> Tensor:
        """Scaled latents -> pictures float32 [N, channels, H, W], not clipped."""
        with torch.autocast(z.device.type, enabled=False):
            shift, scale = self._of_channels()
            x = self.network.decode(z.float() / scale + shift)
            return x if channels == x.shape[1] else x.mean(1, keepdim=True)

    def reconstruct(self, x: Tensor) -> Tensor:
        """Pictures through the means of their latents and back, clipped to [-1, 1]; on the CPU."""
        device = self.shift.device
        parts = [
            self.decode(self.encode(part.to(device))[0], x.shape[1]).clamp(-1, 1).cpu()
            for part in at_once(x)
        ]
        return torch.cat(parts)

    def _of_channels(self) -> tuple[Tensor, Tensor]:
        return self.shift.view(1, -1, 1, 1), self.scale.view(1, -1, 1, 1)

    @property
    def digest(self) -> str:
        """Of its network's configuration, its weights and its scaling."""
        return weights_digest(self, self.settings["network"])

    def save(self, path: Path) -> None:
        """Written whole or not at all."""
        tensors = {k: v.detach().cpu().contiguous() for k, v in self.state_dict().items()}
        with whole(path) as part:
            save_file(tensors, part, {SETTINGS: canonical(self.settings)})


def weights_digest(net: nn.Module, config: Args) -> str:
    """16 hex digits of the SHA-256 of a network's configuration and every number in it."""
    sha = hashlib.sha256(canonical(config).encode())
    for key, value in sorted(net.state_dict().items()):
        array = value.detach().cpu().contiguous().numpy()
        sha.update(f"{key} {array.dtype} {array.shape}".encode())
        sha.update(array.astype(array.dtype.newbyteorder("<")).tobytes())
    return sha.hexdigest()[:16]


def at_once(x: Tensor) -> Iterator[Tensor]:
    """Pictures in batches that are coded at once."""
    for first in range(0, len(x), CODED_AT_ONCE):
        yield x[first : first + CODED_AT_ONCE]


def place(cache: str, name: str) -> Path:
    """Where the autoencoder of that name lies beside a cache."""
    return Path(cache) / f"autoencoder-{name}.safetensors"


def build(settings: Mapping[str, Any]) -> nn.Module:
    """The network of these settings with weights of no meaning; nothing is drawn for long: the
    caller's random stream is left as it is."""
    with torch.random.fork_rng(devices=[]):
        net: nn.Module = NETWORKS.load(settings["kind"])(settings["network"])
    return net


def unmade(settings: Args) -> FrozenAutoencoder:
    """One of the same shape and cost, with weights of no meaning: to be timed."""
    return FrozenAutoencoder(build(settings), torch.zeros(1), torch.ones(1), settings)


def load(path: Path) -> FrozenAutoencoder:
    """The autoencoder in a file.

    Raises:
        BenchError: the file is not there, or damaged.
    """
    if not path.is_file():
        raise BenchError(
            f"the autoencoder {path.name} is not beside the data any more; put it back, or start "
            "a new sweep"
        )
    try:
        with safe_open(path, "pt") as file:
            settings = json.loads(file.metadata()[SETTINGS])
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError, KeyError, TypeError) as error:
        raise BenchError(f"the autoencoder {path.name} is damaged ({error}); delete it") from error
    frozen = FrozenAutoencoder(build(settings), tensors["shift"], tensors["scale"], settings)
    frozen.load_state_dict(tensors)
    if frozen.digest != settings["digest"]:
        raise BenchError(f"the autoencoder {path.name} is not what it says it is; delete it")
    return frozen


@lru_cache(maxsize=2)
def of_trial(cache: str, name: str, digest: str, device: str) -> FrozenAutoencoder:
    """The autoencoder that a trial was made for, on its device; read once a process.

    Raises:
        BenchError: it is gone, damaged, or another one.
    """
    frozen = load(place(cache, name))
    if frozen.settings["digest"] != digest:
        raise BenchError(
            f"autoencoder {name} beside the data is another than this trial's; start a new sweep"
        )
    return frozen.to(device)
