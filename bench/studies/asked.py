"""What the user asked of a study: what its plan keeps, so that asking the same again goes on."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.errors import BenchError


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What the user asked for; `reading` are fields of bench.data.reading.Reading."""

    workload: str
    study: str
    scale: str | None = None
    data: Path | None = None
    reading: Mapping[str, Any] = field(default_factory=dict)
    settings: tuple[str, ...] = ()
    seed: int = 0
    budget: float = 1.0  # times the study's own
    equal: str | None = None  # what arms have alike; None: as the study has it
    seeds: int | None = None
    of: str | None = None  # a sweep that has the network which the study is about
    trial: int | None = None  # of that sweep; None: its best on select
    concurrency: int | None = None
    address: str | None = None
    anew: bool = False  # though the same was asked before and has no findings yet

    def __post_init__(self) -> None:
        if self.data is not None:  # a resume may start from another folder
            object.__setattr__(self, "data", self.data.expanduser().resolve())
        given = {
            "--data": self.data,
            "--scale": self.scale,
            "--set": self.settings,
            "--budget": self.budget != 1.0,
            "--equal": self.equal,
            "--seeds": self.seeds,
        }
        given |= {f"--{key.replace('_', '-')}": value for key, value in self.reading.items()}
        refused = [option for option, value in given.items() if value]
        if self.of is not None and refused:
            raise BenchError(f"--of takes all that {self.of} was run with; leave out {refused[0]}")
        if self.of is None and self.trial is not None:
            raise BenchError(f"--trial {self.trial} is of a sweep; name it with --of")

    @property
    def record(self) -> dict[str, Any]:
        """All that a study's trials and findings depend on, as a plan keeps it."""
        body = {k: v for k, v in dataclasses.asdict(self).items() if k not in HOW}
        plain = {k: str(v) if isinstance(v, Path) else v for k, v in body.items()}
        whole: dict[str, Any] = json.loads(json.dumps(plain | {"settings": sorted(self.settings)}))
        return whole

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Asked:
        """What was asked, of `record`."""
        data = record["data"]
        whole = {**record, "settings": tuple(record["settings"])}
        return cls(**{**whole, "data": None if data is None else Path(data)})


HOW = ("concurrency", "address", "anew")  # where trials run changes nothing that they find
