"""Folders that do not change (the decoded cache): shared once, fetched once a node.

The list of a shared folder's files is written after them, so a folder with a list is whole. Files
may be added later; none changes.
"""

from __future__ import annotations

import fcntl
import json
from pathlib import Path

from bench.files import PART, whole
from bench.storage.place import Place, StorageError

LIST = "files.json"


def share(folder: Path, place: Place) -> int:
    """Upload the files of a folder that are not there yet; how many."""
    files = {
        p.name: p.stat().st_size
        for p in sorted(folder.iterdir())
        if p.is_file() and not p.name.startswith((PART, ".")) and p.name != LIST
    }
    listed = _listed(place)
    new = [name for name, size in files.items() if listed.get(name) != size]
    for name in new:
        place.put(folder / name, name)
    if new:
        text = json.dumps({**listed, **files}, sort_keys=True)
        place.write(LIST, text.encode(), folder)
    return len(new)


def fetch(place: Place, folder: Path) -> int:
    """Download what a shared folder has and the one here has not; how many files.

    Processes that want the same folder wait for the one that is at it.

    Raises:
        StorageError: nothing is shared there, or the storage keeps failing.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder.with_name(f"{folder.name}.lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        here = folder / LIST
        listed = _listed(place)
        if not listed:
            raise StorageError(f"storage {place.url}: nothing is shared there")
        missing = [
            name
            for name, size in listed.items()
            if not (folder / name).exists() or (folder / name).stat().st_size != size
        ]
        for name in missing:
            place.get(name, folder / name)
        if missing:
            with whole(here) as part:
                part.write_text(json.dumps(listed, sort_keys=True))
        return len(missing)


def _listed(place: Place) -> dict[str, int]:
    """Name and size of each file of a shared folder; empty where nothing whole is shared."""
    data = place.read(LIST)
    if data is None:
        return {}
    try:
        return {str(name): int(size) for name, size in json.loads(data).items()}
    except (ValueError, AttributeError) as error:
        raise StorageError(f"storage {place.url}: {LIST} is damaged; delete it there") from error
