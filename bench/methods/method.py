"""What a method is: it turns a task into a network with a loss, or none, and into a predictor.

Diffusion, direct (regression) and classical methods meet the training loop, the tasks and the
sweep through this file alone. What a sweep asks before anything is built (which settings there
are, what a prediction costs) is asked of the class.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import nn

from backbones.inputs import Inputs
from bench import networks
from bench.config import Args, DataConfig, MethodConfig, SampleConfig, TaskConfig, TrialConfig
from bench.predictions import Predictor
from bench.train.objective import Batch, Terms


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """What a method made before the trials, once for a data set.

    settings: plain values that are part of what a trial is. notes: what is to be known of it.
    """

    settings: Args
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class FrozenPart:
    """A network that runs beside the trained one and is not trained, to be counted.

    net: on the meta device. shape: [C, *spatial] of one case that it is given. when: it runs once
    a "training" image, or once a "prediction".
    """

    net: nn.Module
    shape: tuple[int, ...]
    when: str


class Method(ABC):
    """One trial's method. Owns its network; the training loop owns optimizer and averages.

    trains: whether there is anything to train; a classical method has no network.
    samples: whether its predictor reads how to draw (sampler, steps, guidance ...).
    preconditioned: whether a preconditioning is part of its choice.
    built_of: the parameter that names its network, or its estimator.
    parameters: settings of its own with their defaults, given for all trials alike (`--set`, or the
        scale) and handed to `prepare`.
    gives: of what metrics may need, what its predictor has beside predictions ("denoise").
    """

    trains: ClassVar[bool] = True
    samples: ClassVar[bool] = True
    preconditioned: ClassVar[bool] = False
    built_of: ClassVar[str] = "architecture"
    parameters: ClassVar[Mapping[str, Any]] = {}
    gives: ClassVar[frozenset[str]] = frozenset()

    net: nn.Module

    def __init__(self, config: TrialConfig) -> None:
        self.config = config
        self.device = torch.device(config.train.device)

    @classmethod
    @abstractmethod
    def inputs(cls, task: TaskConfig) -> Inputs | None:
        """What its network gets and gives for a task; None: it has no network.

        Raises:
            BenchError: it cannot answer such a task.
        """

    @classmethod
    def network_inputs(cls, task: TaskConfig, settings: Mapping[str, Any]) -> Inputs | None:
        """The same where the method's own settings change it (a latent's shape)."""
        return cls.inputs(task)

    @classmethod
    def prepare(
        cls,
        task: TaskConfig,
        data: DataConfig,
        given: Mapping[str, Any],
        device: str,
        say: Callable[[str], None],
    ) -> Prepared:
        """Make what all its trials share, beside the data's cache, whole or not at all; the same
        again where it is there. `given` are some of `parameters`.

        Raises:
            BenchError: a setting that cannot be, or a task that it cannot answer.
        """
        return Prepared(settings={})

    @classmethod
    def rehearse(
        cls,
        task: TaskConfig,
        data: DataConfig,
        given: Mapping[str, Any],
        device: str,
        say: Callable[[str], None],
    ) -> Prepared:
        """What `prepare` would make, where that takes long: settings that a trial is checked and
        priced by as by the real ones, at once and without writing anything.

        Raises:
            BenchError: as `prepare`.
        """
        return cls.prepare(task, data, given, device, say)

    @classmethod
    def frozen_parts(cls, task: TaskConfig, settings: Mapping[str, Any]) -> Sequence[FrozenPart]:
        """The networks that run beside the trained one."""
        return ()

    @classmethod
    def argument_names(cls, backbone: str) -> list[str]:
        """The settings of the network (or estimator) of that name."""
        return networks.args_of(backbone)

    @classmethod
    def whole_arguments(cls, backbone: str, given: Mapping[str, Any]) -> Args:
        """All settings, defaults included: they are part of what a trial is.

        Raises:
            BenchError: a value that cannot be.
        """
        return networks.whole_arguments(backbone, given)

    @classmethod
    def passes(cls, config: TrialConfig) -> int:
        """Network passes that one prediction costs."""
        return 1

    @classmethod
    def protocol(cls, config: TrialConfig) -> dict[str, Any]:
        """What of how it predicts must match before two scores are ranked together."""
        return {}

    @classmethod
    def state_bytes(cls, inputs: Inputs) -> int:
        """Bytes that predicting one case holds beside the network's own."""
        return 4 * inputs.pixels * (inputs.in_channels + inputs.out_channels)

    @abstractmethod
    def terms(self, batch: Batch, samples: Sequence[int], seed: int) -> Terms:
        """The loss of each sample of a batch; draws by (seed, purpose, sample number) alone."""

    @abstractmethod
    def predictor(self, nets: Sequence[nn.Module], seed: int, sample: SampleConfig) -> Predictor:
        """What a task evaluates: these networks (copies with the judged weights; several answer
        as an ensemble), drawing by the streams of `seed`."""


# In which convolutions on a CPU are faster: by 5 to 60 % of images, 1.1 to 2 times of volumes.
LAYOUTS = {2: torch.channels_last, 3: torch.channels_last_3d}


def build_network(method: MethodConfig, inputs: Inputs, device: torch.device) -> nn.Module:
    """The network of a method in its memory layout on its device."""
    net: nn.Module = networks.build(method.backbone, inputs, **method.backbone_args)
    layout = LAYOUTS.get(len(inputs.spatial))
    if layout is not None:
        net = net.to(memory_format=layout)
    return net.to(device)
