"""Stored averages of a run: when they are taken, their files, and what is made of them later.

A file holds the power-function averages at one moment in half precision, as "KEY/NAME"; the one at
the end also the network itself, as "network/NAME". The moments are denser in the beginning, where
long averages still change much: number k of n is at (k/n)^1.5 of the budget. With twelve of them
and the two usual widths, any width from .03 to .28 comes out within 1e-3 of the average tracked in
the same run (distance over its norm; tests/unit/train/test_post_hoc.py), of which half precision
makes 2e-4. A finished run keeps 4 (n + .5) bytes a parameter of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import torch

from bench.config import TrainConfig
from bench.errors import BenchError
from bench.train import checkpoint
from bench.train.ema import Averages, Weights
from bench.train.loop import Training
from bench.train.post_hoc import Profile, coefficients

DENSER = 1.5  # the power that moves the moments towards the beginning
NETWORK = "network"  # in place of an average's key


def moments(config: TrainConfig) -> list[int]:
    """Images seen at each snapshot, rising, in whole batches; the last is the budget."""
    count, batch, budget = config.snapshots, config.batch_size, config.budget_nimg
    shares = [(k / count) ** DENSER for k in range(1, count + 1)]
    return sorted({max(1, round(share * budget / batch)) * batch for share in shares})


def stops(config: TrainConfig, nimg: int, until: int) -> Iterator[int]:
    """Where training from `nimg` on stops for snapshots, and at last `until`."""
    yield from (moment for moment in moments(config) if nimg < moment < until)
    yield until


def path_at(folder: Path, nimg: int) -> Path:
    """The file of the snapshot at so many images."""
    return folder / f"snapshot-{nimg:012d}.safetensors"


def save(folder: Path, training: Training) -> None:
    """Write the averages as they are now.

    Raises:
        BenchError: the disk is full or the folder cannot be written.
    """
    averages, net = training.averages, training.objective.net
    states = {key: averages.loadable(key, net) for key in averages.gammas}
    if training.nimg == training.config.budget_nimg:
        states[NETWORK] = dict(net.state_dict())
    # buffers stay as they are: a rounded frequency is another embedding
    tensors = {
        f"{key}/{name}": value.half() if name in averages.names else value.clone()
        for key, state in states.items()
        for name, value in state.items()
    }
    checkpoint.write(path_at(folder, training.nimg), tensors, {"nimg": training.nimg})


def whole(folder: Path, config: TrainConfig) -> bool:
    """Whether every snapshot of a run that ended at its budget is there."""
    return bool(config.snapshots) and all(path_at(folder, n).is_file() for n in moments(config))


def average(folder: Path, config: TrainConfig, sigma_rel: float) -> Weights:
    """The average of relative width `sigma_rel` (0: the network itself) at the end of a run, as a
    whole state, float32; buffers are those of the end.

    Raises:
        BenchError: a snapshot is gone or damaged, or not of such a run.
    """
    end = config.budget_nimg
    wanted = Profile(sigma_rel=sigma_rel, nimg=end)
    known = {
        (Averages.key_of(width), nimg): Profile(sigma_rel=width, nimg=nimg)
        for nimg in moments(config)
        for width in config.ema_sigma_rel
    }
    known[NETWORK, end] = Profile(sigma_rel=0, nimg=end)
    share = dict(
        zip(known, coefficients(list(known.values()), wanted, config.batch_size), strict=True)
    )
    made: Weights = {}
    parameters: set[str] = set()
    for nimg in moments(config):
        path = path_at(folder, nimg)
        if not path.is_file():
            raise BenchError(f"{path.name} is gone, so no other average can be made of the run")
        tensors, _ = checkpoint.read(path)
        for place, tensor in tensors.items():
            key, _, name = place.partition("/")
            if (key, nimg) not in share:
                raise BenchError(f"{path.name} holds {key}, which is no average of this run")
            if tensor.dtype != torch.float16:
                made[name] = tensor
            else:
                part = tensor.double() * share[key, nimg]
                made[name] = made[name] + part if name in parameters else part
                parameters.add(name)
    return {name: v.float() if name in parameters else v for name, v in made.items()}
