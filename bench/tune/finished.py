"""A completed trial as it is tuned: its configuration, its files, its network with any average."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from torch import nn

from bench.config import TrialConfig
from bench.data.cache import load_cache
from bench.errors import BenchError
from bench.methods import build_method
from bench.methods.method import Method
from bench.storage import layout
from bench.sweep.record import barring
from bench.sweep.record.history import History
from bench.sweep.record.home import Home
from bench.sweep.record.trial import Trial
from bench.train import snapshots
from bench.train.judged_weights import WEIGHTS, load_judged, load_state


@dataclass(frozen=True, kw_only=True)
class FinishedTrial:
    """folder: its files. train_sec: seconds that its training took."""

    config: TrialConfig
    folder: Path
    sweep: str
    number: int
    label: str
    trial_id: str
    nimg: int
    train_sec: float

    @property
    def any_ema(self) -> bool:
        """Whether averages of other lengths than the judged one can be made."""
        train = self.config.train
        return self.nimg == train.budget_nimg and snapshots.whole(self.folder, train)


def find(home: Home, name: str, number: int | None) -> FinishedTrial:
    """The trial of that number in a complete sweep, or the best on `select` that is not barred.

    Raises:
        BenchError: there is none, it did not complete, or its weights or data are gone.
    """
    history = _complete(home, name)
    return _of_trial(home, history, _chosen(history, number))


def finalists(home: Home, name: str) -> list[Trial]:
    """The completed trials of a complete sweep that may win, the best on `select` first.

    Raises:
        BenchError: there is none.
    """
    found = barring.best_first(_complete(home, name))
    if not found:
        raise BenchError(f"sweep {name} has no completed trial that is not barred")
    return found


def _complete(home: Home, name: str) -> History:
    history = home.history(name)
    if history.ended is None:
        raise BenchError(f"sweep {name} is not complete; bench resume {name} first")
    return history


def _of_trial(home: Home, history: History, trial: Trial) -> FinishedTrial:
    """A completed trial with what it left, fetched from the sweep's storage where it lies there."""
    config = TrialConfig.from_dict(trial.suggestion.config)
    found = FinishedTrial(
        config=config,
        folder=home.folder(history.plan.sweep) / "trials" / f"{trial.number:04d}",
        sweep=history.plan.sweep,
        number=trial.number,
        label=trial.suggestion.label,
        trial_id=trial.suggestion.trial_id,
        nimg=trial.nimg,
        train_sec=trial.seconds.get("train", 0.0),
    )
    if not trial.trained:
        raise BenchError(
            f"trial {trial.number} of {found.sweep} trains nothing: no weights to tune"
        )
    if history.plan.storage is not None:
        _fetch(history.plan.storage, found)
    if not (found.folder / WEIGHTS).is_file():
        raise BenchError(
            f"the weights of trial {trial.number} of {found.sweep} are gone: no {WEIGHTS} in its "
            "folder; restore it from a copy, or tune another --trial"
        )
    data = load_cache(Path(config.data.cache))
    if data.digest != config.data.digest:
        raise BenchError(
            f"the decoded data of sweep {found.sweep} are no more those it was run on "
            f"(digest {data.digest}, not {config.data.digest}); restore its cache"
        )
    return found


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


def _chosen(history: History, number: int | None) -> Trial:
    sweep = history.plan.sweep
    if number is None:
        best = barring.best(history)
        if best is None:
            raise BenchError(f"sweep {sweep} has no completed trial that is not barred")
        return best
    trial = history.trials.get(number)
    if trial is None:
        last = max(history.trials, default=-1)
        raise BenchError(f"sweep {sweep} has no trial {number}; its last is {last}")
    if trial.outcome != "completed":
        raise BenchError(
            f"trial {number} of {sweep} is {trial.outcome or 'running'}; only completed trials "
            "have weights to tune"
        )
    return trial


def _fetch(storage: str, trial: FinishedTrial) -> None:
    """The weights and snapshots that lie in storage alone."""
    place = layout.trial_place(storage, trial.sweep, trial.number)
    for name in place.sizes():
        if name.endswith(".safetensors") and not (trial.folder / name).is_file():
            place.get(name, trial.folder / name)
