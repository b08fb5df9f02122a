"""Where runs are recorded: a local sqlite file by default, a server when one is named.

The one place that decides how MLflow is reached, and that finds out before a sweep starts that it
cannot be. MLflow is imported when a client is asked for, never before.
"""

from __future__ import annotations

import base64
import logging
import os
import socket
import sqlite3
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from bench.errors import BenchError

CHECK_SEC = 3.0  # a server that has not answered by then counts as unreachable
DATABASES = {"postgresql": 5432, "mysql": 3306, "mssql": 1433}
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
        return urlsplit(self.uri).scheme in ("http", "https", "databricks")

    @property
    def shown(self) -> str:
        """The URI without a password."""
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
        return Store(uri=f"sqlite:///{home / 'mlflow.db'}", artifacts=home / "mlartifacts")
    scheme = urlsplit(named).scheme.split("+")[0]
    if scheme in ("http", "https", "databricks") or named == "databricks":
        return Store(uri=named.rstrip("/"), artifacts=None)
    if scheme == "sqlite":
        file = Path(named.removeprefix("sqlite:///")).expanduser().resolve()
        return Store(uri=f"sqlite:///{file}", artifacts=file.parent / "mlartifacts")
    if scheme in DATABASES:
        return Store(uri=named, artifacts=home / "mlartifacts")
    hint = f"sqlite:///{named}" if not scheme else "sqlite:///FILE.db"
    raise BenchError(
        f"tracking URI {redacted(named)!r} is neither a server (http://HOST:PORT) nor a database; "
        f"for a local file write {hint}"
    )


def redacted(uri: str) -> str:
    """The URI with any password left out."""
    parts = urlsplit(uri)
    if parts.password is None:
        return uri
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{parts.username}:***@{host}"))


def check(store: Store) -> None:
    """Reach the store once, creating the schema of a new local one (seconds, so only here).

    Raises BenchError, within about CHECK_SEC, when it cannot be used.
    """
    scheme = urlsplit(store.uri).scheme.split("+")[0]
    if scheme in ("http", "https"):
        _check_server(store)
    elif scheme == "sqlite":
        _check_file(store, Path(store.uri.removeprefix("sqlite:///")))
    elif scheme in DATABASES:
        _check_socket(store, DATABASES[scheme])
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        client(store).search_experiments(max_results=1)
    except (MlflowException, SQLAlchemyError, OSError) as error:
        reason = str(error).strip().splitlines()[0][:200]
        raise BenchError(
            f"{store.shown} does not answer as MLflow ({reason}); check the address, or {LOCAL}"
        ) from error


def client(store: Store) -> Any:
    """An MlflowClient on the store. Imports MLflow (about a second) the first time."""
    quiet()
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=store.uri)


def quiet() -> None:
    """No telemetry, no log chatter from MLflow and Alembic, no minutes of retries."""
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.ERROR)


def _check_server(store: Store) -> None:
    """GET /health within CHECK_SEC; any answer but a refusal or a failure will do."""
    parts = urlsplit(store.uri)
    netloc = parts.netloc.rpartition("@")[2]
    url = urlunsplit(parts._replace(netloc=netloc)) + "/health"
    request = urllib.request.Request(url)
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
    except (OSError, ValueError) as error:  # URLError is an OSError
        reason = getattr(error, "reason", error)
        raise BenchError(
            f"MLflow server {store.shown} cannot be reached ({reason}); start it, or {LOCAL}"
        ) from error


def _check_file(store: Store, file: Path) -> None:
    """The file can be made or written, and what is there is a database."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(file, timeout=CHECK_SEC)
        try:
            connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        finally:
            connection.close()
        if not os.access(file, os.W_OK):
            raise PermissionError("no permission to write")
    except (OSError, sqlite3.Error) as error:
        raise BenchError(
            f"cannot use {file} as the MLflow store ({error}); name another with "
            "--tracking-uri sqlite:///FILE.db"
        ) from error


def _check_socket(store: Store, default_port: int) -> None:
    """The database's port answers within CHECK_SEC (MLflow itself would retry for minutes)."""
    parts = urlsplit(store.uri)
    try:
        socket.create_connection(
            (parts.hostname or "localhost", parts.port or default_port), CHECK_SEC
        ).close()
    except OSError as error:
        raise BenchError(
            f"MLflow database {store.shown} cannot be reached ({error}); start it, or {LOCAL}"
        ) from error
