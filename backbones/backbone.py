"""Backbone: what every network of the bench is, and the checks all of them share.

The contract. A backbone is the raw network F of a preconditioned denoiser (Karras et al. 2022,
arXiv 2206.00364, eq. 7): it sees the scaled image, a number for the noise level and, if it was
built with classes, a class. It knows nothing of sigma, losses or samplers.

- `c_noise` arrives inside `c_noise_range`, the range that the network's noise embedding resolves;
  whoever wraps the network maps its own noise scale into it.
- The network computes in the dtype of its weights and returns that dtype (autocast apart).
- Randomness: weights and dropout come from torch's global generator. In eval mode the output is
  a function of the inputs alone, and of each image alone: no statistics over the batch.
- Several threads may call one network in eval mode; building and training belong to one owner.
"""

from __future__ import annotations

from torch import Tensor, nn


class Backbone(nn.Module):
    """Base class of all networks: sizes, the range of c_noise, input checks."""

    def __init__(
        self,
        *,
        resolution: int,
        in_channels: int,
        out_channels: int,
        n_classes: int,
        c_noise_range: tuple[float, float],
        divisor: int = 1,
    ) -> None:
        """`divisor`: height and width of the images must be multiples of it."""
        super().__init__()
        self.resolution = resolution
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.n_classes = n_classes
        self.c_noise_range = c_noise_range
        self.divisor = divisor

    def forward(self, x: Tensor, c_noise: Tensor, cond: Tensor | None = None) -> Tensor:
        """x [N, C, H, W], c_noise [N], cond [N] int64 or None -> [N, C_out, H, W].

        `cond` is the class, 0 to n_classes - 1; -1 for one image, or None for all, means
        "no class", which is how classifier-free guidance asks for the unconditional output.
        """
        raise NotImplementedError

    def check_inputs(self, x: Tensor, c_noise: Tensor, cond: Tensor | None) -> None:
        """ValueError if shapes or classes cannot be right; reads no values off an accelerator."""
        n, channels, height, width = x.shape
        if channels != self.in_channels:
            raise ValueError(
                f"images have {channels} channels, the network was built for {self.in_channels}"
            )
        if height % self.divisor or width % self.divisor:
            raise ValueError(
                f"image sides must be multiples of {self.divisor} (the network halves them), "
                f"not {height}x{width}; crop or pad them"
            )
        if c_noise.shape != (n,):
            raise ValueError(f"c_noise must have shape ({n},), not {tuple(c_noise.shape)}")
        if cond is None:
            return
        if self.n_classes == 0:
            raise ValueError("classes given to a network without; build it with n_classes")
        if cond.shape != (n,):
            raise ValueError(f"cond must have shape ({n},), not {tuple(cond.shape)}")
        if cond.device.type == "cpu" and n and not -1 <= cond.min() <= cond.max() < self.n_classes:
            raise ValueError(
                f"classes must be in 0..{self.n_classes - 1} (or -1: no class), "
                f"not {int(cond.min())}..{int(cond.max())}"
            )


def check_resolution(resolution: int, levels: int) -> int:
    """The divisor 2^(levels-1) of a U-Net with that many levels; ValueError if it does not fit."""
    divisor = 2 ** (levels - 1)
    if resolution % divisor:
        raise ValueError(
            f"{levels} levels halve the image {levels - 1} times, so its side must be a multiple "
            f"of {divisor}, not {resolution}; take {_multiples(resolution, divisor)} "
            "or fewer multipliers"
        )
    return divisor


def check_whole(least: int, **values: object) -> None:
    """ValueError unless every value, or every element of a tuple, is an integer >= `least`."""
    for name, value in values.items():
        for number in value if isinstance(value, tuple) else (value,):
            if not isinstance(number, int) or isinstance(number, bool) or number < least:
                raise ValueError(f"{name} must be a whole number from {least} up, not {number!r}")


def check_dropout(dropout: float) -> None:
    """ValueError unless it is a share of the elements that leaves some."""
    if not isinstance(dropout, int | float) or not 0 <= dropout < 1:
        raise ValueError(f"dropout must be a share in [0, 1), not {dropout!r}")


def _multiples(resolution: int, divisor: int) -> str:
    below = resolution // divisor * divisor
    return f"{below} or {below + divisor}" if below else f"{divisor}"
