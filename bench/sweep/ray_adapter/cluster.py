"""An existing Ray cluster: connecting to it, and what its nodes hold for trials now.

Our code goes with the connection (Ray ships the packages to every node; torch and the rest must be
installed there), data and checkpoints go through the shared storage. Ray's token authentication
stays as the cluster has it: its token is read from RAY_AUTH_TOKEN, RAY_AUTH_TOKEN_PATH or
~/.ray/auth_token.
"""

from __future__ import annotations

import importlib.util
import logging
import math
import os
import socket
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.errors import BenchError
from bench.sweep.ray_adapter.driver import LOOPBACK, QUIET

PACKAGES = ("bench", "backbones", "search_spaces", "leaderboards")
ANSWER_SEC = 5.0
HERE = ("127.0.0.1", "localhost", "::1")
TOKENS = ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH")
HANDED_ON = ("AWS_", "GOOGLE_", "AZURE_", "FSSPEC_")  # the driver's way into the storage, but for
SECRET = ("KEY", "SECRET", "TOKEN", "PASSWORD", "CREDENTIAL")  # what Ray would log: nodes have own


@contextmanager
def cluster_up(address: str, packages: Sequence[str] = PACKAGES) -> Iterator[float]:
    """Connected to a cluster for as long as the block runs; yields the seconds it took.

    Raises:
        BenchError: no cluster answers there, its token is not ours, or it is a Ray Client address.
    """
    place = find(address)
    os.environ.update(QUIET)
    if place.rpartition(":")[0] in HERE:
        os.environ[LOOPBACK] = "0"  # or Ray would look for it on this machine's outer address
    if "RAY_AUTH_MODE" not in os.environ and _has_token():
        os.environ["RAY_AUTH_MODE"] = "token"
    import ray

    begin = time.monotonic()
    try:
        try:
            ray.init(
                address=place,
                log_to_driver=False,
                logging_level=logging.ERROR,
                runtime_env={
                    "py_modules": [_source(name) for name in packages],
                    "env_vars": {**QUIET, **_handed_on()},
                },
            )
        except SystemExit as left:
            raise KeyboardInterrupt from left
        except Exception as error:
            raise BenchError(_refusal(place, error)) from error
        yield time.monotonic() - begin
    finally:
        ray.shutdown()


def find(address: str) -> str:
    """host:port of a cluster that answers.

    Raises:
        BenchError: there is none, or the address is for Ray Client.
    """
    if address.startswith("ray://"):
        raise BenchError(
            f"--address {address}: Tune cannot be driven through Ray Client; run the command on "
            "the cluster: ray job submit --address http://HEAD:8265 -- bench sweep ... "
            "--address auto"
        )
    auto = address == "auto"
    if auto:
        address = os.environ.get("RAY_ADDRESS") or _last_started()
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit():
        raise BenchError(f"--address must be auto or HOST:PORT, got {address!r}")
    try:
        socket.create_connection((host.strip("[]"), int(port)), ANSWER_SEC).close()
    except OSError as error:
        raise BenchError(
            f"no Ray cluster answers at {address}{' (where auto points)' if auto else ''}: "
            f"{error.strerror or error}; start one, as examples/ray_start shows"
        ) from error
    return address


def _last_started() -> str:
    """The cluster that was last started on this machine, as Ray itself notes it."""
    root = Path(os.environ.get("RAY_TMPDIR") or tempfile.gettempdir())
    try:
        return (root / "ray" / "ray_current_cluster").read_text().strip()
    except OSError as error:
        raise BenchError(
            "--address auto: no Ray cluster was started on this machine; run on one of its nodes, "
            "give HOST:PORT, or start one: ray start --head"
        ) from error


def _has_token() -> bool:
    return any(os.environ.get(t) for t in TOKENS) or Path("~/.ray/auth_token").expanduser().exists()


def _refusal(address: str, error: Exception) -> str:
    seen: BaseException | None = error
    while seen is not None:
        if "AuthToken" in str(seen) or "authentication" in str(seen).lower():
            return (
                f"the Ray cluster at {address} refuses our token; put its own (on its head: ray "
                "get-auth-token) into RAY_AUTH_TOKEN or ~/.ray/auth_token"
            )
        seen = seen.__cause__
    first = str(error).splitlines()[0] if str(error) else type(error).__name__
    return f"cannot use the Ray cluster at {address}: {first}"


def _source(package: str) -> str:
    """Where a package's code lies, without importing it."""
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise AssertionError(f"{package} is no package")
    return str(Path(spec.submodule_search_locations[0]).resolve())


def _handed_on() -> dict[str, str]:
    plain = {k: v for k, v in os.environ.items() if not any(word in k for word in SECRET)}
    return {k: v for k, v in plain.items() if k.startswith(HANDED_ON)}


def room(request: Mapping[str, float], nodes: Sequence[Mapping[str, Any]] | None = None) -> int:
    """How many trials of `request` (cpu, gpu) the nodes that are there now hold."""
    if nodes is None:
        import ray

        nodes = ray.nodes()
    return sum(_fits(request, n["Resources"]) for n in nodes if n["Alive"])


def _fits(request: Mapping[str, float], resources: Mapping[str, float]) -> int:
    wanted = {name.upper(): amount for name, amount in request.items() if amount > 0}
    if not wanted:
        return 0
    # 1e-6: three shares of 1/3 fit
    return min(
        math.floor(resources.get(name, 0.0) / amount + 1e-6) for name, amount in wanted.items()
    )
