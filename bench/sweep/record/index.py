"""Trials found by what is asked of them, without going through all.

A trial stands under several keys: each is a question and one of its answers, as ("outcome",
"waiting"). Under a key trials stand in order of a value, and of their numbers where it is the same.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Hashable, Iterator, Mapping, Sequence
from typing import Any

Place = tuple[float, int]  # a trial's value under a key, and its number
Keys = Mapping[tuple[str, Hashable], float]  # what a trial stands under, and its value there


class Index:
    """The places of trials under keys. Whoever owns it says when a trial's keys change."""

    def __init__(self) -> None:
        self._places: dict[str, dict[Hashable, list[Place]]] = {}

    def move(self, number: int, before: Keys, now: Keys) -> None:
        """Trial `number` stood under the keys `before`; it stands under those of `now`."""
        for (question, answer), value in before.items() - now.items():
            places = self._places[question][answer]
            at = bisect_left(places, (value, number))
            assert places[at] == (value, number), "a trial changed beside its history"
            del places[at]
            if not places:
                del self._places[question][answer]
        for (question, answer), value in now.items() - before.items():
            answers = self._places.setdefault(question, {})
            insort(answers.setdefault(answer, []), (value, number))

    def answers(self, question: str) -> list[Any]:
        """Those that some trial gives."""
        return list(self._places.get(question, ()))

    def places(self, question: str, answer: Hashable = ()) -> Sequence[Place]:
        """Of the trials under a key, in order."""
        return self._places.get(question, {}).get(answer, ())

    def count(self, question: str, answer: Hashable = ()) -> int:
        """How many trials stand under a key."""
        return len(self.places(question, answer))

    def numbers(self, question: str, answer: Hashable = ()) -> Iterator[int]:
        """The trials under a key, in order."""
        return (number for _, number in self.places(question, answer))

    def median(self, question: str) -> float | None:
        """The median value under a key; None: of no trial."""
        places = self.places(question)
        half = len(places) // 2
        if not places:
            return None
        return (places[half][0] + places[~half][0]) / 2
