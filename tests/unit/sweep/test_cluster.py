"""What is decided about a cluster without one: its address, the room on it, why trials died."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.errors import BenchError
from bench.storage.place import StorageError
from bench.sweep.ray_adapter import cluster, deaths
from bench.sweep.ray_adapter.guard import MISSES, Guard
from bench.sweep.ray_adapter.scheduler import EngineScheduler
from tests.unit.sweep import fakes


def node(alive: bool = True, **resources: float) -> dict[str, object]:
    return {"Alive": alive, "Resources": resources}


def test_room_counts_whole_trials_node_by_node() -> None:
    nodes = [node(CPU=4.0), node(CPU=3.0, GPU=2.0), node(alive=False, CPU=64.0), node(memory=1e9)]
    assert cluster.room({"cpu": 1.0}, nodes) == 7
    assert cluster.room({"cpu": 2.0}, nodes) == 3  # the odd core of the second node is left over
    assert cluster.room({"cpu": 1.0, "gpu": 1.0}, nodes) == 2
    assert cluster.room({"cpu": 0.5, "gpu": 1 / 3}, nodes) == 6
    assert cluster.room({"cpu": 1.0, "gpu": 0.0}, nodes) == 7
    assert cluster.room({"cpu": 8.0}, nodes) == 0


def test_addresses_that_cannot_be_used_say_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(BenchError, match=r"ray job submit .* --address auto"):
        cluster.find("ray://head:10001")
    with pytest.raises(BenchError, match="auto or HOST:PORT, got 'head'"):
        cluster.find("head")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(BenchError, match=f"no Ray cluster answers at 127.0.0.1:{port}: "):
        cluster.find(f"127.0.0.1:{port}")
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    with pytest.raises(BenchError, match="no Ray cluster was started on this machine"):
        cluster.find("auto")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        (tmp_path / "ray").mkdir()
        (tmp_path / "ray" / "ray_current_cluster").write_text(address)
        assert cluster.find("auto") == address
        monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")  # what a submitted job is given
        with pytest.raises(BenchError, match=r"answers at 127\.0\.0\.1:1 .where auto"):
            cluster.find("auto")


def test_no_secret_goes_with_the_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AZURE_STORAGE_KEY", "HOME_AWS_X"):
        monkeypatch.setenv(name, "hidden")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9000")
    passed_on = cluster._handed_on()
    assert passed_on["AWS_ENDPOINT_URL"] == "http://127.0.0.1:9000"
    assert "hidden" not in passed_on.values()


class Dead:
    """What Tune says of a dead trial."""

    def __init__(self, number: int, error: Exception) -> None:
        self.config, self._error = {"trial": number}, error

    def get_pickled_error(self) -> Exception:
        return self._error


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Guard]:
    """Trial 0 of a sweep runs, trial 1 waits for its process."""
    engine = fakes.open_engine(tmp_path, fakes.plan(concurrency=2, trials=2))
    guard = Guard(engine)
    for _ in range(2):
        assert guard.next() is not None
    engine.started(0, "node", 77)
    guard.pids[0] = 77
    yield guard
    engine.journal.close()


def test_a_lost_trial_is_handed_out_again(running: Guard, tmp_path: Path) -> None:
    from ray import exceptions

    scheduler = EngineScheduler(running, tmp_path / "trials", None)
    scheduler.on_trial_error(None, Dead(0, exceptions.ActorUnavailableError("closed", None)))
    last = running.engine.journal.records[-1]
    assert (last["kind"], last["outcome"], last["lost"]) == ("outcome", "interrupted", True)
    # one whose process never came up has lost nothing: no word of it, the same number again
    scheduler.on_trial_error(None, Dead(1, exceptions.ActorUnavailableError("closed", None)))
    assert running.engine.journal.records[-1] == last
    again = [running.next() for _ in range(3)]
    assert [None if t is None else t.number for t in again] == [1, 0, None]
    assert "could not be reached" in (tmp_path / "trials/0000/error.log").read_text()


def test_a_process_that_never_comes_up_is_not_tried_for_ever(
    running: Guard, tmp_path: Path
) -> None:
    from ray import exceptions

    scheduler = EngineScheduler(running, tmp_path / "trials", None)
    for _ in range(MISSES - 1):
        scheduler.on_trial_error(None, Dead(1, exceptions.ActorUnavailableError("closed", None)))
        again = running.next()
        assert again is not None
        assert again.number == 1
    scheduler.on_trial_error(None, Dead(1, exceptions.ActorUnavailableError("closed", None)))
    trial = running.engine.history.trials[1]
    assert trial.outcome == "failed"
    assert f"lost {MISSES} times before it could start" in trial.cause


@pytest.mark.parametrize(
    "error",
    [
        StorageError(f"storage /shared: cannot write checkpoint: {os.strerror(errno.ENOSPC)}"),
        OSError(errno.EDQUOT, os.strerror(errno.EDQUOT)),
    ],
)
def test_a_disk_that_is_full_there_stops_the_sweep_and_costs_no_trial(
    running: Guard, tmp_path: Path, error: Exception
) -> None:
    from ray import exceptions

    scheduler = EngineScheduler(running, tmp_path / "trials", str(tmp_path))
    raised = exceptions.RayTaskError("train", "Traceback", error).as_instanceof_cause()
    scheduler.on_trial_error(None, Dead(0, raised))
    assert running.engine.history.trials[0].outcome == "interrupted"
    assert "free some, then bench resume fake-1" in str(running.error)
    assert running.next() is None


def test_a_trial_that_ran_out_of_memory_is_not_tried_again(running: Guard, tmp_path: Path) -> None:
    from ray import exceptions

    scheduler = EngineScheduler(running, tmp_path / "trials", None)
    scheduler.on_trial_error(None, Dead(0, exceptions.OutOfMemoryError("killed")))
    assert running.engine.history.trials[0].outcome == "out-of-memory"
    assert running.next() is None


def test_one_node_without_the_storage_loses_a_trial_and_all_without_it_stop(
    running: Guard, tmp_path: Path
) -> None:
    from ray import exceptions

    away = StorageError("storage /shared: cannot write checkpoint: timed out")
    error = exceptions.RayTaskError("train", "Traceback", away).as_instanceof_cause()
    (tmp_path / "shared").mkdir()
    scheduler = EngineScheduler(running, tmp_path / "trials", str(tmp_path / "shared"))
    (tmp_path / "trials").mkdir()
    scheduler.on_trial_error(None, Dead(0, error))
    assert running.error is None
    assert running.engine.history.trials[0].cause == str(away)
    again = running.next()
    assert again is not None
    assert again.number == 0
    running.pids[0] = 78
    scheduler.storage = "/proc/nowhere"
    scheduler.on_trial_error(None, Dead(0, error))
    assert isinstance(running.error, BenchError)
    assert "trial 0 and the rest wait for it: bench resume fake-1" in str(running.error)
    assert running.engine.history.trials[0].open


def test_deaths_in_plain_words(tmp_path: Path) -> None:
    """The texts are those of Ray 2.60, as it raised them for real deaths."""
    from ray import exceptions

    killed = exceptions.RayActorError(
        error_msg="The actor is dead because its worker process has died. Worker exit type: "
        "SYSTEM_ERROR Worker exit detail: Worker unexpectedly exits with a connection error code "
        "2. End of file. Some common causes include: (1) the process was killed by the OOM killer "
        "due to high memory usage, (2) ray stop --force was called"
    )
    assert deaths.why(killed).kind == "lost"
    log = tmp_path / "worker-1-77.err"
    log.write_text(":actor_name:A\nFatal Python error: Segmentation fault\n\nStack\n")
    assert deaths.why(killed, [log]).cause == "its process crashed: Segmentation fault"
    node_died = exceptions.RayActorError(
        error_msg="The actor died because its node has died. Node Id: b7f1\nthe actor's node was "
        "terminated unexpectedly: health check failed due to missing too many heartbeats"
    )
    assert deaths.why(node_died) == deaths.Death("lost", "its node left")
    assert deaths.why(exceptions.ActorUnavailableError("Socket closed", None)).kind == "lost"
    memory = exceptions.OutOfMemoryError(
        "Ray killed 1 worker(s) based on the killing policy\n(Actor(1): pid=2122, actual memory "
        "used=3.50GB, worker ID=1c)"
    )
    assert deaths.why(memory) == deaths.Death(
        "out-of-memory", "Ray ended it at 3.50 GB: its node ran out of memory"
    )
    assert deaths.why(None).kind == "lost"
    for cause, kind, text in (
        (ValueError("no\nway"), "failed", "ValueError: no"),
        (StorageError("storage s3://x: away"), "storage", "storage s3://x: away"),
    ):
        error = exceptions.RayTaskError("train", "Traceback", cause)
        assert deaths.why(error) == deaths.Death(kind, text)
        assert deaths.why(error.as_instanceof_cause()) == deaths.Death(kind, text)


def test_a_dead_trial_leaves_its_log(tmp_path: Path) -> None:
    log = tmp_path / "worker-1-77.err"
    log.write_text(":actor_name:A\n" + "".join(f"line {k}\n" for k in range(100)))
    deaths.keep_log(tmp_path / "0003", [log], "its process died")
    deaths.keep_log(tmp_path / "0003", [], "its node left")
    text = (tmp_path / "0003" / "error.log").read_text().splitlines()
    assert text[0] == "its process died"
    assert text[2:-1] == [f"line {k}" for k in range(60, 100)]
    assert text[-1] == "its node left"
