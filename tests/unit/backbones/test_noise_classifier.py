"""The classifier of noised pictures: ADM's encoder, one logit a picture."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from backbones import adm
from backbones.inputs import Inputs
from backbones.noise_classifier import NoiseClassifier

INPUTS = Inputs(spatial=(8, 12), channels=2, out_channels=1)
ARGS = adm.Args(width=8, multipliers=(1, 2), blocks=1, attention=(4,), dropout=0.0)


def classifier() -> NoiseClassifier:
    """One whose branches, which begin at zero, say something."""
    torch.manual_seed(0)
    net = NoiseClassifier(INPUTS, ARGS)
    for parameter in net.parameters():
        if not parameter.detach().any():
            nn.init.normal_(parameter, std=0.2)
    return net.eval()


def pictures(n: int = 3) -> Tensor:
    return torch.randn(n, 2, 8, 12, generator=torch.Generator().manual_seed(1))


def test_the_first_logits_are_0() -> None:
    logits = NoiseClassifier(INPUTS, ARGS)(pictures(), torch.full((3,), 500.0))
    assert torch.equal(logits, torch.zeros(3))


def test_a_logit_is_of_its_picture_and_noise_level_alone() -> None:
    net, x, levels = classifier(), pictures(), torch.tensor([0.0, 500.0, 999.0])
    logits = net(x, levels)
    alone = torch.cat([net(x[k : k + 1], levels[k : k + 1]) for k in range(3)])
    torch.testing.assert_close(logits, alone, rtol=1e-4, atol=1e-5)  # float32, other batch size
    assert (net(x, levels.flip(0)) - logits)[[0, 2]].abs().min() > 1e-3


def test_its_encoder_is_that_of_adm() -> None:
    """The features are those an ADM with the same weights hands to its decoder."""
    net, whole = classifier(), adm.build(INPUTS, ARGS).eval()
    shared = {
        name: value
        for name, value in net.state_dict().items()
        if name.startswith(("embedding", "encoder"))
    }
    left = whole.load_state_dict(shared, strict=False)
    assert not left.unexpected_keys
    assert all(name.startswith(("decoder", "head")) for name in left.missing_keys)
    seen: dict[str, Tensor] = {}
    net.middle0.register_forward_pre_hook(lambda _, given: seen.update(net=given[0]))
    decoder = next(iter(whole.decoder.values()))  # type: ignore[union-attr,operator]
    decoder.register_forward_pre_hook(lambda _, given: seen.update(whole=given[0]))
    levels = torch.tensor([10.0, 400.0, 800.0])
    net(pictures(), levels)
    whole(pictures(), levels)
    assert torch.equal(seen["net"], seen["whole"])


def test_other_sizes_are_refused() -> None:
    net = classifier()
    with pytest.raises(ValueError, match=r"built for \(3, 2, 8, 12\)"):
        net(torch.zeros(3, 2, 8, 8), torch.zeros(3))
    with pytest.raises(ValueError, match="c_noise"):
        net(pictures(), torch.zeros(1))
    with pytest.raises(ValueError, match="for pictures, not 8x8x8"):
        NoiseClassifier(Inputs(spatial=(8, 8, 8), channels=1, out_channels=1), ARGS)
    with pytest.raises(ValueError, match="multiple of 2, not 9"):
        NoiseClassifier(Inputs(spatial=(9, 8), channels=1, out_channels=1), ARGS)
