"""The table of guidances, one class each. Imports nothing heavy.

A new one is a file beside this with a subclass of `guiding.Guidance`, and one line here;
`bench.diffusion.guidance_conformance` then runs on it, as it does on a user's own
"file.py:Class".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bench.diffusion import part_fields
from bench.doors import Family

if TYPE_CHECKING:
    from bench.diffusion.guidance.guiding import Guidance

GUIDANCES = Family(
    kind="guidance",
    table={
        "classifier_free": "bench.diffusion.guidance.classifier_free:ClassifierFree",
        "discriminator": "bench.diffusion.guidance.discriminator:DiscriminatorGuided",
        "none": "bench.diffusion.guidance.unguided:Unguided",
    },
    suite="bench.diffusion.guidance_conformance:check",
)


def build(name: str, **settings: Any) -> Guidance:
    """One guidance with its fields; BenchError for unknown fields or bad values."""
    guidance: Guidance = part_fields.build(GUIDANCES, name, settings)
    return guidance
