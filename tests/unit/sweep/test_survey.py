"""A cluster's nodes summed up, and what trials make of them."""

from __future__ import annotations

from typing import Any

import pytest

from bench.errors import BenchError
from bench.sweep.cost.machine import cluster_machine
from bench.sweep.ray_adapter.survey import summed


def node(alive: bool = True, **resources: float) -> dict[str, Any]:
    return {"Alive": alive, "Resources": {"memory": 64e9, **resources}}


GPUS = [
    node(CPU=32, GPU=4, **{"accelerator_type:A100": 1.0}),
    node(CPU=32, GPU=4, **{"accelerator_type:A100": 1.0}),
    node(alive=False, CPU=32, GPU=4),
    node(CPU=0),  # a head that takes no work
]


def test_only_what_is_there_counts() -> None:
    survey = summed(GPUS)
    assert (survey.nodes, survey.cores, survey.gpus) == (2, 64, 8)
    assert survey.text == "Ray cluster of 2 nodes, 8 A100 GPUs"
    assert survey.bf16


def test_one_old_gpu_and_none_trains_in_bf16() -> None:
    old = node(CPU=8, GPU=1, **{"accelerator_type:V100": 1.0})
    assert not summed([*GPUS, old]).bf16


def test_a_trial_a_gpu_or_a_core() -> None:
    survey = summed(GPUS)
    usual = cluster_machine(survey, None, 1, False)
    assert (usual.device, usual.concurrency, usual.threads) == ("cuda", 8, 8)
    assert cluster_machine(survey, None, 4, False).concurrency == 2
    cpus = summed([node(CPU=4), node(CPU=16)])
    plain = cluster_machine(cpus, None, 1, False)
    assert (plain.device, plain.concurrency, plain.threads) == ("cpu", 20, 1)
    assert plain.memory_gb == pytest.approx(4.0)  # of the node with 16 cores


def test_beside_a_gpu_a_trial_asks_for_no_more_cores_than_its_node_has_for_it() -> None:
    head = node(CPU=64)
    survey = summed([head, *(node(CPU=8, GPU=1) for _ in range(2))])
    assert cluster_machine(survey, None, 1, False).threads == 8
    assert cluster_machine(survey, 4, 1, False).threads == 4  # two share a GPU


def test_trials_of_several_workers_that_would_wait_for_ever() -> None:
    with pytest.raises(BenchError, match="needs 12 GPUs, and the cluster has 8"):
        cluster_machine(summed(GPUS), 3, 4, False)


@pytest.mark.parametrize(
    ("workers", "pack", "said"),
    [(9, False, "the cluster has 8 GPUs"), (1, True, "does not tell")],
)
def test_what_a_cluster_cannot_give(workers: int, pack: bool, said: str) -> None:
    with pytest.raises(BenchError, match=said):
        cluster_machine(summed(GPUS), None, workers, pack)


def test_packing_where_there_is_no_gpu() -> None:
    with pytest.raises(BenchError, match="the cluster has none"):
        cluster_machine(summed([node(CPU=4)]), None, 1, True)


def test_a_cluster_without_a_core_is_one_line() -> None:
    with pytest.raises(BenchError, match="no node with a core"):
        summed([node(CPU=0)])
