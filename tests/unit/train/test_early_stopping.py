"""Early stopping: when a run has had enough looks, which weights are judged, and after a resume."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import torch

from bench import run
from bench.config import SampleConfig, TrialConfig
from bench.methods import build_method
from bench.run import Report, steps
from bench.tasks.generate import GenerateTask
from bench.train import checkpoint
from bench.train.early_stopping import EarlyStopping
from bench.train.judged_weights import JudgedWeights
from bench.train.loop import Training
from bench.train.parallel import World
from leaderboards.measures import Measure
from tests.fakes.trials import timeless, tiny
from tests.fakes.workers import run_workers

LOWER = Measure(key="fd", title="FD", direction="lower")
HIGHER = Measure(key="psnr", title="PSNR", direction="higher", scale="difference", unit="dB")


def stops_at(score: Measure, patience: int, values: Sequence[float], error: float = 0.0) -> Any:
    """After how many looks it is over; None: never."""
    early = EarlyStopping(score=score, patience=patience)
    for number, value in enumerate(values, 1):
        early.take(number, value, error)
        if early.over:
            return number
    return None


@pytest.mark.parametrize(
    ("score", "patience", "values", "error", "expected"),
    [
        (LOWER, 1, [5, 4, 3, 2], 0.0, None),
        (LOWER, 1, [5, 4, 4.5, 2], 0.0, 3),
        (LOWER, 2, [5, 4, 4.5, 3], 0.0, None),  # better than the best again: the count is anew
        (LOWER, 2, [5, 4, 4.5, 4.1, 1], 0.0, 4),
        (HIGHER, 2, [5, 4, 4.5, 4.1, 1], 0.0, 3),
        (HIGHER, 1, [5, 6, 7], 0.0, None),
        (LOWER, 1, [5, 5], 0.0, 2),  # no better is no improvement
        (LOWER, 2, [5, 4.6, 4.2, 3.8], 0.5, None),  # small steps add up beyond the error
        (LOWER, 2, [5, 4.8, 4.6, 4.4], 0.5, 3),
        (HIGHER, 2, [5, 5.2, 5.4, 5.6], 0.5, 3),
        (LOWER, 0, [1, 2, 3, 4, 5], 0.0, None),
    ],
)
def test_looks_without_improvement_end_it(
    score: Measure, patience: int, values: list[float], error: float, expected: int | None
) -> None:
    assert stops_at(score, patience, values, error) == expected


def test_the_best_look_is_by_the_scores_direction() -> None:
    for score, best in ((LOWER, [True, False, True]), (HIGHER, [True, True, False])):
        early = EarlyStopping(score=score, patience=1)
        assert [early.take(n, value, None) for n, value in ((8, 2.0), (16, 3.0), (24, 1.0))] == best


def stopping(cache: Path, **changes: Any) -> TrialConfig:
    """Ten pictures drawn by two steps: their score wavers, so that one look soon is no better."""
    shape = {"train.budget_nimg": 128, "train.rungs_nimg": (32, 64, 128)}
    early = {"train.patience": 2, "train.look_nimg": 8, "train.lr": 3e-2}
    return tiny(cache, **{**shape, **early, **changes})


def stopped(said: Sequence[Report]) -> tuple[int, int]:
    """Where a trial stopped, and its best look, by what it said on the way."""
    looks = {r.nimg: r.metrics[k] for r in said for k in r.metrics if k == "look/fd_randconv"}
    return said[-1].nimg, min(looks, key=lambda nimg: (looks[nimg], nimg))


def test_a_stopped_trial_is_completed_with_the_weights_of_its_best_look(
    cache: Path, tmp_path: Path
) -> None:
    config = stopping(cache, own_sample=SampleConfig(steps=2, batch_size=16, ema=0.0))
    said = list(steps(config, tmp_path))
    at, best = stopped(said)
    assert (said[-1].outcome, at < 128) == ("completed", True)
    kimg = f"stopped early at {at / 1000:g} of 0.128 kimg: "
    (note,) = said[-1].notes
    assert note.startswith(kimg + "fd_randconv on select had not improved")
    assert note.endswith(f"judged with the weights of {best / 1000:g} kimg, its best look")
    rungs = [r for r in said if r.phase == "rung"]
    assert [r.rung for r in rungs] == [0, 1, 2]
    after = [r for r in rungs if r.nimg == at and not r.metrics.get("train/loss")]
    assert after
    # what the best look was scored with is what is judged from then on
    looked = next(r.metrics["look/fd_randconv"] for r in said if r.nimg == best)
    assert {r.value for r in after} == {looked}
    # the oracle: the same training taken by hand to the best look
    task = GenerateTask(config)
    method = build_method(config)
    training = Training(config.train, method, task, config.seed, config.trial_id)
    training.advance(best)
    expected = training.averages.loadable("short", training.objective.net)
    kept, _ = checkpoint.read(tmp_path / "weights.safetensors")
    assert set(kept) == set(expected)
    assert all(torch.equal(kept[name], expected[name]) for name in expected)
    weights = JudgedWeights(training, [config.sample])
    for key, sample in (("eval", config.sample), ("own", config.own_sample)):
        assert sample is not None
        predictor = method.predictor([weights.net(sample, early=True)], config.seed, sample)
        value = task.evaluate(predictor, "report", run.Stopwatch()).value
        assert said[-1].metrics[f"{key}/fd_randconv"] == value


@pytest.mark.parametrize("stop", [1, 3, -2])
def test_a_trial_goes_on_to_the_same_stop(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stop: int
) -> None:
    """Stopped after a look, after another, and between the rungs that no training leads to."""
    monkeypatch.setattr(run, "CHECKPOINT_SEC", 0.0)  # a checkpoint at every report
    config = stopping(cache)
    whole = [timeless(r) for r in steps(config, tmp_path / "whole")]
    assert whole[-1]["notes"][0].startswith("stopped early")
    said: list[dict[str, Any]] = []
    first = steps(config, tmp_path / "cut")
    for _ in range(range(len(whole))[stop] + 1):
        said.append(timeless(next(first)))
    first.close()  # type: ignore[attr-defined]  # a generator
    for body in map(timeless, steps(config, tmp_path / "cut")):
        said += [body] if body not in said else []
    assert said == whole
    one, other = ((tmp_path / n / "weights.safetensors").read_bytes() for n in ("whole", "cut"))
    assert one == other


def reported(world: World, cache: Path, folder: Path) -> list[dict[str, Any]]:
    share = {"train.workers": world.size, "train.micro_batch": 4}
    return [asdict(r) for r in steps(stopping(cache, **share), folder, world)]


def test_two_workers_stop_where_one_does(cache: Path, tmp_path: Path) -> None:
    one = list(steps(stopping(cache, **{"train.micro_batch": 4}), tmp_path / "one"))
    said, other = run_workers(2, reported, cache, tmp_path / "two")
    assert said[-1]["notes"] == one[-1].notes
    assert stopped([Report(**body) for body in said]) == stopped(one)
    assert other == []


def test_without_patience_it_only_looks(cache: Path, tmp_path: Path) -> None:
    never = {"train.patience": 0}
    said = list(steps(stopping(cache, **never), tmp_path / "looks"))
    looks = [r.nimg for r in said if any(key.startswith("look/") for key in r.metrics)]
    assert looks == list(range(8, 128, 8))  # as asked for, and nothing rests on them
    without = list(steps(stopping(cache, **never, **{"train.look_nimg": 0}), tmp_path / "none"))
    assert without[-1].nimg == said[-1].nimg == 128
    assert not any(key.startswith("look/") for report in without for key in report.metrics)
    assert without[-1].metrics["eval/fd_randconv"] == said[-1].metrics["eval/fd_randconv"]
