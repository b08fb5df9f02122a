"""The studies of segmentation, whole at smoke scale, and what is said of arms."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from bench.config import TrialConfig
from bench.studies import memory_study, skip_study
from bench.studies.arm_means import interval, verdict
from bench.studies.study import Setting
from bench.sweep.cost.measured_memory import measured_gb
from leaderboards.measures import Measure
from tests.unit.command_line import Bench

DICE = Measure(key="dice", title="Dice", direction="higher", scale="difference")
SMOKE = ("--scale", "smoke")
pytestmark = pytest.mark.slow


def table(home: Path, study: str, name: str) -> list[dict[str, str]]:
    with (home / "studies" / study / f"{name}.csv").open() as file:
        return list(csv.DictReader(file))


def test_arms_of_coordinates_are_judged_alike_on_whole_volumes(bench: Bench, home: Path) -> None:
    said = bench("study", "brats", "coordinates", *SMOKE, "--seeds", "2", "--budget", "0.5")
    assert (said.code, said.err) == (0, "")
    rows = table(home, "brats-coordinates-1", "coordinates")
    assert [row["coordinates"] for row in rows] == ["with coordinates", "without"]
    for row in rows:
        assert row["seeds"] == "2 of 2"
        assert 0 <= float(row["Dice"]) <= 1
    assert "best Dice: " in said.out
    assert (home / "studies/brats-coordinates-1/coordinates.png").exists()


def test_samples_solvers_and_tiles_of_a_networks_own_sweep(bench: Bench, home: Path) -> None:
    bench("study", "brats", "ensemble", *SMOKE)
    rows = table(home, "brats-ensemble-1", "ensemble")
    assert [row["samples"] for row in rows] == ["1", "3", "5", "9"]
    assert float(rows[0]["gain"]) == 0
    facts = json.loads((home / "studies/brats-ensemble-1/study.json").read_text())
    (claim,) = facts["claims"]
    assert claim["verdict"] in ("holds here", "does not hold here", "cannot be told here")
    said = bench("study", "brats", "solver", "--of", "brats-ensemble-1")
    assert (said.code, said.err) == (0, "")
    solved = table(home, "brats-solver-1", "solver")
    assert {row["solver"] for row in solved} == {"euler", "heun"}
    assert "without its guidance" not in said.out
    assert bench("study", "brats", "tiles", "--of", "brats-ensemble-1").code == 0
    tiled = table(home, "brats-tiles-1", "tiles")
    assert [row["tile"] for row in tiled] == ["whole", "16x16x8", "16x8x8", "8x8x8"]
    assert float(tiled[0]["voxels otherwise, %"]) == 0
    sizes = [float(row["GB, predicted"]) for row in tiled]
    assert sizes == sorted(sizes, reverse=True)


def test_skips_are_made_equal_in_width_parameters_and_memory(bench: Bench, home: Path) -> None:
    said = bench("study", "brats", "skip", *SMOKE, "--seeds", "1", "--budget", "0.3")
    assert (said.code, said.err) == (0, "")
    rows = {row["skip"]: row for row in table(home, "brats-skip-1", "skip")}
    usual, memory = rows["concatenate"], "training GB, predicted"
    for skip in ("average", "add"):
        wide = rows[f"{skip}, as wide"]
        assert wide["width"] == usual["width"]
        for how, size in (("as many parameters", "parameters (k)"), ("as much memory", memory)):
            name = f"{skip}, {how}"
            if name not in rows:  # the nearest width is that of another arm
                assert f"{name} is {skip}, as " in said.out
                continue
            apart = [abs(float(row[size]) - float(usual[size])) for row in (rows[name], wide)]
            assert apart[0] < apart[1]
    depths = table(home, "brats-skip-1", "depth_norms")
    assert {row["skip"] for row in depths} == {"concatenate", "average", "add"}
    assert all(float(row["gradient"]) > 0 for row in depths)


def test_memory_is_predicted_and_measured(
    bench: Bench, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real: list[float] = []

    def measured_once(config: TrialConfig) -> float:
        real.append(real[0] if real else measured_gb(config))
        return real[-1]

    monkeypatch.setattr(memory_study, "measured_gb", measured_once)
    said = bench("study", "brats", "memory", *SMOKE)
    assert (said.code, said.err) == (0, "")
    rows = table(home, "brats-memory-1", "memory")
    assert len(rows) == len(real) == 3 * 3 * 2  # patches or half, skips, checkpointing
    assert 1e-4 < real[0] < 1  # GB: some MB, of which a kernel's workspace is the most
    whole = {row["skip"]: row for row in rows if row["patch"] == "whole"}
    assert float(whole["average"]["predicted"]) < float(whole["concatenate"]["predicted"])


@pytest.mark.parametrize(
    ("study", "given"),
    [
        ("skip", "width=wide"),
        ("patch-size", "patch=8"),
        ("coordinates", "coordinates=false"),
        ("memory", "skip=add"),
    ],
)
def test_what_a_study_varies_is_not_given(bench: Bench, study: str, given: str) -> None:
    said = bench("study", "brats", study, *SMOKE, "--set", given)
    key, value = given.split("=")
    assert said.code == 2
    assert f"this study varies {key}; leave out --set {key}={value}".lower() in said.err.lower()


def test_another_workload_has_no_such_study(bench: Bench, home: Path) -> None:
    said = bench("study", "echo", "skip", *SMOKE)
    assert said.code == 2
    assert "skip" in said.err


def test_arms_are_told_apart_by_their_own_spreads() -> None:
    close = {"a": {0: 0.80, 1: 0.82, 2: 0.81}, "b": {0: 0.79, 1: 0.82, 2: 0.80}}
    assert "0 of the other 1" in verdict(close, DICE)
    far = {**close, "c": {0: 0.2, 1: 0.21, 2: 0.22}}
    text = verdict(far, DICE)
    assert text.startswith("best Dice: a")
    assert "1 of the other 2 are told from it; not b" in text
    assert "more --seeds" in verdict({"a": {0: 0.8}, "b": {0: 0.1}}, DICE)
    assert verdict({"a": {}}, DICE) == "no trial completed"
    mean, low, high = interval([0.8, 0.82, 0.81])
    assert low is not None
    assert high is not None
    assert low < 0.8 < mean < 0.82 < high  # type: ignore[operator]
    assert interval([0.5]) == (0.5, None, None)


def test_a_width_is_the_nearest_and_its_ratio_lies_between_two(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def network(frame: object, params: dict[str, int], seed: int) -> SimpleNamespace:
        args = {"width": params.get("width", 8), "groups": 4}
        return SimpleNamespace(method=SimpleNamespace(backbone_args=args))

    def squared(config: SimpleNamespace) -> float:
        return float(config.method.backbone_args["width"] ** 2)

    monkeypatch.setattr(skip_study, "resolve", network)
    setting = cast(Setting, SimpleNamespace(frame=None, seed=0))
    for wanted, nearest, exact in ((64, 8, 8), (100, 8, 9.8), (140, 12, 11.8), (4, 4, 1)):
        width, between = skip_study.width_for(setting, {}, squared, wanted)
        assert (width, between) == (nearest, pytest.approx(exact))


def test_a_norm_that_is_no_number_has_exploded() -> None:
    assert skip_study.times(3.0, 1.5) == 2
    assert skip_study.times(math.nan, 1.0) == skip_study.times(math.inf, 1.0) == math.inf
    assert skip_study.times(1.0, math.nan) == 0  # concatenation explodes as well
    assert skip_study.times(1.0, 0.0) == math.inf
