"""Which weights of a run are judged: an average of them, or the network; now, or at its best look.

At early rungs it is the short average, since a long one still holds the initialisation; at the end
the average that the sampling names. A run that may stop early sets the weights that its best look
was scored with aside (in `Training.beside`, which is in every checkpoint) and is judged with them
if it stops. A trial that completes leaves what it was judged with in the file WEIGHTS.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path

from torch import nn

from bench.config import SampleConfig
from bench.errors import BenchError
from bench.train import checkpoint
from bench.train.ema import Weights
from bench.train.loop import Training

SHORT = "short"  # of a training's averages
WEIGHTS = "weights.safetensors"


def write_judged(folder: Path, state: Weights, nimg: int) -> None:
    """Leave the weights that a trial of `nimg` images was judged with in its folder."""
    checkpoint.write(folder / WEIGHTS, state, {"nimg": nimg})


def load_judged(folder: Path, net: nn.Module, nimg: int) -> None:
    """Put the weights that a trial of `nimg` images was judged with into its network.

    Raises:
        BenchError: they are gone, damaged, of another run or of another network.
    """
    if not (folder / WEIGHTS).is_file():
        raise BenchError(
            f"the weights of trial {folder.name} are gone: no {WEIGHTS} in its folder; restore it "
            "from a copy"
        )
    state, meta = checkpoint.read(folder / WEIGHTS)
    if meta.get("nimg") != nimg:
        raise BenchError(
            f"{WEIGHTS} of trial {folder.name} is of another run: it is of {meta.get('nimg')} "
            f"images, and the trial saw {nimg}"
        )
    load_state(folder, net, state)


def load_state(folder: Path, net: nn.Module, state: Weights) -> None:
    """Put a state of a trial's network, of which `folder` holds the files, into it.

    Raises:
        BenchError: it is of another network.
    """
    try:
        net.load_state_dict(state)
    except RuntimeError as error:  # torch lists every name on a line of its own
        first = str(error).splitlines()[1:2] or [str(error)]
        raise BenchError(
            f"the weights of trial {folder.name} do not fit its network: {first[0].strip()}"
        ) from error


class JudgedWeights:
    """Of one run. samplings: how the trial is sampled at its end."""

    def __init__(self, training: Training, samplings: Sequence[SampleConfig]) -> None:
        self.training, self.samplings = training, tuple(samplings)
        self.set_back = False  # whether the weights that were set aside are judged

    def net(self, sample: SampleConfig, *, early: bool) -> nn.Module:
        """A copy of the network with the judged weights."""
        training = self.training
        net = copy.deepcopy(training.objective.net).eval().requires_grad_(False)
        if self.set_back:
            net.load_state_dict(self.state(sample))
        elif sample.ema > 0:
            training.averages.copy_to(SHORT if early else self._key(sample), net)
        return net

    def state(self, sample: SampleConfig) -> Weights:
        """A whole state of the network as it is judged at the end."""
        if self.set_back:
            which = f"{self.samplings.index(sample)}/"
            held = self.training.beside.items()
            return {k.removeprefix(which): v for k, v in held if k.startswith(which)}
        net = self.training.objective.net
        if sample.ema > 0:
            return self.training.averages.loadable(self._key(sample), net)
        return dict(net.state_dict())

    def set_aside(self) -> None:
        """Keep what was judged at this look, in the place of what was kept before."""
        averages, net = self.training.averages, self.training.objective.net
        self.training.beside = {
            f"{place}/{name}": tensor.detach().cpu().clone()
            for place, sample in enumerate(self.samplings)
            for name, tensor in (
                averages.loadable(SHORT, net) if sample.ema > 0 else net.state_dict()
            ).items()
        }

    def _key(self, sample: SampleConfig) -> str:
        return self.training.averages.key_of(sample.ema)
