"""Tunes one finished trial: races its candidates on `select`, measures the finalists on `report`.

Everything measured is in a journal of its own (TRIAL/tune-COUNT-sSEED/journal.jsonl, as a sweep's)
before anything follows from it, so a second call goes on where the first was stopped; predictions
are not kept, and those of the candidates still in the race are drawn again. The best on `select` is
the choice; `report` is looked at once, by the finalists, and decides nothing.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from bench.config import SampleConfig, from_dict
from bench.errors import BenchError
from bench.sweep.record.finished import FinishedTrial
from bench.sweep.record.journal import Journal, Record
from bench.tune import tuning_race
from bench.tune.candidates import Candidate, design
from bench.tune.judge import Judge, Measured
from leaderboards.measures import Measure

TIMES_TRAINING = 5.0  # what a tuning may take, in seconds of the trial's training
KEPT_BACK = 0.9  # of that: rounds are planned for so much of it
TIMED = (8, 64)  # cases of candidate 0: to warm up, then to time, in a batch as finalists have
Say = Callable[[str], None]


@dataclass(kw_only=True)
class Tuning:
    """What a journal says. values: of each round, by candidate; the last round is the finalists'
    on `select`. report: of the finalists. chosen: the best on `select`; None until all is done."""

    trial: FinishedTrial
    folder: Path
    score: Measure
    seed: int
    candidates: list[Candidate]
    budget_sec: float
    counts: list[int] = field(default_factory=list)
    entered: list[list[int]] = field(default_factory=list)
    values: list[dict[int, Measured]] = field(default_factory=list)
    report: dict[int, Measured] = field(default_factory=dict)
    spent_sec: float = 0.0
    chosen: int | None = None

    def take(self, record: Record) -> None:
        """Fold one more record in."""
        kind = record["kind"]
        self.spent_sec = float(record.get("spent_sec", self.spent_sec))
        if kind == "round":
            self.counts.append(record["count"])
            self.entered.append(list(record["candidates"]))
            self.values.append({})
        elif kind == "value":
            self.values[-1][record["candidate"]] = _measured(record["measured"])
        elif kind == "report":
            self.report[record["candidate"]] = _measured(record["measured"])
        elif kind == "end":
            self.chosen = record["chosen"]

    def order(self) -> list[int]:
        """The candidates of the last round that have a value, best first."""
        have = [(n, m.value) for n, m in self.values[-1].items() if m.value is not None]
        return [n for n, _ in self.score.in_order(have, lambda pair: pair[1])]


def folder_of(trial: FinishedTrial, configurations: int, seed: int) -> Path:
    """Where a tuning's files lie."""
    return trial.folder / f"tune-{configurations}-s{seed}"


def tune(trial: FinishedTrial, configurations: int, seed: int, say: Say) -> Tuning:
    """Tune a trial, or go on with it, or read what came of it.

    Raises:
        BenchError: it cannot be tuned, or another process does it.
    """
    if configurations < 2:
        raise BenchError(f"--configurations must be at least 2, got {configurations}")
    begun = time.perf_counter()
    torch.set_num_threads(trial.config.train.threads)
    folder = folder_of(trial, configurations, seed)
    judge = Judge(trial, seed)
    with Journal(folder / "journal.jsonl") as journal:
        if not journal.records:
            drawn = design(trial.config, configurations, seed, any_ema=trial.any_ema)
            journal.append("begin", **_beginning(trial, seed, drawn))
        tuning = _folded(trial, folder, judge.score, journal.records)
        run = _Run(tuning, judge, journal, begun - tuning.spent_sec, say)
        if tuning.chosen is None:
            run.go_on()
    return tuning


class _Run:
    """One call's stretch of a tuning."""

    def __init__(
        self, tuning: Tuning, judge: Judge, journal: Journal, since: float, say: Say
    ) -> None:
        self.tuning, self.judge, self.journal = tuning, judge, journal
        self.since, self.say = since, say  # `since`: as if it had run in one piece
        self.nfe = {one.number: one.nfe for one in tuning.candidates}
        self.sec_per_pass = self.finals_rate = 0.0  # seconds an evaluation and case

    def go_on(self) -> None:
        tuning, every = self.tuning, len(self.tuning.candidates)
        self.finals_rate = self._timed()
        self.sec_per_pass = self._rate() or self.finals_rate
        mean = sum(self.nfe.values()) / every
        finalists = tuning_race.finalists_that_fit(
            self.judge.board_count, mean, self.finals_rate, tuning.budget_sec
        )
        if tuning.values:  # decided by an earlier call
            finalists = self.journal.records[1]["finalists"]
        rounds = tuning_race.rounds_of(every, finalists)
        alive = list(range(every))
        for place in range(rounds):
            if place == len(tuning.values):
                cases, rate = self.judge.board_count, self.finals_rate
                finals = tuning_race.finals_sec(finalists, cases, mean, rate)
                left = tuning.budget_sec * KEPT_BACK - self._spent() - finals
                count = tuning_race.cases_next(
                    tuning.counts[-1] if tuning.counts else 0,
                    self.judge.most,
                    sum(self.nfe[n] for n in alive),
                    self.sec_per_pass,
                    left / (rounds - place),
                )
                self._enter(alive, count, finalists)
            alive = self._round(place, max(finalists, -(-every // 2 ** (place + 1))))
        if len(tuning.values) == rounds:
            self._enter(alive, self.judge.most, finalists)
        self._round(rounds, finalists)
        chosen = tuning.order()[0]
        for number in tuning.entered[-1]:
            if number not in tuning.report:
                measured = self.judge.on_report(tuning.candidates[number])
                self._write("report", candidate=number, measured=dataclasses.asdict(measured))
        self._write("end", chosen=chosen)

    def _enter(self, alive: Sequence[int], count: int, finalists: int) -> None:
        self._write("round", count=count, candidates=list(alive), finalists=finalists)

    def _round(self, place: int, keep: int) -> list[int]:
        """Measure what is not measured yet of a round; those that go on to the next."""
        tuning = self.tuning
        if place < len(tuning.values) - 1:  # an earlier call's, and the next one was entered
            return tuning.entered[place + 1]
        count, entered = tuning.counts[place], tuning.entered[place]
        by_average = sorted(entered, key=lambda n: (tuning.candidates[n].sample.ema, n))
        for number in by_average:
            if number not in tuning.values[place]:
                measured = self.judge.on_select(tuning.candidates[number], count)
                self._write("value", candidate=number, measured=dataclasses.asdict(measured))
        order = tuning.order()
        if not order:
            raise BenchError("no candidate gave finite predictions: the trained network is broken")
        self.sec_per_pass = self._rate() or self.sec_per_pass
        best = tuning.candidates[order[0]]
        value = tuning.values[place][order[0]].value
        self.say(
            f"{len(entered)} configurations on {count} cases of select, {self._spent():.0f} s: "
            f"first {best.text} ({best.nfe} NFE), {tuning.score.title} {value:.4g}"
        )
        kept = tuning_race.going_on(order, self.nfe, keep)
        self.judge.forget(kept)
        return kept

    def _rate(self) -> float | None:
        """Seconds an evaluation and case in the last round that began, measuring included."""
        tuning = self.tuning
        if not tuning.values or not tuning.values[-1]:
            return None
        before = tuning.counts[-2] if len(tuning.counts) > 1 else 0
        fresh = tuning.counts[-1] - before
        passes = sum(fresh * self.nfe[n] for n in tuning.values[-1])
        spent = sum(m.draw_sec + m.measure_sec for m in tuning.values[-1].values())
        return spent / passes if passes else None

    def _timed(self) -> float:
        """The same of candidate 0 alone, whose predictions count in the first round."""
        first = self.tuning.candidates[0]
        warm, timed = TIMED
        before = self.judge.on_select(first, warm).count
        measured = self.judge.on_select(first, warm + timed)
        fresh = max(measured.count - before, 1)
        return (measured.draw_sec + measured.measure_sec) / (fresh * first.nfe)

    def _spent(self) -> float:
        return time.perf_counter() - self.since

    def _write(self, kind: str, **body: Any) -> None:
        self.tuning.take(self.journal.append(kind, spent_sec=self._spent(), **body))


def _beginning(trial: FinishedTrial, seed: int, drawn: Sequence[Candidate]) -> dict[str, Any]:
    return {
        "trial_id": trial.trial_id,
        "seed": seed,
        "budget_sec": TIMES_TRAINING * trial.train_sec,
        "train_sec": trial.train_sec,
        "any_ema": trial.any_ema,
        "candidates": [{"sample": dataclasses.asdict(one.sample), "nfe": one.nfe} for one in drawn],
    }


def _folded(
    trial: FinishedTrial, folder: Path, score: Measure, records: Sequence[Record]
) -> Tuning:
    first = records[0]
    if first["kind"] != "begin" or first.get("trial_id") != trial.trial_id:
        raise BenchError(f"{folder.name} holds the tuning of another trial; move it away")
    candidates = [
        Candidate(number=n, sample=from_dict(SampleConfig, one["sample"], "sample"), nfe=one["nfe"])
        for n, one in enumerate(first["candidates"])
    ]
    tuning = Tuning(
        trial=trial,
        folder=folder,
        score=score,
        seed=first["seed"],
        candidates=candidates,
        budget_sec=first["budget_sec"],
    )
    for record in records[1:]:
        tuning.take(record)
    return tuning


def _measured(body: dict[str, Any]) -> Measured:
    return from_dict(Measured, body, "measured")
