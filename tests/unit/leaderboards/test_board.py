"""Boards: what every format says, and that the text fits its width."""

from __future__ import annotations

import csv
import io
import json
import random
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from leaderboards.agreement import agreements, spearman
from leaderboards.board import build
from leaderboards.cells import cell_table
from leaderboards.measures import Measure
from leaderboards.rank import rank
from leaderboards.rows import Row
from leaderboards.text import to_csv, to_json, to_markdown
from tests.unit.leaderboards.boards import FACTS, MEASURES, draw, many
from tests.unit.leaderboards.synthetic import row


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
    table = cell_table(board.rankings[0], board.axes)
    assert table is not None
    assert table.fraction == 1.0
    by_choices = {c.choices: c for c in table.cells}
    measured = by_choices["ddpmpp", "edm"]
    assert (measured.verdict, measured.best, measured.median) == ("measured", 10.0, 20.0)
    short = by_choices["adm", "edm"]
    assert (short.verdict, short.best, short.started, short.compared) == (
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
    rho, half = by_rung[0].rho, 1.96 * np.sqrt((1 + by_rung[0].rho ** 2 / 2) / 9)
    low, high = np.tanh(np.arctanh(rho) - half), np.tanh(np.arctanh(rho) + half)
    said = f"20 % with 100 %: {rho:.2f} ({low:.2f} to {high:.2f} with 95 %; n=12); "
    assert said in "\n".join(build(rows).claims)
    # another seed of an entry is another trial, and no more sure
    again = replace(rows[0], trial=60, trial_id="t60", seed=60)
    line = next(c for c in build([*rows, again]).claims if c.startswith("agreement of rungs"))
    assert "with 95 %; n=13 trials of 12 entries)" in line


def test_what_stands_beside_a_score_is_of_the_runs_that_make_it() -> None:
    """Of a confirmed entry the run that was picked is in neither: not in seconds, not in images."""
    cost = {"cost/kimg": 9.0, "cost/busy_sec": 90.0}
    rows = [row(0, 30.0, values=cost)]
    rows += [
        row(
            1 + k,
            40.0,
            entry_id="e000",
            origin="confirm",
            values={c: v / 9 for c, v in cost.items()},
        )
        for k in range(3)
    ]
    entry = build(rows).rankings[0].ranked[0].entry
    assert (entry.mean("cost/kimg"), entry.mean("cost/busy_sec")) == (1.0, 10.0)
    before = build(rows[:3]).rankings[0].ranked[0].entry  # not confirmed: all three make the score
    assert before.mean("cost/kimg") == pytest.approx(11 / 3)


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
