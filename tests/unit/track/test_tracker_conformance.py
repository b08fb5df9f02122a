"""The trackers' conformance suite: ours pass it, and each way of breaking the contract fails."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from bench.errors import BenchError
from bench.track import TRACKERS, tracker_conformance
from bench.track.fields import Record, public
from bench.track.store import resolve
from bench.track.tracker import Opener
from bench.track.tracker_conformance import check
from tests.unit.track.dump import dump


class Lines:
    """The smallest tracker: every record but its pictures, a line each, in one file a sweep."""

    title, notes = "Lines", ()
    kinds = ("plan", "extend", "suggest", "start", "report", "outcome", "end")

    def __init__(self, home: Path, uri: str | None, share_real: bool) -> None:
        self.place, self.file = "a file", home / "lines.jsonl"
        self.records: list[Record] = []
        self.trials: set[int] = set()

    def check(self) -> list[str]:
        return []

    def take(self, record: Record) -> None:
        if record["kind"] == "suggest":
            self.trials.add(record["trial"])
        elif record.get("trial", -1) not in {-1, *self.trials}:
            raise ValueError(f"no trial {record['trial']}")
        if record["kind"] in self.kinds:
            self.records.append(self.shown(record))

    def shown(self, record: Record) -> Any:
        return public({k: v for k, v in record.items() if k != "artifacts"})

    def text(self) -> str:
        return "".join(json.dumps(record) + "\n" for record in self.records)

    def project(self, records: Iterable[Record] = ()) -> None:
        for record in records:
            self.take(record)
        self.file.write_text(self.text())

    def close(self) -> None:
        pass


class WritesWhenOpened(Lines):
    def take(self, record: Record) -> None:
        super().take(record)
        self.file.write_text("")


class Appends(Lines):
    def project(self, records: Iterable[Record] = ()) -> None:
        before, self.records = self.records, []
        super_records = list(records)
        for record in super_records:
            self.take(record)
        with open(self.file, "a") as file:
            file.write(self.text())
        self.records = before + self.records


class ForgetsWhatWasBefore(Lines):
    def text(self) -> str:
        return "".join(f"{record['kind']} of {len(self.records)}\n" for record in self.records[-3:])

    def project(self, records: Iterable[Record] = ()) -> None:
        self.records = []
        for record in records:
            self.take(record)
        if self.records:
            self.file.write_text(self.text())


class TellsPlaces(Lines):
    def shown(self, record: Record) -> Any:
        return dict(record)


class CopiesPictures(Lines):
    def take(self, record: Record) -> None:
        super().take(record)
        self.pictures = [a for a in record.get("artifacts", ()) if Path(a["path"]).is_file()]

    def project(self, records: Iterable[Record] = ()) -> None:
        super().project(records)
        for record in records:
            for artifact in record.get("artifacts", ()):
                source = Path(artifact["path"])
                (self.file.parent / artifact["name"]).write_bytes(source.read_bytes())


class TakesAnything(Lines):
    def take(self, record: Record) -> None:
        if record["kind"] in self.kinds:
            self.records.append(self.shown(record))


class ChangesRecords(Lines):
    def take(self, record: Record) -> None:
        super().take(record)
        record["seen"] = True  # type: ignore[index]  # which is what is wrong with it


class WritesNothing(Lines):
    def project(self, records: Iterable[Record] = ()) -> None:
        for record in records:
            self.take(record)


class Raises(Lines):
    def close(self) -> None:
        raise RuntimeError("closed twice")


def test_the_smallest_tracker_passes() -> None:
    assert check(Lines, "Lines") == 6


@pytest.mark.parametrize(
    ("broken", "what"),
    [
        (WritesWhenOpened, "opens without writing"),
        (Appends, "same records again changed"),
        (ForgetsWhatWasBefore, "piece by piece"),
        (TellsPlaces, "holds a path of the user's data"),
        (CopiesPictures, "holds a picture of real images"),
        (TakesAnything, "never suggested is taken"),
        (ChangesRecords, "changes the records"),
        (WritesNothing, "nothing is written below the home"),
        (Raises, "raises RuntimeError: closed twice"),
    ],
)
def test_each_breach_is_named(broken: Opener, what: str) -> None:
    with pytest.raises(BenchError, match=what) as caught:
        check(broken, "mine.py:Broken")
    assert "tracker mine.py:Broken breaks its contract" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_tensorboard_passes() -> None:
    assert check(TRACKERS.load("tensorboard"), "tensorboard") == 6


@pytest.mark.slow
def test_mlflow_passes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Its database differs by ids that it draws: compared by the runs in it."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(tmp_path)

    def runs(home: Path) -> Any:
        content = dump(resolve(None, home))
        for run in content.values():
            run["tags"].pop("mlflow.artifactRoot", None)
        return content

    assert check(TRACKERS.load("mlflow"), "mlflow", runs) == 6
    assert not list(tmp_path.iterdir())  # nothing elsewhere than below the home


def test_a_users_own_comes_through_the_same_door(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text("from tests.unit.track.test_tracker_conformance import Lines, TellsPlaces\n")
    assert TRACKERS.load(f"{file}:Lines") is Lines
    with pytest.raises(BenchError, match="holds a path"):
        TRACKERS.load(f"{file}:TellsPlaces")
    with pytest.raises(BenchError, match="unknown tracker 'tensorbord'; did you mean"):
        TRACKERS.load("tensorbord")


def test_the_journal_of_the_suite_has_paths_and_both_pictures(tmp_path: Path) -> None:
    """The suite would pass everything if there were nothing in it to keep back."""
    text = json.dumps(tracker_conformance.journal(tmp_path))
    assert text.count(tracker_conformance.SECRET) > 8
    assert tracker_conformance.REAL in (tmp_path / "real.png").read_bytes()
