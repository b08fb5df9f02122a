"""Time of a Fréchet distance as a share of clean-fid's, on the same features.

    python -m tests.measure.frechet_speed                     # D = 2048, 3000 samples
    python -m tests.measure.frechet_speed --samples 500       # fewer samples than dimensions

Ours against a reference that is kept with its root, as all trials but the first have it (warm), and
with the root taken anew (cold); both without and with the standard error, which clean-fid has not.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from typing import TypeVar

import click
import numpy as np
from cleanfid import fid as clean_fid

from bench.metrics.frechet import FrechetReference, frechet_distance

T = TypeVar("T")


def timed(call: Callable[[], T]) -> tuple[float, T]:
    """Seconds, and what was computed."""
    begin = time.perf_counter()
    value = call()
    return time.perf_counter() - begin, value


@click.command()
@click.option("--dimensions", default=2048, show_default=True)
@click.option("--samples", default=3000, show_default=True)
@click.option("--seed", default=0, show_default=True)
def main(dimensions: int, samples: int, seed: int) -> None:
    """Print the times and the ratio."""
    rng = np.random.default_rng(seed)
    spread = np.geomspace(1, 0.01, dimensions)
    real, predicted = (rng.standard_normal((samples, dimensions)) * spread for _ in range(2))
    predicted = predicted + 0.05

    def peer() -> float:
        moments = [(x.mean(0), np.cov(x, rowvar=False)) for x in (predicted, real)]
        return float(clean_fid.frechet_distance(*moments[0], *moments[1]))

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # SciPy will drop an argument that clean-fid gives
        theirs, expected = timed(peer)
    root, reference = timed(lambda: FrechetReference.of_features(real, digest=""))
    warm, value = timed(lambda: frechet_distance(reference, predicted, blocks=0).value)
    whole, _ = timed(lambda: frechet_distance(reference, predicted).value)
    click.echo(f"D = {dimensions}, {samples} samples a side")
    click.echo(f"clean-fid                    {theirs:8.2f} s   {expected:.9g}")
    click.echo(f"ours, root kept              {warm:8.2f} s   {value:.9g}")
    click.echo(f"ours, root taken             {root + warm:8.2f} s")
    click.echo(f"ours, root kept, with error  {whole:8.2f} s")
    click.echo(f"ratio warm {warm / theirs:.3f}, cold {(root + warm) / theirs:.3f}; "
          f"values differ by {abs(value / expected - 1):.1e}")  # fmt: skip


if __name__ == "__main__":
    main()
