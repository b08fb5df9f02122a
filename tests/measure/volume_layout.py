"""Whether convolutions of volumes are faster in channels_last_3d than as they come.

    python -m tests.measure.volume_layout [--rounds 7]

Loss and gradients of the direct method on simulated volumes at laptop scale, one thread, in turn in
both layouts; printed is the ratio of the least seconds of each.
"""

from __future__ import annotations

import copy
import time

import click
import torch

from bench.methods import build_method
from bench.tasks import build_task
from tests.measure.defaults import SIMULATED, Asked, frame_of, home_of_data, trial_of

CELL = {"method": "direct_segmentation", "architecture": "volume_unet"}
VARIANTS = ("patch=16 batch_size=4", "patch=24", "patch=24 width=wide", "patch=0")
LAYOUTS = {"plain": torch.contiguous_format, "last": torch.channels_last_3d}


@click.command()
@click.option("--rounds", default=7, show_default=True)
def main(rounds: int) -> None:
    torch.set_num_threads(1)
    asked = Asked(
        workload="brats", scale="laptop", network="", setup="", budget=1.0, reported=0,
        judges=("",), cell=CELL, shown=("dice",), home=home_of_data(),
    )  # fmt: skip
    frame = frame_of(asked, SIMULATED)
    for variant in VARIANTS:
        config = trial_of(frame, asked, variant, 0)
        method, samples = build_method(config), list(range(config.train.batch_size))
        batch = build_task(config).batch(samples, 0)
        nets = {
            name: copy.deepcopy(method.net).to(memory_format=layout)
            for name, layout in LAYOUTS.items()
        }
        least = dict.fromkeys(nets, float("inf"))
        for _ in range(rounds):
            for name, net in nets.items():
                method.net = net
                began = time.perf_counter()
                torch.autograd.backward([method.terms(batch, samples, 0).loss.mean()])
                least[name] = min(least[name], time.perf_counter() - began)
                net.zero_grad()
        click.echo(
            f"{variant}: {1000 * least['plain']:.0f} ms plain, {1000 * least['last']:.0f} ms "
            f"channels_last_3d, {least['plain'] / least['last']:.2f} times faster"
        )


if __name__ == "__main__":
    main()
