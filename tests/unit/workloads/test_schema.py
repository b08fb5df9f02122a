"""Contract 1: one schema for pictures and volumes, diffusion and regression, ours and a user's."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load_file

from bench.config import MethodConfig, TaskConfig, TrialConfig
from bench.errors import BenchError
from bench.run import Report, run_trial
from bench.workloads.workload import load as load_workload
from tests.fakes import restore
from tests.fakes.trials import NETS, tiny

FILE = restore.HERE


def fake(workload: str, spatial: tuple[int, ...], method: MethodConfig, kind: str) -> TrialConfig:
    task = TaskConfig(kind=kind, spatial=spatial, channels=1, sigma_data=0.5)
    return replace(tiny(), workload=f"{FILE}:{workload}", task=task, method=method)


DIRECT = MethodConfig(kind=f"{FILE}:Direct", backbone="", backbone_args={"width": 4})
SMALL = MethodConfig(backbone="small_unet", backbone_args=NETS["small_unet"])
OWN_3D = MethodConfig(backbone=f"{FILE.parent / 'volume_net.py'}:build", backbone_args={"width": 4})
CASES = {
    "2D restore direct": fake("PICTURES", (8, 8), DIRECT, "restore"),
    "3D restore direct": fake("VOLUMES", (4, 6, 8), DIRECT, "restore"),
    "2D generate diffusion": fake("GENERATED", (8, 8), SMALL, "generate"),
    "3D generate diffusion": fake("GENERATED", (4, 6, 8), OWN_3D, "generate"),
}


@pytest.mark.parametrize("name", CASES)
def test_runs_to_completed(name: str, tmp_path: Path) -> None:
    config = TrialConfig.from_dict(json.loads(json.dumps(CASES[name].to_dict())))
    said: list[Report] = []
    end = run_trial(config, tmp_path, lambda report: said.append(report) is not None)
    assert (end.outcome, end.cause) == ("completed", "")
    assert [r.rung for r in said if r.phase == "rung"] == [0, 1, 2]
    assert 0 < end.metrics["eval/mse"] < 4
    assert end.metrics["throughput/train_img_per_sec"] > 0
    assert end.metrics["throughput/sample_img_per_sec"] > 0
    assert load_file(tmp_path / "ema.safetensors")
    with Image.open(tmp_path / "samples.png") as picture:
        assert min(picture.size) >= 48  # of 6 x 8, enlarged
    with np.load(tmp_path / "stability_log.npz") as log:
        levels = "diffusion" in name
        assert log["sigma"].shape == ((64,) if levels else (0,))
        assert log["loss"].shape == (8,)


def test_regression_learns(tmp_path: Path) -> None:
    """Not only runs: the error falls below what doing nothing leaves."""
    shape = {"budget_nimg": 1600, "rungs_nimg": (800, 1600), "report_nimg": 800, "lr": 1e-2}
    config = CASES["3D restore direct"]
    config = replace(config, train=replace(config.train, **shape))
    assert run_trial(config, tmp_path).metrics["eval/relative_mse"] < 0.5


def test_resume_is_the_same_without_noise_levels(tmp_path: Path) -> None:
    config = CASES["3D restore direct"]
    whole = run_trial(config, tmp_path / "whole")
    run_trial(config, tmp_path / "cut", lambda report: report.rung == 1)
    again = run_trial(config, tmp_path / "cut")
    assert again.metrics["eval/mse"] == whole.metrics["eval/mse"]


def test_initialisation_of_a_users_method_is_seeded(tmp_path: Path) -> None:
    """It draws from torch's generator as it is; a reused process must not show."""
    import torch

    found = []
    for noise in (1, 2):
        torch.manual_seed(noise)
        end = run_trial(CASES["2D restore direct"], tmp_path / str(noise))
        found.append(end.metrics["eval/mse"])
    assert found[0] == found[1]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"workload": "eko"}, "unknown workload 'eko'; did you mean 'echo'?"),
        ({"workload": f"{FILE}:NOTHING"}, "has no 'NOTHING'"),
    ],
)
def test_unknown_workload(change: dict[str, Any], said: str, tmp_path: Path) -> None:
    with pytest.raises(BenchError, match="workload") as caught:
        load_workload(change["workload"])
    assert said in str(caught.value)
    end = run_trial(replace(tiny(), **change), tmp_path)
    assert end.outcome == "failed"
    assert said in end.cause


def test_unknown_method_is_a_failed_row(tmp_path: Path) -> None:
    end = run_trial(tiny(**{"method.kind": "difusion"}), tmp_path)
    assert end.outcome == "failed"
    assert end.cause.startswith("unknown method 'difusion'; did you mean 'diffusion'?")
