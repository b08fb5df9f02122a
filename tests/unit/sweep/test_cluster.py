"""What is decided about a cluster without one: its address, the room on it, why trials died."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from bench.errors import BenchError
from bench.storage.place import StorageError
from bench.sweep.ray_adapter import cluster, deaths


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
    with pytest.raises(BenchError, match=f"no Ray cluster answers at 127.0.0.1:{port} "):
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
        with pytest.raises(BenchError, match=r"answers at 127\.0\.0\.1:1 "):
            cluster.find("auto")


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
