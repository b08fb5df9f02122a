"""A run stopped anywhere and taken up by fresh objects is the same run to the bit."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from bench import run
from bench.config import TrialConfig
from bench.errors import BenchError
from bench.methods import build_method
from bench.run import Report, steps
from bench.tasks.generate import GenerateTask
from bench.train import checkpoint
from bench.train.loop import Training
from tests.fakes.trials import NETS, net_of, timeless, tiny

CLOCK = ("clock", "rungs")  # of a checkpoint's own scalars: they hold seconds


@dataclass
class Ran:
    """What a trial said, and all it held at the last rung."""

    said: list[dict[str, Any]] = field(default_factory=list)
    tensors: dict[str, Tensor] = field(default_factory=dict)
    meta: dict[str, Any] = field(default_factory=dict)
    ema: dict[str, Tensor] = field(default_factory=dict)


def ran(config: TrialConfig, folder: Path, stops: tuple[int, ...] = ()) -> Ran:
    """Run a trial to its end, dropping it after reports number `stops` and starting it anew."""
    ran_trial = Ran()
    pending = sorted(stops)
    while True:
        trial = steps(config, folder)
        for report in trial:
            body = timeless(report)
            if body not in ran_trial.said:  # a rung is said again by the run that goes on from it
                ran_trial.said.append(body)
            if report.nimg == config.train.budget_nimg and report.phase == "rung":
                path = checkpoint.existing(folder)[0]
                ran_trial.tensors, ran_trial.meta = checkpoint.read(path)
            if pending and len(ran_trial.said) > pending[0]:
                pending.pop(0)
                break
        else:
            break
        trial.close()
        del trial
        torch.manual_seed(12345)  # another process knows nothing of this one's generator
    for key in CLOCK:
        ran_trial.meta["extra"].pop(key)
    ran_trial.ema, _ = checkpoint.read(folder / "weights.safetensors")
    return ran_trial


def same(one: Ran, other: Ran) -> None:
    assert other.said == one.said
    assert one.said[-1]["outcome"] == "completed"
    assert other.meta == one.meta
    for a, b in ((one.tensors, other.tensors), (one.ema, other.ema)):
        assert a.keys() == b.keys()
        assert all(torch.equal(a[key], b[key]) for key in a)


@pytest.fixture
def always_saving(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "CHECKPOINT_SEC", -1.0)


@pytest.mark.usefixtures("always_saving")
@pytest.mark.parametrize("optimizer", ["adam", "adamw", "muon"])
@pytest.mark.parametrize("backbone", NETS)
def test_stopped_at_rungs_and_between(
    cache: Path, tmp_path: Path, backbone: str, optimizer: str
) -> None:
    """Reports: 8, rung 16, 24, rung 32, 40, 48, 56, rung 64, end. Stops after rung, and mid-rung.

    Held: weights, both moments, three averages, log, losses, flags, metrics but for times.
    """
    changes = {"train.optimizer": optimizer, "train.weight_decay": 0.01}
    config = tiny(cache, method=net_of(backbone, dropout=0.15), **changes)
    whole = ran(config, tmp_path / "whole")
    assert len(whole.said) == 9
    kinds = {name.split("/")[0] for name in whole.tensors}
    assert kinds == {"net", "ema", "opt", "log", "losses", "flags"}
    same(whole, ran(config, tmp_path / "cut", stops=(1, 4)))


COSINE = {"train.schedule": "cosine", "train.micro_batch": 4}


@pytest.fixture(scope="module")
def uninterrupted(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Ran:
    return ran(tiny(cache, **COSINE), tmp_path_factory.mktemp("whole"))


@pytest.mark.usefixtures("always_saving")
@pytest.mark.parametrize("stops", [(1,), (3,), (4,), (7,), tuple(range(8))])
def test_stopped_after_any_report_and_all(
    cache: Path, tmp_path: Path, uninterrupted: Ran, stops: tuple[int, ...]
) -> None:
    same(uninterrupted, ran(tiny(cache, **COSINE), tmp_path, stops))


def test_without_a_checkpoint_between_rungs_it_goes_back_to_the_last(
    cache: Path, tmp_path: Path
) -> None:
    config = tiny(cache)
    whole = ran(config, tmp_path / "whole")
    trial = steps(config, tmp_path / "cut")
    while next(trial).nimg < 48:
        pass
    trial.close()
    again = list(steps(config, tmp_path / "cut"))
    assert [(r.phase, r.nimg) for r in again[:4]] == [
        ("rung", 16),
        ("rung", 32),
        ("progress", 40),
        ("progress", 48),
    ]
    assert [timeless(r) for r in again] == [whole.said[1], *whole.said[3:]]


def test_a_rung_nobody_heard_is_said_again(cache: Path, tmp_path: Path) -> None:
    """Killed between the checkpoint and the report, or the driver's disk is lost with what it had
    heard: the value of no rung is."""
    config = tiny(cache)
    trial = steps(config, tmp_path)
    heard = [next(trial) for _ in range(4)]
    assert [r.rung for r in heard] == [None, 0, None, 1]
    trial.close()
    again = steps(config, tmp_path)
    assert [next(again), next(again)] == [heard[1], heard[3]]


def test_an_end_nobody_heard_is_said_again(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed between the end and whoever journals it: nothing is trained again."""
    config = tiny(cache)
    whole = [timeless(r) for r in steps(config, tmp_path)]
    assert whole[-1]["outcome"] == "completed"

    def trained(*_: Any) -> None:
        raise AssertionError("trained again")

    monkeypatch.setattr(Training, "_accumulate_gradient", trained)
    rungs = [said for said in whole if said["phase"] == "rung"]
    assert [timeless(r) for r in steps(config, tmp_path)] == [*rungs, whole[-1]]


def test_seconds_go_on_adding(cache: Path, tmp_path: Path) -> None:
    config = tiny(cache)
    trial = steps(config, tmp_path)
    first = [next(trial) for _ in range(2)][-1]
    trial.close()
    last = list(steps(config, tmp_path))[-1]
    assert last.seconds["train"] > first.seconds["train"] > 0
    seen = last.metrics["throughput/train_img_per_sec"] * last.seconds["train"]
    assert seen == pytest.approx(64)  # all images, those before the stop too


def test_checkpoint_of_another_trial_is_refused(cache: Path, tmp_path: Path) -> None:
    config, other = tiny(cache), tiny(cache, seed=4)
    trial = steps(other, tmp_path)
    while next(trial).rung != 1:
        pass
    trial.close()
    assert len(checkpoint.existing(tmp_path)) == checkpoint.KEEP
    task = GenerateTask(config)
    fresh = Training(config.train, build_method(config), task, config.seed, config.trial_id)
    before = [p.clone() for p in fresh.parameters]
    with pytest.raises(BenchError, match=f"belongs to trial {other.trial_id}"):
        fresh.restore(checkpoint.existing(tmp_path)[0])
    assert fresh.nimg == 0
    assert all(torch.equal(a, b) for a, b in zip(before, fresh.parameters, strict=True))

    whole = [timeless(r) for r in steps(config, tmp_path / "whole")]
    reports = [timeless(r) for r in steps(config, tmp_path)]
    notes = reports[-1]["notes"]
    assert len(notes) == 2
    assert all("belongs to trial" in note and "not used" in note for note in notes)
    assert [{**r, "notes": []} for r in reports] == whole


def test_broken_newest_falls_back_to_the_one_before(cache: Path, tmp_path: Path) -> None:
    config = tiny(cache)
    whole = [timeless(r) for r in steps(config, tmp_path / "whole")]
    trial = steps(config, tmp_path / "cut")
    while next(trial).rung != 1:
        pass
    trial.close()
    newest, older = checkpoint.existing(tmp_path / "cut")
    newest.write_bytes(newest.read_bytes()[:-100])
    reports: list[Report] = list(steps(config, tmp_path / "cut"))
    assert reports[0].nimg == 16  # the rung of the older one, said again
    assert str(older).endswith("16.safetensors")
    note = reports[-1].notes
    assert len(note) == 1
    assert newest.name in note[0]
    assert "cannot be read" in note[0]
    assert [{**timeless(r), "notes": []} for r in reports] == whole[1:]


def test_note_of_a_broken_checkpoint_outlives_the_next_stop(cache: Path, tmp_path: Path) -> None:
    config = tiny(cache)
    trial = steps(config, tmp_path)
    assert next(r for r in trial if r.rung == 0)
    trial.close()
    (newest,) = checkpoint.existing(tmp_path)
    newest.write_bytes(b"")
    trial = steps(config, tmp_path)
    assert next(r for r in trial if r.rung == 0)
    trial.close()
    assert "cannot be read" in list(steps(config, tmp_path))[-1].notes[0]
