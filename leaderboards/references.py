"""Reference rows: what real pictures, copies and the simplest model score where entries do.

They are measured once, before the trials, as entries are: so many pictures, on the report part. The
floor is what other subjects' real pictures score: nothing is expected to do better, and entries
within a few floors of it are hardly told apart by the score. A reference has no rank.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from leaderboards.measures import Measure

FLOOR = "floor by subject"  # the key of the one that is the floor
NEAR = 3  # floors: a leader within so many is near


@dataclass(frozen=True, kw_only=True)
class Reference:
    """One row. values: by the key of a measure, errors under "_se"; the score's among them.

    count: pictures that were measured; None where it is not known. notes: what limits it, in
    sentences.
    """

    key: str
    title: str
    count: int | None
    values: dict[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def score(self, measure: Measure) -> float | None:
        return self.values.get(measure.key)

    def to_dict(self) -> dict[str, Any]:
        return {**dataclasses.asdict(self), "notes": list(self.notes)}

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Reference:
        """ValueError for a record that is none."""
        try:
            return cls(**{**record, "notes": tuple(record.get("notes", ()))})
        except TypeError as error:
            raise ValueError(f"no reference: {error}") from error


def lines(
    references: Sequence[Reference],
    measure: Measure,
    scores: Sequence[float],
    protocol: Mapping[str, Any],
) -> list[str]:
    """What a reader of these scores must know beside them: the floor, and who is near it."""
    told = []
    known = [(one.title, score) for one in references if (score := one.score(measure)) is not None]
    if known:
        shown = ", ".join(f"{title} {score:.3g}" for title, score in known)
        told.append(f"references: {measure.title} of {shown}")
        told += [f"reference {one.title}: {note}" for one in references for note in one.notes]
    told += _near_the_floor(references, measure, scores)
    samples, features = protocol.get("n_samples"), protocol.get("num_features")
    if isinstance(samples, int) and isinstance(features, int) and samples < features:
        told.append(
            f"warning: {samples} samples for {features} features: their covariance is not known in "
            "every direction, and the score leans on how few they are"
        )
    return told


def _near_the_floor(
    references: Iterable[Reference], measure: Measure, scores: Sequence[float]
) -> list[str]:
    floor = next((one.score(measure) for one in references if one.key == FLOOR), None)
    if not floor or floor <= 0 or not scores or measure.scale != "ratio":
        return []
    leader = measure.best(scores)
    times = leader / floor
    if measure.direction != "lower" or times >= NEAR:
        return []
    return [
        f"warning: the leading {measure.title} is {times:.2g} floors (what other subjects' real "
        f"pictures score): so near to it the score can hardly tell entries apart"
    ]


def as_entries(
    references: Iterable[Reference], like: Mapping[str, Any], measure: Measure
) -> list[dict[str, Any]]:
    """References as an entry's JSON, with its keys: nothing where there is nothing to say."""
    scored = (measure.key, measure.se_key)
    beside = ("workload", "scale", "protocol_digest", "data_digest", "data_simulated")
    return [
        {
            **dict.fromkeys(like),
            **{key: like[key] for key in beside},
            "entry_id": f"reference: {one.key}",
            "label": one.title,
            "cell": {},
            "may_be_best": False,
            "score": one.score(measure),
            "score_se": one.values.get(measure.se_key),
            "values": {k: v for k, v in one.values.items() if k not in scored},
            "outcome": "reference",
            "cause": "; ".join(one.notes),
            "n_seeds": 0,
            "seeds": [],
            "params": {},
        }
        for one in references
    ]
