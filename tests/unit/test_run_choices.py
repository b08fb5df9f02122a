"""Which weights are judged, and an entry's own choice of sampling measured beside the fixed one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bench.config import SampleConfig, TrialConfig
from bench.errors import BenchError
from bench.metrics.throughput import Stopwatch
from bench.run import Report, run_trial, steps
from bench.tasks.generate import GenerateTask
from bench.train import checkpoint
from bench.train.loop import Training
from tests.fakes.trials import tiny, write_cache


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_cache(tmp_path_factory.mktemp("fake") / "cache")


class Watch:
    """What was judged: for every evaluation the part, and which weights the network had."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.judged: list[tuple[str, str]] = []
        self.trainings: list[Training] = []
        evaluate, create = GenerateTask.evaluate, Training.__init__

        def evaluated(task: GenerateTask, predictor: Any, part: str, clock: Stopwatch) -> Any:
            self.judged.append((part, self._whose(predictor.nets[0])))
            return evaluate(task, predictor, part, clock)

        def created(training: Training, *args: Any) -> None:
            create(training, *args)
            self.trainings.append(training)

        monkeypatch.setattr(GenerateTask, "evaluate", evaluated)
        monkeypatch.setattr(Training, "__init__", created)

    def _whose(self, net: torch.nn.Module) -> str:
        training, weights = self.trainings[-1], list(net.parameters())
        candidates = {"net": list(training.objective.net.parameters()), **training.averages.weights}
        (name,) = (
            name
            for name, tensors in candidates.items()
            if all(torch.equal(a, b) for a, b in zip(tensors, weights, strict=True))
        )
        return name


def chosen(config: TrialConfig, **changes: Any) -> TrialConfig:
    """With an own choice of sampling that differs in these fields."""
    return replace(config, own_sample=replace(config.sample, **changes))


def test_without_an_average_the_network_is_judged(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    watch = Watch(monkeypatch)
    run_trial(tiny(cache, **{"sample.ema": 0.0}), tmp_path)
    assert watch.judged == [*[("select", "net")] * 3, ("report", "net")]
    kept, _ = checkpoint.read(tmp_path / "weights.safetensors")
    judged = dict(watch.trainings[-1].objective.net.named_parameters())
    assert all(torch.equal(kept[key], value) for key, value in judged.items())


def test_another_width_is_tracked_and_judged_and_kept(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    watch = Watch(monkeypatch)
    widths = (0.02, 0.05, 0.1)
    run_trial(tiny(cache, **{"sample.ema": 0.02, "train.ema_sigma_rel": widths}), tmp_path)
    assert watch.judged[2:] == [("select", "power0.02"), ("report", "power0.02")]
    kept, _ = checkpoint.read(tmp_path / "weights.safetensors")
    named = watch.trainings[-1].averages.named("power0.02")
    assert all(torch.equal(kept[key], value) for key, value in named.items())


def test_a_width_that_no_average_has_is_refused_before_the_training(cache: Path) -> None:
    with pytest.raises(BenchError, match=r"sample.ema 0.2 is none of train.ema_sigma_rel \(0.05"):
        tiny(cache, **{"sample.ema": 0.2})
    with pytest.raises(BenchError, match=r"own_sample.ema 0.2 is none of train.ema_sigma_rel"):
        chosen(tiny(cache), ema=0.2)
    tiny(cache, **{"sample.ema": 0.05})  # one that is tracked


def test_an_own_choice_stands_beside_and_moves_nothing(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    watch = Watch(monkeypatch)
    plain = list(steps(tiny(cache), tmp_path / "plain"))
    del watch.judged[:]
    config = chosen(tiny(cache), sampler="euler", steps=5, ema=0.0)
    beside = list(steps(config, tmp_path / "beside"))
    assert watch.judged[2:] == [
        ("select", "power0.1"),
        ("report", "power0.1"),
        ("report", "net"),
    ]

    def of(report: Report, group: str) -> dict[str, float]:
        return {k: v for k, v in report.metrics.items() if k.startswith(f"{group}/")}

    for one, other in zip(plain[:-1], beside[:-1], strict=True):
        assert of(one, "rung") == of(other, "rung")
        assert of(other, "own") == {}
    end = beside[-1]
    assert of(end, "eval") == of(plain[-1], "eval")  # to the bit
    assert {k.split("/")[1] for k in of(end, "own")} == {k.split("/")[1] for k in of(end, "eval")}
    assert end.metrics["own/nfe"] == 5
    assert end.metrics["eval/nfe"] == 3
    assert end.metrics["own/fd_randconv"] != end.metrics["eval/fd_randconv"]
    for name in ("weights.safetensors", "samples.png", "stability_log.npz"):
        first, second = ((tmp_path / n / name).read_bytes() for n in ("plain", "beside"))
        assert first == second, name


def test_an_own_choice_is_measured_as_if_it_were_the_fixed_one(cache: Path, tmp_path: Path) -> None:
    """The same streams: what stands under own/ is what eval/ would have said."""
    config = chosen(tiny(cache), sampler="euler", steps=5)
    beside = run_trial(config, tmp_path / "beside")
    assert config.own_sample is not None
    alone = run_trial(replace(tiny(cache), sample=config.own_sample), tmp_path / "alone")
    for key, value in alone.metrics.items():
        group, _, name = key.partition("/")
        if group == "eval":
            assert beside.metrics[f"own/{name}"] == value


def test_identity_knows_the_choice(cache: Path) -> None:
    config = tiny(cache)
    assert chosen(config, steps=5).entry_id != config.entry_id
    again = TrialConfig.from_dict(chosen(config, steps=5).to_dict())
    assert again.own_sample == SampleConfig(steps=5, batch_size=16)
    assert np.unique([chosen(config, steps=k).entry_id for k in (3, 4, 5)]).size == 3
