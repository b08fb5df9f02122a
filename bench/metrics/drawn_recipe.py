"""How the weights of the extractor `drawn` are made.

    python -m bench.metrics.drawn_recipe --out FILE [--seed 0] [--steps 1200]

Draws the pictures (drawn_pictures), then teaches a network two things: which drawn thing an
undamaged picture shows, from random cuts and mirror images, and which kind and size of slight
damage (drawn_damage) another one has. The second is what makes it see JPEG, noise and displacement.
Batch norms are folded into the convolutions, features cut to their principal components over the
drawn pictures. About ten minutes of one core.
"""

from __future__ import annotations

import time
from pathlib import Path

import click
import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from bench.metrics.drawn import COMPONENTS, WIDTHS, Block, Drawn
from bench.metrics.drawn_damage import KINDS, damaged
from bench.metrics.drawn_pictures import draw_all
from bench.streams import stream

BATCH, DAMAGED, RATE, SMOOTHING, DECAY = 128, 64, 4e-3, 0.1, 0.02
WEIGHT = 0.5  # of the damages' loss
SIZE = 32
TAUGHT = sum(WIDTHS[1:])  # channels that the two lessons see: those of the last stages


class Normed(nn.Module):
    """A convolution and its batch norm, in a place where the finished network has one alone."""

    def __init__(self, conv: nn.Module) -> None:
        super().__init__()
        assert isinstance(conv, nn.Conv2d)
        self.conv, self.norm = conv, nn.BatchNorm2d(conv.out_channels)
        nn.init.kaiming_normal_(conv.weight, mode="fan_out")

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.conv(x))


def trainable() -> Drawn:
    """The network with a batch norm behind every convolution."""
    network = Drawn()
    network.stem = Normed(network.stem)
    for block in network.stages:
        for name in ("down", "first", "second"):
            setattr(block, name, Normed(getattr(block, name)))
        assert isinstance(block, Block)
        assert isinstance(block.second, Normed)
        nn.init.zeros_(block.second.norm.weight)
    return network.to(memory_format=torch.channels_last)


def finished(trained: Drawn, pictures: Tensor) -> Drawn:
    """Batch norms folded, features the principal components of the means at unit spread, over
    `pictures` (uint8); each with the sign that makes its largest part positive."""
    trained.eval()
    trained.stem = _folded(trained.stem)
    for block in trained.stages:
        for name in ("down", "first", "second"):
            setattr(block, name, _folded(getattr(block, name)))
    with torch.inference_mode():
        batches = [trained.means(batch / 127.5 - 1) for batch in pictures.split(256)]
        means = torch.cat(batches).double().numpy()
    spread = means.std(0).clip(1e-3 * means.std())
    axes = np.linalg.eigh(np.cov((means / spread).T))[1][:, -COMPONENTS:]
    axes = axes * np.sign(np.take_along_axis(axes, np.abs(axes).argmax(0)[None], 0))
    trained.projection.copy_(torch.from_numpy(axes / spread[:, None]))
    return trained


def _folded(normed: nn.Module) -> nn.Conv2d:
    assert isinstance(normed, Normed)
    return fuse_conv_bn_eval(normed.conv, normed.norm)


def cut(pictures: Tensor, rng: np.random.Generator) -> Tensor:
    """uint8 [n, 3, 40, 40] -> float [n, 3, 32, 32] in [-1, 1]: a random cut each, half mirrored."""
    out = torch.empty(len(pictures), 3, SIZE, SIZE)
    room = pictures.shape[-1] - SIZE
    for place, (top, left) in enumerate(rng.integers(0, room + 1, (len(pictures), 2))):
        out[place] = pictures[place, :, top : top + SIZE, left : left + SIZE]
    mirrored = torch.from_numpy(rng.random(len(pictures)) < 0.5)[:, None, None, None]
    return torch.where(mirrored, out.flip(-1), out) / 127.5 - 1


def train(seed: int, steps: int) -> Drawn:
    """The finished network."""
    torch.manual_seed(seed)
    begin = time.process_time()
    drawn, classes = draw_all(seed)
    pictures, labels = torch.from_numpy(drawn), torch.from_numpy(classes)
    click.echo(f"{len(pictures)} pictures of {int(labels.max()) + 1} things")
    network = trainable()
    thing = nn.Linear(TAUGHT, int(labels.max()) + 1)
    damage = nn.Linear(TAUGHT, KINDS)
    parameters = [*network.parameters(), *thing.parameters(), *damage.parameters()]
    optimiser = torch.optim.AdamW(parameters, lr=RATE, weight_decay=DECAY)
    plan = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, total_steps=steps, pct_start=0.15)
    order = np.empty(0, np.int64)
    right = np.zeros(2)
    for step in range(steps):
        rng = stream(seed, "drawn step", step)
        if len(order) < BATCH:
            order = rng.permutation(len(pictures))
        rows, order = torch.from_numpy(order[:BATCH]), order[BATCH:]
        x = cut(pictures[rows], rng).to(memory_format=torch.channels_last)
        bad, kinds = damaged(x[:DAMAGED], rng)
        features = network.means(torch.cat([x, bad]))[:, -TAUGHT:]
        guess, guessed_damage = thing(features[:BATCH]), damage(features[BATCH:])
        loss = F.cross_entropy(guess, labels[rows], label_smoothing=SMOOTHING)
        loss = loss + WEIGHT * F.cross_entropy(guessed_damage, kinds)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        plan.step()
        now = [_share_right(guess, labels[rows]), _share_right(guessed_damage, kinds)]
        right += 0.02 * (np.array(now) - right)
        if step % 100 == 99:
            seconds = time.process_time() - begin
            click.echo(
                f"step {step + 1}: {right[0]:.0%} of things, {right[1]:.0%} of damages right, "
                f"{seconds:.0f} s of a core"
            )
    sample = torch.from_numpy(stream(seed, "drawn scale").permutation(len(pictures))[:2000])
    return finished(network, pictures[sample][..., 4:36, 4:36])


def _share_right(guess: Tensor, truth: Tensor) -> float:
    return float((guess.argmax(1) == truth).float().mean())


@click.command()
@click.option("--out", type=click.Path(path_type=Path), required=True)
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--steps", type=int, default=1200, show_default=True)
def main(out: Path, seed: int, steps: int) -> None:
    """Draw, train and write the weights."""
    torch.set_num_threads(1)
    network = train(seed, steps)
    save_file({key: value.contiguous() for key, value in network.state_dict().items()}, out)
    click.echo(f"{out}: {out.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
