"""The studies of the echo paper: their arithmetic, and runs end to end at smoke scale."""

from __future__ import annotations

import csv
import json
import math
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from PIL import Image
from scipy import stats

from bench.cli import main
from bench.studies import (
    guided,
    nfe_curve,
    noise_study,
    optimal_study,
    shift_study,
    table1_study,
    table1_tuned,
    value_regressors,
)
from bench.studies.nfe_curve import Point, Way, flattens
from bench.studies.seed_means import mean_of_values, surely, told_from
from bench.studies.study import FAILS, HOLDS, OPEN, Setting
from bench.studies.trained import Trained
from bench.studies.value_regressors import Measured, SubjectErrors, trained_on
from bench.sweep.running import drive
from bench.workloads import echo
from tests.fakes.trials import tiny

WAY = Way(sampler="heun", grid="edm", process="sigma")


def curve(*scores: float, noise: float = 0.1, evaluations: tuple[int, ...] = ()) -> list[Point]:
    """Points whose scores without a block scatter by `noise`, each in its own way, and by 5 in a
    way that all share."""
    draw = np.random.default_rng(0)
    shared = draw.normal(0, 5.0 / 19**0.5, 20)
    return [
        Point(
            way=WAY,
            steps=k + 2,
            nfe=evaluations[k] if evaluations else 2 * k + 3,
            score=score,
            se=5.0,
            without=tuple(score + shared + draw.normal(0, noise / 19**0.5, 20)),
        )
        for k, score in enumerate(scores)
    ]


def test_a_curve_is_flat_once_no_later_point_is_above_the_last() -> None:
    """What all points share, 5, says nothing of their differences."""
    assert flattens(curve(90.0, 40.0, 20.1, 20.0, 20.1)) == 7
    assert flattens(curve(20.0, 90.0, 20.1, 20.0, 20.1)) == 7  # a lucky first point
    assert flattens(curve(90.0, 40.0, 30.0, 25.0, 20.0)) is None
    assert flattens(curve(10.0, 10.0, 12.0, 20.0)) is None  # rises
    assert flattens(curve(20.1, 20.0, 20.1, 20.0, noise=20.0)) is None  # for want of samples
    assert flattens([replace(curve(20.0)[0], without=()), *curve(20.0)]) is None


@pytest.mark.parametrize(
    ("scores", "noise", "verdict"),
    [
        ((60.0, 40.0, 30.0, 30.0, 30.1), 0.1, HOLDS),
        ((60.0, 30.0, 30.0, 30.1, 30.0), 0.1, FAILS),  # flat before
        ((60.0, 40.0, 30.0, 25.0, 20.0), 0.1, FAILS),  # falls on
        ((60.0, 40.0, 30.0, 35.0, 40.0), 0.1, FAILS),  # rises
        ((60.0, 40.0, 30.0, 30.0, 30.1), 30.0, OPEN),
    ],
)
def test_the_papers_curve_holds_fails_or_cannot_be_told(
    scores: tuple[float, ...], noise: float, verdict: str
) -> None:
    points = curve(*scores, noise=noise, evaluations=(15, 25, 35, 59, 79))
    (claim,) = nfe_curve._claims({WAY: points})
    assert claim.verdict == verdict


def test_means_over_seeds_are_of_logarithms_with_a_t_interval() -> None:
    values = {0: 2.0, 1: 3.0, 2: 4.5}
    mean = mean_of_values(values)
    assert mean is not None
    logs = [math.log(v) for v in values.values()]
    interval = stats.ttest_1samp(logs, 0.0).confidence_interval(0.95)
    assert mean.value == pytest.approx(3.0)
    assert (mean.low, mean.high) == pytest.approx((math.exp(interval.low), math.exp(interval.high)))
    double = mean_of_values({0: 4.0, 1: 6.1, 2: 9.0, 7: 1.0})  # in pairs, by the common seeds
    assert double is not None
    assert double.above_p(mean) < 1e-3
    assert double.above_p(mean, 1.5) < 0.025 < double.above_p(mean, 2.1)
    assert mean.above_p(double) > 0.9
    one = mean_of_values({0: 5.0})
    assert one is not None
    assert math.isnan(one.low)
    assert double.above_p(one) == 1.0
    assert mean_of_values({}) is None


def test_comparisons_of_one_claim_stand_together_by_holm() -> None:
    assert surely([0.001, 0.012, 0.02]) == [True, True, True]
    assert surely([0.02, 0.001, 0.02]) == [False, True, False]
    assert surely([0.009, 0.009, 0.009]) == [False, False, False]
    assert surely([]) == []


def test_cells_are_told_from_the_best_by_their_own_spreads() -> None:
    values = {
        "a": [1.0, 1.1, 1.2],
        "b": [1.1, 1.2, 1.3],
        "c": [3.0, 3.1, 3.2],
        "d": [0.9, 4.0, 6.0],
    }
    assert told_from("a", values) == {"c"}
    assert told_from("a", {**values, "e": [9.0]}) == set()  # of one seed nothing is known
    assert told_from("a", {"a": [1.0, 1.0], "b": [2.0, 2.0]}) == {"b"}
    draw = np.random.default_rng(0)
    alike = [{k: draw.normal(0, 1 + k, 3).tolist() for k in range(6)} for _ in range(300)]
    wrong = sum(bool(told_from(min(v, key=lambda k: np.mean(v[k])), v)) for v in alike)
    assert wrong < 0.08 * 300


def cells(**changes: float) -> table1_study.Means:
    """Four cells: EDM at 5 and 7, VP at 50; three seeds that scatter alike. 0: none completed."""
    values = {"adm_edm": 5.0, "adm_vp": 50.0, "ddpmpp_edm": 7.0, "ddpmpp_vp": 50.0, **changes}
    common, own = (1.0, 1.1, 0.95), (1.0, 1.01, 0.995)
    means: table1_study.Means = {}
    for place, (name, value) in enumerate(values.items()):
        architecture, setup = name.split("_")
        by_seed = {k: value * common[k] * own[(k + place) % 3] for k in range(3)}
        means[architecture, setup] = mean_of_values(by_seed if value else {})
    return means


@pytest.mark.parametrize(
    ("means", "verdicts"),
    [
        (cells(), [HOLDS, HOLDS]),
        (cells(adm_vp=2.0), [FAILS, FAILS]),  # another cell is better than ADM with EDM
        (cells(adm_vp=5.02), [OPEN, FAILS]),  # worse, and not drastically
        (cells(ddpmpp_vp=0.0), [OPEN, OPEN]),  # a cell that nothing is known of
    ],
)
def test_what_table1_says_of_the_papers_claims(
    means: table1_study.Means, verdicts: list[str]
) -> None:
    claims = table1_study._claims(means, "fd")
    assert [claim.verdict for claim in claims] == verdicts


def test_the_authors_setups_are_theirs_at_every_scale() -> None:
    for scale in echo.WORKLOAD.scales.values():
        setting = cast(Setting, SimpleNamespace(scale=scale))
        for setup, weighting in (("edm", None), ("vp", "authors"), ("ve", "authors")):
            params = table1_study.arm(setting, ("adm", setup), 0).params
            assert params.get("weighting") == weighting
            assert (params["optimizer"], params["dropout"]) == ("adam", 0.05)


def test_ways_that_are_the_same_are_asked_once() -> None:
    """EDM's own grid and process are those that all are sampled with; VP's are not."""

    def ways(setup: str) -> list[Way]:
        trained = SimpleNamespace(config=tiny(**{"method.preconditioning": setup}))
        return list(nfe_curve.ways(cast(Trained, trained)))

    edm, vp = ways("edm"), ways("vp")
    assert {(w.grid, w.process) for w in edm} == {("edm", "sigma")}
    assert {(w.grid, w.process) for w in vp} == {
        (grid, process) for grid in ("edm", "own") for process in ("sigma", "own")
    }
    assert len(vp) == 4 * len(edm)


def study(home: Path, *args: str) -> tuple[Path, dict[str, list[dict[str, Any]]]]:
    """The folder of the findings and its tables."""
    scale = () if "--of" in args else ("--scale", "smoke")
    with pytest.raises(SystemExit) as left:
        main(["study", "echo", *args, *scale, "--home", str(home)])
    assert not left.value.code
    folder = home / "studies" / f"echo-{args[0]}-1"
    for drawn in folder.glob("*.png"):
        with Image.open(drawn) as picture:
            assert picture.width > 400
    return folder, {p.stem: list(csv.DictReader(p.open())) for p in folder.glob("*.csv")}


@pytest.mark.slow
def test_table1_trains_every_cell_for_equal_seconds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(table1_study, "ARCHITECTURES", ("adm",))
    monkeypatch.setattr(table1_study, "SETUPS", ("edm", "ve"))
    _, tables = study(tmp_path, "table1", "--seeds", "2")
    rows = tables["table1"]
    assert [(r["architecture"], r["setup"], r["seeds"]) for r in rows] == [
        ("adm", "edm", "2 of 2"),
        ("adm", "ve", "2 of 2"),
    ]
    for row in rows:
        assert float(row["low"]) < float(row["fd_randconv"]) < float(row["high"])
    assert "3.75" in rows[0]["paper's, not ranked"]
    assert "lowest fd_randconv" in capsys.readouterr().out
    with pytest.raises(SystemExit) as left:  # its trials are a sweep like any other
        main(["leaderboard", "--sweep", "echo-table1-1", "--home", str(tmp_path)])
    assert not left.value.code
    board = capsys.readouterr().out
    assert "heun" in board or "edm" in board


@pytest.mark.slow
def test_the_tuned_table_is_of_new_seeds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table1_tuned, "ARCHITECTURES", ("adm",))
    monkeypatch.setattr(table1_tuned, "SETUPS", ("edm", "vp"))
    monkeypatch.setattr(table1_tuned, "TRIALS", 2)
    _, tables = study(tmp_path, "table1-tuned", "--seeds", "1", "--equal", "nimg")
    tuning = tables["tuning"]
    assert [(r["setup"], r["draw"]) for r in tuning] == [
        ("edm", "0"),
        ("vp", "0"),
        ("edm", "1"),
        ("vp", "1"),
    ]
    assert [r["setup"] for r in tables["table1"]] == ["edm", "vp"]
    with (tmp_path / "sweeps" / "echo-table1-tuned-1" / "journal.jsonl").open() as journal:
        suggested = [line for line in journal if '"kind":"suggest"' in line]
    assert sum('"seed":1,' in line for line in suggested) == 2
    assert len({row["kimg"] for row in tables["table1"]}) == 1  # equal images


def test_noise_of_few_subjects_says_what_it_leaves_out() -> None:
    values = {"frames": (4.0, 4.1, 4.3), "samples": (4.0, 4.05, 4.1), "trainings": (4.0, 4.5, 5.0)}
    spreads = {key: noise_study.Spread(name=key, values=v) for key, v in values.items()}
    frame = SimpleNamespace(measure=SimpleNamespace(n_report=128))
    setting = cast(Setting, SimpleNamespace(frame=frame, label="REAL data"))
    found = noise_study._findings(setting, spreads, "fd")
    assert "report part has fewer than 4" in found.lines[1]
    assert [row[0] for row in found.tables[0].rows] == ["frames", "samples", "trainings"]
    spreads["subjects"] = noise_study.Spread(name="subjects", values=(4.0, 6.0, 8.0))
    assert "and 33.3% of subjects" in noise_study._findings(setting, spreads, "fd").lines[0]


@pytest.mark.slow
def test_noise_and_the_curve_draw_from_finished_networks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(noise_study, "DRAWS", 3)
    monkeypatch.setattr(nfe_curve, "EVALUATIONS", (5, 9))
    _, tables = study(tmp_path, "noise", "--seeds", "2")
    spreads = {row["what changes"]: float(row["sd"]) for row in tables["noise"]}
    assert len(spreads) == 4
    assert all(sd > 0 for sd in spreads.values())
    assert len(tables["values"]) == 3 + 3 + 3 + 2

    def no_ray(*args: object) -> None:
        raise AssertionError("Ray is started for no trials")

    monkeypatch.setattr(drive, "_ray", no_ray)  # the network is there already
    folder, tables = study(tmp_path, "nfe-curve", "--of", "echo-noise-1", "--trial", "0")
    facts = json.loads((folder / "study.json").read_text())["facts"]
    assert facts["trial"].startswith("trial 0 of echo-noise-1, adm-edm, seed 0")
    assert facts["floor"] > 0
    points = tables["nfe_curve"]
    assert {row["NFE"] for row in points} == {"5", "9"}
    assert {row["sampler"] for row in points} == {"ddim", "ddpm", "dpmpp_2m", "euler", "heun"}
    by_sampler = {row["sampler"]: row["fd_randconv"] for row in points if row["NFE"] == "9"}
    assert by_sampler["ddim"] == by_sampler["euler"]  # the same method where nothing is scaled
    assert (tmp_path / "sweeps" / folder.name / "study" / "nfe-heun-edm-sigma-5.json").exists()


@pytest.mark.slow
def test_the_floor_by_subject_is_above_the_one_by_frame(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(optimal_study, "SIZES", {16: ".88"})
    _, tables = study(tmp_path, "optimal")
    by_frame, by_subject = tables["optimal"]
    assert float(by_subject["mean"]) > 2 * float(by_frame["mean"])


@pytest.mark.slow
def test_a_discriminator_guides_and_classifiers_tell_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(guided, "WEIGHTS", ((2.0, 0.0, 1.0), (1.0, 1.0, 1.0)))
    monkeypatch.setattr(guided, "SIZES", {"smoke": guided.Size(pictures=32, epochs=1)})
    monkeypatch.setattr(shift_study, "EPOCHS", {"smoke": 1})
    _, tables = study(tmp_path, "discriminator-guidance", "--set", "steps=4")
    rows = {row["measure"]: (row["before"], row["after"]) for row in tables["before_and_after"]}
    assert float(rows["nfe"][1]) > float(rows["nfe"][0]) == 7.0
    assert rows["fd_randconv"][0] != rows["fd_randconv"][1]
    assert rows["denoise_error"][0] == rows["denoise_error"][1]  # of the network alone
    assert [row["second order"] for row in tables["ways"]] == ["0.0", "1.0"]
    assert "before" in capsys.readouterr().out
    _, tables = study(tmp_path, "shift", "--set", "steps=4")
    table = tables["table2"]
    assert [row[""] for row in table[:3]] == [
        "before guidance",
        "after guidance",
        "real against real",
    ]
    assert table[3]["Linear"] == "71.67 %"
    assert len(tables["accuracies"]) == 9
    folder, tables = study(tmp_path, "claims")  # of both, nothing trained
    assert {row["study"] for row in tables["claims"]} == {"discriminator-guidance", "shift"}
    assert len(tables["claims"]) == 3
    page = (folder / "claims.md").read_text()
    assert page.count("SIMULATED") == 3
    assert "| discriminator guidance improves the distance | " in page
    with pytest.raises(SystemExit) as left:
        main(["study", "echo", "claims", "--scale", "smoke", "--home", str(tmp_path / "empty")])
    assert left.value.code == 2
    assert "no study of echo has findings" in capsys.readouterr().err
    assert not list((tmp_path / "empty" / "sweeps").iterdir())


def test_a_subjects_number_is_the_mean_over_its_pictures() -> None:
    errors = SubjectErrors(numbers=np.array([30.0, 50.0, 52.0, 60.0]), predicted=np.full(4, 50.0))
    mean, low, high, count = errors.error()
    assert (mean, count) == (8.0, 4)
    assert 0 <= low < mean < high <= 20
    assert errors.error(high=40.0)[0] == 20.0
    assert errors.error(low=90.0)[3] == 0
    pictures = Measured(
        values=np.zeros((4, 1, 8, 8), np.uint8),
        numbers=np.array([1.0, 1.0, 5.0, 5.0]),
        subjects=np.array([3, 3, 7, 7]),
    )
    joined = pictures.joined(pictures)
    assert len(np.unique(joined.subjects)) == 4
    found = value_regressors._by_subject(pictures, np.array([0.0, 2.0, 5.0, 9.0]))
    assert found.numbers.tolist() == [1.0, 5.0]
    assert found.predicted.tolist() == [1.0, 7.0]


def test_a_regressor_learns_what_pictures_show() -> None:
    draw = np.random.default_rng(0)
    numbers = draw.uniform(20, 80, 96)
    values = np.clip(numbers[:, None, None, None] * 2 + draw.normal(0, 9, (96, 1, 16, 16)), 0, 255)
    pictures = Measured(values=values.astype(np.uint8), numbers=numbers, subjects=np.arange(96))
    learned = trained_on(
        pictures.some(np.arange(64)), pictures.some(np.arange(64, 96)), steps=60, seed=0
    )
    assert learned.error()[0] < 0.5 * float(np.abs(numbers[64:] - numbers[:64].mean()).mean())


@pytest.mark.slow
def test_a_generator_that_is_told_ef_teaches_a_regressor(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, tables = study(tmp_path, "downstream")
    names = list(dict.fromkeys(row["trained on"] for row in tables["downstream"]))
    assert names == [
        "real",
        "generated",
        "half of each",
        "both, equal steps",
        "both, equal epochs",
        "the training mean",
    ]
    capsys.readouterr()
    with pytest.raises(SystemExit) as left:  # pictures without EF
        main(
            [
                *("study", "echo", "downstream", "--scale", "smoke", "--home", str(tmp_path)),
                *("--set", "condition=nothing"),
            ]
        )
    assert left.value.code == 2
    assert "unknown condition 'nothing'" in capsys.readouterr().err
