"""Whether a verdict holds under a second extractor, where the score rests on one (contract 9).

A distance sees what its features see, so a winner has to stand under another one as well: a
`Measure` that is a witness. The board's whole comparison is made again on it, with its looks and
its spreads; subjects are not in its errors. The leader by the score stands there if it may be the
best there and no entry that was confirmed as it was is better there.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from leaderboards.measures import Measure
from leaderboards.rows import Row

if TYPE_CHECKING:
    from leaderboards.rank import Ranked, Ranking

EXTRACTOR = "extractor"  # of a protocol whose score is a distance between features


@dataclass(frozen=True, kw_only=True)
class SecondJudge:
    """What a witness says of the leader by the score. leader: who leads under the witness."""

    measure: Measure
    leader: str
    leader_id: str
    may_be_best: bool  # the leader by the score, there
    stands: bool


def witnesses(measures: Sequence[Measure], score: Measure) -> tuple[Measure, ...]:
    """Those that a winner has to stand under beside the score."""
    return tuple(m for m in measures if m.witness and m.key != score.key)


def under(rows: Sequence[Row], measure: Measure) -> list[Row]:
    """The rows with this measure in place of the score; completed ones without it are left out."""
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
        if row.outcome != "completed" or measure.key in row.values
    ]


def heard(measure: Measure, leader: Ranked, ranking: Ranking) -> SecondJudge | None:
    """What `ranking`, made under a witness, says of the leader by the score; None where it ranks
    nothing."""
    if not ranking.may_be_best:
        return None
    first = measure.in_order(ranking.may_be_best, lambda place: place.score)[0].entry
    own = [p for p in ranking.ranked if p.entry.entry_id == leader.entry.entry_id]
    may_be_best = bool(own) and own[0].may_be_best
    ahead = own and any(
        place.entry.confirmed and measure.better(place.score, own[0].score)
        for place in ranking.ranked
        if place.entry.first.trained == leader.entry.first.trained
    )
    return SecondJudge(
        measure=measure,
        leader=first.first.label,
        leader_id=first.entry_id,
        may_be_best=may_be_best,
        stands=may_be_best and not (leader.entry.confirmed and ahead),
    )


def line(judge: SecondJudge, leader: Ranked) -> str:
    """For the claims."""
    own, score = leader.entry.first.label, leader.entry.first.score_measure.title
    lead = f"second judge: under {judge.measure.title} {judge.leader} leads"
    if judge.leader_id == leader.entry.entry_id:
        return f"{lead} too"
    if judge.stands:
        return f"{lead}; {own}, first under {score}, may be the best there too"
    if judge.may_be_best:
        return (
            f"{lead}; {own}, first under {score}, may be the best there, but another that was "
            "confirmed beside it is better there"
        )
    return f"{lead}, and {own}, first under {score}, cannot be the best there"
