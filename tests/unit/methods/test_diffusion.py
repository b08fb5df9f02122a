"""The diffusion method: what it draws is keyed, whatever the batch it is drawn in."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats

from bench.conditions import Condition
from bench.diffusion.denoiser import Denoiser, loss
from bench.diffusion.grids import sigma_grid
from bench.errors import BenchError
from bench.methods import build_method
from bench.methods.diffusion import Diffusion, Sampling
from bench.nonfinite import NonFiniteError
from bench.predictions import Cases, Predictions
from bench.streams import normal, spread_out
from bench.tasks.generate import GenerateTask, to_pictures
from bench.train.loop import Training
from bench.train.objective import Batch
from tests.fakes.trials import INPUTS, SIDE, net_of, tiny

CHURN = {"sample.S_churn": 10.0}
ANCESTRAL = {"sample.sampler": "ddpm"}
HALF = {"sample.sampler": "ddim", "sample.eta": 0.5}
WAYS = pytest.mark.parametrize(
    "changes", [{}, CHURN, ANCESTRAL, HALF], ids=["deterministic", "churn", "ancestral", "eta"]
)


@pytest.fixture(scope="module")
def trained(cache: Path) -> Any:
    """A network of a few steps: an untrained one's last layer is zero and draws noise alone."""
    config = tiny(cache, **{"train.warmup_fraction": 0.0, "train.lr": 1e-2})
    run = Training(config.train, build_method(config), GenerateTask(config), config.seed, "t")
    run.advance(64)
    return run.objective.net.eval()


def sampling(net: Any, **changes: Any) -> Sampling:
    config = tiny(**changes)
    return Diffusion(config).predictor([net], config.seed, config.sample)


def cases(count: int, purpose: str = "a", samples: int = 1) -> Cases:
    return Cases(key=("a",), purpose=purpose, count=count, keep=to_pictures, samples=samples)


def drawn(net: Any, count: int, purpose: str = "a", **changes: Any) -> np.ndarray:
    """Pictures uint8 [count, 1, SIDE, SIDE]."""
    return sampling(net, **changes).predict(cases(count, purpose)).values


def close(one: np.ndarray, other: np.ndarray) -> None:
    """Convolutions of another batch size may round otherwise (1e-6 of a value), which moves a
    pixel at a rounding edge by one grey level: at most one pixel in a hundred."""
    gap = np.abs(one.astype(int) - other.astype(int))
    assert gap.max() <= 1
    assert (gap > 0).mean() <= 0.01


@WAYS
@pytest.mark.parametrize("batch", [1, 3, 64])
def test_pictures_do_not_depend_on_the_batch(
    trained: Any, changes: dict[str, Any], batch: int
) -> None:
    whole = drawn(trained, 7, **{"sample.batch_size": 7}, **changes)
    split = drawn(trained, 7, **{"sample.batch_size": batch}, **changes)
    close(whole, split)
    assert whole.shape == (7, 1, SIDE, SIDE)
    assert whole.dtype == np.uint8
    assert len(np.unique(whole.reshape(7, -1), axis=0)) == 7


@WAYS
def test_asking_for_more_changes_none(trained: Any, changes: dict[str, Any]) -> None:
    close(drawn(trained, 12, **changes)[:5], drawn(trained, 5, **changes))


def test_shares_joined_are_the_whole(trained: Any) -> None:
    """What workers do: ranges of the cases, one of them empty."""
    predictor = sampling(trained)
    shares = [predictor.predict_some(cases(7), places) for places in (range(3), range(3, 3))]
    shares.append(predictor.predict_some(cases(7), range(3, 7)))
    joined, whole = Predictions.joined(shares), predictor.predict(cases(7))
    close(joined.values, whole.values)
    assert joined.passes == whole.passes
    assert joined.outside_share == pytest.approx(whole.outside_share, abs=1 / whole.values.size)


def test_pictures_are_keyed_by_purpose_and_seed(trained: Any) -> None:
    one = drawn(trained, 6, "sample/select")
    assert np.array_equal(one, drawn(trained, 6, "sample/select"))
    assert not np.array_equal(one, drawn(trained, 6, "sample/report"))
    assert not np.array_equal(one, drawn(trained, 6, "sample/select", seed=9))


def test_churn_draws_noise_of_its_own(trained: Any) -> None:
    assert not np.array_equal(drawn(trained, 6), drawn(trained, 6, **CHURN))


def test_each_step_of_a_stochastic_sampler_draws_noise_of_its_own(trained: Any) -> None:
    """Ancestral steps by hand: sigma'/sigma share of x, the rest of D, the posterior's noise."""
    config = tiny(**ANCESTRAL, **{"sample.steps": 3})
    method = Diffusion(config)
    floats: list[torch.Tensor] = []

    def kept(x: torch.Tensor) -> np.ndarray:
        floats.append(x)
        return to_pictures(x)

    method.predictor([trained], config.seed, config.sample).predict(
        Cases(key=(), purpose="a", count=2, keep=kept)
    )

    def keyed(purpose: str) -> torch.Tensor:
        return torch.from_numpy(normal(config.seed, purpose, range(2), (1, SIDE, SIDE))).double()

    sigmas = [*sigma_grid(method.precond, 3).tolist(), 0.0]
    x = keyed("a") * sigmas[0]
    for i, (sigma, following) in enumerate(pairwise(sigmas)):
        with torch.no_grad():
            level = torch.full((2,), sigma, dtype=torch.float64)
            D = Denoiser(trained, method.precond)(x, level).double()
        share = (following / sigma) ** 2
        x = share * x + (1 - share) * D + following * (1 - share) ** 0.5 * keyed(f"a/step{i}")
    torch.testing.assert_close(floats[0], x, rtol=1e-4, atol=1e-4)  # networks are float32


def test_eta_is_named_in_the_protocol_where_it_is_not_usual() -> None:
    usual = Diffusion.protocol(tiny(**{"sample.sampler": "ddim"}))
    assert "eta" not in usual
    assert Diffusion.protocol(tiny(**HALF)) == {**usual, "eta": 0.5}


def test_drawing_leaves_torchs_generator_alone(trained: Any) -> None:
    predictor = sampling(trained, **CHURN)
    before = torch.get_rng_state()
    predictor.predict(cases(3))
    assert torch.equal(torch.get_rng_state(), before)


def test_nfe_and_clipping_are_told(trained: Any) -> None:
    made = sampling(trained, **{"sample.steps": 5}).predict(cases(4))
    assert made.passes == 9  # Heun: two a step, one in the last
    assert 0 <= made.outside_share <= 1
    euler = {"sample.steps": 5, "sample.sampler": "euler"}
    assert sampling(trained, **euler).predict(cases(4)).passes == 5


def test_the_share_outside_the_range_is_counted(trained: Any) -> None:
    """By hand, on the floats that `keep` is given."""
    floats: list[np.ndarray] = []

    def kept(x: torch.Tensor) -> np.ndarray:
        floats.append(x.numpy())
        return to_pictures(x)

    asked = Cases(key=(), purpose="a", count=7, keep=kept)
    made = sampling(trained, **{"sample.batch_size": 3}).predict(asked)
    whole = np.concatenate(floats)
    assert 0 < made.outside_share < 1
    assert made.outside_share == pytest.approx((np.abs(whole) > 1).mean(), abs=1e-6)


def test_a_picture_that_is_not_finite_is_divergence(trained: Any) -> None:
    made = sampling(copy.deepcopy(trained))
    with torch.no_grad():
        next(iter(made.nets[0].parameters())).fill_(float("nan"))
    with pytest.raises(NonFiniteError, match="not finite"):
        made.predict(cases(2))


def test_terms_are_the_loss_on_keyed_draws(cache: Path) -> None:
    config = tiny(cache, method=net_of("ddpmpp", dropout=0.0))
    objective = Diffusion(config)
    samples = [5, 2, 40]
    batch = GenerateTask(config).batch(samples, config.seed)
    terms = objective.terms(batch, samples, config.seed)
    u = spread_out(config.seed, "sigma", samples, config.train.batch_size)
    sigma = objective.precond.sigma_from_uniform(u)
    noise = torch.from_numpy(normal(config.seed, "noise", samples, (1, SIDE, SIDE)))
    expected = loss(objective.denoiser, batch.target, torch.as_tensor(sigma), noise)
    # sigma is rounded to float32 on the way
    torch.testing.assert_close(terms.loss, expected.weighted, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(terms.sq_error, expected.sq_error, rtol=1e-4, atol=1e-6)
    assert terms.sigma is not None
    np.testing.assert_allclose(terms.sigma.numpy(), sigma, rtol=1e-6)


def test_a_class_reaches_the_network(cache: Path) -> None:
    inputs = dataclasses.replace(INPUTS, n_classes=3)
    config = tiny(cache, method=net_of("ddpmpp", dropout=0.0), **{"task.inputs": inputs})
    objective = Diffusion(config)
    torch.nn.init.normal_(list(objective.net.parameters())[-2], std=0.1)  # starts at zero
    target = torch.from_numpy(normal(0, "picture", range(2), (1, SIDE, SIDE)))
    losses = [
        objective.terms(
            Batch(target=target, condition=Condition(classes=torch.tensor(c))), range(2), 0
        ).loss
        for c in ([0, 1], [2, 1])
    ]
    assert losses[0][0] != losses[1][0]
    assert losses[0][1] == losses[1][1]  # the class of the other is none of its business


# An ensemble, and several samples of one case


@pytest.fixture(scope="module")
def other(cache: Path) -> Any:
    """A network of another seed, trained as long."""
    config = tiny(cache, seed=4, **{"train.warmup_fraction": 0.0, "train.lr": 1e-2})
    run = Training(config.train, build_method(config), GenerateTask(config), config.seed, "t")
    run.advance(64)
    return run.objective.net.eval()


def test_two_networks_answer_with_the_mean_of_their_estimates(trained: Any, other: Any) -> None:
    config = tiny()
    method = Diffusion(config)
    both = method.predictor([trained, other], config.seed, config.sample)
    x = torch.from_numpy(normal(1, "x", range(3), (1, SIDE, SIDE)))
    sigma = torch.tensor([0.1, 1.0, 5.0])
    with torch.no_grad():
        each = [Denoiser(net, method.precond)(x, sigma).double() for net in (trained, other)]
    assert both.denoise is not None
    assert not torch.allclose(each[0], each[1], atol=1e-3)
    torch.testing.assert_close(both.denoise(x, sigma, Condition()), (each[0] + each[1]) / 2)


def test_an_ensemble_of_one_network_twice_draws_as_the_network(trained: Any) -> None:
    config = tiny()
    method = Diffusion(config)
    twice = method.predictor([trained, trained], config.seed, config.sample).predict(cases(5))
    close(twice.values, drawn(trained, 5))
    assert twice.passes == 2 * sampling(trained).predict(cases(5)).passes


def test_an_ensemble_draws_along_the_mean_estimate(trained: Any, other: Any) -> None:
    """Two Euler steps by hand, from the same noise: x + (x - D) (t - s) / s, D the mean."""
    config = tiny(**{"sample.sampler": "euler", "sample.steps": 2})
    method = Diffusion(config)
    floats: list[torch.Tensor] = []

    def kept(x: torch.Tensor) -> np.ndarray:
        floats.append(x)
        return to_pictures(x)

    predictor = method.predictor([trained, other], config.seed, config.sample)
    predictor.predict(Cases(key=(), purpose="a", count=3, keep=kept))
    x = torch.from_numpy(normal(config.seed, "a", range(3), (1, SIDE, SIDE))).double() * 80
    nets = [Denoiser(net, method.precond) for net in (trained, other)]
    for sigma, following in ((80.0, 0.002), (0.002, 0.0)):  # EDM's grid of two levels
        with torch.no_grad():
            level = torch.full((3,), sigma, dtype=torch.float64)
            D = sum(net(x, level).double() for net in nets) / 2
        x = x + (x - D) * (following - sigma) / sigma
    torch.testing.assert_close(floats[0], x, rtol=1e-4, atol=1e-4)  # networks are float32


class Recorder:
    """Conditions that say which places were asked for."""

    def __init__(self) -> None:
        self.places: list[int] = []

    def __call__(self, places: Sequence[int]) -> Condition:
        self.places += places
        return Condition()


@pytest.mark.parametrize("batch", [1, 4, 64])
def test_several_samples_of_a_case_are_numbered_together(trained: Any, batch: int) -> None:
    """Sample k of case i is prediction i * 3 + k: its noise, its condition, its place."""
    recorder = Recorder()
    asked = dataclasses.replace(cases(4, samples=3), condition=recorder)
    several = sampling(trained, **{"sample.batch_size": batch}).predict(asked)
    close(several.values, drawn(trained, 12))
    assert recorder.places == [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3]
    share = sampling(trained).predict_some(cases(4, samples=3), range(1, 3))
    close(share.values, several.values[3:9])


@pytest.mark.parametrize("scheme", ["edm", "vp", "ve"])
def test_training_noise_is_the_schemes_own_and_spread_over_each_batch(
    cache: Path, scheme: str
) -> None:
    """Against the inverse CDF at 1e5 even places: the largest gap between distribution functions
    of 30 batches is what one offset a batch may leave, 1 / (2 * 8), and far below chance's."""
    method = dataclasses.replace(net_of("ddpmpp", dropout=0.0), preconditioning=scheme)
    config = tiny(cache, method=method)
    objective, task = Diffusion(config), GenerateTask(config)
    size = config.train.batch_size

    def sigmas(samples: Sequence[int]) -> list[float]:
        drawn = objective.terms(task.batch(samples, config.seed), samples, config.seed).sigma
        assert drawn is not None
        return drawn.tolist()

    whole = [sigma for b in range(30) for sigma in sigmas(range(b * size, (b + 1) * size))]
    reference = objective.precond.sigma_from_uniform((np.arange(10**5) + 0.5) / 10**5)
    places = np.searchsorted(reference, whole) / 10**5
    cells = np.floor(places.reshape(30, size) * size)
    assert all(len(np.unique(row)) >= size - 1 for row in cells)  # one may lie on a cell's edge
    assert stats.kstest(places, "uniform").statistic < 1 / (2 * size)
    assert [*sigmas(range(3)), *sigmas(range(3, size))] == whole[:size]  # micro-batches agree


@pytest.mark.parametrize("antithetic", [True, False])
def test_steps_are_drawn_in_mirrored_pairs_whatever_the_batch(
    cache: Path, antithetic: bool
) -> None:
    method = dataclasses.replace(
        net_of("ddpmpp", dropout=0.0),
        preconditioning="fast_ddpm",
        preconditioning_args={"antithetic": antithetic},
    )
    config = tiny(cache, method=method)
    objective, task = Diffusion(config), GenerateTask(config)

    def sigmas(samples: Sequence[int]) -> list[float]:
        drawn = objective.terms(task.batch(samples, config.seed), samples, config.seed).sigma
        assert drawn is not None
        return drawn.tolist()

    whole = sigmas(range(12))
    levels = [float(level) for level in np.float32(objective.precond.own_grid(10)[::-1])]
    places = [levels.index(sigma) for sigma in whole]
    mirrored = [a + b == 9 for a, b in zip(places[::2], places[1::2], strict=True)]
    assert all(mirrored) == antithetic
    assert [*sigmas(range(5)), *sigmas(range(5, 12))] == whole  # a pair is cut in two


def test_fast_ddpm_samples_in_the_steps_it_trains_on(trained: Any) -> None:
    method = dataclasses.replace(net_of("ddpmpp"), preconditioning="fast_ddpm")
    usual = {"method": method, "sample.sampler": "ddim", "sample.grid": "own", "sample.steps": 10}
    assert Diffusion.passes(tiny(**usual)) == 10
    made = sampling(trained, **usual).predict(cases(2))
    assert made.passes == 10
    with pytest.raises(BenchError, match="12 steps asked, it samples on 10 levels"):
        Diffusion.protocol(tiny(**{**usual, "sample.steps": 12}))


def test_a_guidances_other_networks_come_with_the_predictor(trained: Any) -> None:
    """A discriminator that likes bright pictures makes them brighter, and is counted."""
    guided = sampling(trained, **{"sample.guidance": "discriminator"})
    with pytest.raises(BenchError, match="needs a network 'discriminator'; give it in networks"):
        guided.predict(cases(3))
    guided.networks = {"discriminator": lambda x, sigma: x.flatten(1).sum(1) / (1 + sigma**2)}
    brighter = guided.predict(cases(3))
    plain = sampling(trained).predict(cases(3))
    assert (brighter.values.mean((1, 2, 3)) > plain.values.mean((1, 2, 3)) + 5).all()
    assert (plain.passes, brighter.passes) == (3, 4)  # of two steps, one is above sigma_min
