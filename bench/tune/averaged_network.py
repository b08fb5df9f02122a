"""A completed trial's network with any average of its weights."""

from __future__ import annotations

from torch import nn

from bench.methods import build_method
from bench.methods.method import Method
from bench.sweep.record.finished import FinishedTrial
from bench.train import snapshots
from bench.train.judged_weights import load_judged, load_state


class Network:
    """The trial's network with one average at a time; the last one asked for is kept."""

    def __init__(self, trial: FinishedTrial) -> None:
        self.trial = trial
        self.method: Method = build_method(trial.config)
        self._net = self.method.net.eval().requires_grad_(False)
        self._width: float | None = None

    def with_average(self, sigma_rel: float) -> nn.Module:
        """The network with the average of that relative width; the judged one as it was judged.

        Raises:
            BenchError: the weights are gone, damaged, of another run or of another network.
        """
        if sigma_rel != self._width:
            self._load(sigma_rel)
            self._width = sigma_rel
        return self._net

    def _load(self, sigma_rel: float) -> None:
        trial = self.trial
        if sigma_rel == trial.config.sample.ema:
            load_judged(trial.folder, self._net, trial.nimg)
        else:
            average = snapshots.average(trial.folder, trial.config.train, sigma_rel)
            load_state(trial.folder, self._net, average)
