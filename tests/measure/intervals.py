"""How often a distance's interval of 95 % holds what it should, near the floor and far from it.

    python -m tests.measure.intervals [--times 400] [--seed 3]

Features of 64 dimensions from normal distributions whose covariance falls off as 1 / k; the
generated ones are shifted by `shift` along the first axes and `wide` times as wide: 0 and 1 is a
perfect generator, at the floor that so few samples have. Each time samples are drawn anew against
one reference; the interval is the distance and 1.96 of its standard error. It should hold the mean
of the distance over samplings of so many (what entries of one protocol are compared by), taken
from all draws.
"""

from __future__ import annotations

import click
import numpy as np

from bench.metrics.frechet import FrechetReference, frechet_distance

DIMENSIONS, REFERENCE, SHIFTED = 64, 2000, 8
PLACES = {
    "at the floor": (0.0, 1.0),
    "near it": (0.1, 1.02),
    "far": (0.5, 1.2),
    "further": (2.0, 1.6),
}


def held(shift: float, wide: float, count: int, times: int, draw: np.random.Generator) -> str:
    """The share of intervals that hold the mean, and its size over the spread that there is."""
    scale = 1 / np.sqrt(1 + np.arange(DIMENSIONS))
    real = draw.standard_normal((REFERENCE, DIMENSIONS)) * scale
    reference = FrechetReference.of_features(real, digest="real")
    moved = np.where(np.arange(DIMENSIONS) < SHIFTED, shift, 0.0) * scale
    told = [
        frechet_distance(
            reference, moved + wide * draw.standard_normal((count, DIMENSIONS)) * scale
        )
        for _ in range(times)
    ]
    values = np.array([one.value for one in told])
    errors = np.array([one.se for one in told])
    inside = np.abs(values - values.mean()) <= 1.96 * errors
    return (
        f"distance {values.mean():.3g}, spread {values.std(ddof=1):.3g}, standard error "
        f"{errors.mean():.3g} on average; {inside.mean():.1%} hold"
    )


@click.command()
@click.option("--times", type=int, default=400, show_default=True)
@click.option("--seed", type=int, default=3, show_default=True)
def main(times: int, seed: int) -> None:
    draw = np.random.default_rng(seed)
    for count in (48, 256):
        for place, (shift, wide) in PLACES.items():
            click.echo(f"{count} samples, {place}: {held(shift, wide, count, times, draw)}")


if __name__ == "__main__":
    main()
