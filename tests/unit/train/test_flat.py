"""Flat buffers: the network's own parameters as views, one optimizer over all of them at once."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from bench.train import checkpoint
from bench.train.flat import ALIGNMENT, FlatParameters
from bench.train.optim import ELEMENTWISE, make_optimizer
from tests.fakes.trials import tiny


class Net(nn.Module):
    """Two layouts, a single number, a frozen layer, a float64 one."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv2d(3, 5, 3).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.scale = nn.Parameter(torch.tensor(0.5))
        self.frozen = nn.Linear(3, 2).requires_grad_(False)
        self.wide = nn.Linear(5, 2).double()

    def forward(self, x: Tensor) -> Tensor:
        h = self.conv(x).mean((2, 3)) * self.scale
        y: Tensor = self.wide(h.double()) + self.frozen(x.mean((2, 3)))
        return y


def descend(net: nn.Module, optimizer: Any, flat: FlatParameters | None, steps: range) -> None:
    for step in steps:
        generator = torch.Generator().manual_seed(step)
        x = torch.randn(4, 3, 5, 5, generator=generator)
        flat.zero_gradients() if flat else net.zero_grad()
        net(x).square().mean().backward()
        optimizer.step()


def test_parameters_keep_name_value_layout_and_identity() -> None:
    plain, net = Net(), Net()
    held = dict(net.named_parameters())
    flat = FlatParameters(net)
    for name, p in plain.named_parameters():
        assert net.get_parameter(name) is held[name]
        assert torch.equal(held[name], p)
        assert held[name].stride() == p.stride()
        assert held[name].requires_grad == p.requires_grad
        assert held[name].data_ptr() % ALIGNMENT == 0
    assert len(flat.buffers) == 3  # float32, float64 and what is frozen
    assert len(flat.trained) == 2
    with torch.no_grad():
        for buffer in flat.buffers:
            buffer.fill_(7.0)
    assert all(bool((p == 7).all()) for p in net.parameters())


def test_gradients_are_those_of_the_parameters_whatever_came_between() -> None:
    plain, net = Net(), Net()
    flat, x = FlatParameters(net), torch.randn(2, 3, 5, 5)
    plain(x).sum().backward()
    for between in (lambda: None, lambda: net.zero_grad(set_to_none=True)):
        between()
        flat.zero_gradients()
        for _ in range(2):  # micro-batches add up
            net(x).sum().backward()
        total = torch.stack([g.double().square().sum() for g in flat.gradients]).sum()
        expected = [p.grad for p in plain.parameters() if p.grad is not None]
        assert len(expected) == 5
        norm = torch.stack([(2 * g).double().square().sum() for g in expected]).sum()
        torch.testing.assert_close(total, norm)
        for p, q in zip(net.parameters(), plain.parameters(), strict=True):
            assert (p.grad is None) == (q.grad is None)
            if p.grad is not None and q.grad is not None:
                assert torch.equal(p.grad, 2 * q.grad)


@pytest.mark.parametrize("name", sorted(ELEMENTWISE))
@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_one_optimizer_over_the_buffers_is_one_over_the_parameters(name: str, decay: float) -> None:
    """Elementwise: the same numbers; vectorised and scalar ends of a loop may round otherwise
    (measured: to the bit)."""
    config = tiny(**{"train.optimizer": name, "train.weight_decay": decay}).train
    plain, net = Net(), Net()
    flat = FlatParameters(net)
    over = [p for p in plain.parameters() if p.requires_grad]
    descend(plain, make_optimizer(over, config), None, range(5))
    descend(net, make_optimizer(flat.trained, config), flat, range(5))
    for p, q, start in zip(net.parameters(), plain.parameters(), Net().parameters(), strict=True):
        assert torch.equal(p, start) != p.requires_grad
        torch.testing.assert_close(p, q, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("name", sorted(ELEMENTWISE))
def test_moments_are_saved_by_parameter_and_go_on_exactly(name: str) -> None:
    config = tiny(**{"train.optimizer": name, "train.weight_decay": 0.01}).train
    net = Net()
    flat = FlatParameters(net)
    optimizer = make_optimizer(flat.trained, config)
    descend(net, optimizer, flat, range(3))
    again = copy.deepcopy(net)
    saved = flat.apart(copy.deepcopy(optimizer.state_dict()))
    trained = [p for p in net.parameters() if p.requires_grad]
    assert list(saved["state"]) == list(range(len(trained)))
    for number, p in enumerate(trained):
        moments = [v for v in saved["state"][number].values() if v.dim()]
        assert moments
        assert all(m.shape == (p.shape or (1,)) for m in moments)
    descend(net, optimizer, flat, range(3, 6))

    fresh = FlatParameters(again)
    other = make_optimizer(fresh.trained, config)
    checkpoint.load_optimizer(other, fresh.joined(saved))
    descend(again, other, fresh, range(3, 6))
    for a, b in zip(net.parameters(), again.parameters(), strict=True):
        if name.startswith("nadam") and a.dtype == torch.float64:
            # torch casts NAdam's product of momenta, float32, to the parameters' dtype as it loads
            torch.testing.assert_close(a, b, rtol=1e-6, atol=0)
        else:
            assert torch.equal(a, b)


def test_a_checkpoint_of_an_optimizer_over_the_parameters_is_taken_up() -> None:
    """As they were written before there were buffers."""
    config = tiny(**{"train.optimizer": "adamw"}).train
    plain, net = Net(), Net()
    before = make_optimizer([p for p in plain.parameters() if p.requires_grad], config)
    descend(plain, before, None, range(3))
    net.load_state_dict(plain.state_dict())
    flat = FlatParameters(net)
    after = make_optimizer(flat.trained, config)
    state = copy.deepcopy(before.state_dict())
    for moments in state["state"].values():
        for key in ("exp_avg", "exp_avg_sq"):
            moments[key] = moments[key].reshape(moments[key].shape or (1,))
    checkpoint.load_optimizer(after, flat.joined(state))
    descend(plain, before, None, range(3, 5))
    descend(net, after, flat, range(3, 5))
    for p, q in zip(net.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(p, q, rtol=1e-6, atol=1e-7)
