"""A completed trial as others take it up: its configuration, its files, its data still there."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from bench.config import TrialConfig
from bench.data.cache import load_cache
from bench.errors import BenchError
from bench.storage import layout
from bench.sweep.record import barring
from bench.sweep.record.history import History
from bench.sweep.record.home import Home
from bench.sweep.record.plan import Plan
from bench.sweep.record.trial import Trial
from bench.train import snapshots
from bench.train.judged_weights import WEIGHTS


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


def data_place(plan: Plan, home: Home) -> Path:
    """Where a sweep's decoded data lie: where its plan says, or brought here from its storage."""
    planned = Path(plan.frame.data.cache)
    if planned.is_dir() or plan.storage is None:
        return planned
    return layout.fetch_cache(plan.storage, planned.name, home.path / "cache")


def _complete(home: Home, name: str) -> History:
    history = home.history(name)
    if history.ended is None:
        raise BenchError(f"sweep {name} is not complete; bench resume {name} first")
    return history


def _of_trial(home: Home, history: History, trial: Trial) -> FinishedTrial:
    """A completed trial with what it left, fetched from the sweep's storage where it lies there."""
    config = TrialConfig.from_dict(trial.suggestion.config)
    if config.entry_id != trial.suggestion.entry_id:
        raise BenchError(
            f"a file of your own has changed since trial {trial.number} of "
            f"{history.plan.sweep} was suggested; put it back"
        )
    cache = data_place(history.plan, home)
    config = replace(config, data=replace(config.data, cache=str(cache)))
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
        raise BenchError(f"trial {trial.number} of {found.sweep} trains nothing: no weights")
    if history.plan.storage is not None:
        _fetch(history.plan.storage, found)
    if not (found.folder / WEIGHTS).is_file():
        raise BenchError(
            f"the weights of trial {trial.number} of {found.sweep} are gone: no {WEIGHTS} in its "
            "folder; restore it from a copy, or take another --trial"
        )
    data = load_cache(cache)
    if data.digest != config.data.digest:
        raise BenchError(
            f"the decoded data of sweep {found.sweep} are no more those it was run on "
            f"(digest {data.digest}, not {config.data.digest}); restore its cache"
        )
    return found


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
            "have weights"
        )
    return trial


def _fetch(storage: str, trial: FinishedTrial) -> None:
    """The weights and snapshots that lie in storage alone."""
    place = layout.trial_place(storage, trial.sweep, trial.number)
    for name in place.sizes():
        if name.endswith(".safetensors") and not (trial.folder / name).is_file():
            place.get(name, trial.folder / name)
