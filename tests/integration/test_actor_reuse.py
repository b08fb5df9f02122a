"""A reused actor: B after a bad, a cut-off and a large trial A is B as a new process runs it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bench.config import TrialConfig
from bench.run import Report
from bench.sweep.ray_adapter.driver import STEPS, ray_up
from tests.fakes.trials import net_of, timeless, tiny, write_cache

pytestmark = pytest.mark.slow

USERS = Path(__file__).parents[1] / "fakes" / "regression.py"
FILES = ("weights.safetensors", "stability_log.npz", "samples.png")


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_cache(tmp_path_factory.mktemp("fake") / "cache")


@pytest.fixture(scope="module")
def actors(ray_home: Path) -> Iterator[Any]:
    """A real Ray, and a maker of actors in processes of their own."""
    with pytest.MonkeyPatch.context() as patch:
        # a Trainable outside a Tuner leaves a folder in the home of its process
        patch.setenv("HOME", str(ray_home))
        with ray_up(cpus=1, gpus=0):
            import ray

            from bench.sweep.ray_adapter.trainable import TrialActor

            class Reported(TrialActor):
                def pid(self) -> int:
                    return os.getpid()

            yield ray.remote(num_cpus=0.2)(Reported)


def body(config: TrialConfig, folder: Path) -> dict[str, Any]:
    """What the searcher hands to an actor."""
    plain = json.loads(json.dumps(config.to_dict()))
    return {"trial": 0, "steps": STEPS, "config": plain, "folder": str(folder)}


def run(actor: Any, reports: int | None = None) -> list[Report]:
    """Up to so many reports of the actor's trial, or all."""
    import ray

    reported: list[Report] = []
    while (reports is None or len(reported) < reports) and not (reported and reported[-1].outcome):
        result = ray.get(actor.train.remote())
        reported.append(Report(**json.loads(result["report"])))
        assert result["done"] == (reported[-1].outcome is not None)
    return reported


def test_b_is_b_whatever_came_before(actors: Any, cache: Path, tmp_path: Path) -> None:
    import ray

    b = tiny(cache, **{"train.optimizer": "adamw"})
    fresh = actors.remote(body(b, tmp_path / "fresh"))
    expected = [timeless(r) for r in run(fresh)]
    assert expected[-1]["outcome"] == "completed"

    diverged = tiny(cache, **{"method.kind": f"{USERS}:Exploding"})
    wide = tiny(cache, method=net_of("adm", width=32, dropout=0.2), **{"train.lr": 1e-2})
    out = tiny(cache, **{"method.kind": f"{USERS}:Hopeless"})
    shape = {"train.batch_size": 32, "train.micro_batch": 32, "train.rungs_nimg": (32, 64)}
    oversized = tiny(cache, method=wide.method, seed=8, **shape)
    before = {
        "diverged": (diverged, None, "diverged"),
        "pruned": (wide, 2, None),  # dropped at its first rung, as Tune does with STOP
        "pruned between": (wide, 1, None),
        "oversized": (oversized, None, "completed"),
        "out of memory": (out, None, "out-of-memory"),
    }
    reused, pid = None, 0
    for name, (a, reports, outcome) in before.items():
        trial = body(a, tmp_path / f"before {name}")
        if reused is None:
            reused = actors.remote(trial)
            pid = ray.get(reused.pid.remote())
        else:
            assert ray.get(reused.reset.remote(trial))
        assert run(reused, reports)[-1].outcome == outcome, name
        folder = tmp_path / f"after {name}"
        assert ray.get(reused.reset.remote(body(b, folder)))
        assert [timeless(r) for r in run(reused)] == expected, name
        for file in FILES:
            one, other = (tmp_path / "fresh" / file).read_bytes(), (folder / file).read_bytes()
            assert one == other, (name, file)
    assert ray.get(reused.pid.remote()) == pid != ray.get(fresh.pid.remote())
    ray.get([fresh.stop.remote(), reused.stop.remote()])


def test_a_trial_goes_on_in_another_process(actors: Any, cache: Path, tmp_path: Path) -> None:
    """Killed after its second rung, taken up by a new process: bit-equal to uninterrupted."""
    import ray

    config = tiny(cache, **{"train.schedule": "cosine"})
    whole = actors.remote(body(config, tmp_path / "whole"))
    expected = [timeless(r) for r in run(whole)]
    first = actors.remote(body(config, tmp_path / "cut"))
    run(first, 4)
    ray.kill(first)
    second = actors.remote(body(config, tmp_path / "cut"))
    # both rungs are said again: what was heard of them may be lost
    assert [timeless(r) for r in run(second)] == [expected[1], *expected[3:]]
    for file in FILES:
        a, b = ((tmp_path / name / file).read_bytes() for name in ("whole", "cut"))
        assert a == b, file
    ray.get([whole.stop.remote(), second.stop.remote()])
