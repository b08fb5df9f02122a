"""Backbone: what every network of the bench is, and the checks all of them share.

The contract. A backbone is the raw network F of a preconditioned denoiser (Karras et al. 2022,
arXiv 2206.00364, eq. 7): it sees the scaled image, a number for the noise level and, if it was
built for them, a class and numbers of the case. It knows nothing of sigma, losses or samplers.

- It is built for one `Inputs` and keeps it as `self.inputs`. Any aspect must do, as long as the
  sides are multiples of `divisor`. What it cannot use (volumes, classes, numbers) it refuses when
  it is built, with a ValueError; it never ignores it in silence.
- `c_noise` arrives inside `c_noise_range`, the range that the network's noise embedding resolves;
  whoever wraps the network maps its own noise scale into it.
- The network computes in the dtype of its weights and returns that dtype (autocast apart).
- Randomness: weights and dropout come from torch's global generator. In eval mode the output is
  a function of the inputs alone, and of each image alone: no statistics over the batch.
- Several threads may call one network in eval mode; building and training belong to one owner.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from torch import Tensor, nn

from backbones.inputs import Inputs


class Backbone(nn.Module):
    """Base class of all networks: their inputs, the range of c_noise, checks of what comes in."""

    def __init__(
        self,
        inputs: Inputs,
        *,
        c_noise_range: tuple[float, float],
        divisor: int = 1,
        spatial_dims: tuple[int, ...] = (2,),
    ) -> None:
        """ValueError if the inputs are of other dimensions than the network is for.

        divisor: every side must be a multiple of it.
        spatial_dims: (2,) for a network of pictures, (3,) of volumes, (2, 3) of both.
        """
        super().__init__()
        if len(inputs.spatial) not in spatial_dims:
            names = {2: "pictures (H, W)", 3: "volumes (D, H, W)"}
            kinds = " or ".join(names[dims] for dims in spatial_dims)
            raise ValueError(f"the network is for {kinds}, not for {size_text(inputs.spatial)}")
        self.inputs = inputs
        self.c_noise_range = c_noise_range
        self.divisor = divisor

    def forward(
        self,
        x: Tensor,
        c_noise: Tensor,
        cond: Tensor | None = None,
        vector: Tensor | None = None,
    ) -> Tensor:
        """One image or volume of `out_channels` for each that comes in.

        x: [N, inputs.in_channels, *spatial].
        c_noise: [N].
        cond: int64 [N], the class, 0 to n_classes - 1; -1 for one case, or None for all, means
            "no class", which is how classifier-free guidance asks for the unconditional output.
        vector: float [N, inputs.vector_dim]; zeros for one case, or None for all, mean that
            nothing is known.

        Returns [N, inputs.out_channels, *spatial].
        """
        raise NotImplementedError

    def check_inputs(
        self, x: Tensor, c_noise: Tensor, cond: Tensor | None, vector: Tensor | None
    ) -> None:
        """ValueError if shapes or classes cannot be right; reads no values off an accelerator."""
        inputs, n = self.inputs, x.shape[0]
        if x.dim() != 2 + len(inputs.spatial):
            raise ValueError(
                f"x must have {2 + len(inputs.spatial)} dimensions (cases, channels, sides), "
                f"not shape {tuple(x.shape)}"
            )
        if x.shape[1] != inputs.in_channels:
            raise ValueError(
                f"images have {x.shape[1]} channels, the network was built for {inputs.in_channels}"
            )
        if any(side % self.divisor for side in x.shape[2:]):
            raise ValueError(
                f"image sides must be multiples of {self.divisor} (the network divides them), "
                f"not {size_text(x.shape[2:])}; crop or pad them"
            )
        if c_noise.shape != (n,):
            raise ValueError(f"c_noise must have shape ({n},), not {tuple(c_noise.shape)}")
        if vector is not None and vector.shape != (n, inputs.vector_dim):
            raise ValueError(
                f"vector must have shape ({n}, {inputs.vector_dim}), the second being the "
                f"vector_dim the network was built with, not {tuple(vector.shape)}"
            )
        if cond is None:
            return
        n_classes = inputs.n_classes
        if n_classes == 0:
            raise ValueError("classes given to a network without; build it with n_classes")
        if cond.shape != (n,):
            raise ValueError(f"cond must have shape ({n},), not {tuple(cond.shape)}")
        if cond.device.type == "cpu" and n and not -1 <= cond.min() <= cond.max() < n_classes:
            raise ValueError(
                f"classes must be in 0..{n_classes - 1} (or -1: no class), "
                f"not {int(cond.min())}..{int(cond.max())}"
            )


def size_text(spatial: Iterable[int]) -> str:
    """'32x48', for people."""
    return "x".join(map(str, spatial))


def level_divisor(spatial: tuple[int, ...], levels: int) -> int:
    """What every side must be a multiple of in a U-Net of that many levels: 2^(levels-1).

    ValueError for the first side that is not.
    """
    divisor = 2 ** (levels - 1)
    for side in spatial:
        if side % divisor:
            raise ValueError(
                f"{levels} levels halve the image {levels - 1} times, so each side must be a "
                f"multiple of {divisor}, not {side}; take {_multiples(side, divisor)} "
                "or fewer levels"
            )
    return divisor


def check_whole(least: int, **values: object) -> None:
    """ValueError unless every value is an integer >= `least`."""
    for name, number in values.items():
        if not isinstance(number, int) or isinstance(number, bool) or number < least:
            raise ValueError(f"{name} must be a whole number from {least} up, not {number!r}")


def whole_numbers(name: str, values: Any, *, empty: bool = False) -> tuple[int, ...]:
    """A list or tuple as a tuple; ValueError unless it holds integers >= 1, and at least one.

    empty: it may hold none.
    """
    if not isinstance(values, list | tuple):
        raise ValueError(f"{name} must be a list of whole numbers, not {values!r}")
    for number in values:
        check_whole(1, **{name: number})
    if not values and not empty:
        raise ValueError(f"{name} must have one number or more, one for each level")
    return tuple(values)


def check_dropout(dropout: float) -> None:
    """ValueError unless it is a share of the elements that leaves some."""
    if not isinstance(dropout, int | float) or not 0 <= dropout < 1:
        raise ValueError(f"dropout must be a share in [0, 1), not {dropout!r}")


def _multiples(side: int, divisor: int) -> str:
    below = side // divisor * divisor
    return f"{below} or {below + divisor}" if below else f"{divisor}"
