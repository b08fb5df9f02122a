"""What a tuning found: a row for each finalist, the front among them, the choice against the trial
as it was judged. As a JSON and a picture beside the journal; both can be made from it again."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.files import whole
from bench.sweep.record.trial_measures import TUNED
from bench.tune import tuning_race
from bench.tune.candidates import Candidate
from bench.tune.comparing import Gain, gain
from bench.tune.judge import Measured
from bench.tune.tuning import Tuning

SUMMARY, PICTURE = "summary.json", "pareto.png"
SECONDS_ALIKE = 0.1  # share within which two speeds count as equal: machines are not still


@dataclass(frozen=True, kw_only=True)
class Finalist:
    """One of those measured on all cases of both parts. gain: over the trial as it was judged, on
    `report`. on_front: no other has a better score without more evaluations or seconds."""

    candidate: Candidate
    select: Measured
    report: Measured
    sec_per_case: float
    gain: Gain | None
    on_front: bool
    chosen: bool


def finalists(tuning: Tuning) -> list[Finalist]:
    """Those that have a score, the best on `select` first; on `report` they are measured once."""
    scored = [n for n in tuning.order() if tuning.report[n].value is not None]
    seconds = {n: tuning.report[n].draw_sec / tuning.report[n].count for n in scored}
    points = {n: _point(tuning, n, seconds[n]) for n in scored}
    front = tuning_race.front(points, near=(0.0, 0.0, SECONDS_ALIKE))
    return [
        Finalist(
            candidate=tuning.candidates[n],
            select=tuning.values[-1][n],
            report=tuning.report[n],
            sec_per_case=seconds[n],
            gain=gain(tuning.score, tuning.report[n], tuning.report[0]) if n else None,
            on_front=n in front,
            chosen=n == tuning.chosen,
        )
        for n in scored
    ]


def _point(tuning: Tuning, number: int, seconds: float) -> tuple[float, ...]:
    value = tuning.report[number].value
    assert value is not None
    return tuning.score.sign * value, float(tuning.candidates[number].nfe), seconds


def lines(tuning: Tuning) -> list[str]:
    """What there is to say, a sentence a line."""
    rows = finalists(tuning)
    chosen = next(row for row in rows if row.chosen)
    score, trial = tuning.score, tuning.trial
    own = tuning.report[0]
    if chosen.candidate.number == 0:
        first = "nothing was better on select than the trial's own setting"
    else:
        first = f"best on select: {chosen.candidate.text}, {chosen.candidate.nfe} NFE"
    said = [f"trial {trial.number} of {trial.sweep}: {first}"]
    if chosen.gain is not None and own.value is not None:
        said.append(
            f"on report, from noise of its own: {score.title} {chosen.report.value:.4g} against "
            f"{own.value:.4g} as judged, a gain of {chosen.gain.text(score.unit)}, paired by draws "
            "and subjects, of this one trained network"
        )
        if chosen.gain.low <= 0:
            said.append("that interval holds 0: it is not shown to be better than as judged")
    looked = len(tuning.candidates)
    times = tuning.spent_sec / trial.train_sec if trial.train_sec else float("nan")
    said.append(
        f"{looked} configurations in {tuning.spent_sec:.0f} s, {times:.1f} times its training's "
        f"{trial.train_sec:.0f} s"
    )
    if not trial.any_ema:
        said.append(
            "note: the trial has not all of its EMA snapshots, so no other length was tried"
        )
    return said


def keep(tuning: Tuning) -> tuple[Path, Path]:
    """Write summary and picture; where they are."""
    from bench.tune.pareto_picture import draw

    rows = finalists(tuning)
    summary, picture = tuning.folder / SUMMARY, tuning.folder / PICTURE
    with whole(summary) as part:
        part.write_text(json.dumps(_body(tuning, rows), indent=1) + "\n")
    with whole(picture) as part:
        draw(part, tuning, rows)
    return summary, picture


def metrics(tuning: Tuning) -> dict[str, float]:
    """The numbers of the choice, for a run's record."""
    chosen = next(row for row in finalists(tuning) if row.chosen)
    report = chosen.report
    assert report.value is not None
    known = {
        TUNED: report.value,
        f"{TUNED}_se": report.se,
        "tune/nfe": float(chosen.candidate.nfe),
        "tune/sec_per_case": chosen.sec_per_case,
        "tune/configurations": float(len(tuning.candidates)),
        "tune/seconds": tuning.spent_sec,
    }
    return {key: value for key, value in known.items() if value is not None}


def _body(tuning: Tuning, rows: list[Finalist]) -> dict[str, Any]:
    return {
        "sweep": tuning.trial.sweep,
        "trial": tuning.trial.number,
        "trial_id": tuning.trial.trial_id,
        "seed": tuning.seed,
        "score": tuning.score.to_dict(),
        "simulated": tuning.trial.config.data.simulated,
        "configurations": len(tuning.candidates),
        "rounds": [
            {"cases": count, "configurations": len(entered)}
            for count, entered in zip(tuning.counts, tuning.entered, strict=True)
        ],
        "seconds": tuning.spent_sec,
        "budget_sec": tuning.budget_sec,
        "train_sec": tuning.trial.train_sec,
        "lines": lines(tuning),
        "finalists": [
            {
                "number": row.candidate.number,
                "text": row.candidate.text,
                "sample": dataclasses.asdict(row.candidate.sample),
                "nfe": row.candidate.nfe,
                "sec_per_case": row.sec_per_case,
                "select": row.select.value,
                "report": row.report.value,
                "report_se": row.report.se,
                "gain": None if row.gain is None else dataclasses.asdict(row.gain),
                "on_front": row.on_front,
                "chosen": row.chosen,
            }
            for row in rows
        ],
    }
