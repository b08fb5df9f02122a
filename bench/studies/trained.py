"""A finished trial's network, to draw from and to judge in other ways than it was."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from bench.config import SampleConfig, TrialConfig
from bench.errors import BenchError
from bench.methods import build_method
from bench.methods.diffusion import Sampling
from bench.methods.method import Method
from bench.metrics.throughput import Stopwatch
from bench.predictions import Cases, Keep, Predictor
from bench.studies.study import Ran
from bench.tasks import build_task
from bench.tasks.task import Evaluation, Task
from bench.train import checkpoint

Networks = Mapping[str, Callable[..., torch.Tensor]]
WEIGHTS = "weights.safetensors"  # the judged ones, of a trial that completed


class Trained:
    """The network as its trial judged it at the end.

    Raises:
        BenchError: the trial kept no weights, or those of another network.
    """

    def __init__(self, config: TrialConfig, folder: Path) -> None:
        self.config, self._folder = config, folder
        torch.set_num_threads(config.train.threads)

    @classmethod
    def of(cls, ran: Ran) -> Trained:
        """Of an arm.

        Raises:
            BenchError: it has not completed.
        """
        if ran.outcome != "completed":
            raise BenchError(f"trial {ran.arm.name!r} {ran.outcome}: {ran.cause}")
        return cls(ran.config, ran.folder)

    @cached_property
    def method(self) -> Method:
        return build_method(self.config)

    @cached_property
    def task(self) -> Task:
        return build_task(self.config)

    @cached_property
    def net(self) -> torch.nn.Module:
        path = self._folder / WEIGHTS
        if not path.exists():
            raise BenchError(f"{path.parent.name}: the trial left no {WEIGHTS}")
        weights, _ = checkpoint.read(path)
        trained: Any = self.method  # of the methods that train
        net: torch.nn.Module = copy.deepcopy(trained.net).eval().requires_grad_(False)
        try:
            net.load_state_dict(weights, strict=False)
        except RuntimeError as error:
            raise BenchError(f"{WEIGHTS} is of another network: {error}".splitlines()[0]) from error
        missing = set(dict(net.named_parameters())) - set(weights)
        if missing:
            raise BenchError(f"{WEIGHTS} lacks {sorted(missing)[0]} and {len(missing) - 1} more")
        return net

    def predictor(
        self,
        sample: SampleConfig | None = None,
        seed: int | None = None,
        networks: Networks | None = None,
    ) -> Predictor:
        """A predictor that samples so; None: as the trial did. seed: of the noise it draws.
        networks: what the guidance needs beside the trial's own, by name.

        Raises:
            BenchError: the method samples with no other networks.
        """
        noise = self.config.seed if seed is None else seed
        predictor = self.method.predictor([self.net], noise, sample or self.config.sample)
        if networks is not None:
            if not isinstance(predictor, Sampling):
                kind = self.config.method.kind
                raise BenchError(f"method {kind!r} samples with no other networks")
            predictor.networks = networks
        return predictor

    def evaluate(
        self,
        part: str,
        sample: SampleConfig | None = None,
        seed: int | None = None,
        networks: Networks | None = None,
    ) -> Evaluation:
        """As the trial's task judges a part ("select" or "report")."""
        clock = Stopwatch(self.config.train.device)
        return self.task.evaluate(self.predictor(sample, seed, networks), part, clock)

    def judged(self, part: str, sample: SampleConfig | None = None) -> dict[str, Any]:
        """The score on a part, and without each block of its predictions (jackknife): two ways to
        sample that draw from common noise differ with an error of their own."""
        predictor = self.predictor(sample)
        evidence = self.task.evidence(predictor, part, predictor.predict(self.task.cases(part)))
        metric, score = self.task.metrics[0], self.task.score
        found = metric.estimate(evidence)
        return {
            "score": found[score.key],
            "se": found.get(score.se_key),
            "without": list(metric.without_draws(evidence)),
        }

    def sampled(self, **changes: Any) -> SampleConfig:
        """The trial's sampling, changed."""
        return dataclasses.replace(self.config.sample, **changes)

    def drawn(
        self,
        count: int,
        keep: Keep,
        purpose: str,
        seed: int | None = None,
        *,
        sample: SampleConfig | None = None,
        networks: Networks | None = None,
    ) -> NDArray[Any]:
        """`count` pictures [count, C, *spatial] as `keep` makes them of the network's range."""
        cases = Cases(key=("study",), purpose=purpose, count=count, keep=keep)
        return np.asarray(self.predictor(sample, seed, networks).predict(cases).values)
