"""The live view and the plain lines of a sweep driven without Ray."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console

from bench.commands.running_trials import stopped_line
from bench.config import TrialConfig
from bench.console.clock import clock
from bench.console.live import LiveView, PlainLines, _fraction, summary_lines, watching
from bench.run import Report
from bench.sweep.record.history import History
from bench.sweep.record.records import End
from bench.sweep.running.engine import Engine
from leaderboards.measures import Measure
from tests.unit.sweep.fakes import World, drive, open_engine, plan, smooth
from tests.unit.sweep.written import plan_record

# as an echo sweep has them: beside the score two more are shown
LIVE = (
    Measure(key="eval/fd_fake", title="fd_fake", direction="lower", live=True),
    Measure(key="eval/denoise_error", title="denoise error", direction="lower", live=True),
    Measure(key="eval/clipped", title="clipped", live=True),
    Measure(key="eval/fd_fake_train", title="to train"),
)


def formula(config: TrialConfig, rung: int) -> float | str:
    cell = (config.method.backbone, config.method.preconditioning)
    return {("adm", "vp"): "diverged", ("adm", "ve"): "failed"}.get(cell) or smooth(config, rung)


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    """Half-way: some completed, one diverged, one failed, two running."""
    made = open_engine(tmp_path, plan(trials=30, concurrency=2, measures=LIVE))
    drive(made, World(formula), at_most=37)
    while made.next() is not None:
        pass
    yield made
    made.journal.close()


def drawn(view: LiveView, width: int) -> list[str]:
    console = Console(width=width, file=io.StringIO(), force_terminal=False)
    with console.capture() as got:
        console.print(view)
    return got.get().splitlines()


@pytest.mark.parametrize("width", [60, 80, 120, 200])
def test_the_view_fits_and_its_columns_line_up(engine: Engine, width: int) -> None:
    lines = drawn(LiveView(engine), width)
    assert max(len(line.rstrip()) for line in lines) <= min(width, 120)
    assert len(lines) == 4 + (1 + 1 + 2) + (1 + 1 + 6)  # a wrapped line would add to it
    heads = [line for line in lines if line.startswith(("running", "furthest,"))]
    ends = [
        {i for i in range(1, len(line) + 1) if line[i - 1] != " " and line[i : i + 1] in ("", " ")}
        for line in (heads[0].rstrip(), heads[1].rstrip())
    ]
    assert len(ends[0] & ends[1]) >= 3  # three numeric columns end at the same places


def test_the_view_says_what_stands(engine: Engine) -> None:
    text = "\n".join(drawn(LiveView(engine), 120))
    counts = engine.history.counts()
    assert counts["running"] == 2
    done = sum(counts.values()) - 2
    assert f"{done} of 30 done: {counts['completed']} completed" in text
    assert "1 diverged" in text
    assert "1 failed" in text
    assert "2 running" in text
    best = engine.history.best()
    assert best is not None
    assert f"best so far fd_fake {best.rungs[2]:.3g} on select: {best.number:03d}" in text
    assert "SIMULATED data" in text
    assert "of the budget" in text


def test_the_live_measures_are_columns_and_no_others(engine: Engine) -> None:
    best = engine.history.best()
    assert best is not None
    best.metrics |= {"rung/clipped": 0.125, "rung/fd_fake_train": 77.0}
    lines = drawn(LiveView(engine), 120)
    (at,) = [i for i, line in enumerate(lines) if line.startswith("furthest,")]
    assert "denoise" in lines[at]
    assert lines[at].split()[-1] == "clipped"
    assert "train" not in lines[at]
    assert lines[at + 1].split()[-1] == "0.125"


def test_before_the_first_trial_it_draws_too(tmp_path: Path) -> None:
    engine = open_engine(tmp_path, plan(trials=30, concurrency=2))
    lines = drawn(LiveView(engine), 80)
    engine.journal.close()
    assert "0 of 30 done · starting" in lines[2]
    assert "no trial has reached a rung yet" in lines[3]


def test_before_one_completes_the_leader_of_the_furthest_rung_is_named(tmp_path: Path) -> None:
    """Those that wait are not done; of two at the second rung the better leads."""
    engine = open_engine(tmp_path, plan(trials=30, table=False))
    values = {0: 3.0, 1: 2.0, 2: 1.0}
    for number, value in values.items():
        trial = engine.next()
        assert trial is not None
        for rung in range(2 if number < 2 else 1):
            said = Report(
                phase="rung", nimg=8 * (rung + 1), metrics={}, seconds={}, rung=rung, value=value
            )
            engine.reported(number, said)
    out = io.StringIO()
    line = PlainLines(engine, Console(file=out, width=200))._outcome(engine.history.trials[1])
    lines = drawn(LiveView(engine), 120)
    engine.journal.close()
    assert "0 of 30 done: 2 waiting" in lines[2]
    leader = engine.history.trials[1].suggestion.label
    assert (
        f"none at the end yet; leads at 50 % of the budget: fd_fake 2 on select: 001 {leader}"
        in (lines[3])
    )
    assert line == f"[  0/30] waiting   001 {leader}  fd_fake 2 on select at 50 %"


def test_a_pipe_gets_one_plain_line_a_trial(tmp_path: Path) -> None:
    engine = open_engine(tmp_path, plan(trials=27))
    out = io.StringIO()
    with watching(engine, Console(file=out, width=40)):
        drive(engine, World(formula))
    engine.journal.close()
    lines = out.getvalue().splitlines()
    assert len(lines) == 27
    assert [line[:7] for line in lines] == [f"[{i:3d}/27" for i in range(1, 28)]
    for line, trial in zip(lines, engine.history.trials.values(), strict=True):
        assert f"] {trial.outcome}" in line
        assert f" {trial.number:03d} {trial.suggestion.label}" in line
        assert ("(" in line) == bool(trial.cause)
    assert "\x1b" not in out.getvalue()


def test_what_waits_is_said_once_and_not_again_when_it_is_given_up(tmp_path: Path) -> None:
    engine = open_engine(tmp_path, plan(trials=40, table=False))
    out = io.StringIO()
    with watching(engine, Console(file=out, width=40)):
        drive(engine, World(smooth))
    engine.journal.close()
    lines = out.getvalue().splitlines()
    given_up = engine.history.with_outcome("pruned")
    assert len(given_up) > 10
    assert not any("] pruned" in line for line in lines)
    for trial in given_up:
        waits = [line for line in lines if f"] waiting   {trial.number:03d} " in line]
        assert len(waits) == 1 + sum(
            r["kind"] == "promote" and r["trial"] == trial.number for r in engine.journal.records
        )


def test_a_heartbeat_comes_when_nothing_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.console.live.HEARTBEAT_SEC", -1.0)
    engine = open_engine(tmp_path, plan(trials=1))
    out = io.StringIO()
    engine.listeners = (PlainLines(engine, Console(file=out, width=200)),)
    drive(engine, World(smooth))
    engine.journal.close()
    assert "0:00 gone: 1 running" in out.getvalue()


def test_the_time_left_follows_the_pace(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    view = LiveView(engine)
    view.progress.spent_before = 0.0
    monkeypatch.setattr(view.progress, "seconds", lambda: 100.0)
    spent = view.progress._spent()
    share = view.progress.share()
    left = view.progress.left_sec()
    assert left is not None
    assert 0 < share < 1
    # At the same pace, the rest of what the sweep is expected to use.
    assert left == pytest.approx(100.0 / spent * (spent / share - spent))


def test_finalists_beyond_what_was_expected_are_waited_for(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    progress = LiveView(engine).progress
    history = engine.history
    monkeypatch.setattr(progress, "seconds", lambda: 100.0)
    monkeypatch.setattr(progress, "_whole", lambda: 0.5 * progress._spent())
    progress.spent_before = 0.0
    spent = progress._spent()
    few_begun = progress.left_sec()
    assert few_begun == pytest.approx(1.0)  # 0.02 of what was expected, at the pace so far
    monkeypatch.setattr(Engine, "planned", property(lambda engine: True))
    ahead = sum(1 - _fraction(trial) for trial in history.at_work.values())
    assert ahead > 0.1
    assert progress.left_sec() == pytest.approx(100.0 / spent * ahead)
    assert progress.share() == pytest.approx(spent / (spent + ahead))


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0:00"), (59.6, "1:00"), (247, "4:07"), (3600, "1:00:00"), (7400, "2:03:20")],
)
def test_the_clock(seconds: float, text: str) -> None:
    assert clock(seconds) == text


def test_the_summary_says_how_busy_it_was() -> None:
    body = {
        "counts": {"completed": 3, "pruned": 1},
        "wall_sec": 90.0,
        "ray_start_sec": 3.6,
        "busy_share": 0.934,
    }
    (line,) = summary_lines(End(t=9.0, summary=body), History([plan_record()]))
    assert line.startswith("done: 3 completed, 1 pruned in 1:30 (Ray started in 4 s); 93% of")


def test_what_trials_took_of_their_forecast_is_said_in_two_digits() -> None:
    forecast = {
        "device_sec": (10.0, 90.0),
        "wall_sec": (10.0, 90.0),
        "peak_gb": (1.0, 1.0),
        "trial_share": (0.871, 4.36, 156.71),
    }
    body = {
        "counts": {},
        "wall_sec": 9.0,
        "ray_start_sec": 4.0,
        "busy_share": 0.9,
        "forecast": forecast,
    }
    line = summary_lines(End(t=9.0, summary=body), History([plan_record()]))[-1]
    assert line == (
        "trials took 0.87 to 157 times the seconds predicted (80 % of the completed ones; "
        "median 4.4)"
    )


def test_a_sweep_that_was_stopped_says_what_there_was(engine: Engine) -> None:
    line = stopped_line(engine.history)
    assert line.startswith("stopped: ")
    assert line.endswith("2 running. bench resume fake-1 goes on from the last checkpoints")
    assert stopped_line(History([plan_record()])) == (
        "stopped before the first trial; bench resume fake-1 begins it"
    )
