"""Slots: the smallest share that holds a trial, with its margin."""

from __future__ import annotations

import pytest

from bench.sweep.cost import slots


@pytest.mark.parametrize(
    ("peak", "share"), [(1.0, 0.125), (9.0, 0.125), (9.2, 0.25), (36.0, 0.5), (60, 1), (99, 1)]
)
def test_the_smallest_slot_that_holds_it(peak: float, share: float) -> None:
    assert slots.slot(peak, 80.0) == share


def test_what_shares_a_device_fits_it_even_where_predictions_were_low() -> None:
    for size in slots.SIZES:
        peak = size * 80.0 / slots.MARGIN * 0.999
        assert slots.slot(peak, 80.0) == size
        assert peak * slots.MARGIN * (1 / size) <= 80.0


def test_most_is_what_the_smallest_slot_lets() -> None:
    assert slots.MOST == 8
    assert slots.MOST * slots.SIZES[0] == 1.0
