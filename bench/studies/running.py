"""Runs a study as a sweep: its arms are in the plan, its trials in the journal, on Ray, in MLflow.

HOME/sweeps/NAME is the sweep; its folder `study` holds what was worked out between the trials.
HOME/studies/NAME holds the findings: a CSV for each table, a PNG for each picture, and study.json.
It is written beside its place and renamed into it, so that it is whole or absent. Until it is there
the study is unfinished, and asking the same again goes on with it.
"""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.config import DataConfig, TrialConfig
from bench.data.cache import CachedImages, load_cache
from bench.errors import BenchError
from bench.files import sync_folder
from bench.studies import STUDIES
from bench.studies.asked import Asked
from bench.studies.findings_files import write_findings
from bench.studies.one_network import ran_before
from bench.studies.study import Answer, Arm, Findings, Ran, Setting, Study
from bench.studies.study_sweep import new_sweep, of_sweep, wish_of
from bench.sweep.deciding.resolve import Frame, resolve
from bench.sweep.planning import plan_making as planning
from bench.sweep.planning.forecast import UNTIMED
from bench.sweep.record import finished, journal
from bench.sweep.record.history import History
from bench.sweep.record.home import Home
from bench.sweep.record.publishing import FINDINGS
from bench.sweep.record.trial import Trial
from bench.sweep.running import session
from bench.sweep.running.engine import Engine, Listener
from bench.tasks import TASKS, build_task
from bench.workloads.workload import Workload
from bench.workloads.workload import load as load_workload

Say = Callable[[str], None]
WORK = "study"  # in a sweep's folder: what was worked out between its trials


def studies_of(workload: Workload) -> list[Study]:
    """The studies there are for a workload."""
    every = [load_study(name) for name in STUDIES.table]
    return [study for study in every if workload.name in study.workloads]


def load_study(name: str) -> Study:
    study = STUDIES.load(name)
    if not isinstance(study, Study):
        raise BenchError(f"{name} is no study; give the name of a Study in that file")
    lacking = [key for key in ("name", "title", "workloads") if not hasattr(study, key)]
    if lacking:
        raise BenchError(f"study {name} lacks {', '.join(lacking)}, which every study states")
    return study


def check(asked: Asked) -> tuple[Workload, Study]:
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
    if asked.seeds is not None and asked.seeds < 1:
        raise BenchError(f"--seeds must be at least 1, got {asked.seeds}")
    if asked.of is not None and not study.of_network:
        raise BenchError(f"study {study.name} trains networks of its own; leave out --of")
    wish = wish_of(asked, study)
    planning.choose_scale(workload, wish, session.find_machine(wish))
    return workload, study


def resolved(asked: Asked, home: Home) -> Asked:
    """With the number of the trial that it is about, so that it stays about that one.

    Raises:
        BenchError: the sweep has no such trial, or not its weights or data.
    """
    if asked.of is None:
        return asked
    return dataclasses.replace(asked, trial=finished.find(home, asked.of, asked.trial).number)


@dataclass(frozen=True, kw_only=True)
class StudyRun:
    """A study under way: the engine of its sweep, and where it stands."""

    engine: Engine
    study: Study
    setting: Setting
    home: Home

    @property
    def place(self) -> Path:
        """Where its findings go."""
        return _findings_of(self.home, self.engine.plan.sweep)

    def findings(self, run_trials: Callable[[], bool]) -> Findings | None:
        """What it finds; None where it was stopped before. `run_trials` runs what the plan has
        and the journal has not, and says whether all of it has ended.

        Raises:
            BenchError: the setting has not what the study needs, or the study has changed.
        """
        engine, answer = self.engine, self.study.answer(self.setting)
        arms, first = _first_arms(self.study, answer), 0
        while True:
            self._ask(arms, first)
            trials = [t for t in map(self._trial, range(first, first + len(arms))) if t]
            all_ended = len(trials) == len(arms) and not any(t.open for t in trials)
            if not all_ended or engine.history.ended is None:
                if not run_trials():
                    return None
                trials = [engine.history.trials[first + i] for i in range(len(arms))]
            ran = tuple(self._ran(arm, t) for arm, t in zip(arms, trials, strict=True))
            first += len(arms)
            try:
                arms = answer.send(ran)
            except StopIteration as stop:
                findings: Findings = stop.value
                return findings

    def _trial(self, number: int) -> Trial | None:
        return self.engine.history.trials.get(number)

    def _ask(self, arms: Sequence[Arm], first: int) -> None:
        """Put into the plan what it does not have yet."""
        engine = self.engine
        asked = [arm_record(self.setting, arm, first + i) for i, arm in enumerate(arms)]
        known = engine.plan.arms[first : first + len(asked)]
        for record, before in zip(asked, known, strict=False):
            if record != before:
                raise BenchError(
                    f"study {self.study.name} asks for another trial {before['number']} than when "
                    f"{engine.plan.sweep} began ({before['name']}); go on with the bench that "
                    "began it, or start anew with another --seed"
                )
        if len(known) < len(asked):
            more = [*engine.plan.arms[:first], *asked]
            engine.write("extend", plan={"trials": len(more), "arms": more})

    def _ran(self, arm: Arm, trial: Trial) -> Ran:
        return Ran(
            arm=arm,
            config=TrialConfig.from_dict(trial.suggestion.config),
            outcome=str(trial.outcome),
            cause=trial.cause,
            metrics=trial.metrics,
            folder=self.home.folder(self.engine.plan.sweep) / "trials" / f"{trial.number:04d}",
            nimg=trial.nimg,
        )

    def write(self, findings: Findings) -> Path:
        """The folder of the findings, whole or absent.

        Raises:
            BenchError: it cannot be written.
        """
        draft = self.place.with_name(f".{self.place.name}")
        if self.place.exists():  # of a process that was killed before it said so
            shutil.rmtree(self.place)
        try:
            shutil.rmtree(draft, ignore_errors=True)  # of a process that was killed
            draft.mkdir(parents=True)
            write_findings(
                draft, self.study, self.setting, findings, len(self.engine.history.trials)
            )
            draft.rename(self.place)
            sync_folder(self.place.parent)
        except OSError as error:
            raise BenchError(f"cannot write {self.place}: {error.strerror or error}") from error
        finally:
            shutil.rmtree(draft, ignore_errors=True)
        private = {f"{picture.name}.png" for picture in findings.pictures if picture.real}
        names = sorted(path.name for path in self.place.iterdir())
        files = [{"name": n, "path": n, "real": n in private} for n in names]
        self.engine.write("found", lines=list(findings.lines), artifacts=files)
        return self.place


def unfinished(asked: Asked, home: Home) -> str | None:
    """The sweep of the same question that has no findings yet, and no driver."""
    for name in reversed(home.of_workload(load_workload(asked.workload).name)):
        history = home.history(name)
        held = journal.is_held(home.journal(name))
        if history.plan.study == asked.record and not held and not has_findings(history):
            return name
    return None


def has_findings(history: History) -> bool:
    """Whether a study's sweep has said what it found."""
    return history.found is not None


def _findings_of(home: Home, name: str) -> Path:
    return home.path / FINDINGS / name


def begin(asked: Asked, home: Home, listeners: tuple[Listener, ...], say: Say) -> StudyRun:
    """Begin a study's sweep.

    Raises:
        BenchError: anything that is wrong with what was asked; nothing is left then.
    """
    workload, study = check(asked)
    name = home.free_name(f"{workload.name}-{study.name}")
    make = of_sweep if asked.of else new_sweep
    prepared = make(asked, study, workload, home, name, say)
    setting = _setting(workload, study, prepared.frame, asked, home, name, say)
    first = _first_arms(study, study.answer(setting))
    arms = [arm_record(setting, arm, n) for n, arm in enumerate(first)]
    plan = dataclasses.replace(
        prepared.plan,
        trials=len(arms),
        study=asked.record,
        arms=tuple(arms),
        forecast={},  # which is one of the search's trials
        notes=tuple(note for note in prepared.plan.notes if note != UNTIMED),
    )
    for note in plan.notes:
        say(f"note: {note}")
    if first:
        whys = ", ".join(dict.fromkeys(arm.why for arm in first))
        say(f"{len(first)} trials to begin with: {whys}, whatever a sweep's defaults are")
    engine = session.begin(dataclasses.replace(prepared, plan=plan), home, listeners)
    return StudyRun(engine=engine, study=study, setting=setting, home=home)


def reopen(engine: Engine, home: Home, say: Say) -> StudyRun:
    """Take a study up again, of which the sweep was reopened."""
    plan = engine.plan
    asked = Asked.from_record(plan.study)
    workload, study = load_workload(asked.workload), load_study(asked.study)
    setting = _setting(workload, study, engine.frame, asked, home, plan.sweep, say)
    return StudyRun(engine=engine, study=study, setting=setting, home=home)


def _setting(
    workload: Workload, study: Study, frame: Frame, asked: Asked, home: Home, sweep: str, say: Say
) -> Setting:
    return Setting(
        workload=workload,
        scale=frame.scale,
        data=load_cache(Path(frame.data.cache)),
        frame=frame,
        seed=asked.seed,
        folder=home.folder(sweep) / WORK,
        findings=_findings_of(home, sweep).parent,
        seeds=asked.seeds,
        at_size=lambda size: _at_size(workload, frame, asked, home, size),
        of=None if asked.of is None else ran_before(study, home, asked.of, asked.trial),
        say=say,
    )


def _at_size(
    workload: Workload, frame: Frame, asked: Asked, home: Home, size: tuple[int, int]
) -> CachedImages:
    """The study's pictures, read again in another size."""
    data = workload.open_data(
        asked.data,
        dataclasses.replace(frame.scale, data={**frame.scale.data, "size": size}),
        home.path,
        {k: v for k, v in asked.reading.items() if k != "size"},
    )
    if data.simulated != frame.data.simulated:
        raise BenchError(f"{frame.data.name} cannot be read again; give --data as at first")
    return data


def _first_arms(study: Study, answer: Answer) -> tuple[Arm, ...]:
    """What a study asks for first; nothing of one that only returns findings.

    Raises:
        BenchError: it asks for nothing, not even for no trials.
    """
    try:
        return next(answer)
    except StopIteration as stop:
        raise BenchError(
            f"study {study.name} returns findings before it has asked for trials; one that needs "
            "none begins with `yield ()`"
        ) from stop


def arm_record(setting: Setting, arm: Arm, number: int) -> dict[str, Any]:
    """An arm as a plan holds it."""
    fixed, axes = setting.frame.fixed, setting.workload.cell_axes
    for key in axes:
        if key in fixed and arm.params.get(key, fixed[key]) != fixed[key]:
            raise BenchError(
                f"this study sets {key} itself ({arm.name}); leave out --set {key}={fixed[key]}"
            )
    params = {**arm.params, **{k: v for k, v in fixed.items() if k in arm.params}}
    config = resolve(_frame(setting, arm), params, arm.seed)
    apart: dict[str, Any] = {"arm_budget": arm.budget} if arm.budget != 1.0 else {}
    # another task is scored by another metric
    apart |= {"task": arm.task, **build_task(config).protocol()} if arm.task else {}
    apart |= {"training_data": arm.data.digest} if arm.data is not None else {}
    record = {
        "number": number,
        "name": arm.name,
        "params": params,
        "config": config.to_dict(),
        "apart": apart,
    }
    plain: dict[str, Any] = json.loads(json.dumps(record))  # as a journal gives it back
    return plain


def _frame(setting: Setting, arm: Arm) -> Frame:
    """The frame of one arm: its own budget and, where it has them, its own pictures."""
    frame, spent = setting.frame, setting.frame.budget
    frame = dataclasses.replace(
        frame, equal=dataclasses.replace(spent, amount=spent.amount * arm.budget)
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
