"""The classical method: an estimator case by case, and a trial that trains nothing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from bench.config import MethodConfig, TrialConfig
from bench.errors import BenchError
from bench.methods.classical import Classical
from bench.run import run_trial, steps
from bench.tasks import build_task
from tests.fakes import restore
from tests.fakes.trials import tiny
from tests.unit.methods.test_direct import trial


def classical(backbone: str = "gaussian_filter", **settings: Any) -> TrialConfig:
    args = Classical.whole_arguments(backbone, settings)
    method = MethodConfig(kind="classical", backbone=backbone, backbone_args=args)
    return replace(trial(), method=method)


def predicted(config: TrialConfig) -> np.ndarray[Any, Any]:
    predictor = Classical(config).predictor([], config.seed, config.sample)
    return predictor.predict(build_task(config).cases("report")).values


def test_a_trial_reports_its_rungs_and_completes(tmp_path: Path) -> None:
    config = classical(sigma=0.8)
    reports = list(steps(config, tmp_path))
    assert [(r.phase, r.rung, r.nimg, r.outcome) for r in reports] == [
        ("rung", 0, 0, None),
        ("rung", 1, 0, None),
        ("rung", 2, 0, None),
        ("end", None, 0, "completed"),
    ]
    values = [r.value for r in reports[:3]]
    assert values[0] == values[1] == values[2] == reports[0].metrics["rung/mse"]
    assert all("train/loss" not in r.metrics for r in reports)
    assert reports[-1].seconds["train"] == 0
    assert reports[-1].metrics["eval/mse"] != values[0]  # of the other part
    assert reports[-1].metrics["eval/nfe"] == 0
    left = sorted(p.name for p in tmp_path.glob("[!.]*"))
    assert left == ["samples.png"]  # no average, no checkpoint, no log


def test_stopped_and_taken_up_it_says_the_same(tmp_path: Path) -> None:
    config = classical()
    whole = run_trial(config, tmp_path / "whole")
    run_trial(config, tmp_path / "cut", lambda report: report.rung == 1)
    assert run_trial(config, tmp_path / "cut").metrics["eval/mse"] == whole.metrics["eval/mse"]


def test_the_estimators_are_what_they_say() -> None:
    config = classical(sigma=0.8)
    task = build_task(config)
    images = task.cases("report").condition(range(12)).images
    assert images is not None
    smoothed = np.stack([[gaussian_filter(x[0].astype(float), 0.8)] for x in images.numpy()])
    np.testing.assert_allclose(predicted(config), smoothed.clip(-1, 1), atol=1e-6)
    np.testing.assert_array_equal(predicted(classical("identity")), images.clamp(-1, 1).numpy())


def test_smoothing_noise_away_is_better_than_nothing(tmp_path: Path) -> None:
    """The blobs are smooth: a filter of under a pixel helps, one of many pixels does not."""
    errors = {
        sigma: run_trial(classical(sigma=sigma), tmp_path / str(sigma)).metrics["eval/mse"]
        for sigma in (0.8, 8.0)
    }
    nothing = run_trial(classical("identity"), tmp_path / "identity").metrics["eval/mse"]
    assert errors[0.8] < 0.7 * nothing
    assert errors[8.0] > 2 * errors[0.8]


def test_settings_are_whole_and_unknown_ones_refused() -> None:
    assert Classical.whole_arguments("gaussian_filter", {}) == {"sigma": 1.0}
    assert Classical.argument_names("gaussian_filter") == ["sigma"]
    with pytest.raises(BenchError, match=r"setting of estimator gaussian_filter 'sigmaa'; did"):
        Classical.whole_arguments("gaussian_filter", {"sigmaa": 2.0})
    with pytest.raises(BenchError, match=r"unknown estimator 'gausian_filter'; did you mean 'gau"):
        Classical.whole_arguments("gausian_filter", {})


def test_a_users_estimator_and_one_without_defaults(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(
        "def half(image, factor=0.5):\n    return factor * image\n"
        "def bare(image, factor):\n    return image\n"
    )
    made = predicted(classical(f"{file}:half", factor=0.25))
    plain = build_task(trial()).cases("report").condition(range(12)).images
    assert plain is not None
    np.testing.assert_allclose(made, (0.25 * plain.numpy()).clip(-1, 1), atol=1e-6)
    with pytest.raises(BenchError, match="settings need defaults; factor has none"):
        classical(f"{file}:bare")


def test_without_condition_images_it_is_refused_by_name(tmp_path: Path) -> None:
    method = MethodConfig(kind="classical", backbone="identity")
    measure = replace(trial().measure, metrics=(f"{restore.HERE}:MeanSquaredError",))
    task = restore.described(restore.GenerateTask, (8, 8))
    end = run_trial(tiny(task=task, method=method, measure=measure), tmp_path)
    assert end.outcome == "failed"
    assert end.cause.startswith("estimator identity answers condition images, and task ")


def test_an_answer_of_another_shape_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text("def cut(image):\n    return image[:, 1:]\n")
    end = run_trial(classical(f"{file}:cut"), tmp_path / "trial")
    assert end.outcome == "failed"
    assert "mine.py:cut answers an array of shape (1, 7, 8), not (1, 8, 8)" in end.cause
