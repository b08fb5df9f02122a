"""Raw image networks F(x, c_noise, cond): ADM, DDPM++, NCSN++ and a small U-Net, built by name.

One architecture is one module with a frozen dataclass `Args` (its settings, the authors' defaults)
and a function `build(*, resolution, in_channels, out_channels, n_classes, args) -> Backbone`;
adding one is that file and its line in TABLE. A network from outside comes as "my_net.py:build",
the same two things in a file of the user's own, and passes backbones.conformance first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from types import ModuleType

    from backbones.backbone import Backbone

TABLE: dict[str, str] = {
    "adm": "backbones.adm",
    "ddpmpp": "backbones.ddpmpp",
    "ncsnpp": "backbones.ncsnpp",
    "small_unet": "backbones.small_unet",
}


def load(name: str) -> ModuleType:
    """The module of a name in TABLE, or of "path/to/file.py:function" from outside.

    Raises ValueError for an unknown name, a missing file or function, or a file that fails to
    import: what was asked, why it cannot be had, and what can.
    """
    from backbones import doors

    return doors.load(name, TABLE)


def build(
    name: str,
    *,
    resolution: int,
    in_channels: int,
    out_channels: int,
    n_classes: int = 0,
    **args: Any,
) -> Backbone:
    """A new network; its weights are drawn from torch's global generator, which the caller seeds.

    `resolution` is the image side in pixels, `n_classes` 0 for no class condition, `args` the
    fields of the module's Args. Raises ValueError for an unknown name or field (naming those
    there are) and for values that cannot be built (the rule, the values and the remedy).
    """
    from backbones import doors

    return doors.build(
        load(name),
        name,
        resolution=resolution,
        in_channels=in_channels,
        out_channels=out_channels,
        n_classes=n_classes,
        args=args,
    )
