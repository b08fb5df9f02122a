"""What every method must show before it is used: ours and a user's alike.

A method is made for a small task that has everything (condition images, classes, numbers), or for
one without condition images where it is for those, with a small network of ours or the estimator
`identity`; a method that takes neither is checked as far as its class goes.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from backbones.inputs import Inputs
from bench.conditions import Condition
from bench.config import Args, DataConfig, MethodConfig, TaskConfig, TrialConfig
from bench.data.practice_data import practice_trial, write_practice_data
from bench.errors import BenchError
from bench.methods.method import Method
from bench.predictions import Cases, Predictions
from bench.streams import normal
from bench.suite import require, run
from bench.train.objective import Batch

SHAPE = (1, 8, 8)
SAMPLES = (4, 1)
BACKBONES: Mapping[str, Args] = {
    "small_unet": {"widths": (4, 8), "blocks": 1, "embedding_dims": 8},
    "identity": {},
}
# float32 sums of another batch, carried through a few network passes
TOLERANCE = 1e-3


def check(part: Any, name: str) -> int:
    """The number of checks that a Method class passed; BenchError naming the rule it breaks."""
    with (
        tempfile.TemporaryDirectory(prefix="bench-method-") as folder,
        torch.device("cpu"),
        torch.enable_grad(),
        torch.random.fork_rng(devices=[]),
    ):
        torch.manual_seed(0)
        passed = run("method", name, part, {"is a method": is_a_method})
        config = _trial(part, Path(folder) / "cache")
        return passed if config is None else passed + run("method", name, (part, config), CHECKS)


def is_a_method(part: Any) -> None:
    """A complete subclass of Method that takes a task."""
    require(
        isinstance(part, type) and issubclass(part, Method),
        "it must be a subclass of bench.methods.method.Method",
    )
    lacking = sorted(getattr(part, "__abstractmethods__", ()))
    require(not lacking, f"it must define {', '.join(lacking)}")
    _task(part)


def trains_on_keyed_draws(practice: tuple[type[Method], TrialConfig]) -> None:
    """A finite loss for each sample that depends on the sample alone, whatever the batch."""
    method, inputs = _made(*practice), practice[1].task.inputs
    if not method.trains:
        return
    before = torch.get_rng_state()
    whole = method.terms(_batch(SAMPLES, inputs), SAMPLES, 0).loss
    require(whole.shape == (len(SAMPLES),), f"the loss has shape {tuple(whole.shape)}")
    require(bool(whole.isfinite().all()), "the loss is not finite")
    require(whole.requires_grad, "the loss has no gradient")
    alone = [method.terms(_batch([sample], inputs), [sample], 0).loss for sample in SAMPLES]
    near = torch.allclose(torch.cat(alone), whole, rtol=TOLERANCE, atol=TOLERANCE)
    require(near, "a sample's loss depends on its batch")
    untouched = torch.equal(torch.get_rng_state(), before)
    require(untouched, "terms() draws from torch's global generator; use bench.streams")


def predicts(practice: tuple[type[Method], TrialConfig]) -> None:
    """Every case answered, the same twice to the bit; shares joined are the whole."""
    part, config = practice
    method = _made(part, config)
    predictor = method.predictor([method.net] if method.trains else [], 0, config.sample)
    condition = partial(_of, inputs=config.task.inputs)
    cases = Cases(key=(), purpose="practice", count=3, keep=_floats, condition=condition, samples=2)
    before = torch.get_rng_state()
    whole, again = predictor.predict(cases), predictor.predict(cases)
    require(whole.values.shape == (6, *SHAPE), f"6 predictions have shape {whole.values.shape}")
    require(np.array_equal(whole.values, again.values), "two answers to the same cases differ")
    shares = [predictor.predict_some(cases, places) for places in (range(1), range(1, 3))]
    gap = np.abs(Predictions.joined(shares).values - whole.values).max()
    near = gap <= TOLERANCE * max(1.0, float(np.abs(whole.values).max()))
    require(near, "what is predicted depends on the worker's share")
    stated = part.passes(config)
    require(whole.passes == stated, f"passes() says {stated}, a prediction took {whole.passes}")
    untouched = torch.equal(torch.get_rng_state(), before)
    require(untouched, "predict() draws from torch's global generator; use bench.streams")


CHECKS: Mapping[str, Callable[[Any], None]] = {
    "trains on keyed draws": trains_on_keyed_draws,
    "predicts": predicts,
}


def _task(part: type[Method]) -> TaskConfig:
    """The first of the small tasks that it takes."""
    refusals = []
    for condition_channels in (1, 0):
        inputs = Inputs(
            spatial=SHAPE[1:],
            channels=1,
            out_channels=1,
            condition_channels=condition_channels,
            n_classes=2,
            vector_dim=1,
        )
        task = TaskConfig(kind="practice", inputs=inputs)
        try:
            part.inputs(task)
        except BenchError as error:
            refusals.append(str(error))
            continue
        return task
    raise BenchError(f"it takes no task: {refusals[0]}")


def _trial(part: type[Method], cache: Path) -> TrialConfig | None:
    """A trial with the first backbone that it takes, prepared on drawn data; None where it takes
    none of them."""
    for backbone, args in BACKBONES.items():
        try:
            whole = part.whole_arguments(backbone, args)
        except Exception:  # a user's own may raise anything for a name that is not theirs
            continue
        setup = "edm" if part.preconditioned else ""
        task, data = _task(part), write_practice_data(cache, SHAPE[1:])
        where = DataConfig(name="practice", digest=data.digest, simulated=True, cache=str(cache))
        method = MethodConfig(
            backbone=backbone,
            backbone_args=whole,
            preconditioning=setup,
            settings=part.prepare(task, where, {}, "cpu", _quiet).settings,
        )
        return practice_trial(task, method, str(cache))
    return None


def _made(part: type[Method], config: TrialConfig) -> Method:
    torch.manual_seed(0)
    method = part(config)
    if method.trains:
        for parameter in method.net.parameters():  # last layers start at zero and hide the rest
            torch.nn.init.normal_(parameter, std=0.1)
        method.net.eval()
    return method


def _of(places: Sequence[int], inputs: Inputs) -> Condition:
    image = torch.from_numpy(normal(0, "image", places, SHAPE))
    return Condition(
        images=image if inputs.condition_channels else None,
        classes=torch.tensor([place % 2 for place in places], dtype=torch.int64),
        vector=torch.from_numpy(normal(0, "vector", places, (1,))),
    )


def _batch(samples: Sequence[int], inputs: Inputs) -> Batch:
    target = torch.from_numpy(normal(0, "target", samples, SHAPE))
    return Batch(target=target, condition=_of(samples, inputs))


def _quiet(text: str) -> None:
    """What is said while a method is prepared is of no use here."""


def _floats(x: Tensor) -> np.ndarray[Any, Any]:
    return x.float().cpu().numpy()
