"""Parameter counts of the authors' default configurations, to the last one.

Oracle: the published networks' counts (Karras et al. 2022, their code base's defaults; of DDPM's
U-Net those of Fast-DDPM's configurations).
"""

from __future__ import annotations

from typing import Any

import pytest
import torch

from backbones.counting import parameters
from backbones.inputs import Inputs
from bench import networks

RGB32 = {"spatial": (32, 32), "channels": 3, "out_channels": 3}
RGB64 = {"spatial": (64, 64), "channels": 3, "out_channels": 3}
GREY64 = {"spatial": (64, 64), "channels": 1, "out_channels": 1}
# a noisy picture (or two) as the condition of the state
X_RAY = {"spatial": (256, 256), "channels": 1, "condition_channels": 1, "out_channels": 1}
DEEP = {"multipliers": (1, 2, 2, 2)}

COUNTS: list[tuple[str, dict[str, Any], dict[str, Any], int]] = [
    ("ddpmpp", RGB32, {}, 55_732_739),
    ("ddpmpp", {**RGB32, "vector_dim": 9}, {}, 55_733_891),
    ("ddpmpp", {**RGB32, "vector_dim": 9, "n_classes": 10}, {}, 55_735_299),
    ("ncsnpp", RGB32, {}, 56_395_523),
    ("ncsnpp", {**RGB32, "vector_dim": 9}, {}, 56_397_827),
    ("ncsnpp", {**RGB32, "vector_dim": 9, "n_classes": 10}, {}, 56_400_643),
    ("ddpmpp", GREY64, {}, 55_725_825),
    ("ncsnpp", GREY64, {}, 56_384_001),
    ("ddpmpp", RGB64, DEEP, 61_804_419),
    ("ncsnpp", RGB64, DEEP, 62_758_787),
    ("adm", {**RGB64, "n_classes": 1000}, {}, 295_899_267),
    ("adm", RGB64, {}, 295_131_267),
    ("adm", GREY64, {}, 295_124_353),
    ("ddpm_unet", X_RAY, {}, 113_669_761),
    ("ddpm_unet", {**X_RAY, "condition_channels": 2}, {}, 113_670_913),
]


@pytest.mark.parametrize(("name", "inputs", "args", "count"), COUNTS)
def test_default_configurations_have_the_published_counts(
    name: str, inputs: dict[str, Any], args: dict[str, Any], count: int
) -> None:
    with torch.device("meta"):
        net = networks.build(name, Inputs(**inputs), **args)
    assert parameters(net) == count
