"""Stand-ins for weights that no test can fetch: files of the same form, drawn and small."""

from __future__ import annotations

import warnings
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from bench.metrics import inception

MODEL = "test_vit"  # timm's own, of 64 features, for its own tests


class Layers(nn.Module):
    """A convolution and a mean: 299 px of colour -> 2048 features."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first = nn.Conv2d(3, 8, 13, stride=13)
        self.last = nn.Linear(16, 2048)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.first(x))
        return self.last(torch.cat([x.mean((2, 3)), x.std((2, 3))], 1))


class Whole(nn.Module):
    """Inception's TorchScript has its layers under this name."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = Layers()

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


def write_inception(hub: Path) -> str:
    """The stand-in where torch keeps checkpoints below `hub`; its SHA-256."""
    folder = hub / "checkpoints"
    folder.mkdir(parents=True)
    with warnings.catch_warnings(), torch.random.fork_rng(devices=[]):
        warnings.simplefilter("ignore")  # torch says that TorchScript will go one day
        torch.jit.save(torch.jit.script(Whole()), folder / inception.FILE)
    return inception.digest_of(folder / inception.FILE)


def write_timm(folder: Path) -> str:
    """Drawn weights of MODEL; the name of their extractor."""
    import timm

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        save_file(timm.create_model(MODEL).state_dict(), folder / "drawn.safetensors")
    return f"timm:{MODEL}@{folder / 'drawn.safetensors'}"
