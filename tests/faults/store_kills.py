"""Ends processes that make the local MLflow store in an empty folder; then the next must work.

    python -m tests.faults.store_kills --kills 200 --folder FOLDER

One process makes it, or two at once, or MLflow alone in the place itself, as bench did before: the
half-made files that this leaves are real. After each SIGKILL (one in four: Ctrl-C) at a random
moment another process checks the store and projects a journal into it; what is there then must
equal what a store holds that nobody disturbed.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import sqlite3
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import click

from bench.files import PART
from bench.track import store as stores
from bench.track.mlflow_projection import Projector
from tests.unit.track.dump import dump
from tests.unit.track.records import journal

WAYS = ("alone", "two at once", "in place, as before")
SIGNALS = (signal.SIGKILL, signal.SIGKILL, signal.SIGKILL, signal.SIGINT)
LONGEST_SEC = 4.0


def make(home: Path) -> None:
    stores.check(stores.resolve(None, home))


def make_in_place(home: Path) -> None:
    """MLflow's own way, table by table."""
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    SqlAlchemyStore(stores.resolve(None, home).uri, (home / "mlartifacts").as_uri())


def use(home: Path) -> None:
    """What any later command does first, and a projection; leaves an answer with what is there."""
    store = stores.resolve(None, home)
    notes = stores.check(store)
    Projector(store).project(journal())
    (home / "answer.json").write_text(json.dumps({"notes": notes, "runs": comparable(store)}))


def comparable(store: stores.Store) -> dict[str, Any]:
    """All runs, as JSON gives them back; artifacts lie in each store's own folder."""
    content: dict[str, Any] = json.loads(json.dumps(dump(store)))
    return content


def forked(work: Callable[[Path], None], home: Path) -> int:
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        log = os.open(home / "log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(log, 1)
        os.dup2(log, 2)
        work(home)
        code = 0
    except BaseException:  # to the log: the parent looks there
        import traceback

        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def stage(home: Path) -> str:
    """How far it had come when it was killed."""
    if list(home.glob(f"{PART}*mlflow.db")):
        return "making it"
    file = home / "mlflow.db"
    if not file.exists():
        return "before"
    with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as base:
        try:
            done = base.execute("SELECT count(*) FROM experiments").fetchone()[0]
        except sqlite3.Error:
            return "in mid-migration"
    return "after" if done else "in mid-migration"


def kill_once(home: Path, way: str, draw: random.Random, longest: float) -> tuple[str, list[str]]:
    """Kill one that makes a store in `home`: where it stood, and what was wrong afterwards."""
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(parents=True)
    work = make_in_place if way == WAYS[2] else make
    victim = forked(work, home)
    other = forked(work, home) if way == WAYS[1] else None
    time.sleep(draw.uniform(0.0, longest))
    os.kill(victim, draw.choice(SIGNALS))
    os.waitpid(victim, 0)
    at, problems = stage(home), []
    if at == "in mid-migration" and way != WAYS[2]:
        problems.append("a store that is not whole stood in the place itself")
    if other is not None and os.waitpid(other, 0)[1]:
        problems.append("the process beside the killed one failed")
    if os.waitpid(forked(use, home), 0)[1]:
        problems.append("the next command failed")
    problems += [f"left over: {path.name}" for path in home.glob(f"{PART}*")]
    return at, [f"{way}, {at}: {p}: {(home / 'log').read_text()[-400:]}" for p in problems]


@click.command()
@click.option("--kills", type=int, default=200, show_default=True)
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--folder", type=click.Path(path_type=Path), required=True)
def main(kills: int, seed: int, folder: Path) -> None:
    import mlflow.store.tracking.sqlalchemy_store  # noqa: F401  # once, before the forks

    stores.quiet()
    draw, stages, violations = random.Random(seed), Counter[str](), []
    reference = folder.resolve() / "undisturbed"
    shutil.rmtree(reference, ignore_errors=True)
    reference.mkdir(parents=True)
    begun = time.monotonic()
    if os.waitpid(forked(make, reference), 0)[1] or os.waitpid(forked(use, reference), 0)[1]:
        raise click.ClickException((reference / "log").read_text())
    longest = min(LONGEST_SEC, 1.2 * (time.monotonic() - begun))
    whole = json.loads((reference / "answer.json").read_text())["runs"]
    aside = 0
    for number in range(kills):
        home, way = folder.resolve() / "home", WAYS[number % len(WAYS)]
        at, problems = kill_once(home, way, draw, longest)
        stages[f"{way}: {at}"] += 1
        if not problems:
            answer = json.loads((home / "answer.json").read_text())
            if answer["runs"] != whole:
                problems.append(f"{way}, {at}: the store holds something else")
            broken = list(home.glob("mlflow.db.broken-*"))
            aside += bool(broken)
            if broken and not answer["notes"]:
                problems.append(f"{way}, {at}: a file was moved aside and nothing was said")
        violations += problems
    click.echo(f"kills: {kills}, between 0 and {longest:.1f} s after the start")
    for what, count in sorted(stages.items()):
        click.echo(f"  {count} {what}")
    click.echo(f"half-made files moved aside, and said: {aside}")
    click.echo(f"violations: {len(violations)}")
    for text in violations[:20]:
        click.echo(text)
    sys.exit(1 if violations else 0)


if __name__ == "__main__":
    main()
