"""The loop: micro-batches, clipping, what is not finite, what does not fit."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from bench.config import TrialConfig
from bench.methods import build_method
from bench.tasks.generate import GenerateTask
from bench.train import loop
from bench.train.loop import Diverged, Training, _next_divisor, out_of_memory
from bench.train.objective import Batch, Terms
from bench.train.optim import FUSED
from tests.fakes.regression import ALLOCATOR, Line, Points
from tests.fakes.trials import NETS, net_of, tiny


def training(objective: Any, source: Any = None, **changes: Any) -> Training:
    config = tiny(**{f"train.{k}": v for k, v in changes.items()})
    return Training(config.train, objective, source or Points(), config.seed, config.trial_id)


def real(cache: Path, **changes: Any) -> Training:
    config = tiny(cache, **changes)
    source = GenerateTask(config)
    return Training(config.train, build_method(config), source, config.seed, config.trial_id)


def weights(run: Training) -> list[torch.Tensor]:
    return [p.detach().clone() for p in run.parameters]


def state(run: Training) -> list[torch.Tensor]:
    """Weights, averages and optimizer moments, copied."""
    moments = [v for s in run.optimizer.state_dict()["state"].values() for v in s.values()]
    averages = [w for ws in run.averages.weights.values() for w in ws]
    return [t.detach().clone() for t in [*weights(run), *averages, *moments]]


def equal(one: list[torch.Tensor], other: list[torch.Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("backbone", NETS)
def test_micro_batches_add_up_to_the_batch(cache: Path, backbone: str) -> None:
    """float32 sums in another order: 1e-5 of a parameter's largest gradient (measured 2e-6)."""
    run = real(cache, method=net_of(backbone, dropout=0.0))
    run.advance(16)  # last layers start at zero: before a step the others have no gradient
    by_size = {}
    for run.micro_batch in (8, 4, 1):
        step = run._accumulate_gradient()
        loss, log = float(step.loss), step.log()
        assert log is not None
        by_size[run.micro_batch] = loss, log, [p.grad.clone() for p in run.parameters]
    assert all(bool(g.any()) for g in by_size[8][2])
    for micro in (4, 1):
        assert by_size[micro][0] == pytest.approx(by_size[8][0], rel=1e-6)
        torch.testing.assert_close(by_size[micro][1], by_size[8][1], rtol=1e-5, atol=1e-7)
        for a, b in zip(by_size[micro][2], by_size[8][2], strict=True):
            assert (a - b).abs().max() <= 1e-5 * b.abs().max()


@pytest.mark.parametrize("clip", [0.0, 1.0])
def test_a_step_of_gradient_descent(clip: float) -> None:
    """w - lr * mean gradient, by hand, its norm cut to 1 with clipping."""
    x = Points().batch(range(8), 3).target
    run = training(Line(), optimizer="sgd", lr=0.1, warmup_fraction=0.0, grad_clip=clip)
    run.advance(8)
    slope = torch.stack([(2 * (0.5 - 2) * x * x).mean(), (2 * (0.5 - 2) * x).mean()])
    assert slope.norm() > 1
    if clip:
        slope = slope / slope.norm()
    # timm's sgd has Nesterov momentum 0.9: its first step is 1.9 times as long
    expected = torch.tensor([0.5, 0.0]) - 0.1 * 1.9 * slope
    moved = torch.cat([p.detach().flatten() for p in run.parameters])
    torch.testing.assert_close(moved, expected, rtol=1e-5, atol=1e-6)


def test_clipping_is_flagged_where_it_happens() -> None:
    """The mean gradient of w x = 2 x by hand at each step, against the flags."""
    run = training(Line(), grad_clip=1.0, lr=0.2, warmup_fraction=0.0)
    long = []
    for first in range(0, 64, 8):
        w, b = (p.detach().item() for p in run.parameters)
        x = Points().batch(range(first, first + 8), 3).target
        gap = 2 * (w * x + b - 2 * x)
        long.append(bool(torch.stack([(gap * x).mean(), gap.mean()]).norm() > 1))
        run.advance(first + 8)
    log = run.stability_log()
    assert log["clipped"].tolist() == long
    assert 0 < sum(long) < 8  # both kinds occur
    assert not log["nonfinite"].any()
    off = training(Line(), grad_clip=0.0, lr=0.2, warmup_fraction=0.0)
    off.advance(64)
    assert not off.stability_log()["clipped"].any()


@pytest.mark.parametrize(
    ("fault", "what"), [("bad_loss", "loss"), ("bad_gradient", "gradient norm")]
)
@pytest.mark.parametrize("micro", [8, 2])
@pytest.mark.parametrize("read_steps", [1, 2, 16])
def test_not_finite_ends_before_anything_changes(
    fault: str, what: str, micro: int, read_steps: int
) -> None:
    run = training(Line(**{fault: 21}), micro_batch=micro)
    run.read_steps = read_steps  # more than one on a GPU
    run.advance(16)
    before = state(run)
    with pytest.raises(Diverged, match=f"^{what} is not finite at nimg 16$"):
        run.advance(64)
    assert run.nimg == 16
    assert equal(state(run), before)
    assert run.stability_log()["nonfinite"].tolist() == [False, False, True]


WAITING = ("_local_scalar_dense", "nonzero", "masked_select", "equal", "is_nonzero")
READING = ("tolist", "item", "cpu", "numpy", "__float__", "__int__", "__bool__", "__index__")


class Reads(TorchFunctionMode):
    """Counts what makes the host wait for a device: Python's reads, and those inside of torch."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []
        self._inside = InnerReads(self.seen)

    def __enter__(self) -> Reads:
        self._inside.__enter__()
        super().__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)
        self._inside.__exit__(*error)

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = getattr(func, "__name__", "")
        self.seen.extend([name] if name in READING else [])
        return func(*args, **(kwargs or {}))


class InnerReads(TorchDispatchMode):
    def __init__(self, seen: list[str]) -> None:
        super().__init__()
        self.seen = seen

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        self.seen.extend([name] if name in WAITING else [])
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("optimizer", FUSED)
def test_steps_that_are_read_late_read_nothing_and_are_the_same(
    cache: Path, optimizer: str
) -> None:
    changes = {"train.optimizer": optimizer, "train.micro_batch": 4}
    prompt, late = real(cache, **changes), real(cache, **changes)
    late.read_steps = 4
    with Reads() as at_once:
        prompt.advance(24)
    assert at_once.seen.count("tolist") == 3  # a step each
    read, late._read = late._read, lambda: None  # type: ignore[method-assign]  # as between two
    with Reads() as between:
        late.advance(24)
    assert between.seen == []
    late._read = read  # type: ignore[method-assign]
    for run in (prompt, late):
        run.advance(64)
    assert equal(state(late), state(prompt))
    mine, other = late.stability_log(), prompt.stability_log()
    assert all(np.array_equal(mine[key], other[key]) for key in other)


@pytest.mark.parametrize("error", [torch.OutOfMemoryError, RuntimeError])
def test_what_does_not_fit_is_halved(error: type[RuntimeError]) -> None:
    objective = Line(fits=3, error=error)
    run = training(objective)
    run.advance(64)
    assert run.micro_batch == 2
    assert objective.seen == [2] * 32  # every step still holds 8 samples
    assert run.nimg == 64
    assert len(run.losses) == 8
    plain = training(Line())
    plain.advance(64)
    for a, b in zip(weights(run), weights(plain), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-6)  # float32 sums in another order


def test_one_sample_that_does_not_fit_ends_the_run() -> None:
    run = training(Line(fits=0))
    before = state(run)
    with pytest.raises(torch.OutOfMemoryError):
        run.advance(64)
    assert run.micro_batch == 1
    assert equal(state(run), before)


def test_other_runtime_errors_are_not_taken_for_memory() -> None:
    class Wrong(Line):
        def terms(self, *args: Any) -> Any:
            raise RuntimeError("shapes do not match")

    run = training(Wrong())
    with pytest.raises(RuntimeError, match="shapes"):
        run.advance(8)
    assert run.micro_batch == 8


def test_torch_says_on_a_cpu_what_we_look_for() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**55)
    assert out_of_memory(caught.value)
    assert out_of_memory(RuntimeError(ALLOCATOR))
    assert out_of_memory(MemoryError())
    assert not out_of_memory(RuntimeError("no"))


@pytest.mark.parametrize(
    ("batch", "sizes"), [(8, [4, 2, 1]), (6, [3, 2, 1]), (7, [1]), (12, [6, 4, 3, 2, 1])]
)
def test_next_divisor(batch: int, sizes: list[int]) -> None:
    divisors, at = [], batch
    while at > 1:
        divisors.append(at := _next_divisor(batch, at))
    assert divisors == sizes


def test_log_holds_every_sample(cache: Path) -> None:
    run = real(cache)
    run.advance(24)
    log = run.stability_log()
    assert log["sigma"].shape == log["sq_error"].shape == log["step"].shape == (24,)
    assert log["loss"].shape == log["clipped"].shape == (3,)
    assert log["step"].tolist() == [0] * 8 + [1] * 8 + [2] * 8
    precond = run.objective.precond  # type: ignore[attr-defined]  # a diffusion method
    weight = precond.loss_weight(torch.as_tensor(log["sigma"], dtype=torch.float64)).numpy()
    weighted = (weight * log["sq_error"]).reshape(3, 8).mean(1)
    np.testing.assert_allclose(weighted, log["loss"], rtol=1e-5)  # float32 sums of 8


class Levelled(Line):
    """With a noise level that numbers the samples."""

    def terms(self, batch: Batch, samples: Sequence[int], seed: int) -> Terms:
        loss = super().terms(batch, samples, seed).loss
        return Terms(loss=loss, sigma=torch.tensor(samples) + 1.0, sq_error=loss)


@pytest.mark.parametrize("batch", [8, 6])
def test_the_log_keeps_the_last_samples_and_goes_on_exactly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, batch: int
) -> None:
    """The cap is in samples, also where batches do not divide it; a resume changes nothing."""
    shape = {"batch_size": batch, "micro_batch": batch, "budget_nimg": 12 * batch}
    shape |= {"rungs_nimg": (12 * batch,)}
    free = training(Levelled(), **shape)
    free.advance(12 * batch)
    whole = free.stability_log()
    assert whole["dropped"] == 0
    monkeypatch.setattr(loop, "LOG_SAMPLES", 20)
    run = training(Levelled(), **shape)
    run.advance(7 * batch)
    path = run.save(tmp_path, {})
    again = training(Levelled(), **shape)
    again.restore(path)
    for one in (run, again):
        one.advance(12 * batch)
        log = one.stability_log()
        assert log["dropped"] == 12 * batch - 20
        assert sum(map(len, one.log)) < 20 + batch
        for name in ("step", "sigma", "sq_error"):
            assert np.array_equal(log[name], whole[name][-20:])
        for name in ("loss", "clipped", "nonfinite"):
            assert np.array_equal(log[name], whole[name])


def test_what_grows_with_the_run_is_not_in_the_header(tmp_path: Path) -> None:
    sizes = []
    for n in (8, 64):
        run = training(Line())
        run.advance(n)
        with safe_open(run.save(tmp_path / str(n), {}), framework="pt") as file:
            sizes.append(len(file.metadata()["bench"]))
    assert abs(sizes[1] - sizes[0]) < 8  # digits of nimg


def test_dropout_is_drawn_by_the_sample_not_by_the_past(cache: Path) -> None:
    first = real(cache)
    first.advance(16)
    loss = float(first._accumulate_gradient().loss)
    torch.rand(1000)
    again = float(first._accumulate_gradient().loss)
    assert again == loss


def test_unequal_seeds_train_unequal_networks(cache: Path) -> None:
    runs = [real(cache, seed=seed) for seed in (1, 1, 2)]
    for run in runs:
        run.advance(8)
    assert equal(weights(runs[0]), weights(runs[1]))
    assert not equal(weights(runs[0]), weights(runs[2]))


def test_bfloat16_keeps_weights_and_log_in_float32(cache: Path) -> None:
    run = real(cache, **{"train.precision": "bfloat16"})
    run.advance(8)
    assert {w.dtype for w in weights(run)} == {torch.float32}
    plain = real(cache)
    plain.advance(8)
    half, full = run.stability_log()["sq_error"], plain.stability_log()["sq_error"]
    assert not np.array_equal(half, full)  # autocast was on
    np.testing.assert_allclose(half, full, rtol=0.1)  # bfloat16 has 8 bits: a few per cent


def test_initialisation_is_keyed_by_the_seed(cache: Path) -> None:
    config: TrialConfig = tiny(cache)
    torch.manual_seed(1)
    one = build_method(config).net.state_dict()
    torch.manual_seed(2)
    other = build_method(config).net.state_dict()
    assert all(torch.equal(one[k], other[k]) for k in one)


def test_a_halved_micro_batch_stays_halved_after_a_resume(tmp_path: Path) -> None:
    """Dropout masks are keyed by micro-batch: going back to the whole would be another run."""
    run = training(Line(fits=2))
    run.advance(16)
    path = run.save(tmp_path, {})
    fresh = training(Line())
    fresh.restore(path)
    assert fresh.micro_batch == 2
