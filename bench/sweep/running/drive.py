"""A driver's run of a sweep: Ray here or on a cluster, storage followed, the session closed."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path

from bench.storage import layout
from bench.sweep.cost import budget, slots
from bench.sweep.cost.machine import Machine
from bench.sweep.planning import forecast
from bench.sweep.record.home import Home
from bench.sweep.record.records import End
from bench.sweep.record.trial import Trial
from bench.sweep.running.engine import Engine

STOPPED = "stopped by the user"
WORKERS = "bench.sweep.ray_adapter.workers:steps"  # of a trial trained by several


def run(
    engine: Engine,
    home: Home,
    machine: Machine,
    *,
    address: str | None = None,
    say: Callable[[str], None] = lambda line: None,
    more: Callable[[], None] = lambda: None,
) -> End | None:
    """Run what is left of a sweep on an embedded Ray, or on a cluster; its end, or None where it
    was stopped before.

    Ctrl-C and SIGTERM stop it cleanly: running trials are journaled as interrupted and go on from
    their last checkpoint at `bench resume`. `more` asks more of the sweep, once it is ours and
    what a lost driver left undecided is decided.
    """
    with ExitStack() as stack:
        if (url := engine.plan.storage) is not None:
            folder = home.folder(engine.plan.sweep)
            also = stack.enter_context(layout.followed(url, engine.plan.sweep, folder, say))
            layout.share_cache(url, Path(engine.frame.data.cache))
            for record in list(engine.journal.records):  # of trials that ended with a lost driver
                for listener in also:
                    listener(record)
            engine.listeners = (*also, *engine.listeners)  # pictures are here when published
        engine.write("session", event="open", host=socket.gethostname(), pid=os.getpid())
        engine.take_up()
        more()
        engine.settle(machine)
        if machine.other_than(engine.plan.device):
            say(f"note: not the machine that the sweep was planned on; now {machine.text}")
        return _run(engine, home, machine, address)


def _run(engine: Engine, home: Home, machine: Machine, address: str | None) -> End | None:
    begin_at = time.monotonic()
    busy_before = busy_seconds(engine)
    wall = ray_start = 0.0
    with engine.interrupts.handled():
        try:
            with ExitStack() as stack:
                if not engine.complete:  # a study may have no trials
                    ray_start = stack.enter_context(_ray(engine, machine, address))
                    stack.enter_context(_stopped_first(engine))
                    engine.interrupts.install()
                    up_at = time.monotonic()
                    _on_tune(engine, home.folder(engine.plan.sweep), machine, address)
                    wall = time.monotonic() - up_at
        except KeyboardInterrupt:
            engine.stop(STOPPED)  # while Ray started, or after the last trial
    if engine.interrupts.seen:
        engine.stop(STOPPED)  # should a library have swallowed the interrupt
    if engine.complete:  # a lost driver's trials, for which there was no budget any more
        engine.give_up_unheard(budget.SPENT)
        give_up_waiting(engine)
    engine.write("session", event="close", cause="" if engine.complete else STOPPED)
    if not engine.complete:
        return None
    busy = busy_seconds(engine) - busy_before
    engine.write(
        "end",
        summary={
            "counts": engine.history.counts(),
            "ray_start_sec": ray_start,
            "wall_sec": wall,
            "session_sec": time.monotonic() - begin_at,
            "busy_sec": busy,
            "busy_share": busy / (wall * engine.concurrency) if wall else 0.0,
            "spent": budget.left_text(engine.spent(), gpu=engine.plan.on_gpu),
            "forecast": forecast.compared(engine.plan.forecast, engine.history, ray_start + wall),
            "unfinished": len(engine.history.left_open),
        },
    )
    return engine.history.ended


def give_up_waiting(engine: Engine) -> None:
    """Once nothing more can come, trials that wait are not among the best of their rung."""
    plan = engine.plan
    for trial in engine.history.waiting if engine.idle else []:
        rung = max(trial.rungs)
        at = f"{100 * plan.rungs[rung]:.3g} % of the budget"
        engine.ended_waiting(trial.number, f"not among the best {plan.keep[rung]:.0%} at {at}")


def _ray(engine: Engine, machine: Machine, address: str | None) -> AbstractContextManager[float]:
    from bench.sweep.ray_adapter.cluster import cluster_up
    from bench.sweep.ray_adapter.driver import ray_up

    if address is not None:
        return cluster_up(address)
    workers = engine.plan.workers
    return ray_up(max(engine.concurrency * workers, machine.cores), machine.gpus)


def _on_tune(engine: Engine, folder: Path, machine: Machine, address: str | None) -> None:
    from bench.sweep.ray_adapter.cluster import room
    from bench.sweep.ray_adapter.driver import STEPS, run_on_tune
    from bench.sweep.ray_adapter.workers import trial_resources

    plan = engine.plan
    workers = plan.workers
    share = machine.gpus / engine.concurrency if machine.gpus else 0.0
    one = {"cpu": 1 if address is None else plan.frame.threads, "gpu": min(1.0, share)}

    def resources(trial: Trial) -> dict[str, float]:
        """Of the trial's own process; that of several workers asks for theirs itself."""
        if workers > 1:
            return trial_resources()
        return {**one, "gpu": trial.suggestion.slot or one["gpu"]}

    fixed = address is None or plan.fixed_concurrency
    smallest = {**one, "gpu": slots.SIZES[0]} if plan.pack is not None else one
    run_on_tune(
        engine,
        folder,
        resources=resources,
        steps=WORKERS if workers > 1 else STEPS,
        storage=plan.storage,
        room=None if fixed else lambda: room(smallest) // workers,
    )


def busy_seconds(engine: Engine) -> float:
    """Seconds inside train, sample and measure, over all trials."""
    phases = ("train", "sample", "measure")  # not "save": writing checkpoints is overhead
    trials = engine.history.trials.values()
    return sum(t.seconds.get(phase, 0.0) for t in trials for phase in phases)


@contextmanager
def _stopped_first(engine: Engine) -> Iterator[None]:
    """Journals an interrupt before Ray is taken down, which takes seconds."""
    try:
        yield
    except KeyboardInterrupt:
        engine.stop(STOPPED)
        raise
