"""Limits to a user's code: one within another, and what was there before."""

from __future__ import annotations

import signal
import time

import pytest

from bench.time_limit import EndlessError, time_limit


def sleep_after_an_inner_limit() -> None:
    with time_limit(0.2):
        with time_limit(5):
            pass
        time.sleep(5)


def test_a_limit_within_a_limit_leaves_it_in_force() -> None:
    with pytest.raises(EndlessError):
        sleep_after_an_inner_limit()


def test_the_outer_limit_ends_the_inner_block() -> None:
    begun = time.monotonic()
    with pytest.raises(EndlessError), time_limit(0.2), time_limit(60):
        time.sleep(30)
    assert time.monotonic() - begun < 20


def test_what_was_there_before_is_there_again() -> None:
    before = signal.getsignal(signal.SIGALRM)
    with time_limit(5):
        assert signal.getsignal(signal.SIGALRM) is not before
    assert signal.getsignal(signal.SIGALRM) is before
