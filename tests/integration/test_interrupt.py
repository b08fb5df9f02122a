"""A driver that is stopped or killed in mid-sweep: it leaves nothing running and can be resumed."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections import Counter
from pathlib import Path

import psutil
import pytest

from bench.sweep.deciding.promote import FINALISTS
from bench.sweep.record import journal
from bench.sweep.record.history import History
from leaderboards.rows import ON_ITS_WAY
from tests.fakes.smoke_workloads import ECHO, EVERY, SmokeWorkload, by_turns
from tests.integration.test_sweep import COMMAND, bench, environment

pytestmark = pytest.mark.slow


def begin(home: Path, *asked: str) -> subprocess.Popen[str]:
    """`bench` in a process group of its own. Started in the background a suite ignores interrupts,
    and its children would inherit that."""
    return subprocess.Popen(
        [*COMMAND, *(asked or ECHO.command)],
        cwd=home.parent,
        env=environment(home),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )


def records(home: Path, sweep: str = "echo-1") -> list[journal.Record]:
    path = home / "sweeps" / sweep / "journal.jsonl"
    return journal.read(path) if path.exists() else []


def wait_for(
    home: Path, kind: str, count: int, process: subprocess.Popen[str], sweep: str = "echo-1"
) -> None:
    """Until the journal has `count` records of a kind."""
    deadline = time.monotonic() + 180
    while sum(r["kind"] == kind for r in records(home, sweep)) < count:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)


def family(process: subprocess.Popen[str]) -> list[psutil.Process]:
    return list(psutil.Process(process.pid).children(recursive=True))


def left_over(processes: list[psutil.Process], seconds: float) -> list[psutil.Process]:
    """Those that still live after so long."""
    return list(psutil.wait_procs(processes, timeout=seconds)[1])


def completes(home: Path, workload: SmokeWorkload = ECHO) -> None:
    """`bench resume` finishes the sweep: every trial once, all there, MLflow agrees."""
    sweep, trials = workload.sweep, workload.trials
    before = History(records(home, sweep))
    done = {n for n, t in before.trials.items() if t.outcome not in (None, *ON_ITS_WAY)}
    at = len(records(home, sweep))
    said = bench(home, "resume")
    assert (said.returncode, said.stderr) == (0, "")
    new = records(home, sweep)[at:]
    started = [r["trial"] for r in new if r["kind"] == "start"]
    assert not set(started) & done  # what was finished is not run again
    promotions = Counter(r["trial"] for r in new if r["kind"] == "promote")
    assert all(count <= 1 + promotions[n] for n, count in Counter(started).items())
    after = History(records(home, sweep))
    assert after.ended is not None
    assert sorted(after.trials) == list(range(trials))
    assert after.counts()["completed"] >= min(FINALISTS, trials)
    assert set(after.counts()) <= {"completed", "pruned"}
    ends = Counter(
        r["trial"]
        for r in records(home, sweep)
        if r["kind"] == "outcome" and r["outcome"] not in ON_ITS_WAY
    )
    assert ends == dict.fromkeys(range(trials), 1)
    ids = [t.suggestion.trial_id for t in after.trials.values()]
    assert len(set(ids)) == trials
    boards = [
        bench(home, "leaderboard", workload.name, "--format", "json", *source).stdout
        for source in ((), ("--from", "mlflow"))
    ]
    assert boards[0] == boards[1]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda s: s.name)
def test_a_stopped_sweep_leaves_nothing_and_goes_on(tmp_path: Path, number: signal.Signals) -> None:
    home = tmp_path / "home"
    process = begin(home)
    wait_for(home, "outcome", 1, process)
    children = family(process)
    assert children  # Ray was there
    os.kill(process.pid, number)  # the leader only, as a scheduler or `kill` does
    stopped_at = time.monotonic()
    out, err = process.communicate(timeout=60)
    assert time.monotonic() - stopped_at < 20
    assert (process.returncode, err) == (130, "")
    assert "bench resume echo-1 goes on" in out.splitlines()[-1]
    assert not left_over(children, 5)
    history = History(records(home))
    assert history.counts().get("interrupted", 0) >= 1
    assert "running" not in history.counts()
    assert "unfinished" in bench(home, "list").stdout
    assert "bench resume echo-1 goes on with it" in bench(home, "status").stdout
    if number == signal.SIGTERM or EVERY:  # either leaves the same behind
        completes(home)


def test_a_stop_while_ray_starts_leaves_nothing(tmp_path: Path) -> None:
    home = tmp_path / "home"
    process = begin(home)
    wait_for(home, "session", 1, process)
    deadline = time.monotonic() + 60
    while not (children := family(process)) and time.monotonic() < deadline:
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGTERM)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (130, "")
    assert "bench resume echo-1 goes on" in out
    assert not left_over(children, 10)


@by_turns("brats")
def test_a_killed_driver_leaves_nothing_and_its_sweep_goes_on(
    tmp_path: Path, workload: SmokeWorkload
) -> None:
    home = tmp_path / "home"
    process = begin(home, *workload.command)
    wait_for(home, "outcome", 2, process, workload.sweep)
    children = family(process)
    # Ray's idle agents wait a minute for the store that died with the driver, then go, too.
    agents = [c for c in children if c.name().endswith("Agent")]
    process.kill()
    process.communicate(timeout=60)
    assert not left_over([c for c in children if c not in agents], 30)
    assert "unfinished" in bench(home, "list").stdout
    completes(home, workload)
    assert not left_over(agents, 120)
