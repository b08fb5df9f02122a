"""Predicted against measured peak memory of trials that really differ.

    python -m tests.measure.memory [--device cuda]

Each configuration trains a few steps, saves a checkpoint and samples in a process of its own; its
peak is the system's own count (ru_maxrss), on a GPU the allocator's. Prints both and their ratio.
"""

from __future__ import annotations

import dataclasses
import json
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import click

from backbones.inputs import Inputs
from bench.config import DataConfig, TaskConfig, TrialConfig
from bench.sweep.cost import footprint
from bench.sweep.deciding.resolve import Frame, default_params, resolve
from bench.workloads.echo import LAPTOP, WORKLOAD

CASES = (  # architecture, width, resolution, batch, precision
    ("adm", 32, 32, 8, "float32"),
    ("adm", 64, 64, 16, "float32"),
    ("ddpmpp", 16, 32, 8, "float32"),
    ("ddpmpp", 32, 64, 32, "float32"),
    ("ddpmpp", 64, 64, 16, "float32"),
    ("ddpmpp", 64, 64, 32, "bfloat16"),
    ("ddpmpp", 128, 64, 8, "float32"),
    ("ncsnpp", 32, 32, 32, "float32"),
    ("ncsnpp", 64, 64, 16, "float32"),
    ("small_unet", 32, 64, 32, "float32"),
    ("small_unet", 64, 64, 64, "float32"),
    ("small_unet", 64, 64, 64, "bfloat16"),
)


def config(
    architecture: str,
    width: int,
    resolution: int,
    batch: int,
    precision: str = "float32",
    device: str = "cpu",
) -> TrialConfig:
    inputs = Inputs(spatial=(resolution, resolution), channels=1, out_channels=1)
    frame = Frame(
        workload="echo",
        scale=dataclasses.replace(LAPTOP, budget_tflop=1e6),
        data=DataConfig(name="noise", digest="0" * 16, simulated=True),
        task=TaskConfig(kind="generate", inputs=inputs),
        metrics=WORKLOAD.metrics,
        device=device,
        precision=precision,
        threads=1,
    )
    params = default_params(LAPTOP, {"architecture": architecture, "preconditioning": "edm"})
    return resolve(frame, {**params, "width": width, "batch_size": batch}, 0)


def run(trial: TrialConfig) -> float:
    """Train, save and sample here; the peak in GB."""
    import torch

    from bench.methods import build_method
    from bench.predictions import Cases
    from bench.train.loop import Training
    from bench.train.objective import Batch

    torch.set_num_threads(1)

    class Noise:
        def batch(self, samples: range, seed: int) -> Batch:
            inputs = trial.task.inputs
            return Batch(target=torch.zeros(len(samples), inputs.channels, *inputs.spatial))

    import ray.tune  # noqa: F401  # as in a trial's process

    method = build_method(trial)
    training = Training(trial.train, method, Noise(), 0, "measure")
    training.advance(2 * trial.train.batch_size)
    with tempfile.TemporaryDirectory() as folder:
        training.save(Path(folder), {})
    sample = dataclasses.replace(trial.sample, steps=2)
    batch = Cases(
        key=("select",),
        purpose="measure",
        count=sample.batch_size,
        keep=lambda x: x.cpu().numpy(),
    )
    method.predictor([method.net], 0, sample).predict(batch)
    if trial.train.device == "cuda":
        return torch.cuda.max_memory_reserved() / 1e9 + footprint.BASE_GB["cuda"]
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9


@click.command()
@click.option("--device", default="cpu", show_default=True)
@click.option("--one", hidden=True, help="A configuration as JSON: run it and print its peak.")
def main(device: str, one: str | None) -> None:
    if one is not None:
        click.echo(run(TrialConfig.from_dict(json.loads(one))))
        return
    click.echo("network     width   px  batch  precision  predicted  measured  ratio")
    for case in CASES:
        trial = config(*case, device=device)
        predicted = footprint.predict(trial).peak_gb
        command = [sys.executable, "-m", "tests.measure.memory", "--one"]
        done = subprocess.run(
            [*command, json.dumps(trial.to_dict())], capture_output=True, text=True
        )
        if done.returncode:
            raise click.ClickException(done.stderr.strip().splitlines()[-1])
        real = float(done.stdout)
        name, width, px, batch, precision = case
        sizes = f"{predicted:8.2f} GB {real:6.2f} GB  {predicted / real:.2f}"
        click.echo(f"{name:10} {width:6} {px:4} {batch:6}  {precision:9}{sizes}")


if __name__ == "__main__":
    main()
