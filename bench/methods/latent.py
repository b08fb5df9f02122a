"""Latent diffusion: a frozen autoencoder, then the diffusion method in its latents.

Rombach et al. 2022 (arXiv 2112.10752). Targets are drawn from the encoder's Gaussian; samples are
decoded. Preconditioning, loss, samplers and guidance are those of bench.methods.diffusion, at the
latents' own sigma_data. A denoising error of pictures cannot be given: D is of latents.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, ClassVar, cast

import torch
from torch import Tensor, nn

from backbones.inputs import Inputs
from bench.config import DataConfig, SampleConfig, TaskConfig, TrialConfig, canonical
from bench.errors import BenchError
from bench.methods import frozen_autoencoder, preparing_autoencoder
from bench.methods.diffusion import Diffusion, Sampling
from bench.methods.method import FrozenPart, Prepared
from bench.streams import normal
from bench.train.objective import Batch, Terms


class Latent(Diffusion):
    """Diffusion of latents; its settings are those of the autoencoder, made before the trials."""

    parameters: ClassVar[Mapping[str, Any]] = preparing_autoencoder.PARAMETERS
    gives: ClassVar[frozenset[str]] = frozenset({"reconstruct"})

    def __init__(self, config: TrialConfig) -> None:
        super().__init__(in_latents(config))
        settings = config.method.settings
        self.pictures = config.task
        device, digest = config.train.device, settings["digest"]
        if digest == frozen_autoencoder.UNMADE:
            self.autoencoder = frozen_autoencoder.unmade(settings).to(device)
        else:
            self.autoencoder = frozen_autoencoder.of_trial(
                config.data.cache, settings["name"], digest, device
            )

    @classmethod
    def inputs(cls, task: TaskConfig) -> Inputs:
        inputs = task.inputs
        if inputs.condition_channels or inputs.out_channels != inputs.channels:
            raise BenchError(
                f"method latent draws pictures from noise, and task {task.kind} answers images at "
                "their own resolution, which an autoencoder would blur; use diffusion or direct"
            )
        if len(inputs.spatial) != 2:
            raise BenchError("method latent is for pictures; its autoencoders take no volumes")
        return inputs

    @classmethod
    def network_inputs(cls, task: TaskConfig, settings: Mapping[str, Any]) -> Inputs:
        inputs = cls.inputs(task)
        if "factor" not in settings:
            raise BenchError("method latent needs its autoencoder, which a sweep prepares first")
        factor, channels = int(settings["factor"]), int(settings["latent_channels"])
        sides = tuple(side // factor for side in inputs.spatial)
        return dataclasses.replace(inputs, spatial=sides, channels=channels, out_channels=channels)

    @classmethod
    def prepare(
        cls,
        task: TaskConfig,
        data: DataConfig,
        given: Mapping[str, Any],
        device: str,
        say: Callable[[str], None],
    ) -> Prepared:
        return preparing_autoencoder.prepare(_pictures(task), data, given, device, say)

    @classmethod
    def rehearse(
        cls,
        task: TaskConfig,
        data: DataConfig,
        given: Mapping[str, Any],
        device: str,
        say: Callable[[str], None],
    ) -> Prepared:
        return preparing_autoencoder.rehearse(_pictures(task), data, given, device, say)

    @classmethod
    def frozen_parts(cls, task: TaskConfig, settings: Mapping[str, Any]) -> Sequence[FrozenPart]:
        pictures, latents = cls.inputs(task), cls.network_inputs(task, settings)
        encoder, decoder = _parts(canonical(dict(settings)))
        return (
            FrozenPart(net=encoder, shape=(pictures.channels, *pictures.spatial), when="training"),
            FrozenPart(net=decoder, shape=(latents.channels, *latents.spatial), when="prediction"),
        )

    @classmethod
    def passes(cls, config: TrialConfig) -> int:
        return super().passes(in_latents(config))

    def terms(self, batch: Batch, samples: Sequence[int], seed: int) -> Terms:
        mean, sd = self.autoencoder.encode(batch.target.to(self.device))
        noise = torch.from_numpy(normal(seed, "latent", samples, tuple(mean.shape[1:])))
        target = mean + sd * noise.to(mean.device)
        return super().terms(dataclasses.replace(batch, target=target), samples, seed)

    def predictor(self, nets: Sequence[nn.Module], seed: int, sample: SampleConfig) -> Decoded:
        return Decoded(self, nets, seed, sample)


class Decoded(Sampling):
    """Samples latents and answers the pictures that they decode to."""

    def __init__(
        self, method: Latent, nets: Sequence[nn.Module], seed: int, sample: SampleConfig
    ) -> None:
        if sample.clip:
            raise BenchError("clip is to the range of pictures, and latents have none: clip=false")
        super().__init__(method.config, nets, method.precond, seed, sample)
        self.autoencoder, self.pictures = method.autoencoder, method.pictures
        self.data_range = method.pictures.data_range
        self.denoise = None
        self.reconstruct = self.autoencoder.reconstruct

    def finished(self, states: Tensor) -> Tensor:
        return self.autoencoder.decode(states, self.pictures.inputs.channels)


def _pictures(task: TaskConfig) -> Inputs:
    """What its autoencoder is to take."""
    if task.args.get("standardise", "none") != "none":
        raise BenchError(
            "standardise is of pixels, and method latent's autoencoder takes pictures from -1 to "
            "1; give --set standardise=none, or another method"
        )
    return Latent.inputs(task)


def in_latents(config: TrialConfig) -> TrialConfig:
    """The same trial as the diffusion method sees it: a task on latents."""
    task, settings = config.task, config.method.settings
    inputs = Latent.network_inputs(task, settings)
    latents = dataclasses.replace(task, inputs=inputs, sigma_data=float(settings["sigma_data"]))
    return dataclasses.replace(config, task=latents)


@lru_cache(maxsize=16)
def _parts(settings: str) -> tuple[nn.Module, nn.Module]:
    """Encoder and decoder with shapes and no memory, to be counted."""
    with torch.device("meta"):
        net = frozen_autoencoder.build(json.loads(settings))
    return _Half(net, encodes=True), _Half(net, encodes=False)


class _Half(nn.Module):
    """One way through an autoencoder."""

    def __init__(self, net: nn.Module, *, encodes: bool) -> None:
        super().__init__()
        self.net, self.encodes = net, encodes

    def forward(self, x: Tensor) -> Tensor:
        network = cast(frozen_autoencoder.Network, self.net)
        if not self.encodes:
            return network.decode(x)
        return network.moments(x.expand(-1, network.channels, *x.shape[2:]))[0]
