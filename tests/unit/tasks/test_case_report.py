"""The files that a restoration leaves: they agree with the metrics, the private ones say so."""

from __future__ import annotations

import csv
import dataclasses
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bench.config import MethodConfig
from bench.data.cache import INDEX
from bench.data.cache_index import read_index, write_index
from bench.data.practice_data import practice_trial, write_practice_data
from bench.metrics.psnr_metric import psnr
from bench.metrics.ssim_metric import ssim
from bench.run import run_trial
from bench.tasks.case_report import case_files
from bench.tasks.restore import RestoreTask


def cases(shape: tuple[int, ...] = (5, 1, 16, 20)) -> tuple[np.ndarray, ...]:
    draw = np.random.default_rng(0)
    clean = draw.uniform(-1, 1, shape).astype(np.float32)
    level = np.array([0.3, 0.1, 0.5, 0.2, 0.4], np.float32).reshape(-1, *(1,) * (len(shape) - 1))
    answers = (clean + level * draw.standard_normal(shape)).clip(-1, 1).astype(np.float32)
    return clean + np.float32(0.6) * np.sign(clean), answers, clean


@pytest.mark.parametrize("shape", [(5, 1, 16, 20), (5, 3, 16, 16), (5, 1, 6, 16, 16)])
def test_the_table_has_a_row_for_each_case(shape: tuple[int, ...]) -> None:
    noisy, answers, clean = cases(shape)
    subjects = ["ab", "cd", "ab", "ef", "0a"]
    table, page, spectrum = case_files(
        subjects=subjects, noisy=noisy, answers=answers, clean=clean, real=True
    )
    assert (table.name, page.name, spectrum.name) == ("cases.csv", "cases.png", "spectrum.csv")
    assert (table.real, page.real, spectrum.real) == (True, True, False)
    rows = list(csv.DictReader(io.StringIO(table.content.decode())))
    assert [row["subject"] for row in rows] == subjects
    for key, values in (
        ("psnr_db", psnr(answers, clean)),
        ("ssim", ssim(answers, clean)),
        ("noisy_psnr_db", psnr(noisy.clip(-1, 1), clean)),
    ):
        # four decimals
        np.testing.assert_allclose([float(row[key]) for row in rows], values, atol=5e-5)
    picture = Image.open(io.BytesIO(page.content))
    factor = 128 // 16
    assert picture.width == 4 * shape[-1] * factor + 3 * 4
    lines = list(csv.DictReader(io.StringIO(spectrum.content.decode())))
    assert set(lines[0]) == {"cycles_per_pixel", "clean_power", "noisy_power", "answer_power"}
    assert float(lines[-1]["cycles_per_pixel"]) == 0.5 or shape[2] == 6


def test_best_median_and_worst_are_shown() -> None:
    """Noise of .1 in the first row, .3 in the second, .5 in the last: the answers' errors are
    drawn in the last column, grey where there is none."""
    noisy, answers, clean = cases((5, 1, 16, 16))
    _, page, _ = case_files(
        subjects=["a"] * 5, noisy=noisy, answers=answers, clean=clean, real=False
    )
    pixels = np.asarray(Image.open(io.BytesIO(page.content)))[..., 0].astype(float)
    tops = [16 + row * (128 + 16 + 4) + 16 for row in range(3)]
    left = 3 * (128 + 4)
    errors = [pixels[top : top + 128, left : left + 128] for top in tops]
    spreads = [np.abs(error - 127.5).mean() for error in errors]
    assert spreads == sorted(spreads)
    clean_shown = pixels[tops[0] : tops[0] + 128 : 8, 2 * 132 : 2 * 132 + 128 : 8]
    np.testing.assert_array_equal(clean_shown, np.rint((clean[1, 0] + 1) * 127.5))


@pytest.mark.parametrize("simulated", [True, False])
def test_a_trial_leaves_them_marked_private_where_the_data_are_real(
    tmp_path: Path, simulated: bool
) -> None:
    data = write_practice_data(tmp_path / "cache", (8, 8))
    if not simulated:
        index = tmp_path / "cache" / INDEX
        write_index(index, dataclasses.replace(read_index(index), simulated=False))
    method = MethodConfig(
        kind="classical", backbone="gaussian_filter", backbone_args={"sigma": 1.0}
    )
    config = practice_trial(RestoreTask.describe(data), method, str(data.path))
    config = dataclasses.replace(
        config,
        data=dataclasses.replace(config.data, simulated=simulated),
        measure=dataclasses.replace(config.measure, metrics=("psnr", "ssim", "band_psnr")),
    )
    last = run_trial(config, tmp_path / "trial")
    assert last.outcome == "completed", last.cause
    shown = {a["name"]: a["real"] for a in last.artifacts}
    private = not simulated
    assert shown == {
        "samples.png": private,
        "cases.csv": private,
        "cases.png": private,
        "spectrum.csv": False,
    }
    assert all((tmp_path / "trial" / name).stat().st_size > 0 for name in shown)
    assert last.metrics["throughput/sec_per_image_alone"] > 0
    rows = list(csv.DictReader((tmp_path / "trial" / "cases.csv").open()))
    mean = np.mean([float(row["psnr_db"]) for row in rows])
    assert last.metrics["eval/psnr"] == pytest.approx(mean, abs=1e-4)
