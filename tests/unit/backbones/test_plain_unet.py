"""The U-Nets against the same networks written plainly: outputs and gradients."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from backbones.inputs import Inputs
from backbones.unet import UNet
from bench import networks
from tests.fakes.plain_unet import PlainUNet

ARGS: dict[str, dict[str, Any]] = {
    "adm": {"channels_per_head": 8},
    "ddpmpp": {},
    "ncsnpp": {},
}
# Of output and gradients, relative to each one's norm: another order of sums rounds otherwise.
# Measured 1.1e-6 and 9.6e-6 in float32 (group norms of nearly constant groups magnify), 1e-14.
ROUNDING = {torch.float32: (2e-6, 2e-5), torch.float64: (1e-13, 1e-13)}


def generic(name: str, dtype: torch.dtype) -> UNet:
    """A network whose last layers are away from zero."""
    torch.manual_seed(0)
    args = {"width": 16, "multipliers": (1, 2, 2), "blocks": 1, "attention": (8,), **ARGS[name]}
    net = networks.build(name, Inputs(spatial=(16, 16), channels=2, out_channels=1), **args)
    assert isinstance(net, UNet)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return net.to(dtype).eval()


def result(net: nn.Module, dtype: torch.dtype) -> list[Tensor]:
    """Output, and the gradients of image and weights."""
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(3, 2, 16, 16, generator=generator, dtype=dtype, requires_grad=True)
    y = net(x, torch.tensor([0.2, 0.5, 0.9], dtype=dtype))
    (y * torch.linspace(-1, 2, y.numel(), dtype=dtype).view_as(y)).sum().backward()
    gradients = [p.grad for p in (x, *net.parameters())]
    assert all(g is not None for g in gradients)
    return [y.detach(), *(g for g in gradients if g is not None)]


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("dtype", ROUNDING)
@pytest.mark.parametrize("name", ARGS)
def test_outputs_and_gradients_are_those_of_the_plain_network(
    name: str, dtype: torch.dtype, layout: torch.memory_format
) -> None:
    net = generic(name, dtype)
    expected = result(PlainUNet(net), dtype)
    found = result(net.to(memory_format=layout), dtype)  # type: ignore[call-overload]  # a format
    for k, (a, b) in enumerate(zip(found, expected, strict=True)):
        assert a.shape == b.shape
        assert float((a - b).norm() / b.norm()) < ROUNDING[dtype][k > 0]
