"""Conditions of a batch: rows, copies, and what is left of them without classes and numbers."""

from __future__ import annotations

import torch

from bench.conditions import Condition

CLASSES = torch.tensor([2, 0, 1])
IMAGES = torch.arange(12.0).view(3, 1, 2, 2)
VECTOR = torch.tensor([[0.1, 0.2], [0.3, 0.4], [0.5, 0.6]])
FULL = Condition(classes=CLASSES, images=IMAGES, vector=VECTOR)


def parts(cond: Condition) -> list[list[object] | None]:
    return [None if t is None else t.tolist() for t in (cond.classes, cond.images, cond.vector)]


def test_rows_go_together() -> None:
    assert parts(FULL.rows([2, 0])) == [[1, 2], IMAGES[[2, 0]].tolist(), VECTOR[[2, 0]].tolist()]
    assert parts(FULL.rows(slice(1, 2)))[0] == [0]
    assert parts(FULL.to("cpu")) == parts(FULL)


def test_the_unconditional_keeps_what_is_to_be_restored() -> None:
    free = FULL.unconditional()
    assert parts(free) == [[-1, -1, -1], IMAGES.tolist(), [[0, 0], [0, 0], [0, 0]]]
    assert CLASSES.tolist() == [2, 0, 1]


def test_some_cases_can_be_dropped_for_training() -> None:
    dropped = FULL.unconditional(torch.tensor([False, True, False]))
    kept = torch.tensor([[1.0], [0.0], [1.0]])
    assert parts(dropped) == [[2, -1, 1], IMAGES.tolist(), (VECTOR * kept).tolist()]
    assert parts(Condition().unconditional(torch.tensor([True]))) == [None, None, None]
