"""Why Tune lost a trial, in a few plain words, and whether another try can help."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ray import exceptions

from bench.files import disk_full
from bench.storage.place import StorageError
from bench.train.parallel import WorkerLost

TAIL_LINES = 40
RAY_KILLED = "based on the killing policy"  # of Ray's memory monitor
USED = re.compile(r"actual memory used=([\d.]+)\s?GB")
CRASH = re.compile(r"Fatal Python error: (.+)")
NODE = ("its node has died", "node has died", "node was terminated", "preempted")


@dataclass(frozen=True)
class Death:
    """`kind`: lost (tried again) | storage | full | out-of-memory | failed."""

    kind: str
    cause: str


def why(error: BaseException | None, logs: Iterable[Path] = ()) -> Death:
    """What an error that Tune caught, and its process's logs, say of the trial that it ended."""
    if isinstance(error, exceptions.RayTaskError):
        inner = error.cause
        if isinstance(inner, WorkerLost):
            return Death("lost", _first(inner))
        if disk_full(inner):  # of a node, or of the storage
            return Death("full", _first(inner))
        if isinstance(error, StorageError) or isinstance(inner, StorageError):
            return Death("storage", _first(inner))
        return Death("failed", f"{type(inner).__name__}: {_first(inner)}")
    text = str(error) if error is not None else ""
    if isinstance(error, exceptions.ActorUnavailableError):
        return Death("lost", "its process could not be reached: it died, or its node left")
    if isinstance(error, exceptions.RayActorError) and error.actor_init_failed:
        return Death("failed", f"it could not be set up: {_last(text)}")
    if isinstance(error, exceptions.OutOfMemoryError) or RAY_KILLED in text:
        used = USED.search(text)
        at = f" at {used[1]} GB" if used else ""
        return Death("out-of-memory", f"Ray ended it{at}: its node ran out of memory")
    node = isinstance(error, exceptions.NodeDiedError | exceptions.LocalRayletDiedError)
    if node or any(words in text for words in NODE):
        return Death("lost", "its node left")
    for path in logs:
        crash = CRASH.search(path.read_text(errors="replace"))
        if crash:
            return Death("lost", f"its process crashed: {crash[1]}")
    return Death("lost", "its process or its node died: killed, crashed, or out of memory")


def keep_log(folder: Path, logs: Iterable[Path], cause: str) -> None:
    """Append the cause and the tails of a dead process's logs to the trial's error.log."""
    text = [cause]
    for path in logs:
        lines = path.read_text(errors="replace").splitlines()[-TAIL_LINES:]
        lines = [line for line in lines if line.strip() and not line.startswith(":")]
        if lines:
            text += [f"last lines of {path.name}:", *lines]
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "error.log", "a") as file:
        file.write("\n".join(text) + "\n")


def logs_of(pid: int) -> list[Path]:
    """Logs of a process that ran on this node; of another node's there are none here."""
    import ray

    node: Any = ray._private.worker._global_node
    if node is None or not pid:
        return []
    return sorted(Path(node.get_logs_dir_path()).glob(f"worker-*-{pid}.*"))


def _first(error: Any) -> str:
    text = str(error)
    return text.splitlines()[0][:300] if text else type(error).__name__


def _last(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:300] if lines else ""
