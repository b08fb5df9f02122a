"""drawn: a small convolutional network that learnt to tell apart pictures drawn by this project.

A residual network (He et al. 2016, arXiv 1512.03385) of 32 px that was taught which of some
thousand drawn things a picture shows and which slight damage it has (bench.metrics.drawn_recipe;
docs/extractors.md has the evidence). Features are the 64 principal components, over the drawn
pictures, of the means of every channel after its three stages, each mean at unit spread. Weights
are the package's own file, read by safetensors; batch norms are folded into the convolutions.
"""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor, nn

from bench.errors import BenchError
from bench.metrics.extractors import Extractor

WEIGHTS = Path(__file__).with_name("drawn.safetensors")
STEM = 24
WIDTHS = (40, 80, 160)  # of the stages at 16, 8 and 4 px
COMPONENTS = 64  # few, so that a hundred pictures are more than features


class Block(nn.Module):
    """Halves the picture and adds what two convolutions find: [N, i, H, W] -> [N, o, H/2, W/2]."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.down: nn.Module = nn.Conv2d(inputs, outputs, 3, 2, 1)
        self.first: nn.Module = nn.Conv2d(outputs, outputs, 3, 1, 1)
        self.second: nn.Module = nn.Conv2d(outputs, outputs, 3, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.down(x))
        return F.relu(x + self.second(F.relu(self.first(x))))


class Drawn(Extractor):
    """The extractor; see the module's docstring. Weights are random until they are loaded."""

    name, input_size, resizer = "drawn", 32, "torch-bilinear-antialias"
    num_features = COMPONENTS

    projection: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.stem: nn.Module = nn.Conv2d(3, STEM, 3, 1, 1)
        inputs = (STEM, *WIDTHS)
        self.stages = nn.ModuleList(Block(i, o) for i, o in zip(inputs, WIDTHS, strict=False))
        self.register_buffer("projection", torch.zeros(sum(WIDTHS), COMPONENTS))

    def forward(self, images: Tensor) -> Tensor:
        """uint8 [N, 1 or 3, H, W] -> float32 [N, num_features]; grey is three equal channels."""
        if images.shape[1] not in (1, 3):
            raise BenchError(f"drawn takes 1 or 3 channels, not {images.shape[1]}")
        x = images.to(self.projection.dtype) / 127.5 - 1
        size = (self.input_size, self.input_size)
        if x.shape[-2:] != size:
            x = F.interpolate(x, size=size, mode="bilinear", antialias=True)
        return self.means(x.expand(-1, 3, -1, -1)) @ self.projection

    def means(self, x: Tensor) -> Tensor:
        """Of pictures [N, 3, 32, 32] in [-1, 1] the mean of every channel after every stage."""
        x = F.relu(self.stem(x))
        pooled = []
        for stage in self.stages:
            x = stage(x)
            pooled.append(x.mean((2, 3)))
        return torch.cat(pooled, 1)


def build() -> Drawn:
    """The extractor with the package's weights."""
    extractor = Drawn()
    extractor.load_state_dict(load_file(WEIGHTS))
    return extractor
