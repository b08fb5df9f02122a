"""`bench sync`: a sweep's record in a tracker, completed from its journal."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from bench.commands.options import home_option, open_tracker, tracker_option, tracking_option
from bench.errors import BenchError

if TYPE_CHECKING:
    from bench.sweep.record.home import Home


@click.command()
@click.argument("name", required=False)
@click.option("--all", "every", is_flag=True, help="Every sweep of the home folder.")
@home_option
@tracking_option
@tracker_option
def sync(
    name: str | None, every: bool, home: Path | None, tracking_uri: str | None, tracker: str
) -> None:
    """Rebuild or complete a sweep's record in a tracker, from its journal."""
    from bench.sweep.record.home import Home

    if every and name is not None:
        raise BenchError(f"--all is every sweep; leave out {name}, or --all")
    where = Home.find(home)
    if not every:
        sync_one(where.latest() if name is None else name, where, tracking_uri, tracker)
        return
    names = where.names()
    if not names:
        click.echo(f"no sweep in {where.path}: nothing to put into {tracker}")
    left_out = []
    for each in names:
        try:
            sync_one(each, where, tracking_uri, tracker)
        except BenchError as error:  # one damaged journal does not keep the others back
            click.echo(f"note: sweep {each} is left out: {error}", err=True)
            left_out.append(each)
    if left_out:
        raise BenchError(f"{len(left_out)} of {len(names)} sweeps left out: {', '.join(left_out)}")


def sync_one(name: str, home: Home, tracking_uri: str | None, named: str) -> None:
    """Project one journal from its first record on; says when all of it is there."""
    from bench.sweep.record import journal
    from bench.sweep.record.publishing import replay
    from bench.track.tracking_uri import one_line

    home.history(name)
    try:
        records = list(replay(journal.read(home.journal(name)), home.folder(name)))
    except (KeyError, TypeError, ValueError) as error:
        raise BenchError(
            f"the journal of sweep {name} does not make rows ({type(error).__name__}: {error}); "
            "was it written by another version?"
        ) from error
    tracker = open_tracker(named, tracking_uri, home, check=True)
    try:
        tracker.project(records)
    except BenchError:
        raise
    except Exception as error:  # whatever the tracker's place raises
        raise BenchError(
            f"{tracker.title} at {tracker.place} did not take all of sweep {name} "
            f"({type(error).__name__}: {one_line(error)}); mend it and sync again"
        ) from error
    finally:
        tracker.close()
    for note in tracker.notes:
        click.echo(f"note: {note}", err=True)
    click.echo(f"sweep {name}: {tracker.title} at {tracker.place} has all of it")
