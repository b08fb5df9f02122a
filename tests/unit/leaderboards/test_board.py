"""Boards: what every format says, and that the text fits its width."""

from __future__ import annotations

import csv
import io
import json
import random

import numpy as np
import pytest
from rich.console import Console
from scipy import stats

from leaderboards.agreement import agreements, spearman
from leaderboards.board import build
from leaderboards.cells import cells
from leaderboards.draw import Drawing
from leaderboards.rows import Row
from leaderboards.text import to_csv, to_json, to_markdown
from tests.unit.leaderboards.synthetic import row

SPREAD = {"rel_sd": 0.12, "source": "8 seeds of ddpmpp-edm"}


def many(n: int = 40) -> list[Row]:
    """A sweep with every outcome, in four architectures and three setups."""
    rng = np.random.default_rng(1)
    outcomes = ["completed"] * 5 + ["pruned", "diverged", "out-of-memory"]
    rows = []
    for k in range(n):
        outcome = outcomes[k % 8]
        score = float(60 * np.exp(0.5 * rng.normal()))
        architecture = ("adm", "ddpmpp", "ncsnpp", "small_unet")[k % 4]
        setup = ("edm", "vp", "ve")[k // 4 % 3]
        rows.append(
            row(
                k,
                score if outcome == "completed" else None,
                outcome=outcome,
                cause="" if outcome == "completed" else "at 20% of the budget",
                architecture=architecture,
                preconditioning=setup,
                label=f"{architecture}-{setup} adamw {1e-3 * (k + 1):.1e} b32 w32",
                rungs=[{"fraction": 0.2, "nimg": 2400, "value": score * 2}],
                seed_spread=SPREAD,
                denoise_error=1.1,
                loss_rel_spread=0.11,
                spikes_per_1k=2.0,
                train_img_per_sec=212.0,
                sample_img_per_sec=19.5,
                peak_mem_gb=0.8,
                params_m=0.31,
                gflops_per_img=0.042,
                kimg=12.0,
                train_distance=score,
            )
        )
    return rows


def draw(rows: list[Row], width: int, top: int | None = 15) -> str:
    console = Console(width=width, record=True, file=io.StringIO())
    console.print(Drawing(board=build(rows), top=top))
    return console.export_text()


def test_json_has_what_a_reader_needs() -> None:
    found = json.loads(to_json(build(many(), device={"kind": "cpu", "cores": 2})))
    first = found["entries"][0]
    for key in ("architecture", "preconditioning", "score", "score_se", "rank_low", "rank_high"):
        assert first[key] is not None
    assert {"tier", "stability", "throughput", "cost", "outcome", "seeds"} <= first.keys()
    assert first["stability"]["loss_rel_spread"] == 0.11
    assert first["throughput"]["train_img_per_sec"] == 212.0
    assert len(found["entries"]) == 40
    assert found["outcomes"] == {"completed": 25, "pruned": 5, "diverged": 5, "out-of-memory": 5}
    assert found["data_simulated"] is True
    claims = "\n".join(found["claims"])
    assert "device: kind cpu, cores 2" in claims
    assert "scale: laptop; verdicts at this scale need not transfer" in claims
    assert "bench confirm calm-otter" in claims
    assert "best of 25 noisy values" in claims
    unranked = [entry for entry in found["entries"] if entry["rank_low"] is None]
    assert len(unranked) == 15
    assert all(entry["outcome"] != "completed" for entry in unranked)


def test_a_board_does_not_depend_on_the_order_of_its_rows() -> None:
    rows = many()
    shuffled = list(rows)
    random.Random(0).shuffle(shuffled)
    assert to_json(build(shuffled)) == to_json(build(rows))


def test_every_format_says_that_the_data_are_simulated() -> None:
    board = build(many())
    assert "SIMULATED" in to_markdown(board)
    assert "SIMULATED" in json.loads(to_json(board))["title"]
    assert {line["data_simulated"] for line in csv.DictReader(io.StringIO(to_csv(board)))} == {
        "True"
    }
    assert "SIMULATED" in draw(many(), 100)
    real = [Row.from_dict(r.to_dict() | {"data_simulated": False}) for r in many()]
    assert "SIMULATED" not in to_markdown(build(real)) + to_json(build(real)) + draw(real, 100)


@pytest.mark.parametrize("width", [80, 100, 120, 140, 160, 200])
def test_numbers_are_never_cut_to_fit(width: int) -> None:
    text = draw(many(), width)
    assert max(map(len, text.splitlines())) <= width
    table = text.split("architecture x setup")[0]
    body = [line for line in table.splitlines() if " ± " in line and "adamw" in line]
    assert len(body) == 15
    for line in body:
        assert line.rstrip().endswith("  1")  # the last column, seeds
        assert (
            "…" not in line[:4] + line[line.index(" ± ") - 5 :]
        )  # nothing but a label is shortened
        assert "212" in line or width < 100


def test_the_table_stops_at_the_top_and_says_how_many_more() -> None:
    assert "10 more ranked entries" in draw(many(), 100)
    assert "7 more not ranked" in draw(many(), 100)
    assert "more ranked" not in draw(many(), 100, top=None)
    assert "15 more ranked entries." in to_markdown(build(many()), top=10)


def test_cost_is_the_work_of_a_trial_not_the_time_that_passed() -> None:
    board = build([row(0), row(1, train_sec=None, sample_sec=None, measure_sec=None)])
    costs = {entry["entry_id"]: entry["cost"] for entry in board.to_dict()["entries"]}
    assert costs == {"e000": 9.0 + 2.0 + 1.0, "e001": None}
    assert "busy s" in to_markdown(board)


def test_notes_on_trials_are_told() -> None:
    note = "the batch did not fit: micro-batches of 8"
    rows = [row(0), row(3, notes=[note, "began anew"]), row(4, None, notes=[note])]
    line = f"notes on trials: 3 ({note}; began anew), 4 ({note})"
    assert line in build(rows).claims
    assert note in draw(rows, 200)
    entries = build(rows).to_dict()["entries"]
    assert [e["seeds"][0]["notes"] for e in entries] == [[], [note, "began anew"], [note]]
    assert not any("notes on trials" in claim for claim in build([row(0)]).claims)
    assert "and 3 more" in "\n".join(build([row(k, notes=[note]) for k in range(9)]).claims)


def test_csv_has_one_line_an_entry() -> None:
    lines = list(csv.DictReader(io.StringIO(to_csv(build(many())))))
    assert len(lines) == 40
    assert float(lines[0]["score"]) == build(many()).rankings[0].ranked[0].score
    assert lines[0]["train_img_per_sec"] == "212.0"


def test_markdown_escapes_what_would_break_its_tables() -> None:
    board = build([row(0, label="a|b"), row(1, None, cause="first\nsecond")])
    text = to_markdown(board)
    assert "a\\|b" in text
    assert "first second" in text


def test_a_cell_without_two_full_trials_is_inconclusive() -> None:
    rows = [
        row(0, 10.0),
        row(1, 30.0),
        row(2, 5.0, architecture="adm"),
        row(3, None, architecture="adm", outcome="pruned"),
        row(4, 20.0, preconditioning="vp"),
        row(5, 40.0, preconditioning="vp", entry_id="e004"),
    ]
    board = build(rows)
    found = {(c.architecture, c.preconditioning): c for c in cells(board.rankings[0])}
    assert found["ddpmpp", "edm"].verdict == "measured"
    assert (found["ddpmpp", "edm"].best, found["ddpmpp", "edm"].median) == (10.0, 20.0)
    assert found["adm", "edm"].verdict == "inconclusive"
    assert found["adm", "edm"].best is None
    assert (found["adm", "edm"].started, found["adm", "edm"].completed) == (2, 1)
    assert found["adm", "vp"].started == 0
    assert found["ddpmpp", "vp"].best == 30.0  # two seeds of one entry: their mean
    assert "inconclusive (1 of 2)" in to_markdown(board)


def test_agreement_is_spearman_over_completed_trials() -> None:
    rng = np.random.default_rng(3)
    scores = rng.normal(50, 5, 12).round()  # with ties
    early = (scores + rng.normal(0, 5, 12)).round()
    rows = [
        row(k, float(s), rungs=[{"fraction": 0.2, "nimg": 1, "value": float(e)}])
        for k, (s, e) in enumerate(zip(scores, early, strict=True))
    ]
    rows.append(row(50, None, outcome="pruned", rungs=[{"fraction": 0.2, "nimg": 1, "value": 1e3}]))
    found = agreements(rows)
    assert [(a.fraction, a.n) for a in found] == [(0.2, 12)]
    assert found[0].rho == pytest.approx(stats.spearmanr(early, scores).statistic, abs=1e-12)
    assert spearman([1, 1, 1], [1, 2, 3]) is None
    assert "Spearman" in "\n".join(build(rows).claims)


def test_two_training_budgets_are_two_rankings_and_said() -> None:
    small, large = ({**row(0).protocol, "budget_tflop": b} for b in (0.8, 16.0))
    board = build(
        [row(k, protocol=small, protocol_digest="p8") for k in range(2)]
        + [row(9, 10.0, protocol=large, protocol_digest="p16")]
    )
    assert [len(ranking.ranked) for ranking in board.rankings] == [2, 1]
    assert {place.rank_low for r in board.rankings for place in r.ranked} == {1}
    said = "\n".join(board.claims)
    assert "0.8 training TFLOP a trial" in said
    assert "16 training TFLOP a trial" in said
    assert "2 protocols or scales" in said


def test_an_assumed_spread_is_called_assumed() -> None:
    board = build([row(0), row(1)])
    said = "\n".join(board.claims)
    assert "(assumed: 3 x sampling error (arXiv 2606.20536); measure it with bench confirm)" in said
    assert board.to_dict()["verdicts"][0]["training_spread"]["kind"] == "assumed"
    assert "(3.0)" in to_markdown(board)  # 6 % of 50, in brackets
    nothing = build([row(k, score_se=None) for k in range(2)])
    assert "nothing is told apart" in "\n".join(nothing.claims)


def test_the_verdict_says_what_confirm_retrains() -> None:
    retrain = "`bench confirm calm-otter --top K` retrains the K best on select from new seeds"
    assert retrain in "\n".join(build([row(0), row(1)]).claims)
    assert retrain in "\n".join(build([row(0), row(1, 5000.0)]).claims)


def test_mixed_protocols_are_said_and_kept_apart() -> None:
    board = build([row(0), row(1), row(2, protocol_digest="p1")])
    assert any("2 protocols or scales" in line for line in board.claims)
    assert len(json.loads(to_json(board))["protocols"]) == 2
    assert "protocol echo · laptop · p1" in draw(list(board.rows), 100)


@pytest.mark.parametrize("rows", [[], [row(0)], [row(0, None, outcome="diverged")]])
def test_small_boards_draw_in_every_format(rows: list[Row]) -> None:
    board = build(rows)
    for text in (to_json(board), to_markdown(board), to_csv(board), draw(rows, 100)):
        assert text
    said = "\n".join(board.claims)
    if not rows:
        assert "no trials yet" in said
    elif rows[0].outcome == "completed":
        assert "nothing to compare it with" in said
    else:
        assert "nothing to rank" in said


def test_a_seed_that_failed_is_shown_beside_those_that_did_not() -> None:
    rows = [row(0, 50.0), row(1, None, entry_id="e000", outcome="diverged")]
    assert "1/2" in draw(rows, 100)
    seeds = json.loads(to_json(build(rows)))["entries"][0]["seeds"]
    assert [seed["outcome"] for seed in seeds] == ["completed", "diverged"]
