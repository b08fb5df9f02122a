"""The three real sets in $BENCH_REALDATA as 32 px pictures, and the two CIFAR-10 networks there.

Of each set two samples of `COUNT` pictures: a reference and the one that is damaged. Chest x-rays:
other patients; ultrasound: other frames of the same clips; photographs: other cuts of the same
photographs, so that floors are low.
"""

from __future__ import annotations

import os
import tempfile
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from bench.data.opening import open_data
from bench.data.reading import Reading
from bench.data.simulate_echo import SimulationSize
from bench.errors import BenchError
from bench.metrics.extractors import Extractor

COUNT, SIZE = 320, 32
Pictures = NDArray[np.uint8]
CIFAR_MEAN, CIFAR_SD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # as they were trained


def folder() -> Path:
    """$BENCH_REALDATA; BenchError where it is not set."""
    place = os.environ.get("BENCH_REALDATA")
    if not place:
        raise BenchError("BENCH_REALDATA names no folder; set it to that of the real sets")
    return Path(place)


def working_folder() -> Path:
    """Where what is slow to make is kept from one run to the next."""
    place = Path(tempfile.gettempdir()) / "bench-extractor-evidence"
    place.mkdir(exist_ok=True)
    return place


def real_sets() -> dict[str, tuple[Pictures, Pictures]]:
    """(reference, other sample) by set, uint8 [COUNT, C, 32, 32] each; the same at every call."""
    return {"x-rays": xrays(), "ultrasound": ultrasound(), "photographs": photographs()}


def xrays() -> tuple[Pictures, Pictures]:
    with np.load(folder() / "pneumoniamnist.npz") as file:
        images = file["train_images"]
    rows = np.random.default_rng(1).permutation(len(images))[: 2 * COUNT]
    small = torch.from_numpy(images[rows])[:, None].float()
    large = F.interpolate(small, (SIZE, SIZE), mode="bilinear").round().byte().numpy()
    return large[:COUNT], large[COUNT:]


def ultrasound() -> tuple[Pictures, Pictures]:
    cached = open_data(
        folder() / "ultrasound_clips", Reading(size=(SIZE, SIZE)), workload_reader="echonet",
        home=working_folder(), simulated=SimulationSize(),
    )  # fmt: skip
    rows = np.sort(np.random.default_rng(1).permutation(len(cached.images))[: 2 * COUNT])
    images = np.asarray(cached.images[rows])
    return images[::2], images[1::2]


def photographs() -> tuple[Pictures, Pictures]:
    draw = np.random.default_rng(1)
    files = sorted((folder() / "boxed_photos" / "images").iterdir())
    photos = [Image.open(file).convert("RGB") for file in files]
    cuts = np.empty((2 * COUNT, 3, SIZE, SIZE), np.uint8)
    for place in range(2 * COUNT):
        photo = photos[place // 2 % len(photos)]
        side = int(min(photo.size) * draw.uniform(0.5, 1))
        left, top = (int(draw.integers(0, extent - side + 1)) for extent in photo.size)
        cut = photo.resize((SIZE, SIZE), Image.Resampling.BOX, (left, top, left + side, top + side))
        cuts[place] = np.asarray(cut).transpose(2, 0, 1)
    return cuts[::2], cuts[1::2]


class PixelMean(Extractor):
    """The control: the mean and the spread of the pixels and nothing else."""

    name, num_features, input_size, resizer = "pixel_mean", 2, 0, "none"

    def forward(self, images: Tensor) -> Tensor:
        x = images.float() / 255
        return torch.stack([x.mean((1, 2, 3)), x.std((1, 2, 3))], 1)


class CifarResNet(Extractor):
    """He et al. 2016, section 4.2, with option A shortcuts: 64 features before the classifier."""

    num_features, input_size, resizer = 64, 32, "torch-bilinear-antialias"

    def __init__(self, depth: int, file: Path) -> None:
        super().__init__()
        self.name = f"resnet{depth}"
        stored = torch.load(file, weights_only=True, map_location="cpu")["state_dict"]
        weights = {key.removeprefix("module."): value for key, value in stored.items()}
        self.stem, self.stem_norm = nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16)
        widths = [16] + [width for width in (16, 32, 64) for _ in range((depth - 2) // 6)]
        blocks = [_Block(i, o) for i, o in pairwise(widths)]
        self.blocks = nn.Sequential(*blocks)
        own = self.state_dict()
        names = {"conv1.": "stem.", "bn1.": "stem_norm."}
        each = (depth - 2) // 6
        for stage in range(3):
            for block in range(each):
                names[f"layer{stage + 1}.{block}."] = f"blocks.{stage * each + block}."
        for key, value in weights.items():
            for old, new in names.items():
                if key.startswith(old):
                    own[new + key.removeprefix(old)] = value
        self.load_state_dict(own)
        self.register_buffer("mean", torch.tensor(CIFAR_MEAN)[:, None, None])
        self.register_buffer("sd", torch.tensor(CIFAR_SD)[:, None, None])

    def forward(self, images: Tensor) -> Tensor:
        x = (images.float() / 255).expand(-1, 3, -1, -1)
        if x.shape[-1] != SIZE:
            x = F.interpolate(x, (SIZE, SIZE), mode="bilinear", antialias=True)
        x = F.relu(self.stem_norm(self.stem((x - self.mean) / self.sd)))
        return self.blocks(x).mean((2, 3))


class _Block(nn.Module):
    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.stride, self.more = outputs // inputs, outputs - inputs
        self.conv1 = nn.Conv2d(inputs, outputs, 3, self.stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        short = x[:, :, :: self.stride, :: self.stride]
        return F.relu(y + F.pad(short, (0, 0, 0, 0, self.more // 2, self.more // 2)))


def resnet20() -> Extractor:
    return _cifar_resnet(20, "resnet20-12fca82f.th")


def resnet56() -> Extractor:
    return _cifar_resnet(56, "resnet56-4bfd9763.th")


def cifar_resnets() -> list[Extractor]:
    """ResNet-20 and ResNet-56, which the extractors here never saw."""
    return [resnet20(), resnet56()]


def _cifar_resnet(depth: int, file: str) -> Extractor:
    network = CifarResNet(depth, folder() / "weights" / file).eval()
    return network.to(memory_format=torch.channels_last)
