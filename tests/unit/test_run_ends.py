"""Every way a trial can end: an outcome, a cause, and nothing half-written."""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import SafetensorError

from bench import run
from bench.files import PART
from bench.run import run_trial, steps
from bench.tasks.generate import GenerateTask
from bench.train import checkpoint
from tests.fakes.trials import timeless, tiny, write_cache

USERS = Path(__file__).parents[1] / "fakes" / "regression.py"
FULL = OSError(errno.ENOSPC, "No space left on device")

HALVED = "the batch did not fit: micro-batches of 2; dropout masks differ from a full batch's"
FIRST = "checkpoint-000000000016.safetensors"  # of the only rung reached


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_cache(tmp_path_factory.mktemp("fake") / "cache")


PICTURES = ("denoising-000000000016.png", "samples-000000000016.png")  # of the first rung


def names(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.glob("[!.]*"))


def users(cache: Path, method: str) -> Any:
    return tiny(cache, **{"method.kind": f"{USERS}:{method}"})


def test_diverged(cache: Path, tmp_path: Path) -> None:
    said = list(steps(users(cache, "Exploding"), tmp_path))
    end = said[-1]
    assert (end.phase, end.outcome, end.nimg) == ("end", "diverged", 24)
    assert end.cause == "loss is not finite at nimg 24"
    assert end.metrics["stability/nonfinite_share"] == 0.25  # one of four steps
    assert names(tmp_path) == [FIRST, *PICTURES]
    assert sum(r.phase == "rung" for r in said) == 1


def test_a_learning_rate_of_a_million_is_no_failure(cache: Path, tmp_path: Path) -> None:
    config = tiny(cache, **{"train.lr": 1e30, "train.grad_clip": 0.0, "train.optimizer": "sgd"})
    end = run_trial(config, tmp_path)
    assert end.outcome == "diverged"
    assert "not finite" in end.cause
    assert not (tmp_path / "error.log").exists()


def test_failed_says_why_and_keeps_the_trace(cache: Path, tmp_path: Path) -> None:
    said = list(steps(users(cache, "Broken"), tmp_path))
    assert said[-1].outcome == "failed"
    assert said[-1].cause == "ZeroDivisionError: a mistake"
    assert said[-1].nimg == 24
    trace = (tmp_path / "error.log").read_text()
    assert "Traceback" in trace
    assert "regression.py" in trace
    assert names(tmp_path) == [FIRST, PICTURES[0], "error.log", PICTURES[1]]


def test_users_mistakes_fail_in_their_own_words(cache: Path, tmp_path: Path) -> None:
    end = run_trial(tiny(cache, **{"train.optimizer": "adamm"}), tmp_path)
    assert end.outcome == "failed"
    assert end.cause.startswith("unknown optimizer 'adamm'; did you mean 'adam")
    gone = run_trial(tiny(tmp_path / "gone"), tmp_path)
    assert gone.outcome == "failed"
    assert "no image cache in" in gone.cause
    assert gone.nimg == 0


def test_what_does_not_fit_is_halved_and_said(cache: Path, tmp_path: Path) -> None:
    said = list(steps(users(cache, "Greedy"), tmp_path))
    assert said[-1].outcome == "completed"
    assert all(r.notes == [HALVED] for r in said)
    with np.load(tmp_path / "stability_log.npz") as log:
        assert np.bincount(log["step"]).tolist() == [8] * 8


def test_out_of_memory(cache: Path, tmp_path: Path) -> None:
    (end,) = steps(users(cache, "Hopeless"), tmp_path)
    assert end.outcome == "out-of-memory"
    assert end.cause == "CUDA out of memory. Tried to allocate 2.00 GiB"
    assert end.notes == [HALVED.replace("of 2", "of 1")]


@pytest.mark.parametrize("device", ["cuda", "cuda:77"])
def test_a_device_that_is_not_there(cache: Path, tmp_path: Path, device: str) -> None:
    if torch.cuda.is_available() and device == "cuda":
        pytest.skip("it is there")
    (end,) = steps(tiny(cache, **{"train.device": device}), tmp_path)
    assert end.outcome == "failed"
    assert end.cause.startswith(f"train.device is {device}, but torch sees ")


@pytest.mark.parametrize(
    "error", [RuntimeError("DefaultCPUAllocator: can't allocate memory: x"), MemoryError()]
)
def test_out_of_memory_of_a_cpu(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def full(*_: Any) -> None:
        raise error

    monkeypatch.setattr(GenerateTask, "evaluate", full)
    assert list(steps(tiny(cache), tmp_path))[-1].outcome == "out-of-memory"


def wrapped() -> Exception:
    """As safetensors says it."""
    return SafetensorError("Error while serializing: I/O error: No space left on device (os 28)")


@pytest.mark.parametrize("error", [lambda: FULL, wrapped])
@pytest.mark.parametrize("at", ["checkpoint", "snapshot", "weights", "stability_log"])
def test_full_disk_leaves_nothing_half_written_and_waits(
    cache: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    at: str,
    error: Callable[[], Exception],
) -> None:
    save, savez = checkpoint.save_file, np.savez_compressed

    def full(tensors: Any, part: Path, **rest: Any) -> None:
        save(tensors, part, **rest)
        if at in part.name:
            part.write_bytes(part.read_bytes()[:50])
            raise error()

    def full_log(part: Path, **rest: Any) -> None:
        savez(part, **rest)
        if at in part.name:
            part.write_bytes(part.read_bytes()[:50])
            raise error()

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "save_file", full)
        patch.setattr(run.np, "savez_compressed", full_log)
        end = list(steps(tiny(cache), tmp_path))[-1]
    assert (end.outcome, end.cause) == ("interrupted", "the disk is full")
    left = names(tmp_path)
    assert not [name for name in left if name.startswith((at, PART, "error"))]
    assert bool(checkpoint.existing(tmp_path)) == (at != "checkpoint")
    for name in left:
        if name.endswith(".safetensors"):
            checkpoint.read(tmp_path / name)
    whole = run_trial(tiny(cache), tmp_path / "whole")
    assert timeless(run_trial(tiny(cache), tmp_path)) == timeless(whole)


def test_a_folder_that_cannot_be_written_is_a_failure(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def denied(*_: Any, **__: Any) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(checkpoint, "save_file", denied)
    end = run_trial(tiny(cache), tmp_path)
    assert end.outcome == "failed"
    assert end.cause == "cannot write checkpoint-000000000016.safetensors: Permission denied"


def test_disk_too_full_for_the_trace(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any, **__: Any) -> int:
        raise FULL

    monkeypatch.setattr(Path, "write_text", full)
    end = list(steps(users(cache, "Broken"), tmp_path))[-1]
    assert (end.outcome, end.cause) == ("failed", "ZeroDivisionError: a mistake")
