"""Raw networks F(x, c_noise, cond, vector): four U-Nets, a small one, one of volumes and a DiT.

One architecture is one module and its line in TABLE. The module has a frozen dataclass `Args` (its
settings, the authors' defaults), `build(inputs, args) -> Backbone`, and `SIZES`, its arguments at
each scale (backbones.sizes). `build` draws weights from torch's global generator, which the caller
seeds, and raises ValueError for values that cannot be built (the rule, the values, the remedy).

A network from outside is a file of a user's own with the same things (`SIZES` may be absent) and
has to pass backbones.conformance first.
"""

from __future__ import annotations

TABLE: dict[str, str] = {
    "adm": "backbones.adm",
    "ddpm_unet": "backbones.ddpm_unet",
    "ddpmpp": "backbones.ddpmpp",
    "dit": "backbones.dit",
    "ncsnpp": "backbones.ncsnpp",
    "small_unet": "backbones.small_unet",
    "volume_unet": "backbones.volume_unet",
}
