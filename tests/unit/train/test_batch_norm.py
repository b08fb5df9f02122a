"""Batch normalisation in a user's network: one worker, several on GPUs, and why not on the CPU."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.modules.batchnorm import SyncBatchNorm

from bench.config import MethodConfig, TrialConfig
from bench.errors import BenchError
from bench.methods import build_method
from bench.run import steps
from bench.tasks.generate import GenerateTask
from bench.train import batch_norm
from bench.train.loop import Training
from bench.train.parallel import ALONE, World
from tests.fakes.trials import net_of, tiny
from tests.fakes.workers import run_workers
from tests.unit.train.test_resume import ran, same

NET = f"{Path(__file__).parents[2] / 'fakes' / 'batch_norm_net.py'}:build"
METHOD = MethodConfig(backbone=NET, backbone_args={"width": 8}, preconditioning="edm")


def trial(cache: Path, workers: int = 1, **changes: Any) -> TrialConfig:
    split = {"train.workers": workers, "train.micro_batch": 8 // workers}
    return tiny(cache, method=METHOD, **{**split, **changes})


def network() -> nn.Module:
    return build_method(tiny(method=METHOD)).net


def test_one_worker_goes_on_to_the_bit(cache: Path, tmp_path: Path) -> None:
    """The running statistics are in the checkpoint, and in what is kept of the trial."""
    whole = ran(trial(cache), tmp_path / "whole")
    same(whole, ran(trial(cache), tmp_path / "cut", stops=(1, 3)))
    assert whole.ema["norm.running_var"].std() > 0


def refused(world: World, cache: Path, folder: Path) -> list[tuple[str | None, str]]:
    said = steps(trial(cache, world.size), folder, world)
    return [(report.outcome, report.cause) for report in said]


def test_several_workers_on_the_cpu_are_refused(cache: Path, tmp_path: Path) -> None:
    said, other = run_workers(2, refused, cache, tmp_path)
    ((outcome, cause),) = said
    assert outcome == "failed"
    assert "has batch normalisation (norm, norm_act) and 2 workers a trial" in cause
    assert "SyncBatchNorm refuses CPU input" in cause
    assert other == []


def test_torch_still_refuses_cpu_input() -> None:
    """What the refusal says of torch is seen here: when it learns, the refusal can go."""
    (said,) = {str(answer) for answer in run_workers(2, _normalised)}
    assert "SyncBatchNorm expected input tensor to be on GPU" in said


def _normalised(world: World) -> None:
    world.share(lambda: None)  # both are connected before one of them fails
    nn.SyncBatchNorm(2)(torch.ones(2, 2, 4, 4))


def test_other_networks_are_left_alone() -> None:
    net = build_method(tiny(method=net_of("small_unet"))).net
    batch_norm.check(net, "cpu", 2)
    batch_norm.check(network(), "cpu", 1)
    batch_norm.check(network(), "cuda", 2)
    with pytest.raises(BenchError, match=r"my_net\.py:build has batch normalisation"):
        batch_norm.check(network(), "cpu", 2, "my_net.py:build")


def test_layers_on_gpus_become_synchronised_in_place() -> None:
    net = network().train()
    held, names = list(net.parameters()), list(net.state_dict())
    batch_norm.synchronise(net, "cuda", 2)
    assert all(isinstance(net.get_submodule(n), SyncBatchNorm) for n in ("norm", "norm_act"))
    # the optimizer and the averages hold these very tensors
    assert all(a is b for a, b in zip(net.parameters(), held, strict=True))
    assert list(net.state_dict()) == names
    assert isinstance(net.get_submodule("norm_act.act"), nn.SiLU)  # torch's converter drops it
    with batch_norm.unsynchronised(net):
        assert not any(net.get_submodule(name).training for name in ("norm", "norm_act"))
        assert net.training
    assert all(net.get_submodule(name).training for name in ("norm", "norm_act"))


STEPS = 10


def trained(world: World, cache: Path) -> tuple[Any, Any]:
    config = trial(cache, world.size, **{"train.device": "cuda"})
    training = Training(
        config.train, build_method(config), GenerateTask(config), 3, config.trial_id, world=world
    )
    training.advance(STEPS * 8)
    state = training.objective.net.state_dict()
    return training.losses, {k: v.cpu().numpy() for k, v in state.items()}


@pytest.mark.skipif(not torch.cuda.is_available(), reason="SyncBatchNorm needs a GPU")
def test_two_workers_on_a_gpu_normalise_by_the_whole_batch(cache: Path) -> None:
    """Both on one GPU over gloo. Sums of float32 in another order, carried on by Adam: 1e-3."""
    losses, state = trained(ALONE, cache)
    for several, weights in run_workers(2, trained, cache):
        np.testing.assert_allclose(several, losses, rtol=1e-3)
        for name, value in state.items():
            np.testing.assert_allclose(weights[name], value, rtol=1e-3, atol=1e-3, err_msg=name)
