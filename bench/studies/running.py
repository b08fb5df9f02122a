"""Runs a study here: its data, its trials one after another, its findings as a folder.

HOME/studies/WORKLOAD-NAME-1/ holds a CSV for each table, a PNG for each picture, and study.json.
It is written beside its place and renamed into it, so that it is whole or absent.
"""

from __future__ import annotations

import contextlib
import csv
import dataclasses
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.config import DataConfig, TrialConfig
from bench.errors import BenchError
from bench.files import sync_folder
from bench.studies import STUDIES
from bench.studies.side_by_side import Ended, run_all
from bench.studies.study import Arm, Findings, Ran, Setting, Study, Table
from bench.sweep.deciding.resolve import Frame, resolve
from bench.sweep.planning import plan_making as planning
from bench.sweep.planning.wish import Wish
from bench.sweep.record.home import Home
from bench.sweep.running import session
from bench.sweep.running.interrupts import Interrupts
from bench.tasks import TASKS
from bench.workloads.workload import Workload
from bench.workloads.workload import load as load_workload

Say = Callable[[str], None]
DRAFT = ".draft-"  # and the process that writes it
WORK = "work"  # in a draft: what goes before it becomes a study's folder


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


def studies_of(workload: Workload) -> list[Study]:
    """The studies there are for a workload."""
    every = [load_study(name) for name in STUDIES.table]
    return [study for study in every if workload.name in study.workloads]


def load_study(name: str) -> Study:
    study = STUDIES.load(name)
    if not isinstance(study, Study):
        raise BenchError(f"{name} is no study; give the name of a Study in that file")
    return study


def check(asked: Asked) -> tuple[Workload, Study, Wish]:
    """All that can be judged without the data.

    Raises:
        BenchError: an unknown workload, study or scale, or a study of another workload.
    """
    workload = load_workload(asked.workload)
    study = load_study(asked.study)
    if workload.name not in study.workloads:
        of = ", ".join(sorted(study.workloads))
        raise BenchError(f"study {study.name} is one of {of}, not of {workload.name}")
    if not 0 < asked.budget < float("inf"):
        raise BenchError(f"--budget must be positive and finite, got {asked.budget}")
    wish = Wish(
        workload=asked.workload,
        trials=1,
        scale=asked.scale,
        data=asked.data,
        reading=asked.reading,
        settings=asked.settings,
        seed=asked.seed,
    )
    planning.choose_scale(workload, wish, session.find_machine(wish))
    return workload, study, wish


def run(asked: Asked, home: Home, say: Say) -> tuple[Path, Findings, Setting]:
    """Answer a study's question; the folder of its findings, and what they are.

    Raises:
        BenchError: anything that is wrong with what was asked; nothing is left then.
    """
    workload, study, wish = check(asked)
    setting = _setting(workload, study, wish, home, say)
    say(f"{study.name}: {study.title}; {setting.scale.name} scale, {setting.label}")
    if setting.data.simulated:
        say("note: the pictures are SIMULATED; no verdict about real ones rests on them")
    with Interrupts().handled(), _draft(home) as draft:
        setting = dataclasses.replace(setting, folder=draft / WORK)
        setting.folder.mkdir()
        findings = _drive(study, setting, asked.budget, say)
        shutil.rmtree(setting.folder, ignore_errors=True)
        _write(draft, study, setting, findings)
        folder = _place(draft, f"{workload.name}-{study.name}")
    return folder, findings, setting


def _setting(workload: Workload, study: Study, wish: Wish, home: Home, say: Say) -> Setting:
    machine = session.find_machine(wish)
    scale = planning.choose_scale(workload, wish, machine)
    home.make()
    say("reading the data ..." if wish.data else "drawing the simulated data ...")
    data = workload.open_data(wish.data, scale, home.path, wish.reading)
    frame = planning.make_frame(workload, scale, data, wish, machine)
    for note in (*scale.notes, *data.notes):
        say(f"note: {note}")
    frame = dataclasses.replace(frame, equal=study.budget(scale))
    return Setting(
        workload=workload,
        scale=scale,
        data=data,
        frame=frame,
        seed=wish.seed,
        folder=home.path,
        at_once=1 if machine.gpus else machine.concurrency,
    )


def _drive(study: Study, setting: Setting, budget: float, say: Say) -> Findings:
    """Ask the study for trials until it returns what they show."""
    answer = study.answer(setting)
    try:
        arms = next(answer)
        number = 0
        while True:
            jobs = []
            for arm in arms:
                number += 1
                say(f"trial {number}, {arm.name}: {arm.why}")
                config = resolve(_frame(setting, arm, budget), arm.params, arm.seed)
                jobs.append((config, setting.folder / f"{number:04d}"))
            ran = []
            for arm, (config, folder), end in zip(
                arms, jobs, run_all(jobs, setting.at_once), strict=True
            ):
                ran.append(_heard(arm, config, folder, end, say))
            arms = answer.send(tuple(ran))
    except StopIteration as stop:
        findings: Findings = stop.value
        return findings


def _heard(arm: Arm, config: TrialConfig, folder: Path, end: Ended, say: Say) -> Ran:
    if end.outcome == "interrupted":
        raise BenchError(f"trial {arm.name}: {end.cause}; nothing is kept")
    for note in end.notes:
        say(f"note: {arm.name}: {note}")
    cause = f": {end.cause}" if end.cause else ""
    score = {k: v for k, v in end.metrics.items() if k.startswith("eval/")}
    first = next(iter(score.items()), None)
    value = f", {first[0].removeprefix('eval/')} {first[1]:.4g}" if first else ""
    say(f"{arm.name}, seed {arm.seed}: {end.outcome}{cause}{value}")
    return Ran(
        arm=arm,
        config=config,
        outcome=end.outcome,
        cause=end.cause,
        metrics=end.metrics,
        folder=folder,
    )


def _frame(setting: Setting, arm: Arm, budget: float) -> Frame:
    """The frame of one arm: its own budget and, where it has them, its own pictures."""
    frame, spent = setting.frame, setting.frame.budget
    frame = dataclasses.replace(
        frame, equal=dataclasses.replace(spent, amount=spent.amount * arm.budget * budget)
    )
    if arm.data is None and not arm.task:
        return frame
    data, kind = arm.data or setting.data, arm.task or setting.workload.task
    task_class = TASKS.load(kind)
    described = dataclasses.replace(task_class.describe(data), kind=kind)
    args = {} if arm.task else {k: frame.task.args[k] for k in task_class.parameters}
    # the noise levels of all arms are those of the study's own pictures
    task = dataclasses.replace(
        task_class.configure(described, args), sigma_data=frame.task.sigma_data
    )
    named = DataConfig(
        name=data.name, digest=data.digest, simulated=data.simulated, cache=str(data.path)
    )
    return dataclasses.replace(frame, data=named, task=task, metrics=arm.metrics or frame.metrics)


@contextlib.contextmanager
def _draft(home: Home) -> Iterator[Path]:
    """A folder that vanishes unless it was renamed into its place."""
    parent = home.path / "studies"
    draft = parent / f"{DRAFT}{os.getpid()}"
    try:
        parent.mkdir(parents=True, exist_ok=True)
        for left in parent.glob(f"{DRAFT}*"):  # of a process that was killed
            if not _alive(left.name.removeprefix(DRAFT)):
                shutil.rmtree(left, ignore_errors=True)
        draft.mkdir()
        yield draft
    except OSError as error:
        raise BenchError(f"cannot write in {parent}: {error.strerror or error}") from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _alive(process: str) -> bool:
    try:
        os.kill(int(process), 0)
    except (ValueError, ProcessLookupError):
        return False
    except OSError:
        return True  # another user's
    return True


def _place(draft: Path, name: str) -> Path:
    """Rename the draft to the next free number of its name."""
    for number in range(1, 100_000):
        final = draft.with_name(f"{name}-{number}")
        if final.exists():
            continue
        try:
            draft.rename(final)
        except OSError:
            if final.exists():  # another process was faster
                continue
            raise
        sync_folder(final.parent)
        return final
    raise BenchError(f"there are 100000 folders {name}-N in {draft.parent}; remove some")


def _write(draft: Path, study: Study, setting: Setting, findings: Findings) -> None:
    for table in findings.tables:
        _csv(draft / f"{table.name}.csv", table, setting)
    for picture in findings.pictures:
        picture.draw(draft / f"{picture.name}.png")
    body = {
        "study": study.name,
        "question": study.title,
        "workload": setting.workload.name,
        "scale": setting.scale.name,
        "seed": setting.seed,
        "data": {"digest": setting.data.digest, "simulated": setting.data.simulated},
        "versions": planning.versions(),
        "lines": list(findings.lines),
        "facts": dict(findings.facts),
    }
    (draft / "study.json").write_text(json.dumps(body, indent=1) + "\n")


def _csv(path: Path, table: Table, setting: Setting) -> None:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([*table.columns, "data"])
        for row in table.rows:
            writer.writerow(["" if v is None else v for v in row] + [table.source or setting.label])
