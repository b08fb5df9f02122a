"""Two workers against one at the same global batch: losses side by side, and images per second.

`python -m tests.measure.ddp [--workers 2] [--steps 60] [--micro-batch 8] [--out FOLDER]` trains a
small DDPM++ on drawn pictures twice, in one process and in several over gloo, prints a table of
nimg, both losses and their relative difference, and draws both curves where matplotlib is
installed. Both take the same micro-batches, of a worker's whole share unless told otherwise, so
that dropout masks are the same. One thread each: two workers are two cores against one.
"""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch

from backbones.inputs import Inputs
from bench.methods import build_method
from bench.tasks.generate import GenerateTask
from bench.train.loop import Training
from bench.train.parallel import ALONE, World
from tests.fakes.trials import tiny, write_cache
from tests.fakes.workers import run_workers

SIDE, BATCH, WARM = 32, 32, 3
INPUTS = Inputs(spatial=(SIDE, SIDE), channels=1, out_channels=1)
NET = {"width": 16, "multipliers": (1, 2, 2), "blocks": 1, "attention": (8,), "dropout": 0.1}


def trained(world: World, cache: Path, micro: int, steps: int) -> tuple[list[float], float]:
    """Losses of all steps, and images/s once the first steps are over."""
    torch.set_num_threads(1)
    train = {"batch_size": BATCH, "micro_batch": micro, "workers": world.size}
    train |= {"budget_nimg": steps * BATCH, "rungs_nimg": (steps * BATCH,)}
    config = tiny(
        cache,
        **{f"train.{key}": value for key, value in train.items()},
        **{"task.inputs": INPUTS, "method.backbone_args": NET},
    )
    source, objective = GenerateTask(config), build_method(config)
    run = Training(config.train, objective, source, config.seed, config.trial_id, world)
    run.advance(WARM * BATCH)
    begin = time.perf_counter()
    run.advance(steps * BATCH)
    return run.losses, (steps - WARM) * BATCH / (time.perf_counter() - begin)


def draw(path: Path, curves: dict[str, list[float]]) -> bool:
    try:
        from matplotlib import pyplot
    except ImportError:
        return False
    pyplot.switch_backend("agg")
    figure, (above, below) = pyplot.subplots(2, 1, sharex=True, figsize=(7, 5))
    (name, one), (other, several) = curves.items()
    nimg = BATCH * np.arange(1, len(one) + 1)
    above.plot(nimg, one, label=name, linewidth=3, alpha=0.4)
    above.plot(nimg, several, label=other, linewidth=1)
    above.set_ylabel("loss")
    above.legend()
    below.plot(nimg, np.abs(np.subtract(several, one)) / np.abs(one))
    below.set_ylabel("relative difference")
    below.set_xlabel("images seen")
    figure.tight_layout()
    figure.savefig(path, dpi=120)
    return True


@click.command()
@click.option("--workers", default=2, show_default=True)
@click.option("--steps", default=60, show_default=True)
@click.option("--micro-batch", type=int, help="Samples at a time; a worker's share by default.")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False))
def main(workers: int, steps: int, micro_batch: int | None, out: Path | None) -> None:
    micro = micro_batch or BATCH // workers
    with tempfile.TemporaryDirectory() as folder:
        cache = write_cache(Path(folder) / "cache", side=SIDE, per_part=256)
        one, one_rate = trained(ALONE, cache, micro, steps)
        found: list[Any] = run_workers(workers, trained, cache, micro, steps)
    several, rate = found[0]
    click.echo(f"{'nimg':>6}  {'loss 1':>10}  {f'loss {workers}':>10}  {'rel. difference':>15}")
    difference = np.abs(np.subtract(several, one)) / np.abs(one)
    for k in sorted({*range(0, steps, max(steps // 12, 1)), steps - 1}):
        click.echo(
            f"{(k + 1) * BATCH:6d}  {one[k]:10.6f}  {several[k]:10.6f}  {difference[k]:15.1e}"
        )
    click.echo(f"largest relative difference in {steps} steps: {difference.max():.1e}")
    cores = len(os.sched_getaffinity(0))
    click.echo(
        f"images/s: 1 worker {one_rate:.1f}, {workers} workers {rate:.1f} "
        f"({rate / one_rate:.2f} times), on {cores} cores, gloo over loopback"
    )
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        path = out / f"ddp-{workers}.png"
        drawn = draw(path, {"1 worker": one, f"{workers} workers": several})
        click.echo(f"curves: {path}" if drawn else "no curves drawn: matplotlib is not installed")


if __name__ == "__main__":
    main()
