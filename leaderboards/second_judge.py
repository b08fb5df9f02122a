"""Whether a verdict holds under a second extractor, where the score rests on one (contract 9).

A distance sees what its features see, so a winner has to lead under another one as well: a
`Measure` that is a witness. The board's whole comparison is made again on it, with its looks and
its spreads; subjects are not in its errors. The leader by the score stands there if it leads there
too. Those ahead of it may be so by luck: a race gives them new seeds.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from leaderboards.measures import Measure
from leaderboards.rows import Row

if TYPE_CHECKING:
    from leaderboards.entries import Entry
    from leaderboards.rank import Ranked, Ranking

EXTRACTOR = "extractor"  # of a protocol whose score is a distance between features


@dataclass(frozen=True, kw_only=True)
class SecondJudge:
    """What a witness says of the leader by the score. ahead: the entries that are better there by
    value, best first. may_be_best: the leader by the score, there."""

    measure: Measure
    ahead: tuple[Entry, ...]
    may_be_best: bool

    @property
    def stands(self) -> bool:
        return not self.ahead


def witnesses(measures: Sequence[Measure], score: Measure) -> tuple[Measure, ...]:
    """Those that a winner has to stand under beside the score."""
    return tuple(m for m in measures if m.witness and m.key != score.key)


def under(rows: Sequence[Row], measure: Measure) -> list[Row]:
    """The rows with this measure in place of the score; none where it is not known of all."""
    if any(row.outcome == "completed" and measure.key not in row.values for row in rows):
        return []
    scored_by = {
        "metric": measure.key.removeprefix("eval/"),
        "direction": measure.direction,
        "scale": measure.scale,
        "unit": measure.unit,
    }
    return [
        dataclasses.replace(
            row,
            protocol={**row.protocol, **scored_by},
            score=row.values.get(measure.key),
            score_se=row.values.get(measure.se_key),
            select=None,
            rungs=[],
            left_out={},
        )
        for row in rows
    ]


def heard(measure: Measure, leader: Ranked, ranking: Ranking) -> SecondJudge:
    """What `ranking`, made under a witness, says of the leader by the score."""
    places = measure.in_order(ranking.ranked, lambda place: place.score)
    own = next(place for place in places if place.entry.entry_id == leader.entry.entry_id)
    ahead = tuple(p.entry for p in places if measure.better(p.score, own.score))
    return SecondJudge(measure=measure, ahead=ahead, may_be_best=own.may_be_best)


def line(judge: SecondJudge, leader: Ranked) -> str:
    """For the claims."""
    own, score = leader.entry.first.label, leader.entry.first.score_measure.title
    if judge.stands:
        return f"second judge: under {judge.measure.title} {own} leads too"
    can = "may be" if judge.may_be_best else "cannot be"
    return (
        f"second judge: under {judge.measure.title} {judge.ahead[0].first.label} leads; {own}, "
        f"first under {score}, is behind {len(judge.ahead)} there and {can} the best"
    )
