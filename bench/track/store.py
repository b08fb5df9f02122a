"""Where runs are recorded: a local sqlite file by default, a server when one is named.

The one place that decides how MLflow is reached, and that finds out before a sweep starts that it
cannot be. MLflow is imported when a client is asked for, never before.
"""

from __future__ import annotations

import base64
import http.client
import logging
import os
import re
import socket
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlunsplit

from bench.errors import BenchError
from bench.track.local_database import cannot_use, ensure, traces
from bench.track.tracking_uri import (
    DATABASES,
    SERVERS,
    SQLITE,
    check_server,
    one_line,
    redacted,
    scheme_of,
    split,
    sqlite_file,
    without_secrets,
)

CHECK_SEC = 3.0  # a server that has not answered by then counts as unreachable
LOCAL = "leave out --tracking-uri to use the local store"

# Quiet, private, and quick to give up on a server that died; a value the user set is kept.
ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_LOGGING_LEVEL": "ERROR",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
}


@dataclass(frozen=True, kw_only=True)
class Store:
    """A tracking store. `artifacts`: the local artifact folder, None where a server has them."""

    uri: str
    artifacts: Path | None

    @property
    def remote(self) -> bool:
        return self.artifacts is None

    @property
    def file(self) -> Path | None:
        """The database file of a local store."""
        return sqlite_file(self.uri) if scheme_of(self.uri) == "sqlite" else None

    @property
    def shown(self) -> str:
        """The URI without its secrets."""
        return redacted(self.uri)

    def artifact_location(self, experiment: str) -> str | None:
        """Where a new experiment keeps its files; None lets the server decide."""
        return None if self.artifacts is None else (self.artifacts / experiment).as_uri()


def resolve(uri: str | None, home: Path) -> Store:
    """The store named by `uri`, else by MLFLOW_TRACKING_URI, else `<home>/mlflow.db`.

    Raises BenchError for a URI that MLflow would not understand or would take for a folder name.
    """
    named = uri or os.environ.get("MLFLOW_TRACKING_URI")
    home = home.expanduser().resolve()
    if not named:
        if "?" in str(home):
            raise BenchError(f"--home {home}: MLflow's local store cannot lie below a '?'")
        file = sqlite_file(f"{SQLITE}{home / 'mlflow.db'}")
        return Store(uri=f"{SQLITE}{file}", artifacts=home / "mlartifacts")
    scheme = scheme_of(named)
    if scheme in SERVERS or named == "databricks":
        check_server(named)
        return Store(uri=named.rstrip("/"), artifacts=None)
    if scheme == "sqlite":
        file = sqlite_file(named)
        return Store(uri=f"{SQLITE}{file}", artifacts=file.parent / "mlartifacts")
    if scheme in DATABASES:
        split(named)
        return Store(uri=named, artifacts=home / "mlartifacts")
    hint = f"{SQLITE}{named}" if re.fullmatch(r"[\w./~-]+", named) else f"{SQLITE}FILE.db"
    raise BenchError(
        f"tracking URI {redacted(named)!r} is neither a server (http://HOST:PORT) nor a database; "
        f"for a local file write {hint}"
    )


def check(store: Store) -> list[str]:
    """Reach the store once, making a new local one whole (seconds, so only here); lines to say.

    Raises BenchError, within about CHECK_SEC, when it cannot be used.
    """
    scheme, notes = scheme_of(store.uri), []
    if scheme in ("http", "https"):
        _check_server(store)
    elif store.file is not None:
        notes = _ensure(store)
    elif scheme in DATABASES:
        _check_socket(store, DATABASES[scheme])
    try:
        client(store).search_experiments(max_results=1)
    except BenchError:
        raise
    except Exception as error:  # of MLflow, SQLAlchemy, a driver that is not installed, the system
        reason = one_line(error, store.uri)
        raise BenchError(
            f"{store.shown} does not answer as MLflow ({reason}); check the address, or {LOCAL}"
        ) from error
    return notes


def is_new(store: Store) -> bool:
    """Whether it is a local store of which nothing is there yet."""
    return store.file is not None and not any(traces(store.file))


def need_folder(store: Store) -> None:
    """Make the folder of a local store.

    Raises BenchError when it cannot be made, or nothing can be written there.
    """
    assert store.file is not None
    try:
        store.file.parent.mkdir(parents=True, exist_ok=True)
        if not os.access(store.file.parent, os.W_OK):
            raise PermissionError("no permission to write")
    except OSError as error:
        raise cannot_use(store.file, error) from error


def client(store: Store) -> Any:
    """An MlflowClient on the store. Imports MLflow (about a second) the first time.

    A local store that was not checked is made here: MLflow itself would make it piece by piece.
    """
    quiet()
    _ensure(store)
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=store.uri)


def quiet() -> None:
    """No telemetry, no log chatter from MLflow and Alembic, no minutes of retries."""
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.CRITICAL)  # what fails is raised, and said by us


def _check_server(store: Store) -> None:
    """GET /health within CHECK_SEC; any answer but a refusal or a failure will do."""
    parts = split(store.uri)
    netloc = parts.netloc.rpartition("@")[2]
    request = urllib.request.Request(urlunsplit(parts._replace(netloc=netloc)) + "/health")
    user = parts.username or os.environ.get("MLFLOW_TRACKING_USERNAME")
    token = os.environ.get("MLFLOW_TRACKING_TOKEN")
    if user is not None:
        password = parts.password or os.environ.get("MLFLOW_TRACKING_PASSWORD", "")
        pair = base64.b64encode(f"{user}:{password}".encode()).decode()
        request.add_header("Authorization", f"Basic {pair}")
    elif token:
        request.add_header("Authorization", f"Bearer {token}")
    try:
        urllib.request.urlopen(request, timeout=CHECK_SEC).close()
    except urllib.error.HTTPError as error:
        if error.code in (401, 403):
            raise BenchError(
                f"MLflow server {store.shown} refuses the login (HTTP {error.code}); set "
                "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"
            ) from error
        if error.code >= 500:
            raise BenchError(
                f"MLflow server {store.shown} fails (HTTP {error.code}); mend it, or {LOCAL}"
            ) from error
    except (OSError, ValueError, http.client.HTTPException) as error:  # URLError is an OSError
        reason = without_secrets(str(getattr(error, "reason", error)), store.uri)
        raise BenchError(
            f"MLflow server {store.shown} cannot be reached ({reason}); start it, or {LOCAL}"
        ) from error


def _ensure(store: Store) -> list[str]:
    """A local store's database is there, and whole; what was done for it, to be said."""
    if store.file is None or store.artifacts is None:
        return []
    quiet()
    return ensure(store.file, store.artifacts)


def _check_socket(store: Store, default_port: int) -> None:
    """The database's port answers within CHECK_SEC (MLflow itself would retry for minutes)."""
    parts = split(store.uri)
    try:
        socket.create_connection(
            (parts.hostname or "localhost", parts.port or default_port), CHECK_SEC
        ).close()
    except (OSError, ValueError) as error:  # ValueError: a host name that cannot be one
        raise BenchError(
            f"MLflow database {store.shown} cannot be reached ({error}); start it, or {LOCAL}"
        ) from error
