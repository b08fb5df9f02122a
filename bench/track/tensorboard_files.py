"""The tracker 'tensorboard': event files below HOME/tensorboard, one run folder a trial.

    HOME/tensorboard/SWEEP/        the plan, and the summary at the end
    HOME/tensorboard/SWEEP/0007/   trial 7: curves by images seen, parameters, outcome, pictures

The content of a file is a function of the records alone. What a file already holds is compared
with it byte by byte: the file is left alone, gets the rest appended, or is replaced.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import struct
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

from bench.errors import BenchError
from bench.files import PART, whole
from bench.track import fields
from bench.track.fields import Record, milliseconds
from leaderboards.rows import ON_ITS_WAY, Row
from leaderboards.scrubbing import without_places

EVENTS = "events.out.tfevents"  # TensorBoard reads the files of a folder in their names' order
FORMATS = ("PNG", "JPEG")  # that TensorBoard shows
LAST_PHASES = ("final", "end")
SUCCESS = ("completed", "pruned")


def open_tracker(home: Path, uri: str | None, share_real: bool) -> TensorBoardFiles:
    """The tracker 'tensorboard'.

    Raises BenchError for a URI, which it does not take, and without the package.
    """
    if uri is not None:
        raise BenchError("--tracker tensorboard writes below --home; leave out --tracking-uri")
    try:
        import tensorboardX  # noqa: F401
    except ImportError as error:
        raise BenchError(
            "--tracker tensorboard needs a package: pip install 'diffusion-bench[tensorboard]'"
        ) from error
    return TensorBoardFiles(home, share_real=share_real)


@dataclass(kw_only=True)
class _Trial:
    """A trial's events so far; `content` is given up once the trial has ended and is written."""

    number: int
    content: bytes | None
    nimg: int = 0
    reported: set[str] = field(default_factory=set)  # metrics of the final report
    row: Row | None = None
    artifacts: tuple[Record, ...] = ()
    outcome: Record | None = None
    dirty: bool = True


class TensorBoardFiles:
    """A `bench.track.tracker.Tracker` of event files."""

    title = "TensorBoard"

    def __init__(self, home: Path, *, share_real: bool = False) -> None:
        self._root, self._share_real = home / "tensorboard", share_real
        self.notes: list[str] = []
        self._plan: dict[str, Any] = {}
        self._content = b""  # of the sweep's own file
        self._trials: dict[int, _Trial] = {}
        self._begun = False

    @property
    def place(self) -> str:
        return str(self._root)

    def check(self) -> list[str]:
        """The folder can be written."""
        try:
            self._root.mkdir(parents=True, exist_ok=True)
            if not os.access(self._root, os.W_OK):
                raise PermissionError("no permission to write")
        except OSError as error:
            raise BenchError(
                f"cannot write in {self._root}: {error}; choose another --home"
            ) from error
        return []

    def take(self, record: Record) -> None:
        kind = record["kind"]
        if kind in ("plan", "extend", "end"):
            self._content += self._of_sweep(record)
        elif kind == "suggest":
            self._trials[record["trial"]] = _Trial(
                number=record["trial"], content=_start(record["t"]) + self._of_suggestion(record)
            )
        elif kind in ("start", "report", "outcome"):
            self._take_of_trial(self._trials[record["trial"]], record)

    def _take_of_trial(self, trial: _Trial, record: Record) -> None:
        if trial.content is None:
            raise ValueError(f"{record['kind']} of trial {trial.number} after its end")
        trial.dirty, kind = True, record["kind"]
        if record.get("artifacts"):
            trial.artifacts = tuple(record["artifacts"])
        if record.get("row") is not None:
            trial.row = Row.from_dict(record["row"])
        if kind == "report":
            points = fields.report_points(record)
            trial.nimg = int(record["nimg"])
            trial.content += _scalars(points)
            if record["phase"] in LAST_PHASES:
                trial.reported |= {key for key, *_ in points}
        elif kind == "outcome":
            trial.content += self._of_outcome(trial, record)
        trial.outcome = record if kind == "outcome" else None

    def project(self, records: Iterable[Record] = ()) -> None:
        for record in records:
            self.take(record)
        if not self._plan:
            return
        folder = self._root / Path(str(self._plan["sweep"])).name
        self._root.mkdir(parents=True, exist_ok=True)
        with _locked(self._root / f".{folder.name}.lock"):
            self._write_sweep(folder)
            for trial in self._trials.values():
                if trial.dirty and trial.content is not None:
                    self._write_trial(folder / f"{trial.number:04d}", trial, trial.content)

    def close(self) -> None:
        """No file stays open."""

    def _write_sweep(self, folder: Path) -> None:
        """The sweep's own file; what another sweep left under the same name goes first."""
        file = folder / EVENTS
        there = _read(file)
        if not self._begun and folder.exists():
            shared = min(len(there), len(self._content))
            if not shared or there[:shared] != self._content[:shared]:
                shutil.rmtree(folder)
                self.notes.append(f"another sweep's event files under {folder.name} were replaced")
            for leftover in folder.rglob(f"{PART}*{EVENTS}*"):  # of a driver that was killed
                leftover.unlink()
        self._begun = True
        _write(file, self._content)

    def _write_trial(self, folder: Path, trial: _Trial, content: bytes) -> None:
        _write(folder / EVENTS, content)
        if trial.outcome is not None:
            for artifact in trial.artifacts:
                self._write_picture(folder, trial, artifact, float(trial.outcome["t"]))
            if trial.outcome["outcome"] not in ON_ITS_WAY:
                trial.content = None
        trial.dirty = False

    def _write_picture(self, folder: Path, trial: _Trial, artifact: Record, t: float) -> None:
        """A picture has a file of its own: once there it stays, though its source may go."""
        if artifact.get("real", True) and not self._share_real:
            return
        name, path = Path(str(artifact["name"])).name, Path(artifact["path"])
        file = folder / f"{EVENTS}.{name}"
        if path.is_file():
            picture = _picture(f"samples/{name}", path, t, trial.nimg)
            if picture is not None:
                _write(file, _start(t) + picture)
                return
        if not file.exists():
            self.notes.append(f"trial {trial.number}: {name} is gone or no picture, left out")

    def _of_sweep(self, record: Record) -> bytes:
        """Events of a plan, of what was added to it, and of the end."""
        kind, t = record["kind"], float(record["t"])
        if kind == "end":
            return _scalars(fields.summary_points(record.get("summary") or {}, milliseconds(t)))
        if kind == "plan":
            if self._plan and self._plan["sweep"] != record["sweep"]:
                raise ValueError(f"a tracker of {self._plan['sweep']!r} got another sweep's plan")
            self._plan = dict(record)
        else:
            self._plan |= record.get("plan", {})
        text = f"{fields.description(self._plan)}\n\n{_table(_public(self._plan))}"
        start = _start(t) if kind == "plan" else b""
        return start + _text(kind, text, t)

    def _of_suggestion(self, suggest: Record) -> bytes:
        t, values = float(suggest["t"]), {**suggest["params"], "seed": suggest["seed"]}
        parameters: dict[str, Any] = {  # numbers as numbers, where TensorBoard filters by them
            key: values[key] if isinstance(values.get(key), int | float) else text
            for key, text in fields.params(values).items()
        }
        data = fields.data_kind((self._plan.get("data") or {}).get("simulated"))
        shown = {"trial": fields.trial_name(suggest), "data": data, **parameters}
        metric = (self._plan.get("protocol") or {}).get("metric", "score")
        return _hyperparameters(parameters, f"eval/{metric}", t) + _text(
            "parameters", _table(shown), t
        )

    def _of_outcome(self, trial: _Trial, record: Record) -> bytes:
        t, outcome = float(record["t"]), str(record["outcome"])
        cause = without_places(str(record["cause"]))
        events = _text("outcome", f"{outcome}: {cause}" if cause else outcome, t, trial.nimg)
        if outcome in ON_ITS_WAY:
            return events
        if trial.row is not None:
            at = milliseconds(t), trial.nimg
            events += _scalars(fields.row_points(trial.row, *at, trial.reported))
        return events + _hyperparameters_end(outcome in SUCCESS, t)


def _public(plan: Record) -> dict[str, Any]:
    """The facts of a plan that are one value each, without places."""
    flat = {k: v for k, v in fields.public(plan).items() if not isinstance(v, dict | list)}
    protocol = fields.public(plan.get("protocol") or {})
    return flat | {f"protocol.{k}": v for k, v in protocol.items()}


def _table(values: Mapping[str, Any]) -> str:
    """A Markdown table of names and values."""
    lines = [f"| {key} | {str(value).replace('|', '/')} |" for key, value in values.items()]
    return "\n".join(["| name | value |", "|---|---|", *lines])


def _start(t: float) -> bytes:
    """What every event file begins with."""
    return _framed(wall_time=float(t), file_version="brain.Event:2")


def _scalars(points: Iterable[fields.Point]) -> bytes:
    """One event a time and step; TensorBoard keeps values in float32."""
    from tensorboardX.proto.summary_pb2 import Summary

    events = b""
    for (t, step), group in groupby(points, key=lambda point: point[2:]):
        values = [Summary.Value(tag=key, simple_value=value) for key, value, *_ in group]
        events += _framed(wall_time=t / 1000, step=step, summary=Summary(value=values))
    return events


def _text(tag: str, text: str, t: float, step: int = 0) -> bytes:
    from tensorboardX.summary import text as summary

    return _framed(wall_time=t, step=step, summary=summary(tag, text))


def _hyperparameters(values: Mapping[str, Any], metric: str, t: float) -> bytes:
    """The trial's row in the HPARAMS tab: its parameters, and which metric it is judged by."""
    from tensorboardX.proto.api_pb2 import DataType, Experiment, HParamInfo, MetricInfo, MetricName
    from tensorboardX.proto.plugin_hparams_pb2 import SessionStartInfo

    start, infos = SessionStartInfo(start_time_secs=t), []
    for key, value in values.items():
        if isinstance(value, bool):
            kind, start.hparams[key].bool_value = "BOOL", value
        elif isinstance(value, int | float):
            kind, start.hparams[key].number_value = "FLOAT64", float(value)
        else:
            kind, start.hparams[key].string_value = "STRING", str(value)
        infos.append(HParamInfo(name=key, type=DataType.Value(f"DATA_TYPE_{kind}")))
    metrics = [MetricInfo(name=MetricName(tag=metric))]
    experiment = Experiment(hparam_infos=infos, metric_infos=metrics)
    return _plugin("experiment", t, experiment=experiment) + _plugin(
        "session_start_info", t, session_start_info=start
    )


def _hyperparameters_end(success: bool, t: float) -> bytes:
    from tensorboardX.proto.api_pb2 import Status
    from tensorboardX.proto.plugin_hparams_pb2 import SessionEndInfo

    status = Status.Value("STATUS_SUCCESS" if success else "STATUS_FAILURE")
    return _plugin(
        "session_end_info", t, session_end_info=SessionEndInfo(status=status, end_time_secs=t)
    )


def _plugin(name: str, t: float, **content: Any) -> bytes:
    from tensorboardX.proto.plugin_hparams_pb2 import HParamsPluginData
    from tensorboardX.proto.summary_pb2 import Summary, SummaryMetadata

    data = HParamsPluginData(version=0, **content).SerializeToString(deterministic=True)
    plugin = SummaryMetadata.PluginData(plugin_name="hparams", content=data)
    metadata = SummaryMetadata(plugin_data=plugin)
    value = Summary.Value(tag=f"_hparams_/{name}", metadata=metadata)
    return _framed(wall_time=t, summary=Summary(value=[value]))


def _picture(tag: str, path: Path, t: float, step: int) -> bytes | None:
    """A picture as its file holds it; None if that is no picture."""
    from PIL import Image, UnidentifiedImageError
    from tensorboardX.proto.summary_pb2 import Summary

    try:
        with Image.open(path, formats=FORMATS) as picture:
            (width, height), bands = picture.size, len(picture.getbands())
    except (UnidentifiedImageError, OSError):
        return None
    image = Summary.Image(
        height=height, width=width, colorspace=bands, encoded_image_string=path.read_bytes()
    )
    summary = Summary(value=[Summary.Value(tag=tag, image=image)])
    return _framed(wall_time=t, step=step, summary=summary)


def _framed(**event: Any) -> bytes:
    """An event as a TFRecord: length, its checksum, the event, its checksum."""
    from tensorboardX.proto.event_pb2 import Event
    from tensorboardX.record_writer import masked_crc32c

    data = Event(**event).SerializeToString(deterministic=True)
    length = struct.pack("<Q", len(data))
    checks = struct.pack("<I", masked_crc32c(length)), struct.pack("<I", masked_crc32c(data))
    return length + checks[0] + data + checks[1]


def _read(file: Path) -> bytes:
    return file.read_bytes() if file.exists() else b""


def _write(file: Path, content: bytes) -> None:
    """Leave at least `content` in the file; a reader that follows the file is not disturbed."""
    there = _read(file)
    if there.startswith(content):
        return
    if there and content.startswith(there):
        with open(file, "ab") as out:
            out.write(content[len(there) :])
    else:
        with whole(file) as part:
            part.write_bytes(content)


@contextmanager
def _locked(file: Path) -> Iterator[None]:
    """One process at a time writes a sweep's files: a sweep may run while it is synced."""
    with open(file, "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
