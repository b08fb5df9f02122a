"""What a board says beside its tables: the data, the verdict, its limits."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace

import numpy as np
import pytest

from leaderboards.board import build
from leaderboards.claims import describe_protocol
from leaderboards.measures import Measure
from leaderboards.text import to_csv, to_json, to_markdown
from tests.unit.leaderboards.boards import FACTS, draw, many
from tests.unit.leaderboards.synthetic import PROTOCOL, row


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


def test_an_assumed_spread_is_called_assumed() -> None:
    board = build([row(0), row(1)])
    claims = "\n".join(board.claims)
    assert (
        "training spread: 20.0% of the score (assumed: nothing was trained twice to the end); no "
        "ranks are given before entries were trained from two seeds" in claims
    )
    assert {e["rank_low"] for e in board.to_dict()["entries"]} == {None}
    assert {e["tier"] for e in board.to_dict()["entries"]} == {"A"}
    assert board.to_dict()["verdicts"][0]["training_spread"]["kind"] == "assumed"
    assert "(10)" in to_markdown(board)  # 20 % of 50, in brackets
    replicated = build([row(0), row(1), row(2, 52.0, entry_id="e000")])
    assert {e["rank_low"] for e in replicated.to_dict()["entries"]} == {1}
    assert "no ranks" not in "\n".join(replicated.claims)


def test_the_verdict_says_what_confirm_retrains() -> None:
    retrain = "`bench confirm calm-otter` races them on new seeds until one is left"
    assert retrain in "\n".join(build([row(0), row(1)]).claims)
    assert retrain in "\n".join(build([row(0), row(1, 5000.0)]).claims)


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


def test_what_is_known_of_the_leader_is_said() -> None:
    """Winner or not: its bound and chance, as the place itself has them."""
    board = build([row(0), row(1, 55.0), row(2, 52.0, entry_id="e000")])
    leader, other = board.rankings[0].ranked
    assert leader.behind is not None
    assert other.behind is not None
    (line,) = [claim for claim in board.claims if claim.startswith("known:")]
    assert line == (
        f"known: with 95 % confidence over all looks {leader.entry.first.label} is at most "
        f"{leader.behind:.1%} of the score worse than the best of these, the 1 other that may be "
        f"it at most {other.behind:.1%} of the score; the chance that it is the best is "
        f"{leader.chance:.0%}"
    )
    assert not any(claim.startswith("known:") for claim in build([row(0)]).claims)


def test_the_spread_is_said_by_cell_with_what_seeds_have_in_common() -> None:
    rng = np.random.default_rng(2)
    shared = 0.2 * rng.normal(size=6)
    rows = [
        row(
            10 * cell + seed,
            float(50 * np.exp(shared[seed] + sd * rng.normal())),
            entry_id=f"e{cell}",
            seed=seed,
            cell={"architecture": f"net{cell}"},
            score_se=0.0,
        )
        for cell, sd in enumerate((0.01, 0.03, 0.1))
        for seed in range(6)
    ]
    rows.append(row(90, 55.0, cell={"architecture": "once"}))
    board = build(rows)
    (line,) = [claim for claim in board.claims if claim.startswith("training spread:")]
    spread = board.rankings[0].spread
    cells = [spread.of(p.entry).variance ** 0.5 for p in board.rankings[0].ranked]
    assert line == (
        f"training spread: {spread.sd:.1%} of the score (3 replicated entries here); by cell, "
        f"moderated, {min(cells):.1%} of the score to {max(cells):.1%} of the score; beside "
        f"{spread.block**0.5:.1%} of the score that all have from a seed; assumed for 1 entries of "
        "cells that were trained once"
    )
    verdict = board.to_dict()["verdicts"][0]["training_spread"]
    assert verdict["shared_by_a_seed"] == spread.block**0.5
    assert verdict["kind"] == "measured"


def test_a_table_says_how_far_behind_and_which_ranks() -> None:
    once = to_markdown(build([row(0), row(1, 55.0), row(2, 9000.0)]))
    lines = [
        line.split("|") for line in once.splitlines() if line.startswith("| ") and "adam" in line
    ]
    places = build([row(0), row(1, 55.0), row(2, 9000.0)]).rankings[0].ranked
    header = next(line for line in once.splitlines() if "behind ≤" in line).split("|")
    column = [name.strip() for name in header].index("behind ≤")
    assert [line[column].strip() for line in lines] == [
        *(f"{p.behind:.0%}" for p in places[:2] if p.behind is not None),
        "-",
    ]
    assert {line[1].strip() for line in lines} == {"-"}  # no rank before replicates
    twice = build([row(0), row(1, 55.0), row(2, 9000.0), row(3, 51.0, entry_id="e000")])
    lines = [line.split("|") for line in to_markdown(twice).splitlines() if "adam" in line]
    assert [line[1].strip() for line in lines if len(line) > 3] == ["1-2", "1-2", "3"]


def test_the_settings_of_a_guidance_are_in_the_words_of_the_protocol() -> None:
    guided = {
        **PROTOCOL,
        "reference": {"part": "report", "digest": "abcdef"},
        "guidance": "classifier_free",
        "guidance_args": {"weight": 5.0, "interval": [0.25, 2.0]},
    }
    words = describe_protocol(guided)
    assert words.endswith(
        "guidance classifier_free, guidance weight 5, guidance interval 0.25 to 2"
    )
    assert "abcdef" not in words  # "against the report part" says what the reference is
    assert "guidance" not in describe_protocol({**PROTOCOL, "guidance_args": {}})


def test_a_bound_beyond_ten_times_is_said_to_be_useless() -> None:
    measure = row(0).score_measure
    assert measure.bound_text(0.12) == "at most 12.0% of the score"
    assert measure.bound_text(1257.0).startswith("perhaps more than 10 times")
