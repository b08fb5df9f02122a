"""The DiT: its size against the paper's, its path against plain operations on loops."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from backbones.backbone import Backbone
from backbones.counting import parameters
from backbones.dit import Patches, positions
from backbones.inputs import Inputs
from bench import networks

# The paper's networks: latents of 32x32x4, 1000 classes, noise and variance given: 8 channels out.
LATENT = Inputs(spatial=(32, 32), channels=4, out_channels=8, n_classes=1000)
# Layers, hidden size, heads (table 1 of the paper); its parameters in millions, patch size 2; and
# the counts usually quoted for the authors' code, in millions, which hold the fixed position
# embedding as well, a parameter there that is not trained.
PAPER: dict[str, tuple[int, int, int, int, float]] = {
    "S": (12, 384, 6, 33, 32.96),
    "B": (12, 768, 12, 130, 130.5),
    "XL": (28, 1152, 16, 675, 675.1),
}


def closed_form(depth: int, d: int, patch: int, inputs: Inputs) -> int:
    """Trained parameters by the paper's description, every dense layer with its bias."""

    def dense(a: int, b: int) -> int:
        return a * b + b

    attention = dense(d, 3 * d) + dense(d, d)
    mlp = dense(d, 4 * d) + dense(4 * d, d)
    block = attention + mlp + dense(d, 6 * d)  # adaLN: two shifts, two scales, two gates
    ends = dense(patch**2 * inputs.in_channels, d) + dense(d, patch**2 * inputs.out_channels)
    noise = dense(256, d) + dense(d, d)
    classes = (inputs.n_classes + 1) * d  # and one for no class
    return depth * block + ends + dense(d, 2 * d) + noise + classes


@pytest.mark.parametrize("name", PAPER)
def test_parameter_counts_of_the_paper(name: str) -> None:
    depth, hidden, heads, millions, quoted = PAPER[name]
    args = {"patch_size": 2, "depth": depth, "hidden_size": hidden, "heads": heads}
    with torch.device("meta"):
        net = networks.build("dit", LATENT, **args)
    count = parameters(net)
    assert count == closed_form(depth, hidden, 2, LATENT)
    assert round(count / 1e6) == millions
    places = sum(buffer.numel() for buffer in net.buffers())
    assert places == 16 * 16 * hidden
    assert (count + places) / 1e6 == pytest.approx(quoted, abs=0.05)  # to the digits quoted


def test_the_default_is_the_papers_small_network() -> None:
    with torch.device("meta"):
        net = networks.build("dit", LATENT)
    assert parameters(net) == closed_form(12, 384, 2, LATENT) == 32_865_056


def test_positions_are_sines_and_cosines_of_row_and_column() -> None:
    table = positions(3, 5, 8)
    assert table.shape == (15, 8)
    for row in range(3):
        for column in range(5):
            expected = []
            for place in (row, column):  # two frequencies each: 1 and 10000^(-1/2)
                angles = [place, place / 100]
                expected += [math.cos(a) for a in angles] + [math.sin(a) for a in angles]
            # float32 exponentials of the frequencies
            torch.testing.assert_close(
                table[5 * row + column], torch.tensor(expected), atol=1e-5, rtol=0
            )


def _generic(inputs: Inputs, **args: Any) -> Backbone:
    torch.manual_seed(0)
    net = networks.build("dit", inputs, **args).double().eval()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return net


@torch.no_grad()
def test_the_path_of_an_image() -> None:
    inputs = Inputs(spatial=(6, 4), channels=2, out_channels=3, n_classes=2, vector_dim=2)
    net = _generic(inputs, patch_size=2, depth=2, hidden_size=8, heads=2)
    weights = dict(net.named_parameters())
    x = torch.randn(2, 2, 6, 4, dtype=torch.float64)
    c_noise, cond = torch.tensor([3.0, 500.0]), torch.tensor([1, -1])
    vector = torch.randn(2, 2, dtype=torch.float64)

    def dense(v: Tensor, name: str) -> Tensor:
        return v @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]

    def silu(v: Tensor) -> Tensor:
        return v / (1 + torch.exp(-v))

    def norm(v: Tensor) -> Tensor:
        mean = v.mean()
        return (v - mean) / ((v - mean).square().mean() + 1e-6).sqrt()

    for n in range(2):
        angles = [float(c_noise[n]) * 10000 ** (-i / 128) for i in range(128)]
        waves = [math.cos(a) for a in angles] + [math.sin(a) for a in angles]
        emb = dense(torch.tensor(waves, dtype=torch.float64), "embedding.dense0")
        emb = dense(silu(emb), "embedding.dense1")
        emb = emb + weights["embedding.label.weight"][1 if n == 0 else 2]
        emb = silu(emb + weights["embedding.vector.weight"] @ vector[n])

        tokens = []
        for row in range(3):
            for column in range(2):
                patch = x[n, :, 2 * row : 2 * row + 2, 2 * column : 2 * column + 2]
                place = positions(3, 2, 8)[2 * row + column].double()
                tokens.append(dense(patch.flatten(), "stem.dense") + place)
        for index in range(2):
            key = f"blocks.{index}"
            parts = dense(emb, f"{key}.modulation").reshape(6, 8)
            inner = [parts[0] + norm(t) * (1 + parts[1]) for t in tokens]
            qkv = [dense(t, f"{key}.attention.qkv").reshape(3, 2, 4) for t in inner]
            for t in range(6):
                heads = []
                for head in range(2):
                    scores = [qkv[t][0, head] @ other[1, head] / 2 for other in qkv]
                    shares = torch.stack(scores).softmax(0)
                    heads.append(
                        sum(
                            (s * o[2, head] for s, o in zip(shares, qkv, strict=True)),
                            torch.zeros(4),
                        )
                    )
                tokens[t] = tokens[t] + parts[2] * dense(torch.cat(heads), f"{key}.attention.out")
            for t in range(6):
                h = dense(parts[3] + norm(tokens[t]) * (1 + parts[4]), f"{key}.mlp0")
                h = F.gelu(h, approximate="tanh")
                tokens[t] = tokens[t] + parts[5] * dense(h, f"{key}.mlp1")
        shift, scale = dense(emb, "head.modulation").reshape(2, 8)
        out = net(x, c_noise, cond, vector)[n]
        for row in range(3):
            for column in range(2):
                last = shift + norm(tokens[2 * row + column]) * (1 + scale)
                expected = dense(last, "head.dense").reshape(3, 2, 2)
                patch = out[:, 2 * row : 2 * row + 2, 2 * column : 2 * column + 2]
                # the network's frequencies are float32: 500 radians to about 1e-5
                torch.testing.assert_close(patch, expected, atol=1e-4, rtol=0)


@torch.no_grad()
def test_every_block_starts_as_the_identity() -> None:
    inputs = Inputs(spatial=(8, 8), channels=1, out_channels=1)
    torch.manual_seed(0)
    net = networks.build("dit", inputs, depth=3, hidden_size=16, heads=2)
    tokens, emb = torch.randn(2, 16, 16), torch.randn(2, 16)
    for block in net.get_submodule("blocks").children():
        assert torch.equal(block(tokens, emb), tokens)


@torch.no_grad()
def test_initial_weights_are_the_papers() -> None:
    net = networks.build("dit", LATENT, depth=1)
    weights = dict(net.named_parameters())
    # dense layers: uniform in sqrt(6 / (fan in + fan out)); a patch's fan in is all its numbers
    for name, fans in (("stem.dense", 16 + 384), ("blocks.0.mlp0", 5 * 384)):
        bound = math.sqrt(6 / fans)
        assert 0.98 * bound < float(weights[f"{name}.weight"].abs().max()) <= bound
        assert not weights[f"{name}.bias"].any()
    for name in ("label", "dense0", "dense1"):  # 1e5 draws and more: good to 1 %
        assert float(weights[f"embedding.{name}.weight"].std()) == pytest.approx(0.02, rel=0.02)
    assert not any(weights[f"{name}.weight"].any() for name in ("head.dense", "head.modulation"))


@torch.no_grad()
def test_an_image_of_another_size_gets_the_places_of_its_own_grid() -> None:
    args = {"hidden_size": 8, "heads": 2, "depth": 1}
    small = _generic(Inputs(spatial=(4, 4), channels=1, out_channels=1), **args)
    large = _generic(Inputs(spatial=(8, 6), channels=1, out_channels=1), **args)
    assert isinstance(small.get_submodule("stem"), Patches)
    large.load_state_dict(small.state_dict())
    x = torch.randn(1, 1, 8, 6, dtype=torch.float64)
    torch.testing.assert_close(small(x, torch.ones(1)), large(x, torch.ones(1)))
