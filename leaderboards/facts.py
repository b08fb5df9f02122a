"""What a board must know of a sweep beside its rows: device, data, measures, what held for all.

Plain data, read from the sweep's plan in one place, so that a board from the journal and one from
MLflow are told the same.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from leaderboards.measures import Measure
from leaderboards.references import Reference
from leaderboards.scrubbing import scrubbed, without_places


@dataclass(frozen=True, kw_only=True)
class SweepFacts:
    """Of one sweep. Texts name no places.

    device: the machine in one line; "" where it is not known.
    data_notes: the data's problems in sentences (files skipped, subjects guessed), without names
        of files.
    measures: the numbers that have a column, in order. Rows may carry more, which only the csv and
        json forms show.
    cell_axes: names of the parameters that verdicts are about, in order.
    references: rows that are no entries.
    conditions: sentences on what held for all trials and a reader of their scores must know.
    """

    sweep: str
    device: str = ""
    data_name: str = ""
    data_simulated: bool = False
    data_notes: tuple[str, ...] = ()
    measures: tuple[Measure, ...] = ()
    cell_axes: tuple[str, ...] = ()
    references: tuple[Reference, ...] = ()
    conditions: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """JSON-able; `from_dict` gives the same facts back."""
        values = {spec.name: getattr(self, spec.name) for spec in dataclasses.fields(self)}
        return {
            **{k: list(v) if isinstance(v, tuple) else v for k, v in values.items()},
            "measures": [measure.to_dict() for measure in self.measures],
            "references": [reference.to_dict() for reference in self.references],
        }

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> SweepFacts:
        """ValueError for a record that is none."""
        values: dict[str, Any] = {
            k: tuple(v) if isinstance(v, list) else v for k, v in record.items()
        }
        values["measures"] = tuple(map(Measure.from_dict, record.get("measures", ())))
        values["references"] = tuple(map(Reference.from_dict, record.get("references", ())))
        try:
            return cls(**values)
        except TypeError as error:
            raise ValueError(f"no facts of a sweep: {error}") from error


def facts_of(plan: Mapping[str, Any]) -> SweepFacts:
    """The facts in a sweep's plan record. ValueError where its measures are none."""
    data = plan.get("data") or {}
    return SweepFacts(
        sweep=str(plan.get("sweep", "")),
        device=device_text(plan.get("device") or ""),
        data_name=scrubbed(str(data.get("name", ""))),
        data_simulated=bool(data.get("simulated", False)),
        data_notes=tuple(scrubbed(str(note)) for note in data.get("notes") or ()),
        measures=tuple(map(Measure.from_dict, plan.get("measures") or ())),
        references=tuple(map(Reference.from_dict, plan.get("references") or ())),
        cell_axes=tuple(plan.get("cell_axes") or ()),
        conditions=tuple(scrubbed(str(line)) for line in plan.get("notes") or ()),
    )


def device_text(device: Mapping[str, Any] | str) -> str:
    """The machine in one line: its record's "text", or its plain values by name."""
    if isinstance(device, str):
        return without_places(device)
    if isinstance(device.get("text"), str):
        return without_places(str(device["text"]))
    values = {k: v for k, v in scrubbed(device).items() if isinstance(v, str | int | float)}
    return ", ".join(f"{key} {value}" for key, value in values.items())
