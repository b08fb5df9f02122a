"""Noise embeddings against their closed forms; the class's way into the conditioning vector."""

from __future__ import annotations

import math
from dataclasses import replace

import torch

from backbones.blocks import xavier
from backbones.embeddings import (
    FOURIER_RANGE,
    Fourier,
    JoinedEmbedding,
    LateClassEmbedding,
    Positional,
    Sinusoidal,
    one_hot,
)
from backbones.inputs import Inputs
from bench import networks

GREY = Inputs(spatial=(8, 8), channels=1, out_channels=1)


def test_positional_frequencies_fall_from_one_to_a_ten_thousandth() -> None:
    t = 3.5
    with_end = Positional(8, endpoint=True)(torch.tensor([t]))[0]
    frequencies = [10000 ** (-i / 3) for i in range(4)]
    expected = [math.cos(t * f) for f in frequencies] + [math.sin(t * f) for f in frequencies]
    # float32 exponentials of the frequencies: a few units in the last place
    torch.testing.assert_close(with_end, torch.tensor(expected), atol=1e-5, rtol=0)
    without = Positional(8, endpoint=False)(torch.tensor([t]))[0]
    torch.testing.assert_close(
        without[3], torch.tensor(math.cos(t * 10000 ** (-3 / 4))), atol=1e-6, rtol=0
    )


def test_sinusoidal_frequencies_rise_from_one_to_a_thousand_turns() -> None:
    u = 0.25
    features = Sinusoidal(4)(torch.tensor([u]))[0]
    expected = [math.cos(2 * math.pi * u), 1.0, math.sin(2 * math.pi * u), 0.0]  # 250 whole turns
    # 1571 radians in float32 carry an error of about 1e-4
    torch.testing.assert_close(features, torch.tensor(expected), atol=1e-3, rtol=0)


def test_fourier_frequencies_are_drawn_once_and_saved() -> None:
    torch.manual_seed(0)
    fourier = Fourier(20_000)
    # 10,000 normal draws: their standard deviation is good to 0.7 %
    assert abs(float(fourier.frequencies.std()) / 16 - 1) < 0.03
    assert "frequencies" in fourier.state_dict()
    assert not list(fourier.parameters())


def test_features_stay_float32_when_c_noise_is_not() -> None:
    c_noise = torch.tensor([500.0], dtype=torch.float64)
    for embedding in (Positional(8, endpoint=True), Fourier(8), Sinusoidal(8)):
        assert embedding(c_noise).dtype == torch.float32


def test_no_class_is_a_row_of_zeros() -> None:
    rows = one_hot(torch.tensor([1, -1]), 3, torch.float32)
    assert rows.tolist() == [[0.0, 1.0, 0.0], [0.0, 0.0, 0.0]]


def test_joined_classes_are_scaled_by_the_root_of_their_number() -> None:
    torch.manual_seed(0)
    embedding = JoinedEmbedding(
        Positional(8, endpoint=True), 8, 16, n_classes=4, vector_dim=0, init=xavier()
    )
    t, cond = torch.tensor([7.0]), torch.tensor([2])
    assert embedding.label is not None
    inner = embedding.noise(t) + 2.0 * embedding.label.weight[:, 2] + embedding.label.bias
    silu = torch.nn.functional.silu
    expected = silu(embedding.dense1(silu(embedding.dense0(inner))))
    torch.testing.assert_close(embedding(t, cond, None), expected)


def test_late_classes_are_added_behind_the_dense_layers() -> None:
    torch.manual_seed(0)
    embedding = LateClassEmbedding(Positional(8, endpoint=False), 8, 16, n_classes=4, vector_dim=0)
    t, cond = torch.tensor([7.0]), torch.tensor([2])
    assert embedding.label is not None
    silu = torch.nn.functional.silu
    inner = embedding.dense1(silu(embedding.dense0(embedding.noise(t))))
    expected = silu(inner + embedding.label.weight[:, 2])
    torch.testing.assert_close(embedding(t, cond, None), expected)


def test_declared_ranges() -> None:
    unet = {"width": 8, "multipliers": (1, 1), "blocks": 1}
    assert networks.build("adm", GREY, **unet).c_noise_range == (0.0, 999.0)
    assert networks.build("ddpmpp", GREY, **unet).c_noise_range == (0.0, 999.0)
    assert networks.build("small_unet", GREY, width=8).c_noise_range == (0.0, 1.0)
    # VE trains on sigma in [0.02, 100] and feeds ln(sigma / 2)
    assert networks.build("ncsnpp", GREY, **unet).c_noise_range == FOURIER_RANGE
    assert [round(edge, 2) for edge in FOURIER_RANGE] == [-4.61, 3.91]


def test_augmentation_labels_reach_the_output() -> None:
    inputs = replace(GREY, vector_dim=9)
    for name in ("adm", "ddpmpp", "ncsnpp"):
        torch.manual_seed(0)
        net = networks.build(name, inputs, width=8, multipliers=(1, 1), blocks=1).eval()
        with torch.no_grad():
            for parameter in net.parameters():
                parameter.add_(0.1 * torch.randn_like(parameter))
            x, t = torch.randn(1, 1, 8, 8), torch.tensor([1.0])
            plain, augmented = net(x, t), net(x, t, None, torch.ones(1, 9))
            assert torch.equal(plain, net(x, t, None, torch.zeros(1, 9)))
        assert not torch.allclose(plain, augmented)


def test_of_an_odd_number_of_channels_the_last_is_zero() -> None:
    c_noise = torch.tensor([3.0, 700.0])
    odd, even = (Positional(n, endpoint=False)(c_noise) for n in (29, 28))
    assert odd.shape == (2, 29)
    assert torch.equal(odd[:, :28], even)
    assert not odd[:, 28].any()
