"""One life of a driver: begin the sweep of a folder, or go on with it, to its end.

python -m tests.faults.on_ray.driver HOME TRIALS SEED WORKLOAD
"""

from __future__ import annotations

import sys
from pathlib import Path

from bench.sweep.planning.wish import Wish
from bench.sweep.record import journal
from bench.sweep.record.home import Home
from bench.sweep.record.publishing import Publisher, replay
from bench.sweep.running import drive, session
from bench.track import store as stores
from bench.track.background import BackgroundProjector
from bench.track.mlflow_projection import Projector
from tests.faults.on_ray import phases

NAME = "stress"


def main(path: Path, trials: int, seed: int, workload: str) -> int:
    from bench.sweep.ray_adapter import driver

    phases.mark_driver()
    steps = f"{phases.__name__}:steps"
    driver.STEPS = steps  # what a session hands to Tune
    home = Home(path)
    store = stores.resolve(None, home.path)
    home.make()
    with phases.phase("store"):
        stores.check(store)
    if NAME in home.names() and home.history(NAME).ended is not None:
        records = journal.read(home.journal(NAME))  # as bench sync
        Projector(store).project(replay(records, home.folder(NAME)))
        return 0
    projector = BackgroundProjector(Projector(store), gather_sec=0.2)
    listeners = (Publisher(projector.put, home.sweeps),)
    if NAME in home.names():
        engine = session.reopen(NAME, home, listeners)
    else:
        wish = Wish(workload=workload, trials=trials, scale="smoke", seed=seed, concurrency=1)
        prepared = session.prepare(wish, home, NAME, lambda text: None)
        engine = session.begin(prepared, home, listeners)
    try:
        end = drive.run(engine, home, session.machine_of(engine, None))
    finally:
        engine.journal.close()
        synced = projector.close()
    return 0 if end is not None and synced else 1


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]))
