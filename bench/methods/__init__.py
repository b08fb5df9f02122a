"""How a task is answered. A method is a file with a class here and one line in METHODS."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from bench.doors import Family
from bench.streams import derive_seed

if TYPE_CHECKING:
    from bench.config import TrialConfig
    from bench.methods.method import Method

METHODS = Family(
    kind="method",
    table={
        "diffusion": "bench.methods.diffusion:Diffusion",
        "latent": "bench.methods.latent:Latent",
        "direct": "bench.methods.direct:Direct",
        "direct_segmentation": "bench.methods.direct_segmentation:DirectSegmentation",
        "classical": "bench.methods.classical:Classical",
    },
    suite="bench.methods.method_conformance:check",
)


def load_method(kind: str) -> type[Method]:
    """The class of a method, by name or of a user's file."""
    method: type[Method] = METHODS.load(kind)
    return method


def build_method(config: TrialConfig) -> Method:
    """The method of a trial; its initialisation draws from torch's generator, seeded here."""
    make = load_method(config.method.kind)
    torch.manual_seed(derive_seed(config.seed, "init"))
    return make(config)
