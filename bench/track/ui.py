"""The MLflow UI on the right store: the command to run, or the address that serves it already."""

from __future__ import annotations

import socket
import sys

from bench.errors import BenchError
from bench.track.store import ENVIRONMENT, Store

HOST = "127.0.0.1"
PORT = 5000
QUIET = ("--uvicorn-opts", "--log-level warning")  # not a line for every request


def address(store: Store, port: int = PORT) -> str:
    """Where a browser finds the UI: the server's own address, or the loopback port."""
    return store.shown if store.remote else f"http://{HOST}:{port}"


def command(store: Store, port: int = PORT) -> list[str]:
    """argv of a server for a local store, bound to the loopback address only.

    Raises BenchError when the port is taken, or when the store is a server with a UI of its own.
    """
    if store.remote:
        raise BenchError(f"{store.shown} is a server with its own UI: open it in a browser")
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise BenchError(f"port {port} is taken ({error.strerror}); try --port PORT") from error
    argv = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", store.uri]
    if store.artifacts is not None:
        argv += ["--artifacts-destination", store.artifacts.as_uri()]
    return [*argv, "--host", HOST, "--port", str(port), "--workers", "1", *QUIET]


def environment() -> dict[str, str]:
    """What the command's environment should hold besides the caller's own (no telemetry)."""
    return {**ENVIRONMENT, "PYTHONWARNINGS": "ignore"}  # a server's own deprecations are not news
