"""PatchDDM's U-Net: published counts, the path of a case, whole volumes, checkpointing."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from backbones import counting
from backbones.conformance import CHECKS, Spatial, small_sizes
from backbones.inputs import Inputs
from backbones.volume_unet import SIZES, Args, VolumeUNet, build
from bench import networks
from bench.config import canonical
from bench.errors import BenchError
from bench.sweep.cost import footprint

TINY: dict[str, Any] = {"width": 4, "multipliers": (1, 2), "blocks": 1, "groups": 2}
SKIPS = ("average", "concatenate", "add")


def inputs_of(*spatial: int, channels: int = 2) -> Inputs:
    return Inputs(spatial=spatial, channels=channels, out_channels=1)


def generic(inputs: Inputs, **args: Any) -> VolumeUNet:
    """A network whose last layers are away from zero."""
    torch.manual_seed(0)
    net = networks.build("volume_unet", inputs, **{**TINY, **args})
    assert isinstance(net, VolumeUNet)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return net


@pytest.mark.parametrize(
    ("skip", "count"), [("average", 24_260_299), ("add", 24_260_299), ("concatenate", 32_331_927)]
)
def test_the_default_has_the_published_count(skip: str, count: int) -> None:
    inputs = Inputs(spatial=(64,) * 3, channels=1, condition_channels=7, out_channels=1)
    with torch.device("meta"):
        net = networks.build("volume_unet", inputs, skip=skip)
    assert counting.parameters(net) == count
    assert {m.num_groups for m in net.modules() if isinstance(m, nn.GroupNorm)} == {29}


@pytest.mark.parametrize("rule", CHECKS)
@pytest.mark.parametrize("skip", SKIPS)
def test_it_conforms_in_three_dimensions(skip: str, rule: str) -> None:
    args = Args(**{**SIZES["smoke"].arguments(), "skip": skip})
    CHECKS[rule](lambda inputs: build(inputs, args), (8, 8, 8))


def test_it_is_built_in_two_and_in_three_dimensions() -> None:
    args = Args(**SIZES["laptop"].arguments())
    expected: list[Spatial] = [(16, 16), (8, 8, 8)]
    assert small_sizes(lambda inputs: build(inputs, args)) == expected


@pytest.mark.parametrize("spatial", [(8, 12), (4, 8, 12)])
@pytest.mark.parametrize("skip", SKIPS)
@torch.no_grad()
def test_the_path_of_a_case(skip: str, spatial: tuple[int, ...]) -> None:
    net = generic(inputs_of(*spatial), skip=skip).double().eval()
    e, d = net.encoder, net.decoder
    x = torch.randn(2, 2, *spatial, dtype=torch.float64)
    t = torch.tensor([3.0, 700.0], dtype=torch.float64)
    emb = net.embedding(t, None, None)

    stem = e["level0_stem"](x)
    fine = e["level0_block0"](stem, emb)
    down = e["level1_down"](fine)
    assert down.shape[2:] == tuple(side // 2 for side in spatial)
    coarse = e["level1_block0"](down, emb)

    def joined(h: Tensor, left: Tensor, key: str) -> Tensor:
        both = {
            "average": lambda: (h + left) / 2,
            "add": lambda: h + left,
            "concatenate": lambda: torch.cat([h, left], dim=1),
        }
        out: Tensor = d[key](both[skip](), emb)
        return out

    h = d["level1_middle1"](d["level1_middle0"](coarse, emb), emb)
    h = joined(joined(h, coarse, "level1_block0"), down, "level1_block1")
    h = d["level0_up"](h)
    h = joined(joined(h, fine, "level0_block0"), stem, "level0_block1")
    torch.testing.assert_close(net(x, t), net.head(h))


@torch.no_grad()
def test_a_block_by_hand() -> None:
    block = generic(inputs_of(4, 4, 4)).encoder["level1_block0"].double()
    x, emb = torch.randn(2, 4, 3, 3, 3).double(), torch.randn(2, 16).double()
    silu = nn.functional.silu
    h = block.conv0(silu(block.norm0(x))) + block.affine(emb).view(2, 8, 1, 1, 1)
    expected = block.shortcut(x) + block.conv1(silu(block.norm1(h)))
    torch.testing.assert_close(block(x, emb), expected)
    assert block.shortcut.kernel_size == (1, 1, 1)


@torch.no_grad()
def test_it_starts_silent_and_its_blocks_as_their_shortcuts() -> None:
    torch.manual_seed(0)
    net = networks.build("volume_unet", inputs_of(8, 8, 8), **TINY)
    x = torch.randn(1, 4, 8, 8, 8)
    assert torch.equal(net.encoder["level0_block0"](x, torch.randn(1, 16)), x)
    assert not net(torch.randn(1, 2, 8, 8, 8), torch.tensor([5.0])).any()


@torch.no_grad()
def test_a_network_of_patches_runs_on_whole_volumes() -> None:
    net = generic(inputs_of(8, 8, 8)).eval()
    whole = generic(inputs_of(6, 10, 14)).eval()
    whole.load_state_dict(net.state_dict())
    x, t = torch.randn(1, 2, 6, 10, 14), torch.tensor([30.0])
    assert torch.equal(net(x, t), whole(x, t))
    with pytest.raises(ValueError, match=r"multiples of 2 .*not 6x10x13"):
        net(x[..., :13], t)


@pytest.mark.parametrize("skip", SKIPS)
@pytest.mark.parametrize("side", [8, 16])
def test_checkpointing_changes_no_bit_and_keeps_less(skip: str, side: int) -> None:
    def run(checkpointing: bool) -> tuple[list[Tensor], int]:
        net = generic(inputs_of(side, side, side), skip=skip, checkpointing=checkpointing)
        kept: dict[int, int] = {}

        def pack(tensor: Tensor) -> Tensor:
            storage = tensor.untyped_storage()
            kept[storage.data_ptr()] = storage.nbytes()
            return tensor

        torch.manual_seed(1)
        x = torch.randn(2, 2, side, side, side, requires_grad=True)
        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            y = net(x, torch.tensor([10.0, 500.0]))
        y.square().sum().backward()
        gradients = [p.grad for p in (x, *net.parameters())]
        return [y.detach(), *(g for g in gradients if g is not None)], sum(kept.values())

    (plain, all_bytes), (again, few_bytes) = run(False), run(True)
    assert len(plain) == len(again) > 20
    assert all(torch.equal(a, b) for a, b in zip(plain, again, strict=True))
    assert few_bytes < 0.6 * all_bytes


def test_checkpointing_draws_the_same_dropout_again() -> None:
    def gradients(checkpointing: bool) -> list[Tensor]:
        net = generic(inputs_of(8, 8), dropout=0.5, checkpointing=checkpointing).train()
        torch.manual_seed(1)
        net(torch.ones(1, 2, 8, 8), torch.tensor([9.0])).square().sum().backward()
        return [p.grad for p in net.parameters() if p.grad is not None]

    pairs = list(zip(gradients(False), gradients(True), strict=True))
    assert all(torch.equal(a, b) for a, b in pairs)


@pytest.mark.parametrize("skip", SKIPS)
def test_flops_are_those_of_a_run_and_of_its_convolutions(skip: str) -> None:
    net = generic(inputs_of(8, 12, 4), skip=skip)
    products = 0

    def add(module: nn.Module, given: tuple[Tensor, ...], output: Tensor) -> None:
        nonlocal products
        weight = module.weight
        assert isinstance(weight, Tensor)
        products += output[0].numel() * weight[0].numel()

    for module in net.modules():
        if isinstance(module, nn.Conv3d | nn.Linear):
            module.register_forward_hook(add)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        net(*counting.example(net.inputs, 1))
    assert counting.forward_flops(generic(net.inputs, skip=skip)) == 2 * products
    assert counter.get_total_flops() == 2 * products


def test_checkpointing_is_counted_as_work() -> None:
    forward, plain = counting.flops(generic(inputs_of(8, 8, 8)))
    same, again = counting.flops(generic(inputs_of(8, 8, 8), checkpointing=True))
    assert same == forward
    blocks_again = (again - plain) / forward
    # of a block all but its last convolution, whose output nobody needs again
    assert 0.4 < blocks_again < 0.5


@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize("side", [8, 16])
@pytest.mark.parametrize("skip", SKIPS)
def test_predicted_memory_is_what_a_real_pass_holds(
    skip: str, side: int, checkpointing: bool
) -> None:
    args = {**TINY, "skip": skip, "checkpointing": checkpointing}
    inputs = inputs_of(side, side, side)
    net = generic(inputs, skip=skip, checkpointing=checkpointing)
    weights = {p.untyped_storage().data_ptr() for p in net.parameters()}
    saved: dict[int, Tensor] = {}

    def pack(tensor: Tensor) -> Tensor:
        saved[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        net(*counting.example(inputs, 1))
    kept = sum(t.untyped_storage().nbytes() for place, t in saved.items() if place not in weights)
    saved.clear()
    for p in net.parameters():
        p.grad = torch.zeros_like(p)
    with footprint._Alive() as alive:
        net(*counting.example(inputs, 1)).sum().backward()
    predicted = footprint._network("volume_unet", canonical(args), inputs, "").saved_bytes
    # what a real pass holds at its peak; without checkpointing that is what autograd saves
    assert predicted == pytest.approx(alive.most, rel=0.15)
    assert checkpointing or predicted == pytest.approx(kept, rel=0.01)
    assert not checkpointing or predicted > kept


def test_less_memory_is_predicted_with_checkpointing_and_more_with_concatenation() -> None:
    def of(skip: str, checkpointing: bool) -> int:
        args = {**TINY, "skip": skip, "checkpointing": checkpointing}
        made = footprint._network("volume_unet", canonical(args), inputs_of(16, 16, 16), "")
        return made.saved_bytes

    assert of("average", True) < 0.75 * of("average", False)
    assert of("concatenate", False) > 1.2 * of("average", False)


@pytest.mark.parametrize(
    ("args", "match"),
    [
        ({"skip": "mean"}, "skip must be one of average, concatenate, add, not 'mean'"),
        ({"groups": 3}, r"groups must divide width 4 \(0: as many as width\), not 3"),
        ({"groups": -1}, "groups must be a whole number from 0 up"),
        ({"checkpointing": 1}, "checkpointing must be true or false, not 1"),
        ({"width": 1}, "width must be a whole number from 2 up"),
        ({"multipliers": (1, 1), "groups": 0}, "4 groups leave one channel in each at every"),
        ({"multipliers": (1, 1, 1, 1)}, "each side must be a multiple of 8, not 4; take 8"),
        ({"multipliers": (1, 2, 2), "groups": 4}, None),
        ({"multipliers": (1, 1, 2), "groups": 4}, "level 2 of 3 has sides 1x1x1 .*one number"),
        ({"blocks": 0}, "blocks"),
        ({"dropout": 1.0}, "dropout"),
    ],
)
def test_settings_that_cannot_be(args: dict[str, Any], match: str | None) -> None:
    if match is None:
        assert networks.build("volume_unet", inputs_of(4, 4, 4), **{**TINY, **args})
        return
    with pytest.raises(BenchError, match=f"^volume_unet: .*{match}"):
        networks.build("volume_unet", inputs_of(4, 4, 4), **{**TINY, **args})


def test_a_norm_of_one_channel_a_group_takes_the_noise_level_away() -> None:
    """Why such a network is refused: at the first level of the published one it is so."""
    net = generic(inputs_of(8, 8, 8), groups=0)
    block, x = net.encoder["level0_block0"].double(), torch.randn(1, 4, 8, 8, 8).double()
    first, second = (block(x, torch.randn(1, 16).double()) for _ in range(2))
    torch.testing.assert_close(first, second)
