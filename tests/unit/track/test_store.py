"""Finding and checking the tracking store: what is chosen, and how failures are said."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from bench.errors import BenchError
from bench.track import store as store_module
from bench.track import ui
from bench.track.mlflow_projection import open_tracker
from bench.track.store import Store, check, client, redacted, resolve


@pytest.fixture(autouse=True)
def _no_server_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_the_store_is_the_one_named_then_the_variable_then_local(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert resolve(None, tmp_path) == Store(
        uri=f"sqlite:///{tmp_path}/mlflow.db", artifacts=tmp_path / "mlartifacts"
    )
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://there:5000/")
    assert resolve(None, tmp_path) == Store(uri="http://there:5000", artifacts=None)
    named = resolve(f"sqlite:///{tmp_path}/own/runs.db", tmp_path)
    assert named.artifacts == tmp_path / "own/mlartifacts"


@pytest.mark.parametrize("uri", ["runs.db", "./mlruns", "ftp://there/x", "file:///tmp/mlruns"])
def test_a_uri_that_is_no_store_is_refused_with_the_remedy(uri: str, tmp_path: Path) -> None:
    with pytest.raises(BenchError, match=r"neither a server .* nor a database; .*sqlite:///"):
        resolve(uri, tmp_path)


def test_passwords_are_not_shown() -> None:
    assert redacted("https://me:secret@host:1/x") == "https://me:***@host:1/x"
    assert redacted("http://host:1") == "http://host:1"


def test_a_dead_server_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match=r"cannot be reached .*leave out --tracking-uri") as caught:
        check(resolve(f"http://me:secret@127.0.0.1:{free_port()}", tmp_path))
    assert "\n" not in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_server_that_never_answers_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "CHECK_SEC", 0.3)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        with pytest.raises(BenchError, match=r"cannot be reached"):
            check(resolve(f"http://127.0.0.1:{silent.getsockname()[1]}", tmp_path))


def test_a_dead_database_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match=r"postgresql://me:\*\*\*@127.0.0.1:.* cannot be reached"):
        check(resolve(f"postgresql://me:secret@127.0.0.1:{free_port()}/runs", tmp_path))


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").write_text("my notes, not a database\n" * 100)
    with pytest.raises(BenchError, match=r"cannot use .*mlflow.db as the MLflow store"):
        check(resolve(None, tmp_path))
    assert (tmp_path / "mlflow.db").read_text().startswith("my notes")


def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(BenchError, match=r"cannot use .* as the MLflow store"):
        check(resolve(None, tmp_path / "file"))


def test_a_new_local_store_is_made_with_the_first_record_and_no_sooner(tmp_path: Path) -> None:
    tracker = open_tracker(tmp_path / "home", None, False)
    assert tracker.check() == []
    assert list((tmp_path / "home").iterdir()) == []
    client(tracker.store)
    assert (tmp_path / "home" / "mlflow.db").exists()


def test_a_folder_that_cannot_be_made_is_refused_before_a_sweep(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(BenchError, match=r"cannot use .* as the MLflow store"):
        open_tracker(tmp_path / "file", None, False).check()


def test_what_is_left_of_a_store_is_looked_at_before_a_sweep(tmp_path: Path) -> None:
    (tmp_path / "mlflow.db-wal").write_text("")
    (note,) = open_tracker(tmp_path, None, False).check()
    assert "leftovers" in note
    assert (tmp_path / "mlflow.db").exists()


def test_the_ui_is_bound_to_the_loopback_address(tmp_path: Path) -> None:
    store = resolve(None, tmp_path)
    port = free_port()
    argv = ui.command(store, port)
    assert argv[:4] == [sys.executable, "-m", "mlflow", "server"]
    assert argv[argv.index("--host") + 1] == "127.0.0.1"
    assert argv[argv.index("--backend-store-uri") + 1] == store.uri
    assert ui.address(store, port) == f"http://127.0.0.1:{port}"
    server = resolve("http://there:5000", tmp_path)
    assert ui.address(server) == "http://there:5000"
    with pytest.raises(BenchError, match=r"its own UI"):
        ui.command(server)


def test_a_taken_port_is_said(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(BenchError, match=r"is taken .*--port"):
            ui.command(resolve(None, tmp_path), taken.getsockname()[1])


def test_importing_the_package_does_not_import_mlflow() -> None:
    code = (
        "import sys, bench.track, bench.track.store, bench.track.mlflow_projection\n"
        "import bench.track.background, bench.track.read, bench.track.ui\n"
        "sys.exit(any(name in sys.modules for name in ('mlflow', 'torch', 'ray', 'sqlalchemy')))"
    )
    done = subprocess.run([sys.executable, "-c", code], env=dict(os.environ), timeout=60)
    assert done.returncode == 0
