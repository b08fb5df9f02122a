"""Ctrl-C and SIGTERM between two facts: real signals to this process."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from bench.sweep.record.journal import Record, read
from bench.sweep.running import interrupts
from bench.sweep.running.interrupts import Interrupts
from tests.unit.sweep.fakes import open_engine, plan


@pytest.mark.parametrize("number", interrupts.SIGNALS, ids=lambda s: s.name)
def test_a_signal_is_raised_at_once_outside_and_at_the_end_inside(number: signal.Signals) -> None:
    one, two = Interrupts(), Interrupts()
    with one.handled(), pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), number)
    assert one.seen
    reached: list[str] = []
    with two.handled(), pytest.raises(KeyboardInterrupt):
        inside(two, number, reached)
    assert reached == ["inner", "outer"]


def inside(one: Interrupts, number: signal.Signals, reached: list[str]) -> None:
    """A signal in one block inside another: it is the outer one's end that raises."""
    with one.held():
        with one.held():
            os.kill(os.getpid(), number)
            reached.append("inner")
        reached.append("outer")
    reached.append("after")


def test_an_impatient_second_signal_does_not_break_the_stop(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    one = Interrupts()
    with one.handled():
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)  # at once: ignored
        monkeypatch.setattr(interrupts, "DEAF_SEC", 0.0)
        with pytest.raises(KeyboardInterrupt):  # much later: the stop itself hangs
            os.kill(os.getpid(), signal.SIGINT)


def test_handlers_are_put_back_and_can_be_put_in_place_again() -> None:
    before = [signal.getsignal(s) for s in interrupts.SIGNALS]
    one = Interrupts()
    with one.handled():
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # as Ray does while it starts
        one.install()
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGTERM)
    assert [signal.getsignal(s) for s in interrupts.SIGNALS] == before


def test_a_signal_during_a_record_leaves_journal_and_memory_alike(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[Record] = []
    engine = open_engine(tmp_path, plan(trials=2), listeners=(heard.append,))
    sync = os.fsync

    def signalled(handle: int) -> None:
        sync(handle)
        monkeypatch.setattr(os, "fsync", sync)
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(os, "fsync", signalled)
    with engine.interrupts.handled(), pytest.raises(KeyboardInterrupt):
        engine.next()
    assert list(engine.history.trials) == [0]
    assert engine.running == {0}
    assert heard == engine.journal.records == read(engine.journal.path)
    engine.stop("stopped by the user")
    assert engine.history.counts() == {"interrupted": 1}
