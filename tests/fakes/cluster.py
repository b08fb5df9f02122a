"""A real Ray cluster on this machine whose nodes have folders of their own that go with them.

Every node but the head is a mount and process namespace: its scratch folder, its Ray session, the
driver's home and the repository's packages are private tmpfs, so nothing crosses, our code neither,
but through Ray and the shared storage; and killing the namespace's first process takes all of the
node at once, as a power cut does. Where namespaces cannot be had (no root, no user namespaces),
nodes get plain folders that are deleted at the kill; `isolation` says which it is. Everything
listens on 127.0.0.1.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import psutil

from tests.fakes.ray_niceness import EVEN

# `ray start` takes 127.0.0.1 for the address that others reach this machine by: not here
LAUNCH = """
import sys
import ray._private.services as services
services.get_node_ip_address = lambda address=None: "127.0.0.1"
from ray.scripts.scripts import main
sys.argv[1:1] = ["start", "--block", "--disable-usage-stats"]
sys.exit(main())
"""
HIDDEN = ("home", "other", "scratch", "tmp")  # folders of the base that every node has for itself
REPOSITORY = Path(__file__).parents[2]
CODE = ("bench", "backbones", "search_spaces", "leaderboards", "tests")  # a node must be sent it
STARTED_SEC = 60.0
UP = "Ray runtime started"  # what `ray start` says at last
HEALTH = {  # a killed node is known in some 2 s, not 15; to answer it has Ray's own 10 s
    "RAY_health_check_initial_delay_ms": "1000",
    "RAY_health_check_period_ms": "500",
    "RAY_health_check_timeout_ms": "10000",
    "RAY_health_check_failure_threshold": "4",
}


@dataclass
class Node:
    """One node: its first process, and the folder that goes with it where there is no namespace."""

    process: subprocess.Popen[bytes]
    folder: Path
    log: Path


@dataclass
class Cluster:
    """`base/home` and `base/other` are the driver's, `base/shared` is the storage, `base/scratch`
    each node's own."""

    base: Path
    port: int = 0
    nodes: list[Node] = field(default_factory=list)
    started: int = 0

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @cached_property
    def unshare(self) -> list[str]:
        """The command that makes a namespace; empty where none can be made."""
        for extra in ([], ["--user", "--map-root-user"]):
            command = ["unshare", *extra, "--mount", "--pid", "--fork", "--kill-child"]
            command.append("--mount-proc")
            test = f"mount -t tmpfs tmpfs {self.base}"
            if (
                shutil.which("unshare")
                and not subprocess.run([*command, "sh", "-c", test], capture_output=True).returncode
            ):
                return command
        return []

    @property
    def isolation(self) -> str:
        if self.unshare:
            return "nodes are mount and process namespaces"
        return "no namespaces here: nodes have plain folders, deleted at the kill"

    def environment(self, folder: Path) -> dict[str, str]:
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("RAY_", "TUNE_"))}
        return {
            **kept,
            **EVEN,
            **HEALTH,
            "BENCH_SCRATCH": str(folder / "scratch"),
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN_PATH": str(self.base / "token"),
            "OMP_NUM_THREADS": "1",
        }

    def start(self) -> None:
        """The head: no trials run on it, and the driver connects to it."""
        for name in (*HIDDEN, "shared"):
            (self.base / name).mkdir()
        (self.base / "token").write_text("0123456789abcdef" * 4)
        self.port = _free_port()
        self.head = self._launch(
            ["--head", f"--port={self.port}", "--num-cpus=0", "--include-dashboard=false"],
            self.base,
            [],
        )

    def add(self, cpus: int = 1) -> Node:
        """A new node; returns at once."""
        self.started += 1
        folder = self.base if self.unshare else self.base / f"node{self.started}"
        command = []
        if self.unshare:
            hidden = [self.base / name for name in HIDDEN] + [REPOSITORY / name for name in CODE]
            mounts = "; ".join(f"mount -t tmpfs tmpfs {folder}" for folder in hidden)
            command = [*self.unshare, "sh", "-c", f'set -e; {mounts}; exec "$@"', "node"]
        else:
            for name in HIDDEN:
                (folder / name).mkdir(parents=True)
        node = self._launch([f"--address={self.address}", f"--num-cpus={cpus}"], folder, command)
        self.nodes.append(node)
        return node

    def _launch(self, options: list[str], folder: Path, command: list[str]) -> Node:
        log = self.base / f"node{self.started}.log"
        with open(log, "wb") as out:
            process = subprocess.Popen(
                [
                    *command,
                    *(sys.executable, "-c", LAUNCH),
                    *options,
                    "--node-ip-address=127.0.0.1",
                    f"--temp-dir={folder / 'tmp'}",
                    f"--object-store-memory={80 * 2**20}",
                    f"--dashboard-agent-listen-port={_free_port()}",
                ],
                env=self.environment(folder),
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                cwd=self.base,
            )
        return Node(process, folder, log)

    def wait(self) -> None:
        """Until every node is up.

        Raises:
            RuntimeError: one is not in time, or has ended.
        """
        until = time.monotonic() + STARTED_SEC
        for node in [self.head, *self.nodes]:
            while UP not in node.log.read_text() and time.monotonic() < until:
                if node.process.poll() is not None:
                    break
                time.sleep(0.1)
            if node.process.poll() is not None or UP not in node.log.read_text():
                raise RuntimeError(f"a node is not up:\n{self.said()}")

    def clear(self, *names: str) -> None:
        """Empty folders of the base. They stay: one that is deleted here comes off in the nodes,
        where something is mounted on it, and what is made in its place they see."""
        for name in names:
            for path in (self.base / name).iterdir():
                if path.is_dir():
                    shutil.rmtree(path, ignore_errors=True)
                else:
                    path.unlink(missing_ok=True)

    def seen(self, name: str) -> list[Path]:
        """What the nodes have in one of their own folders."""
        folders = [node.folder / name for node in self.nodes]
        if self.unshare:
            insides = [_tree(node.process.pid)[1].pid for node in self.nodes]
            folders = [Path(f"/proc/{pid}/root{self.base / name}") for pid in insides]
        return [path for folder in folders for path in folder.iterdir()]

    def busiest(self, seconds: float = 0.3) -> Node:
        """The node that works most at the moment: a trial runs on it."""
        before = {id(node): _cpu_sec(node) for node in self.nodes}
        time.sleep(seconds)
        return max(self.nodes, key=lambda node: _cpu_sec(node) - before[id(node)])

    def kill(self, node: Node) -> None:
        """SIGKILL everything of a node at once; what was in its folders is gone."""
        tree = _tree(node.process.pid)
        for process in reversed(tree) if self.unshare else tree:
            _sigkill(process)
        node.process.wait()
        if node in self.nodes:
            self.nodes.remove(node)
        if not self.unshare:
            shutil.rmtree(node.folder, ignore_errors=True)

    def said(self) -> str:
        """The end of what each node said, for a test that waited in vain."""
        return "\n".join(
            f"-- {node.log.name}, exit {node.process.poll()}:\n{node.log.read_text()[-1500:]}"
            for node in [self.head, *self.nodes]
        )

    def stop(self) -> None:
        for node in list(self.nodes):
            self.kill(node)
        for process in _tree(self.head.process.pid):
            _sigkill(process)
        self.head.process.wait()


def _tree(pid: int) -> list[psutil.Process]:
    """A process and all below it: raylet first, so that it reports no worker's end."""
    try:
        top = psutil.Process(pid)
        return [top, *top.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def _cpu_sec(node: Node) -> float:
    """CPU seconds that a node's processes have used."""
    used = 0.0
    for process in _tree(node.process.pid):
        with suppress(psutil.NoSuchProcess):
            used += process.cpu_times().user
    return used


def _sigkill(process: psutil.Process) -> None:
    with suppress(psutil.NoSuchProcess):
        process.send_signal(signal.SIGKILL)


def _free_port() -> int:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        return int(bound.getsockname()[1])


@contextmanager
def cluster(base: Path, nodes: int) -> Iterator[Cluster]:
    """A head without CPUs and so many nodes of one CPU each, all there when the block begins."""
    made = Cluster(base)
    made.start()
    try:
        made.wait()
        for _ in range(nodes):
            made.add()
        made.wait()
        yield made
    finally:
        made.stop()
