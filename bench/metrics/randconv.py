"""randconv: a small extractor of fixed random convolutions that ships with the package.

Random filters followed by pooled statistics tell textures and degradations apart without any
training (Saxe et al. 2011; Ustyuzhaninov et al. 2016, arXiv 1606.00021). What is ours is the
choice of statistics. In [-1, 1], on a pyramid that halves down to 8 px, each picture gives

- tone   8: a soft histogram of pixel values;
- amplitude 8 a level: log mean |filter response|, as its mean over the filters and 7 contrasts
  between them, so that overall contrast is one feature a level and not all of them;
- sparsity  4 a level: log sd / mean of |response|, which tells edges and speckle from noise;
- joint  8: a second layer of filters over rectified, contrast-normalised responses;
- layout 12: random projections of the 8 px picture, which see where things are.

Every feature is divided by its standard deviation over a fixed drawn ensemble of pictures
(`calibration_pictures`; the constants stand below and a test recomputes them): without that,
three quarters of the variance is overall contrast. Weights are integers from Philox raw output,
centred and scaled by exactly rounded operations: the same bits on every platform.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from bench.errors import BenchError
from bench.metrics.extractors import Extractor

KEY = 0xD1FF  # of the Philox stream; another key is another extractor
MAX_CHANNELS = 16
EPSILON = 0.02  # floor of an amplitude inside a logarithm, about 2.5 grey levels of 255
TONES = 8
FILTERS = 8
SPARSE = 4
LAYOUT = 12
COARSE = 8  # px of the coarsest level

# Standard deviation of each raw feature over calibration_pictures(size), rounded to 3 digits.
# fmt: off
SCALES: dict[int, tuple[float, ...]] = {
    32: (
        0.136, 0.253, 0.262, 0.268, 0.241, 0.158, 0.075, 0.0223, 0.356, 0.0781, 0.0507, 0.0799,
        0.0508, 0.05, 0.0394, 0.0756, 0.215, 0.224, 0.207, 0.212, 0.196, 0.148, 0.158, 0.135,
        0.144, 0.201, 0.185, 0.165, 0.373, 0.0724, 0.0968, 0.107, 0.0975, 0.0796, 0.174, 0.0908,
        0.0806, 0.083, 0.0828, 0.0826, 0.445, 0.206, 0.266, 0.276, 0.18, 0.224, 0.179, 0.19,
        0.188, 0.17, 0.191, 0.161, 0.433, 0.374, 0.413, 0.3, 0.612, 0.325, 0.197, 0.507,
        0.239, 0.332, 0.362, 0.526,
    ),
    64: (
        0.134, 0.248, 0.259, 0.266, 0.234, 0.146, 0.0668, 0.0194, 0.382, 0.0612, 0.0391, 0.0713,
        0.0406, 0.0407, 0.0287, 0.0574, 0.333, 0.344, 0.334, 0.336, 0.225, 0.198, 0.177, 0.172,
        0.184, 0.256, 0.236, 0.225, 0.358, 0.0479, 0.0615, 0.0705, 0.058, 0.0527, 0.137, 0.0702,
        0.181, 0.187, 0.177, 0.21, 0.408, 0.122, 0.169, 0.0957, 0.0825, 0.136, 0.0703, 0.11,
        0.132, 0.086, 0.108, 0.107, 0.435, 0.253, 0.189, 0.306, 0.242, 0.201, 0.203, 0.213,
        0.164, 0.172, 0.177, 0.169, 0.422, 0.374, 0.401, 0.308, 0.585, 0.305, 0.192, 0.524,
        0.246, 0.329, 0.351, 0.509,
    ),
}
# fmt: on


class RandConv(Extractor):
    """The extractor at one input size (a power of two from 16); see the module's docstring."""

    resizer = "torch-bilinear-antialias"

    bank: Tensor
    second: Tensor
    layout: Tensor
    contrasts: Tensor
    tones: Tensor
    scale: Tensor

    def __init__(self, input_size: int, scale: NDArray[np.float64] | None = None) -> None:
        super().__init__()
        self.name = "randconv" if input_size == 32 else f"randconv{input_size}"
        self.input_size = input_size
        self.levels = (input_size // COARSE).bit_length()
        self.num_features = TONES + (FILTERS + SPARSE) * self.levels + FILTERS + LAYOUT
        bank = [_filters(10 + i, (FILTERS, MAX_CHANNELS), 5) for i in range(self.levels)]
        self.register_buffer("bank", torch.stack(bank))
        self.register_buffer("second", _filters(20, (FILTERS, FILTERS), 3) / FILTERS**0.5)
        layout = _filters(30, (LAYOUT, MAX_CHANNELS), COARSE)
        layout[:, 1:] = _filters(31, (LAYOUT, MAX_CHANNELS), COARSE, centred=False)[:, 1:]
        self.register_buffer("layout", layout)
        self.register_buffer("contrasts", _contrasts(FILTERS))
        tones = np.arange(-TONES + 1, TONES, 2) / (TONES - 1)  # -1 to 1
        self.register_buffer("tones", torch.from_numpy(tones.astype(np.float32)))
        if scale is None:
            scale = np.array(SCALES[input_size])
        self.register_buffer("scale", torch.from_numpy(scale.astype(np.float32)))

    def forward(self, images: Tensor) -> Tensor:
        """uint8 [N, C <= 16, H, W] -> float32 [N, num_features]; oblong pictures become square."""
        channels = images.shape[1]
        if channels > MAX_CHANNELS:
            raise BenchError(f"{self.name} takes at most {MAX_CHANNELS} channels, not {channels}")
        x = images.to(self.scale.dtype) / 127.5 - 1
        size = (self.input_size, self.input_size)
        if x.shape[-2:] != size:
            x = F.interpolate(x, size=size, mode="bilinear", antialias=True)
        tone = [torch.sigmoid((x - t) / 0.1).mean((1, 2, 3)) for t in self.tones]
        out = [torch.stack(tone, 1)]
        # grey and colour apart: channel 0, then each other channel's difference to it
        x = torch.cat([x[:, :1], x[:, 1:] - x[:, :1]], 1)
        for level in range(self.levels):
            if level:
                x = F.avg_pool2d(x, 2)
            response = F.conv2d(x, self.bank[level, :, :channels])
            size_of = response.abs()
            mean, sd = size_of.mean((2, 3)) + EPSILON, size_of.std((2, 3)) + EPSILON
            out.append(mean.log() @ self.contrasts.T)
            out.append((sd / mean).log()[:, :SPARSE])
            if level == 0:
                rectified = F.avg_pool2d(F.relu(response), 2)
                normal = rectified / mean.mean(1)[:, None, None, None]
                joint = F.conv2d(normal, self.second).abs().mean((2, 3))
                out.append((joint + EPSILON).log())
        out.append(torch.einsum("nchw,kchw->nk", x, self.layout[:, :channels]))
        return torch.cat(out, 1) / self.scale


def build() -> RandConv:
    """The default: 64 features at 32 px."""
    return RandConv(32)


def build_64() -> RandConv:
    """76 features at 64 px, for pictures whose detail 32 px would lose."""
    return RandConv(64)


def calibration_pictures(size: int, n: int = 512) -> NDArray[np.uint8]:
    """The drawn pictures behind SCALES: uint8 [n, 1, size, size].

    Power-law random fields of drawn slope, brightness and contrast; every second one is seen
    through a sector on black, as ultrasound is.
    """
    rng = np.random.Generator(np.random.Philox(key=KEY))
    f = np.fft.fftfreq(size)
    radius = np.hypot(f[:, None], f[None])
    radius[0, 0] = 1 / size
    y, x = np.mgrid[:size, :size] / (size - 1)
    pictures = np.empty((n, 1, size, size), np.uint8)
    for i in range(n):
        slope = rng.uniform(0.7, 2.2)
        spectrum = np.fft.fft2(rng.standard_normal((size, size))) / radius**slope
        field = np.fft.ifft2(spectrum).real
        field *= rng.uniform(15, 60) / field.std()
        field += 128 + rng.uniform(-60, 60)
        if i % 2:
            apex, half, depth = rng.uniform(0.35, 0.65), rng.uniform(0.4, 0.9), rng.uniform(0.8, 1)
            inside = (np.abs(x - apex) <= half * y + 0.02) & (np.hypot(x - apex, y) <= depth)
            field = np.where(inside, field, 0.0)
        pictures[i, 0] = np.clip(np.rint(field), 0, 255)
    return pictures


def measure_scales(size: int) -> NDArray[np.float64]:
    """Recompute SCALES[size], unrounded: float64 [num_features]."""
    levels = (size // COARSE).bit_length()
    width = TONES + (FILTERS + SPARSE) * levels + FILTERS + LAYOUT
    raw = RandConv(size, np.ones(width))
    with torch.inference_mode():
        features = raw(torch.from_numpy(calibration_pictures(size)))
    return features.double().numpy().std(0)


def _filters(stream: int, shape: tuple[int, int], k: int, *, centred: bool = True) -> Tensor:
    """Random kernels [out, in, k, k] of unit norm each; centred ones also sum to zero.

    A weight is a sum of four random bytes, near enough a Gaussian. All arithmetic before the one
    square root and division is on integers, hence exact.
    """
    count = shape[0] * shape[1]
    key = np.array([KEY, stream], np.uint64)
    raw = np.random.Philox(key=key).random_raw(count * k * k).astype("<u8")
    octets = raw.view(np.uint8).reshape(-1, 8)[:, :4].astype(np.int64)
    w = (octets.sum(1) - 510).reshape(count, k * k)
    if centred:
        w = w * (k * k) - w.sum(1, keepdims=True)
    unit = w / np.sqrt((w * w).sum(1, keepdims=True).astype(np.float64))
    return torch.from_numpy(unit.reshape(*shape, k, k).astype(np.float32))


def _contrasts(n: int) -> Tensor:
    """The mean, then n-1 orthonormal Helmert contrasts: [n, n]."""
    rows = np.full((n, n), 0.0)
    rows[0] = 1 / n
    for k in range(1, n):
        rows[k, :k] = 1 / np.sqrt(k * (k + 1))
        rows[k, k] = -k / np.sqrt(k * (k + 1))
    return torch.from_numpy(rows.astype(np.float32))
