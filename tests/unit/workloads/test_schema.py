"""Contract 1: one schema for pictures and volumes, for every method, ours and a user's tasks."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.numpy import load_file

from bench.config import MeasureConfig, MethodConfig, TrialConfig
from bench.errors import BenchError
from bench.run import Report, run_trial
from bench.workloads.workload import load as load_workload
from tests.fakes import restore
from tests.fakes.trials import NETS, tiny

FILE = restore.HERE
PICTURES, VOLUMES = (8, 8), (4, 6, 8)


def fake(task: Any, spatial: tuple[int, ...], method: MethodConfig, metric: str) -> TrialConfig:
    measure = MeasureConfig(metrics=(f"{FILE}:{metric}", "clipping"), n_select=10, n_report=12)
    described = restore.described(task, spatial)
    return replace(tiny(), task=described, method=method, measure=measure)


def restoring(spatial: tuple[int, ...], method: MethodConfig) -> TrialConfig:
    return fake(restore.RestoreTask, spatial, method, "SquaredError")


def generating(spatial: tuple[int, ...], method: MethodConfig) -> TrialConfig:
    return fake(restore.GenerateTask, spatial, method, "MeanSquaredError")


NET_3D = f"{FILE.parent / 'volume_net.py'}:build"
SMALL = MethodConfig(backbone="small_unet", backbone_args=NETS["small_unet"], preconditioning="edm")
OF_VOLUMES = MethodConfig(backbone=NET_3D, backbone_args={"width": 4}, preconditioning="edm")
DIRECT, DIRECT_3D = (
    replace(method, kind="direct", preconditioning="") for method in (SMALL, OF_VOLUMES)
)
IDENTITY = MethodConfig(kind="classical", backbone="identity")
CASES = {
    "2D restore direct": restoring(PICTURES, DIRECT),
    "3D restore direct": restoring(VOLUMES, DIRECT_3D),
    "2D restore diffusion": restoring(PICTURES, SMALL),
    "3D restore diffusion": restoring(VOLUMES, OF_VOLUMES),
    "2D restore classical": restoring(PICTURES, IDENTITY),
    "3D restore classical": restoring(VOLUMES, IDENTITY),
    "2D generate diffusion": generating(PICTURES, SMALL),
    "3D generate diffusion": generating(VOLUMES, OF_VOLUMES),
}


@pytest.mark.parametrize("name", CASES)
def test_runs_to_completed(name: str, tmp_path: Path) -> None:
    config = TrialConfig.from_dict(json.loads(json.dumps(CASES[name].to_dict())))
    reports: list[Report] = []
    end = run_trial(config, tmp_path, lambda report: reports.append(report) is not None)
    assert (end.outcome, end.cause) == ("completed", "")
    assert [r.rung for r in reports if r.phase == "rung"] == [0, 1, 2]
    assert 0 < end.metrics["eval/mse"] < 4
    assert end.metrics["throughput/sample_img_per_sec"] > 0
    with Image.open(tmp_path / "samples.png") as picture:
        assert min(picture.size) >= 48  # of 6 x 8, enlarged
    if "classical" in name:
        return
    assert end.metrics["throughput/train_img_per_sec"] > 0
    assert load_file(tmp_path / "weights.safetensors")
    with np.load(tmp_path / "stability_log.npz") as log:
        levels = "diffusion" in name
        assert log["sigma"].shape == ((64,) if levels else (0,))
        assert log["loss"].shape == (8,)


@pytest.mark.parametrize("name", ["2D restore direct", "3D restore direct"])
def test_resume_is_the_same_without_noise_levels(name: str, tmp_path: Path) -> None:
    config = CASES[name]
    whole = run_trial(config, tmp_path / "whole")
    run_trial(config, tmp_path / "cut", lambda report: report.rung == 1)
    again = run_trial(config, tmp_path / "cut")
    assert again.metrics["eval/mse"] == whole.metrics["eval/mse"]


def test_initialisation_of_a_direct_method_is_seeded(tmp_path: Path) -> None:
    """It draws from torch's generator as it is; a reused process must not show."""
    values = []
    for noise in (1, 2):
        torch.manual_seed(noise)
        end = run_trial(CASES["2D restore direct"], tmp_path / str(noise))
        values.append(end.metrics["eval/mse"])
    assert values[0] == values[1]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("eko", "unknown workload 'eko'; did you mean 'echo'?"),
        (f"{FILE}:ABSENT", "has no 'ABSENT'"),
        (f"{FILE}:RestoreTask", "give the name of a Workload"),
    ],
)
def test_unknown_workload(name: str, message: str) -> None:
    with pytest.raises(BenchError, match="workload") as caught:
        load_workload(name)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"task.kind": "generat"}, "unknown task 'generat'; did you mean 'generate'?"),
        ({"task.kind": f"{FILE}:ABSENT"}, "has no 'ABSENT'"),
        ({"method.kind": "difusion"}, "unknown method 'difusion'; did you mean 'diffusion'?"),
        ({"measure.metrics": ("fdd",)}, "unknown metric 'fdd'; did you mean 'fd'?"),
        ({"method.kind": "direct"}, "method direct maps condition images to an answer, and task"),
    ],
)
def test_what_is_unknown_or_does_not_fit_is_a_failed_row(
    change: dict[str, Any], message: str, tmp_path: Path
) -> None:
    end = run_trial(tiny(**change), tmp_path)
    assert end.outcome == "failed"
    assert message in end.cause


@pytest.mark.parametrize(
    ("metric", "message"),
    [
        ("fd", "metric fd needs pictures, which task .*RestoreTask by direct does not give"),
        ("denoise_error", "metric denoise_error needs denoise, which task .* by direct does not"),
    ],
)
def test_a_metric_that_task_or_method_cannot_serve_is_a_failed_row(
    metric: str, message: str, tmp_path: Path
) -> None:
    config = CASES["2D restore direct"]
    measure = replace(config.measure, metrics=(metric,))
    end = run_trial(replace(config, measure=measure), tmp_path)
    assert end.outcome == "failed"
    assert re.search(message, end.cause)
