"""Parameter counts of the authors' default configurations, to the last one.

Oracle: the published networks' counts (Karras et al. 2022, their code base's defaults).
"""

from __future__ import annotations

from typing import Any

import pytest
import torch

import backbones
from backbones.counting import parameters

RGB32 = {"resolution": 32, "in_channels": 3, "out_channels": 3}
RGB64 = {"resolution": 64, "in_channels": 3, "out_channels": 3}
GREY64 = {"resolution": 64, "in_channels": 1, "out_channels": 1}
WIDE64 = {**RGB64, "multipliers": (1, 2, 2, 2)}

COUNTS: list[tuple[str, dict[str, Any], int]] = [
    ("ddpmpp", RGB32, 55_732_739),
    ("ddpmpp", {**RGB32, "augment_dim": 9}, 55_733_891),
    ("ddpmpp", {**RGB32, "augment_dim": 9, "n_classes": 10}, 55_735_299),
    ("ncsnpp", RGB32, 56_395_523),
    ("ncsnpp", {**RGB32, "augment_dim": 9}, 56_397_827),
    ("ncsnpp", {**RGB32, "augment_dim": 9, "n_classes": 10}, 56_400_643),
    ("ddpmpp", GREY64, 55_725_825),
    ("ncsnpp", GREY64, 56_384_001),
    ("ddpmpp", WIDE64, 61_804_419),
    ("ncsnpp", WIDE64, 62_758_787),
    ("adm", {**RGB64, "n_classes": 1000}, 295_899_267),
    ("adm", RGB64, 295_131_267),
    ("adm", GREY64, 295_124_353),
]


@pytest.mark.parametrize(("name", "sizes", "count"), COUNTS)
def test_default_configurations_have_the_published_counts(
    name: str, sizes: dict[str, Any], count: int
) -> None:
    with torch.device("meta"):
        net = backbones.build(name, **sizes)
    assert parameters(net) == count
