"""What a cluster offers before a sweep on it is planned: cores, GPUs of what kind, memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench.errors import BenchError
from bench.sweep.ray_adapter.cluster import cluster_up

KIND = "accelerator_type:"  # how Ray names a GPU's kind among a node's resources
WITHOUT_BF16 = ("V100", "P100", "P4", "T4", "K80", "RTX2080")  # older than Ampere


@dataclass(frozen=True, kw_only=True)
class Survey:
    """All nodes that were there when asked."""

    nodes: int
    cores: int
    gpus: int
    kinds: tuple[str, ...]  # of GPUs
    least_cores: int  # of the smallest node; for each GPU, where there are any
    gb_per_core: float  # of the node that has least for each of its cores

    @property
    def bf16(self) -> bool:
        """Whether every GPU gains from bfloat16."""
        return bool(self.kinds) and not any(k.endswith(WITHOUT_BF16) for k in self.kinds)

    @property
    def text(self) -> str:
        kinds = f" {', '.join(self.kinds)}" if self.kinds else ""
        gpus = f", {self.gpus}{kinds} GPUs" if self.gpus else ""
        return f"Ray cluster of {self.nodes} node{'s' * (self.nodes > 1)}{gpus}"


def survey(address: str) -> Survey:
    """Ask the cluster at `address`.

    Raises:
        BenchError: it does not answer, or has no node with a core.
    """
    with cluster_up(address):
        import ray

        return summed(ray.nodes())


def summed(nodes: Sequence[Mapping[str, Any]]) -> Survey:
    """The survey of Ray's own list of nodes."""
    there = [n["Resources"] for n in nodes if n["Alive"] and n["Resources"].get("CPU", 0) >= 1]
    if not there:
        raise BenchError("the Ray cluster has no node with a core to give; add one: ray start")
    kinds = {name.removeprefix(KIND) for r in there if r.get("GPU") for name in r if KIND in name}
    with_gpu = [r for r in there if r.get("GPU", 0) >= 1]
    each = [r["CPU"] / int(r["GPU"]) for r in with_gpu] or [r["CPU"] for r in there]
    return Survey(
        least_cores=int(min(each)),
        nodes=len(there),
        cores=sum(int(r["CPU"]) for r in there),
        gpus=sum(int(r.get("GPU", 0)) for r in there),
        kinds=tuple(sorted(kinds)),
        gb_per_core=min(r.get("memory", 0.0) / 1e9 / r["CPU"] for r in there),
    )
