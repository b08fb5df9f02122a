"""The diffusion method: what it draws is keyed, whatever the batch it is drawn in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bench.diffusion.denoiser import loss
from bench.streams import normal, uniform
from bench.train.diffusion_method import DiffusionObjective, Generator
from bench.train.loop import Diverged, Training
from bench.train.objective import Batch, build
from bench.workloads.generate import GenerateTask
from tests.fakes.trials import SIDE, net_of, tiny

CHURN = {"sample.S_churn": 10.0}


@pytest.fixture(scope="module")
def trained(cache: Path) -> Any:
    """A network of a few steps: an untrained one's last layer is zero and draws noise alone."""
    config = tiny(cache, **{"train.warmup_fraction": 0.0, "train.lr": 1e-2})
    run = Training(config.train, build(config), GenerateTask(config), config.seed, "t")
    run.advance(64)
    return run.objective.net


def generator(net: Any, **changes: Any) -> Generator:
    config = tiny(**changes)
    made = DiffusionObjective(config).predictor(net, config.seed)
    assert isinstance(made, Generator)
    return made


def close(one: np.ndarray, other: np.ndarray) -> None:
    """Convolutions of another batch size may round otherwise (1e-6 of a value), which moves a
    pixel at a rounding edge by one grey level: at most one pixel in a hundred."""
    gap = np.abs(one.astype(int) - other.astype(int))
    assert gap.max() <= 1
    assert (gap > 0).mean() <= 0.01


@pytest.mark.parametrize("changes", [{}, CHURN], ids=["deterministic", "churn"])
@pytest.mark.parametrize("batch", [1, 3, 64])
def test_pictures_do_not_depend_on_the_batch(
    trained: Any, changes: dict[str, Any], batch: int
) -> None:
    whole = generator(trained, **{"sample.batch_size": 7}, **changes).generate(7, "a").images
    split = generator(trained, **{"sample.batch_size": batch}, **changes).generate(7, "a").images
    close(whole, split)
    assert whole.shape == (7, 1, SIDE, SIDE)
    assert whole.dtype == np.uint8
    assert len(np.unique(whole.reshape(7, -1), axis=0)) == 7


@pytest.mark.parametrize("changes", [{}, CHURN], ids=["deterministic", "churn"])
def test_asking_for_more_changes_none(trained: Any, changes: dict[str, Any]) -> None:
    made = generator(trained, **changes)
    close(made.generate(12, "a").images[:5], made.generate(5, "a").images)


def test_pictures_are_keyed_by_purpose_and_seed(trained: Any) -> None:
    one = generator(trained).generate(6, "sample/select").images
    assert np.array_equal(one, generator(trained).generate(6, "sample/select").images)
    assert not np.array_equal(one, generator(trained).generate(6, "sample/report").images)
    assert not np.array_equal(one, generator(trained, seed=9).generate(6, "sample/select").images)


def test_churn_draws_noise_of_its_own(trained: Any) -> None:
    plain = generator(trained).generate(6, "a").images
    assert not np.array_equal(plain, generator(trained, **CHURN).generate(6, "a").images)


def test_drawing_leaves_torchs_generator_alone(trained: Any) -> None:
    made = generator(trained, **CHURN)
    before = torch.get_rng_state()
    made.generate(3, "a")
    assert torch.equal(torch.get_rng_state(), before)


def test_nfe_and_clipping_are_told(trained: Any) -> None:
    made = generator(trained, **{"sample.steps": 5}).generate(4, "a")
    assert made.nfe == 9  # Heun: two a step, one in the last
    assert 0 <= made.clipped_share <= 1
    euler = generator(trained, **{"sample.steps": 5, "sample.sampler": "euler"})
    assert euler.generate(4, "a").nfe == 5


def test_a_picture_that_is_not_finite_is_divergence(trained: Any) -> None:
    made = generator(trained)
    with torch.no_grad():
        next(iter(made.net.parameters())).fill_(float("nan"))
    with pytest.raises(Diverged, match="not finite"):
        made.generate(2, "a")


def test_predictor_is_a_copy_without_dropout(trained: Any) -> None:
    made = generator(trained)
    assert not made.net.training
    assert trained.training
    assert not any(p.requires_grad for p in made.net.parameters())
    with torch.no_grad():
        next(iter(made.net.parameters())).zero_()
    assert bool(next(iter(trained.parameters())).any())


def test_terms_are_the_loss_on_keyed_draws(cache: Path) -> None:
    config = tiny(cache, method=net_of("ddpmpp", dropout=0.0))
    objective = DiffusionObjective(config)
    samples = [5, 2, 40]
    batch = GenerateTask(config).batch(samples, config.seed)
    found = objective.terms(batch, samples, config.seed)
    sigma = objective.precond.sigma_from_uniform(uniform(config.seed, "sigma", samples))
    noise = torch.from_numpy(normal(config.seed, "noise", samples, (1, SIDE, SIDE)))
    expected = loss(objective.denoiser, batch.target, torch.as_tensor(sigma), noise)
    # sigma is rounded to float32 on the way
    torch.testing.assert_close(found.loss, expected.weighted, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(found.sq_error, expected.sq_error, rtol=1e-4, atol=1e-6)
    assert found.sigma is not None
    np.testing.assert_allclose(found.sigma.numpy(), sigma, rtol=1e-6)


def test_a_class_reaches_the_network(cache: Path) -> None:
    config = tiny(cache, method=net_of("ddpmpp", dropout=0.0), **{"task.n_classes": 3})
    objective = DiffusionObjective(config)
    torch.nn.init.normal_(list(objective.net.parameters())[-2], std=0.1)  # starts at zero
    target = GenerateTask(config).batch(range(2), 0).target
    losses = [
        objective.terms(Batch(target=target, condition=torch.tensor(c)), range(2), 0).loss
        for c in ([0, 1], [2, 1])
    ]
    assert losses[0][0] != losses[1][0]
    assert losses[0][1] == losses[1][1]  # the class of the other is none of its business
