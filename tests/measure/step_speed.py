"""A training step of ours against the plain networks in a bare loop, and where its time goes.

`python -m tests.measure.step_speed [--rounds 9] [--only ddpmpp:16] [--profile]` trains the authors'
U-Nets on drawn pictures of 32 pixels in two ways, in turn, on one thread: by `Training.advance`,
with all a trial's step does (keyed noise, log, clipping, three averages), and as the same network
written plainly (tests.fakes.plain_unet) in a loop that draws noise, takes the loss back and calls
torch's Adam. Printed is the median over the rounds of plain seconds / ours, with its quartiles, and
the same for the passes of a network that samples. Seconds are the processor's, of one thread, so
that others at work beside it blur them little; ratios are of one run.
"""

from __future__ import annotations

import copy
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np
import torch
from torch import Tensor, nn

from backbones.inputs import Inputs
from backbones.unet import UNet
from bench import networks
from bench.diffusion.denoiser import Denoiser
from bench.diffusion.preconditioning.edm import EDM
from bench.methods import build_method
from bench.tasks.generate import GenerateTask
from bench.train.loop import Training
from tests.fakes.plain_unet import PlainUNet
from tests.fakes.trials import tiny, write_cache

SIDE = 32
INPUTS = Inputs(spatial=(SIDE, SIDE), channels=1, out_channels=1)
NET = {"multipliers": (1, 2, 2), "blocks": 1, "attention": (8,), "dropout": 0.1}
BACKBONES = ("ddpmpp", "ncsnpp", "adm")
SIZES = {16: 8, 32: 32}  # width: batch; 16 channels are laptop scale
WARM = 3  # steps before the clock
ROUND_SEC = 1.5  # of one way in one round, about
DRAWN = 64  # pictures of a batch in sampling


@dataclass(frozen=True)
class Case:
    """One architecture at one width."""

    backbone: str
    width: int
    batch: int

    def training(self, cache: Path) -> Training:
        """Ours, as a trial has it."""
        far = 10**6 * self.batch
        train = {"batch_size": self.batch, "micro_batch": self.batch}
        train |= {"budget_nimg": far, "rungs_nimg": (far,)}
        config = tiny(
            cache,
            **{f"train.{key}": value for key, value in train.items()},
            **{"task.inputs": INPUTS, "method.backbone": self.backbone},
            **{"method.backbone_args": self.arguments},
        )
        source, objective = GenerateTask(config), build_method(config)
        return Training(config.train, objective, source, config.seed, config.trial_id)

    @property
    def arguments(self) -> dict[str, object]:
        heads = {"channels_per_head": 16} if self.backbone == "adm" else {}
        return {**NET, "width": self.width, **heads}

    def network(self) -> UNet:
        torch.manual_seed(0)
        net = networks.build(self.backbone, INPUTS, **self.arguments)
        assert isinstance(net, UNet)
        return net


class BareLoop:
    """The plain network in the shortest loop that trains it."""

    def __init__(self, case: Case, images: Tensor) -> None:
        self.case, self.images = case, images
        self.denoiser = Denoiser(PlainUNet(case.network()), EDM())
        self.optimizer = torch.optim.Adam(self.denoiser.parameters(), lr=2e-3)

    def step(self) -> None:
        y = self.images[torch.randint(len(self.images), (self.case.batch,))]
        sigma = (torch.randn(len(y)) * 1.2 - 1.2).exp()
        weight = (sigma**2 + 0.25) / (sigma * 0.5) ** 2
        D = self.denoiser(y + sigma[:, None, None, None] * torch.randn_like(y), sigma)
        loss = (weight[:, None, None, None] * (D - y) ** 2).mean()
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()


def seconds(step: Callable[[], object], repeats: int) -> float:
    """Of the processor, for one step."""
    begin = time.process_time()
    for _ in range(repeats):
        step()
    return (time.process_time() - begin) / repeats


def compared(plain: Callable[[], object], ours: Callable[[], object], rounds: int) -> str:
    """Both in turn: the ratio's median and quartiles, and what ours takes."""
    for _ in range(WARM):
        plain()
        ours()
    repeats = max(1, round(ROUND_SEC / seconds(plain, 1)))
    pairs = np.array([(seconds(plain, repeats), seconds(ours, repeats)) for _ in range(rounds)])
    low, middle, high = np.quantile(pairs[:, 0] / pairs[:, 1], (0.25, 0.5, 0.75))
    return f"{middle:5.2f} ({low:.2f}-{high:.2f})  {1e3 * np.median(pairs[:, 1]):6.1f} ms"


def training_steps(case: Case, cache: Path) -> tuple[Callable[[], object], Callable[[], object]]:
    """A plain step and one of ours."""
    run = case.training(cache)
    images = torch.rand(256, 1, SIDE, SIDE) * 2 - 1
    return BareLoop(case, images).step, lambda: run.advance(run.nimg + case.batch)


def sampling_passes(case: Case) -> tuple[Callable[[], object], Callable[[], object]]:
    """One evaluation of D for a batch of pictures in float64, as a solver asks for it."""
    net = case.network()
    plain = Denoiser(PlainUNet(net), EDM()).eval()
    ours = Denoiser(copy.deepcopy(net).to(memory_format=torch.channels_last), EDM()).eval()
    x = torch.randn(DRAWN, 1, SIDE, SIDE, dtype=torch.float64)

    def evaluation(denoiser: nn.Module) -> Callable[[], object]:
        return torch.no_grad()(lambda: denoiser(x, 1.0))

    return evaluation(plain), evaluation(ours)


def profiled(step: Callable[[], object], steps: int = 10) -> str:
    """Where the time of our steps goes, by operation."""
    for _ in range(WARM):
        step()
    with torch.profiler.profile() as profile:
        for _ in range(steps):
            step()
    table: str = profile.key_averages().table(sort_by="self_cpu_time_total", row_limit=40)
    return table


@click.command()
@click.option("--rounds", default=9, show_default=True)
@click.option("--only", help="One case: ddpmpp:16.")
@click.option("--profile", is_flag=True, help="A step's operations instead of the comparison.")
def main(rounds: int, only: str | None, profile: bool) -> None:
    torch.set_num_threads(1)
    cases = [Case(b, width, batch) for width, batch in SIZES.items() for b in BACKBONES]
    if only:
        cases = [case for case in cases if f"{case.backbone}:{case.width}" == only]
    with tempfile.TemporaryDirectory() as folder:
        cache = write_cache(Path(folder) / "cache", side=SIDE, per_part=256)
        for case in cases:
            plain, ours = training_steps(case, cache)
            if profile:
                click.echo(profiled(ours))
                continue
            name = f"{case.backbone:6} {case.width} ch, batch {case.batch}"
            click.echo(f"{name:22} step {compared(plain, ours, rounds)}", nl=False)
            click.echo(f"   pass {compared(*sampling_passes(case), max(rounds // 2, 1))}")


if __name__ == "__main__":
    main()
