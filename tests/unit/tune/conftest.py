"""A finished trial of a second's training, in a home whose sweep is complete."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from bench.config import TrialConfig
from bench.run import run_trial
from bench.sweep.planning.measuring import measures_of
from bench.sweep.record.home import Home
from bench.sweep.record.plan import SharedFrame
from tests.fakes.trials import tiny, write_cache
from tests.unit.sweep import fakes, written

SWEEP = "fake-1"


def config_on(cache: Path) -> TrialConfig:
    return tiny(cache, **{"train.snapshots": 4, "measure.n_report": 24})


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, TrialConfig]:
    """The trial's folder and configuration."""
    root = tmp_path_factory.mktemp("tuned")
    config = config_on(write_cache(root / "cache"))
    assert run_trial(config, root / "trial").outcome == "completed"
    return root / "trial", config


@pytest.fixture
def finished_home(trained: tuple[Path, TrialConfig], tmp_path: Path) -> Home:
    """Trial 0 completed, trial 1 was pruned; training is said to have taken a minute, so
    that no tuning is short of time."""
    folder, config = trained
    home = Home(tmp_path / "home")
    ended = {
        "nimg": 64,
        "phase": "end",
        "seconds": {"train": 60.0},
        "metrics": {"eval/fd_fake": 7.0},
    }
    shared = SharedFrame(
        data=config.data, task=config.task, device="cpu", precision="float32", threads=1
    )
    measures = measures_of([fakes.SCORE], own=False)
    identity = {"trial_id": config.trial_id, "entry_id": config.entry_id}
    records = [
        written.plan_record(sweep=SWEEP, measures=measures, frame=shared),
        {**written.suggest(0), "config": config.to_dict(), **identity},
        written.report(0, 16, 0),
        written.report(0, 64, 1),
        written.report(0, **ended),
        written.outcome(0, "completed"),
        written.suggest(1),
        written.outcome(1, "pruned"),
        written.END,
    ]
    written.write_journal(home.journal(SWEEP), records)
    shutil.copytree(folder, home.folder(SWEEP) / "trials" / "0000")
    return home
