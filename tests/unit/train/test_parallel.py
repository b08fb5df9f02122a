"""Several workers against one: the same losses, the same ends, the same run after a stop.

Processes are real and talk over gloo. Agreement: with a share of one micro-batch each, two workers
are one worker with that micro-batch to the bit (a sum of two floats knows no order, scaling by 2 is
exact). Otherwise float32 gradients are summed in another order, which Adam carries on: losses
agreed to 3e-7 over 30 steps when measured; the tests allow 1e-5.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bench import run
from bench.errors import BenchError
from bench.methods import build_method
from bench.methods.diffusion import Diffusion, Sampling
from bench.nonfinite import NonFiniteError
from bench.predictions import Cases, Predictions
from bench.run import Report, steps
from bench.tasks.generate import GenerateTask
from bench.train import checkpoint
from bench.train.loop import Training
from bench.train.objective import Terms
from bench.train.parallel import ALONE, WorkerLost, World
from tests.fakes.regression import Line, Points
from tests.fakes.trials import NETS, net_of, timeless, tiny
from tests.fakes.workers import run_workers

USERS = Path(__file__).parents[2] / "fakes" / "regression.py"
FILES = ("weights.safetensors", "stability_log.npz", "samples.png")
STEPS = 30


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """As the workers: one and two threads differ in the last bits."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def shape(workers: int, batch: int, micro: int, n: int = STEPS) -> dict[str, Any]:
    train = {"batch_size": batch, "micro_batch": micro, "workers": workers}
    train |= {"budget_nimg": n * batch, "rungs_nimg": (n * batch,)}
    return {f"train.{k}": v for k, v in train.items()}


def trained(
    world: World, cache: Path, net: str, batch: int, micro: int
) -> tuple[dict[str, Any], list[Any]]:
    """Log and weights after STEPS steps with dropout."""
    config = tiny(cache, method=net_of(net, dropout=0.1), **shape(world.size, batch, micro))
    source = GenerateTask(config)
    training = Training(
        config.train, build_method(config), source, config.seed, config.trial_id, world=world
    )
    training.advance(STEPS * batch)
    return training.stability_log(), [p.detach().numpy() for p in training.parameters]


@pytest.mark.parametrize(
    "net",
    ["small_unet", *(pytest.param(n, marks=pytest.mark.slow) for n in NETS if n != "small_unet")],
)
def test_two_workers_are_one_to_the_bit(cache: Path, net: str) -> None:
    log, weights = trained(ALONE, cache, net, 8, 4)
    for worker_log, worker_weights in run_workers(2, trained, cache, net, 8, 4):
        assert all(np.array_equal(worker_log[name], log[name]) for name in log)
        assert all(np.array_equal(a, b) for a, b in zip(worker_weights, weights, strict=True))
    assert len(log["loss"]) == STEPS
    assert len(log["sigma"]) == STEPS * 8


@pytest.mark.parametrize(("workers", "batch", "micro"), [(2, 8, 2), (3, 12, 4), (4, 8, 1)])
def test_workers_agree_with_one(cache: Path, workers: int, batch: int, micro: int) -> None:
    log, weights = trained(ALONE, cache, "small_unet", batch, micro)
    by_rank = run_workers(workers, trained, cache, "small_unet", batch, micro)
    several, moved = by_rank[0]
    np.testing.assert_allclose(several["loss"], log["loss"], rtol=1e-5)
    assert np.array_equal(several["sigma"], log["sigma"])  # drawn by the sample, in its order
    np.testing.assert_allclose(several["sq_error"], log["sq_error"], rtol=1e-4, atol=1e-6)
    for a, b in zip(moved, weights, strict=True):  # a step of Adam is lr = 2e-3
        np.testing.assert_allclose(a, b, atol=1e-4)
    for other, same in by_rank[1:]:  # ranks among themselves: one state
        assert all(np.array_equal(other[name], several[name]) for name in log)
        assert all(np.array_equal(a, b) for a, b in zip(same, moved, strict=True))


def ran(world: World, folder: Path, changes: dict[str, Any], stops: tuple[int, ...]) -> Any:
    """All a trial says, dropped after reports number `stops` and taken up again."""
    said: list[dict[str, Any]] = []
    for stop in (*stops, None):
        trial = steps(tiny(**changes), folder, world)
        for k, report in enumerate(trial):
            body = timeless(report)
            said += [body] if body not in said else []
            if k == stop:
                break
        trial.close()  # type: ignore[attr-defined]  # a generator
    return said


@pytest.mark.parametrize("workers", [2, 3])
def test_a_trial_goes_on_to_the_bit(cache: Path, tmp_path: Path, workers: int) -> None:
    """Rank 0 is stopped, the others hear of it; three workers add in an order that must hold."""
    changes = {"folder": cache, "method": net_of("small_unet", dropout=0.1)}
    changes |= shape(workers, 6 * workers, 3, 6)
    changes |= {"train.rungs_nimg": (12 * workers, 24 * workers, 36 * workers)}
    changes |= {"train.report_nimg": 6 * workers}
    (whole, *_) = run_workers(workers, ran, tmp_path / "whole", changes, ())
    (cut, *others) = run_workers(workers, ran, tmp_path / "cut", changes, (1, 1))
    assert whole[-1]["outcome"] == "completed", whole
    assert cut == whole
    assert others == [[]] * (workers - 1)  # rank 0 alone speaks
    for file in FILES:
        one, other = ((tmp_path / name / file).read_bytes() for name in ("whole", "cut"))
        assert one == other, file
    last = [checkpoint.existing(tmp_path / name)[0] for name in ("whole", "cut")]
    (a, _), (b, _) = (checkpoint.read(path) for path in last)
    assert all(torch.equal(a[key], b[key]) for key in a)


def test_a_trial_of_two_measures_what_one_does(cache: Path, tmp_path: Path) -> None:
    """Pictures are drawn in shares: other sampling batches round otherwise, see test_run."""
    one = list(steps(tiny(cache, **shape(1, 8, 4, 6)), tmp_path / "one"))
    changes = {"folder": cache, **shape(2, 8, 4, 6)}
    said, _ = run_workers(2, ran, tmp_path / "two", changes, ())
    assert [(r["phase"], r["nimg"], r["outcome"]) for r in said] == [
        (r.phase, r.nimg, r.outcome) for r in one
    ]
    for mine, other in zip(said, map(timeless, one), strict=True):
        assert set(mine["metrics"]) == set(other["metrics"])
        for key, value in other["metrics"].items():
            assert mine["metrics"][key] == pytest.approx(value, rel=1e-3), key


def faulty(world: World, ranks: tuple[int, ...], **faults: Any) -> tuple[Any, ...]:
    """A line fitted with a fault on some ranks: its end, and what was left."""
    config = tiny(**shape(world.size, 8, 8 // world.size, 8)).train
    objective = Line(**(faults if world.rank in ranks else {}))
    training = Training(config, objective, Points(), 3, "id", world=world)
    end = ""
    try:
        training.advance(64)
    except Exception as error:
        end = f"{type(error).__name__}: {error}"
    weights = [p.detach().item() for p in training.parameters]
    return end, training.nimg, training.micro_batch, training.flags, weights


@pytest.mark.parametrize(
    ("fault", "what"), [("bad_loss", "loss"), ("bad_gradient", "gradient norm")]
)
def test_one_divergence_ends_all(fault: str, what: str) -> None:
    """Sample 21 is of the second worker's share alone."""
    one = faulty(ALONE, (0,), **{fault: 21})
    assert one[0] == f"Diverged: {what} is not finite at nimg 16"
    for worker in run_workers(2, _faulty, (1,), {fault: 21}):
        assert worker[:2] == one[:2]
        assert worker[3] == one[3]
        assert worker[4] == pytest.approx(one[4], rel=1e-5)  # float32 sums in another order


def _faulty(world: World, ranks: tuple[int, ...], faults: dict[str, Any]) -> tuple[Any, ...]:
    return faulty(world, ranks, **faults)


@pytest.mark.parametrize("rank", [0, 1])
def test_all_halve_what_does_not_fit_one(rank: int) -> None:
    by_rank = run_workers(2, _faulty, (rank,), {"fits": 3})
    plain = faulty(ALONE, ())
    for end, nimg, micro, _, weights in by_rank:
        assert (end, nimg, micro) == ("", 64, 2)
        assert weights == pytest.approx(plain[4], rel=1e-5)


def test_what_never_fits_one_is_an_error_of_all() -> None:
    for end, nimg, micro, *_ in run_workers(2, _faulty, (1,), {"fits": 0}):
        assert end.startswith("OutOfMemoryError: ")
        assert (nimg, micro) == (0, 1)


def outcome(world: World, cache: Path, folder: Path, method: str) -> Any:
    config = tiny(cache, **{**shape(world.size, 8, 8 // world.size, 8), "method.kind": method})
    return [(r.nimg, r.outcome, r.cause) for r in steps(config, folder, world)]


@pytest.mark.parametrize(
    ("fault", "end"),
    [
        ("Exploding", "diverged"),
        ("Hopeless", "out-of-memory"),
        ("Broken", "failed"),
    ],
)
def test_ends_are_those_of_one_worker(cache: Path, tmp_path: Path, fault: str, end: str) -> None:
    method = f"{USERS}:{fault}"
    one = outcome(ALONE, cache, tmp_path / "one", method)
    said, other = run_workers(2, outcome, cache, tmp_path / "two", method)
    assert said == one
    assert one[-1][1] == end
    assert other == []


class Late(Diffusion):
    """The worker that trains on sample 20 dies there."""

    def terms(self, batch: Any, samples: Any, seed: int) -> Terms:
        if 20 in samples:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().terms(batch, samples, seed)


@pytest.mark.parametrize("micro", [4, 2])
def test_a_killed_worker_is_no_outcome(cache: Path, tmp_path: Path, micro: int) -> None:
    said, gone = run_workers(2, lost, cache, tmp_path, micro)
    assert gone is None
    reports, error = said
    assert error.startswith("a worker of the trial was lost")
    assert [r.outcome for r in reports] == [None] * len(reports)


def lost(world: World, cache: Path, folder: Path, micro: int) -> tuple[list[Report], str]:
    method = f"{__file__}:Late"
    config = tiny(cache, **{**shape(2, 8, micro, 8), "method.kind": method})
    said: list[Report] = []
    try:
        said.extend(steps(config, folder, world))
    except WorkerLost as error:
        return said, str(error)
    return said, ""


class Half(Sampling):
    """Pictures of the second half are not finite."""

    def predict_some(self, cases: Cases, places: range) -> Predictions:
        if places and places[-1] >= 9:
            raise NonFiniteError("a generated picture is not finite")
        return super().predict_some(cases, places)


class Unsampled(Diffusion):
    """Diffusion with that predictor."""

    def predictor(self, nets: Any, seed: int, sample: Any) -> Half:
        return Half(self.config, nets, self.precond, seed, sample)


def test_a_worker_that_cannot_draw_ends_all(cache: Path, tmp_path: Path) -> None:
    said, other = run_workers(2, outcome, cache, tmp_path, f"{__file__}:Unsampled")
    assert said[-1][1:] == ("diverged", "a generated picture is not finite")
    assert other == []


def test_a_full_disk_of_the_first_ends_all(cache: Path, tmp_path: Path) -> None:
    (said, note), other = run_workers(2, unsaved, cache, tmp_path)
    assert said[-1].outcome == "failed"
    assert said[-1].cause == "no space"
    assert other == ([], note)


def unsaved(world: World, cache: Path, folder: Path) -> tuple[list[Report], str]:
    def full(*args: Any) -> None:
        assert world.rank == 0, "rank 0 alone writes"
        raise BenchError("no space")

    run.checkpoint.write = full
    return list(steps(tiny(cache, **shape(2, 8, 4, 8)), folder, world)), "ended"


def spoken(world: World) -> list[Any]:
    heard: list[Any] = [world.share(lambda: world.rank + 10), list(world.part(7))]
    heard.append(world.rows(torch.tensor([float(world.rank)], dtype=torch.float64)).tolist())
    for bad in ((1,), (0, 2), ()):
        try:
            with world.together():
                if world.rank in bad:
                    raise KeyError(world.rank)
            heard.append("fine")
        except KeyError as error:
            heard.append(error.args[0])
    try:
        world.share(lambda: 1 / 0)
    except ZeroDivisionError as error:
        heard.append(str(error))
    return heard


def test_what_a_world_shares() -> None:
    places = [[0, 1], [2, 3], [4, 5, 6]]
    for rank, heard in enumerate(run_workers(3, spoken)):
        assert heard[:2] == [10, places[rank]]
        assert heard[2] == [[0.0], [1.0], [2.0]]
        assert heard[3:] == [1, 0, "fine", "division by zero"]
    assert spoken(ALONE)[:3] == [10, list(range(7)), [[0.0]]]


def test_workers_have_an_identity_of_their_own() -> None:
    """The number of workers is part of what a trial is; a golden value shows an accident."""
    one, two = tiny(**shape(1, 8, 4)), tiny(**shape(2, 8, 4))
    assert one.entry_id != two.entry_id
    assert tiny().entry_id == "47e6c84b25314334"  # changed on purpose with the snapshots kept


@pytest.mark.parametrize(("workers", "micro"), [(3, 1), (0, 8), (2, 8), (4, 4)])
def test_workers_that_do_not_divide_a_batch_are_refused(workers: int, micro: int) -> None:
    with pytest.raises(BenchError, match="must divide batch_size 8"):
        tiny(**{"train.workers": workers, "train.micro_batch": micro})
