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
from bench.predictions import Predictor
from bench.studies.study import Ran
from bench.tasks import build_task
from bench.tasks.task import Evaluation, Task
from bench.train.judged_weights import load_judged

Networks = Mapping[str, Callable[..., torch.Tensor]]


class Trained:
    """The network as its trial judged it at the end.

    Raises:
        BenchError: its weights are gone, damaged, of another run or of another network.
    """

    def __init__(self, config: TrialConfig, folder: Path, nimg: int, name: str = "") -> None:
        self.config, self.name, self.nimg = config, name, nimg
        self._folder = folder
        torch.set_num_threads(config.train.threads)

    @classmethod
    def of(cls, ran: Ran) -> Trained:
        """Of an arm.

        Raises:
            BenchError: it has not completed.
        """
        if ran.outcome != "completed":
            raise BenchError(f"trial {ran.arm.name!r} {ran.outcome}: {ran.cause}")
        return cls(ran.config, ran.folder, ran.nimg, ran.arm.name)

    @cached_property
    def method(self) -> Method:
        return build_method(self.config)

    @cached_property
    def task(self) -> Task:
        return build_task(self.config)

    @cached_property
    def net(self) -> torch.nn.Module:
        trained: Any = self.method  # of the methods that train
        net: torch.nn.Module = copy.deepcopy(trained.net).eval().requires_grad_(False)
        load_judged(self._folder, net, self.nimg)
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

    def judged(
        self, part: str, sample: SampleConfig | None = None, networks: Networks | None = None
    ) -> dict[str, Any]:
        """The metrics on a part, and the score without each block of its predictions
        (jackknife.paired_error): two ways to sample that draw from common noise differ with an
        error of their own."""
        predictor = self.predictor(sample, networks=networks)
        evidence = self.task.evidence(predictor, part, predictor.predict(self.task.cases(part)))
        return {
            "metrics": self.task.estimates(evidence),
            "without": list(self.task.metrics[0].without_draws(evidence)),
        }

    def sampled(self, **changes: Any) -> SampleConfig:
        """The trial's sampling, changed."""
        return dataclasses.replace(self.config.sample, **changes)

    def drawn(
        self,
        count: int,
        purpose: str,
        seed: int | None = None,
        *,
        sample: SampleConfig | None = None,
        networks: Networks | None = None,
        **changes: Any,
    ) -> NDArray[Any]:
        """`count` pictures uint8 [count, C, *spatial], kept and conditioned as those that the trial
        is judged by. changes: other fields of Cases (keep, condition)."""
        named: dict[str, Any] = {"key": ("study",), "purpose": purpose, "count": count}
        cases = dataclasses.replace(self.task.cases("report"), **named, **changes)
        return np.asarray(self.predictor(sample, seed, networks).predict(cases).values)
