"""Batch normalisation in a network that several workers train: over the whole batch, or not at all.

A layer of batch normalisation takes mean and variance over the samples it is given. Of several
workers each is given its share of a batch, so that every worker would train another network: on
GPUs the layers become torch's SyncBatchNorm, which takes them over all shares; on the CPU that
refuses its input ("expected input tensor to be on GPU"), and the trial is refused with it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn
from torch.nn.modules.batchnorm import SyncBatchNorm, _BatchNorm

from bench.errors import BenchError

SHOWN = 3  # layers named in a refusal


def layers_of(net: nn.Module) -> list[str]:
    """The places of a network's layers of batch normalisation."""
    return [name for name, part in net.named_modules() if isinstance(part, _BatchNorm)]


def check(net: nn.Module, device: str, workers: int, name: str = "the network") -> None:
    """Raises BenchError where so many workers cannot train a network together on this device."""
    layers = layers_of(net)
    if workers == 1 or not layers or torch.device(device).type != "cpu":
        return
    more = f" and {len(layers) - SHOWN} more" if len(layers) > SHOWN else ""
    raise BenchError(
        f"{name} has batch normalisation ({', '.join(layers[:SHOWN])}{more}) and {workers} workers "
        "a trial: torch synchronises its statistics on GPUs alone (SyncBatchNorm refuses CPU "
        "input), and each worker would normalise by those of its own share; train it with one "
        "worker here, or with GroupNorm in their place"
    )


def synchronise(net: nn.Module, device: str, workers: int) -> None:
    """Several workers' layers of batch normalisation, in place: statistics over the whole batch.

    The parameters and buffers stay the same objects under the same names. timm's converter, since
    torch's own would drop the activation of timm's layers.

    Raises:
        BenchError: they cannot be synchronised on this device.
    """
    check(net, device, workers)
    if workers == 1 or not layers_of(net):
        return
    from timm.layers import convert_sync_batchnorm

    convert_sync_batchnorm(net)


@contextmanager
def unsynchronised(net: nn.Module) -> Iterator[None]:
    """In the block no layer waits for another worker, which may have failed: it normalises by its
    running statistics. The gradients are of no use; the memory is what training takes."""
    training = [m for m in net.modules() if isinstance(m, SyncBatchNorm) and m.training]
    for layer in training:
        layer.eval()
    try:
        yield
    finally:
        for layer in training:
            layer.train()
