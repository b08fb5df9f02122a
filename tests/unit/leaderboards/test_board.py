"""Boards: what every format says, and that the text fits its width."""

from __future__ import annotations

import csv
import io
import json
import random
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from rich.console import Console
from scipy import stats

from leaderboards.agreement import agreements, spearman
from leaderboards.board import build
from leaderboards.cells import cells
from leaderboards.draw import Drawing
from leaderboards.facts import SweepFacts
from leaderboards.measures import Measure
from leaderboards.rank import rank
from leaderboards.rows import Row
from leaderboards.text import to_csv, to_json, to_markdown
from tests.unit.leaderboards.synthetic import row


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
                cell={"architecture": architecture, "preconditioning": setup},
                label=f"{architecture}-{setup} adamw {1e-3 * (k + 1):.1e} b32 w32",
                rungs=[{"fraction": 0.2, "nimg": 2400, "value": score * 2}],
                values={
                    "eval/denoise_error": 0.9,
                    "eval/denoise_error_se": 0.01,
                    "stability/loss_rel_spread": 0.11,
                    "stability/spikes_per_1k": 2.0,
                    "throughput/train_img_per_sec": 212.0,
                    "throughput/sample_img_per_sec": 19.5,
                    "throughput/peak_mem_gb": 0.8,
                    "size/params_m": 0.31,
                    "size/gflops_per_img": 0.042,
                    "cost/kimg": 12.0,
                    "cost/busy_sec": 12.0,
                    "eval/to_train": score,
                },
            )
        )
    return rows


MEASURES = (
    Measure(
        key="eval/denoise_error",
        title="denoising error",
        direction="lower",
        drop=5,
        reference=1.0,
        reference_text="the best linear denoiser of the data",
        reference_verdict="nothing here has learned more than means and covariances",
    ),
    Measure(key="stability/loss_rel_spread", title="loss spread", digits=2, drop=6),
    Measure(key="throughput/train_img_per_sec", title="train img/s", direction="higher", drop=3),
    Measure(key="cost/busy_sec", title="busy s", drop=4, meaning="work of one trial"),
)
FACTS = SweepFacts(
    sweep="calm-otter", device="kind cpu, cores 2", data_simulated=True, measures=MEASURES
)


def draw(
    rows: list[Row], width: int, top: int | None = 15, facts: Sequence[SweepFacts] = (FACTS,)
) -> str:
    console = Console(width=width, record=True, file=io.StringIO())
    console.print(Drawing(board=build(rows, facts), top=top))
    return console.export_text()


def test_json_has_what_a_reader_needs() -> None:
    rows = many()
    assert rows[0].score is not None
    again = replace(rows[0], trial=40, trial_id="t040", seed=40, score=1.02 * rows[0].score)
    content = json.loads(to_json(build([*rows, again], [FACTS])))
    first = content["entries"][0]
    assert first["cell"].keys() == {"architecture", "preconditioning"}
    for key in ("score", "score_se", "rank_low", "rank_high", "tier", "outcome", "seeds"):
        assert first[key] is not None
    assert first["may_be_best"]
    assert first["behind_at_most"] > 0
    chances = [e["chance_best"] for e in content["entries"] if e["chance_best"] is not None]
    assert sum(chances) == pytest.approx(1)
    assert len(chances) == 25
    assert first["values"]["stability/loss_rel_spread"] == 0.11
    assert first["values"]["throughput/train_img_per_sec"] == 212.0
    assert [measure["key"] for measure in content["measures"]] == [m.key for m in MEASURES]
    assert len(content["entries"]) == 40
    assert content["outcomes"] == {"completed": 26, "pruned": 5, "diverged": 5, "out-of-memory": 5}
    assert content["data_simulated"] is True
    claims = "\n".join(content["claims"])
    assert "device: kind cpu, cores 2" in claims
    assert "scale: laptop; verdicts at this scale need not transfer" in claims
    assert "bench confirm calm-otter" in claims
    assert "best of 25 noisy values" in claims
    unranked = [entry for entry in content["entries"] if entry["rank_low"] is None]
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
    drawn = draw(real, 100, facts=())
    assert "SIMULATED" not in to_markdown(build(real)) + to_json(build(real)) + drawn


@pytest.mark.parametrize("width", [80, 100, 120, 140, 160, 200])
def test_numbers_are_never_cut_to_fit(width: int) -> None:
    text = draw(many(), width)
    assert max(map(len, text.splitlines())) <= width
    table = text.split("architecture x preconditioning")[0]
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


def test_an_entrys_values_are_means_over_its_completed_seeds() -> None:
    seeds = [{"own/x": 1.0, "own/x_se": 0.3}, {"own/x": 2.0, "own/x_se": 0.4}, {"own/x": 100.0}]
    rows = [
        row(k, 50.0 if k < 2 else None, entry_id="a", seed=k, values=values)
        for k, values in enumerate(seeds)
    ]
    rows.append(row(9, None, values={"own/x": 7.0}))  # none of its seeds completed
    entries = {entry["entry_id"]: entry for entry in build(rows).to_dict()["entries"]}
    # the error of a mean of two: sqrt(.3^2 + .4^2) / 2
    assert entries["a"]["values"] == {"own/x": 1.5, "own/x_se": pytest.approx(0.25)}
    assert entries["e009"]["values"] == {"own/x": 7.0}


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
    assert lines[0]["throughput/train_img_per_sec"] == "212.0"
    assert lines[0]["architecture"] in ("adm", "ddpmpp", "ncsnpp", "small_unet")


def test_markdown_escapes_what_would_break_its_tables() -> None:
    board = build([row(0, label="a|b"), row(1, None, cause="first\nsecond")])
    text = to_markdown(board)
    assert "a\\|b" in text
    assert "first second" in text


def test_a_cell_without_two_full_trials_is_inconclusive() -> None:
    def cell(architecture: str = "ddpmpp", setup: str = "edm") -> dict[str, str]:
        return {"architecture": architecture, "preconditioning": setup}

    rows = [
        row(0, 10.0),
        row(1, 30.0),
        row(2, 5.0, cell=cell("adm")),
        row(3, None, cell=cell("adm"), outcome="pruned"),
        row(4, 20.0, cell=cell(setup="vp")),
        row(5, 40.0, cell=cell(setup="vp"), entry_id="e004"),
    ]
    board = build(rows)
    by_choices = {c.choices: c for c in cells(board.rankings[0], board.axes)}
    measured = by_choices["ddpmpp", "edm"]
    assert (measured.verdict, measured.best, measured.median) == ("measured", 10.0, 20.0)
    short = by_choices["adm", "edm"]
    assert (short.verdict, short.best, short.started, short.completed) == (
        *("inconclusive", None),
        *(2, 1),
    )
    assert ("adm", "vp") not in by_choices
    assert by_choices["ddpmpp", "vp"].best == 30.0  # two seeds of one entry: their mean
    assert "| adm | inconclusive (1 of 2) | - |" in to_markdown(board)


def test_agreement_is_spearman_over_completed_trials() -> None:
    rng = np.random.default_rng(3)
    scores = rng.normal(50, 5, 12).round()  # with ties
    early = (scores + rng.normal(0, 5, 12)).round()
    rows = [
        row(k, float(s), rungs=[{"fraction": 0.2, "nimg": 1, "value": float(e)}])
        for k, (s, e) in enumerate(zip(scores, early, strict=True))
    ]
    rows.append(row(50, None, outcome="pruned", rungs=[{"fraction": 0.2, "nimg": 1, "value": 1e3}]))
    by_rung = agreements(rows)
    assert [(a.fraction, a.n) for a in by_rung] == [(0.2, 12)]
    assert by_rung[0].rho == pytest.approx(stats.spearmanr(early, scores).statistic, abs=1e-12)
    assert spearman([1, 1, 1], [1, 2, 3]) is None
    assert "Spearman" in "\n".join(build(rows).claims)


def test_two_training_budgets_are_two_rankings_and_said() -> None:
    small, large = ({**row(0).protocol, "budget_tflop": b} for b in (0.8, 16.0))
    board = build(
        [row(k, protocol=small, protocol_digest="p8") for k in range(2)]
        + [row(9, 10.0, protocol=large, protocol_digest="p16")]
    )
    assert [len(ranking.ranked) for ranking in board.rankings] == [2, 1]
    assert {place.tier for r in board.rankings for place in r.ranked} == {"A"}
    together = rank([row(0), row(1), row(9, 10.0)])  # it would have led
    assert [place.tier for place in together.ranked] == ["A", "B", "B"]
    claims = "\n".join(board.claims)
    assert "0.8 training TFLOP a trial" in claims
    assert "16 training TFLOP a trial" in claims
    assert "2 protocols or scales" in claims


def test_an_assumed_spread_is_called_assumed() -> None:
    board = build([row(0), row(1)])
    claims = "\n".join(board.claims)
    assert (
        "training spread: 20.0% of the score (assumed: nothing was trained twice); no ranks are "
        "given before entries were trained from two seeds" in claims
    )
    assert {e["rank_low"] for e in board.to_dict()["entries"]} == {None}
    assert {e["tier"] for e in board.to_dict()["entries"]} == {"A"}
    assert board.to_dict()["verdicts"][0]["training_spread"]["kind"] == "assumed"
    assert "(10)" in to_markdown(board)  # 20 % of 50, in brackets
    replicated = build([row(0), row(1), row(2, 52.0, entry_id="e000")])
    assert {e["rank_low"] for e in replicated.to_dict()["entries"]} == {1}
    assert "no ranks" not in "\n".join(replicated.claims)


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
    claims = "\n".join(board.claims)
    if not rows:
        assert "no trials yet" in claims
    elif rows[0].outcome == "completed":
        assert "nothing to compare it with" in claims
    else:
        assert "nothing to rank" in claims


def test_a_seed_that_failed_is_shown_beside_those_that_did_not() -> None:
    rows = [row(0, 50.0), row(1, None, entry_id="e000", outcome="diverged")]
    assert "1/2" in draw(rows, 100)
    seeds = json.loads(to_json(build(rows)))["entries"][0]["seeds"]
    assert [seed["outcome"] for seed in seeds] == ["completed", "diverged"]


NOTES = ("3 of 40 files were skipped", "subjects are guessed [from names]")


def test_the_datas_problems_are_on_every_form_of_the_board() -> None:
    facts = replace(FACTS, data_notes=NOTES)
    board = build(many(), [facts])
    lines = list(csv.DictReader(io.StringIO(to_csv(board))))
    assert {line["data_notes"] for line in lines} == {"; ".join(NOTES)}
    assert json.loads(to_json(board))["data_notes"] == list(NOTES)
    for note in NOTES:
        assert f"data: {note}" in board.claims
        assert f"- data: {note}" in to_markdown(board)
        assert note in draw(many(), 100, facts=[facts])
    assert f"data: {NOTES[0]}" in build([], [facts]).claims  # before any trial, too


def test_problems_of_different_data_are_told_apart() -> None:
    first = replace(FACTS, data_notes=("few subjects",))
    other = replace(FACTS, sweep="brave-newt", data_notes=("files skipped",))
    rows = [row(0), row(1, sweep="brave-newt")]
    board = build(rows, [first, other])
    assert board.to_dict()["data_notes"] == [
        "calm-otter: few subjects",
        "brave-newt: files skipped",
    ]
    by_trial = {line["seeds"]: line for line in csv.DictReader(io.StringIO(to_csv(board)))}
    assert [by_trial[seed]["data_notes"] for seed in "01"] == ["few subjects", "files skipped"]
    alike = build(rows, [first, replace(first, sweep="brave-newt")])
    assert alike.to_dict()["data_notes"] == ["few subjects"]


def test_what_held_for_all_trials_is_said() -> None:
    facts = replace(FACTS, conditions=("every trial stops early",))
    assert "note: every trial stops early" in build([row(0)], [facts]).claims


LEARNED = (
    "nothing here has learned more than means and covariances: every entry's denoising error is "
    "above 1, the best linear denoiser of the data"
)


@pytest.mark.parametrize(
    ("errors", "all_worse", "marked"),
    [
        ((1.2, 1.01), True, 2),
        ((1.2, 0.99), False, 1),
        ((1.2, 1.0), False, 1),
        ((0.9, 0.8), False, 0),
    ],
)
def test_errors_worse_than_the_reference_are_marked_and_said_if_all_are(
    errors: tuple[float, float], all_worse: bool, marked: int
) -> None:
    rows = [row(k, values={"eval/denoise_error": error}) for k, error in enumerate(errors)]
    rows.append(
        row(2, None, outcome="pruned", values={"eval/denoise_error": 3.0})
    )  # did not finish
    board = build(rows, [FACTS])
    assert (LEARNED in board.claims) == all_worse
    text = to_markdown(board)
    assert text.count("| *") == marked
    assert ("* denoising error: worse than 1, the best linear denoiser" in text) == (marked > 0)


def test_an_entry_without_the_measure_makes_no_claim_about_all() -> None:
    rows = [row(0, values={"eval/denoise_error": 2.0}), row(1, values={})]
    assert LEARNED not in build(rows, [FACTS]).claims


def test_a_score_can_have_a_reference_of_its_own_the_other_way_round() -> None:
    protocol = {"metric": "psnr", "direction": "higher", "scale": "difference", "unit": "dB"}
    psnr = Measure(
        key="eval/psnr",
        title="psnr",
        direction="higher",
        reference=20.0,
        reference_text="the noisy picture itself",
    )
    line = "every entry's psnr is below 20, the noisy picture itself"
    facts = replace(FACTS, measures=(psnr,))
    assert line in build([row(0, 19.0, protocol=protocol)], [facts]).claims
    assert line not in build([row(0, 21.0, protocol=protocol)], [facts]).claims


def test_who_leads_on_select_is_said_where_it_is_another_trial() -> None:
    rows = [row(0, 50.0, select=49.0), row(1, 51.0, select=40.0), row(2, None, select=1.0)]
    (line,) = [claim for claim in build(rows).claims if claim.startswith("leaders:")]
    assert "on the report part, is trial 0 (ddpmpp-edm adam 0e-4 b32)" in line
    assert "first on select, which" in line
    assert line.endswith("is trial 1 (ddpmpp-edm adam 1e-4 b32)")
    agreed = build([row(0, 50.0, select=40.0), row(1, 51.0, select=49.0)]).claims
    assert not any(claim.startswith("leaders:") for claim in agreed)
    assert "score: measured once, on the report part" in to_markdown(build(rows))


def test_brackets_in_names_are_text_and_no_markup() -> None:
    """An unmatched closing tag would be an error of rich, an opening one would vanish."""
    cell = {"architecture": "my[net].py", "[/axis]": "[red]"}
    rows = [
        row(
            k,
            score,
            label="[/red] [bold]x",
            cell=cell,
            cause="[/x]",
            values={"eval/b": 1.0},
            notes=["[/n]"],
            workload="[w]",
        )
        for k, score in enumerate((1.0, 2.0, None))
    ]
    facts = replace(FACTS, data_notes=("[/d]: seen",), device="[/gpu]", conditions=("[/c]",))
    boundless = Measure(
        key="eval/b",
        title="[b]",
        direction="lower",
        reference=0.0,
        reference_verdict="nothing here [v] at all",
    )
    facts = replace(facts, measures=(boundless,))
    text = draw(rows, 200, facts=[facts])
    assert text.count("my[net].py") == 3  # two entries and the table of cells
    assert text.count("[red]") == 3
    for part in (
        *("[/red] [bold]x", "my[net].py", "[red]", "[/axis]", "[/x]", "[/n]", "[w]"),
        *("[/d]: seen", "[/gpu]", "[/c]", "nothing here [v] at all: every entry's [b] is above 0"),
    ):
        assert part in text


def test_cells_of_one_axis_are_a_list_and_of_three_a_table_by_the_last() -> None:
    one = build([row(k, 10.0 + k, cell={"method": "direct"}) for k in range(2)])
    assert "### method: best / median score" in to_markdown(one)
    assert "| direct | 10.0 / 10.5 (2) |" in to_markdown(one)
    three = [
        {"method": "classical", "architecture": "bm3d"},
        {"method": "diffusion", "architecture": "adm", "preconditioning": "edm"},
    ]
    board = build([row(k, 10.0 + k // 2, cell=three[k // 2]) for k in range(4)])
    text = to_markdown(board)
    assert "### method x architecture x preconditioning: best" in text
    assert "|  | - | edm |" in text
    assert "| classical · bm3d | 10.0 / 10.0 (2) | - |" in text
    assert "| diffusion · adm | - | 11.0 / 11.0 (2) |" in text
    assert build([row(0, cell={})]).to_dict()["cells"] == []
