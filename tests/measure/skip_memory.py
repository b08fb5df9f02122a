"""Predicted memory of training PatchDDM's network by skip, and the widths that fit alike.

    python -m tests.measure.skip_memory [--patch 64]

At the published width, batches of two of four modalities with coordinates, AdamW. The last column
is the widest concatenation whose training takes no more than averaging does at that width.
"""

from __future__ import annotations

import dataclasses

import click

from backbones.inputs import Inputs
from bench.config import MethodConfig, TaskConfig
from bench.data.practice_data import practice_trial
from bench.sweep.cost.footprint import predict

WIDTH, BATCH, MODALITIES, DIMS = 29, 2, 4, 3
AVERAGE, CONCATENATE = "average", "concatenate"


def training_gb(patch: int, skip: str, width: int, checkpointing: bool) -> float:
    """GB at the peak of training, without the process itself."""
    inputs = Inputs(
        spatial=(patch,) * DIMS,
        channels=1,
        out_channels=1,
        condition_channels=MODALITIES + DIMS,
    )
    arguments = {"width": width, "skip": skip, "checkpointing": checkpointing}
    method = MethodConfig(backbone="volume_unet", backbone_args=arguments, preconditioning="edm")
    trial = practice_trial(TaskConfig(kind="segment", inputs=inputs), method)
    train = dataclasses.replace(trial.train, batch_size=BATCH, micro_batch=BATCH, optimizer="adamw")
    return predict(dataclasses.replace(trial, train=train)).training_peak_gb


@click.command()
@click.option("--patch", "patches", type=int, multiple=True, default=(64, 128), show_default=True)
def main(patches: tuple[int, ...]) -> None:
    click.echo(f"GB by prediction, width {WIDTH}, batches of {BATCH}")
    click.echo(
        "patch  checkpointing  average  concatenate  ratio  width of concatenation that fits"
    )
    for patch in patches:
        for kept in (False, True):
            gb = {s: training_gb(patch, s, WIDTH, kept) for s in (AVERAGE, CONCATENATE)}
            widths = range(WIDTH, 1, -1)
            fits = (w for w in widths if training_gb(patch, CONCATENATE, w, kept) <= gb[AVERAGE])
            width = next(fits)
            named, ratio = "yes" if kept else "no", gb[CONCATENATE] / gb[AVERAGE]
            click.echo(
                f"{patch:5}  {named:13}  {gb[AVERAGE]:7.2f}  {gb[CONCATENATE]:11.2f}  {ratio:5.2f} "
                f" {width} ({WIDTH / width:.2f} times less)"
            )


if __name__ == "__main__":
    main()
