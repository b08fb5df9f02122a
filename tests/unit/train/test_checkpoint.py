"""Checkpoints: whole or absent, all that is in them, and how many stay."""

from __future__ import annotations

import errno
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import nn

from bench.errors import BenchError
from bench.files import PART
from bench.train import checkpoint
from bench.train.optim import known_optimizers, make_optimizer
from tests.fakes.trials import tiny

# need CUDA, APEX or second derivatives, which the loop does not give
ELSEWHERE = ("bnb", "fused", "adahessian")
COMPILES = ("kron",)  # torch.compile: half a minute
NAMES = [n for n in known_optimizers() if not n.startswith((*ELSEWHERE, *COMPILES))]


def names(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


def test_round_trip(tmp_path: Path) -> None:
    tensors = {"a": torch.randn(3, 4), "b/c": torch.arange(5), "half": torch.ones(2).half()}
    meta = {"nimg": 7, "losses": [0.1, 1e-300, 3.0], "deep": {"x": [1, None, "s"]}}
    checkpoint.write(tmp_path / "x.safetensors", tensors, meta)
    read_tensors, said = checkpoint.read(tmp_path / "x.safetensors")
    assert said == meta
    assert read_tensors.keys() == tensors.keys()
    assert all(torch.equal(read_tensors[k], tensors[k]) for k in tensors)
    assert read_tensors["half"].dtype == torch.float16
    assert names(tmp_path) == ["x.safetensors"]


def test_channels_last_weights_are_stored_as_they_read(tmp_path: Path) -> None:
    weight = torch.randn(2, 3, 4, 5).to(memory_format=torch.channels_last)
    checkpoint.write(tmp_path / "x.safetensors", {"w": weight}, {})
    assert torch.equal(load_file(tmp_path / "x.safetensors")["w"], weight)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "No space left on device"),
        (SafetensorError("I/O error: No space left on device (os error 28)"), "os error 28"),
        (OSError(errno.EACCES, "Permission denied"), "Permission denied"),
    ],
)
def test_failed_write_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, said: str
) -> None:
    path = tmp_path / "x.safetensors"
    checkpoint.write(path, {"a": torch.zeros(2)}, {})

    def full(tensors: Any, part: Path, **_: Any) -> None:
        part.write_bytes(b"half")
        raise error

    monkeypatch.setattr(checkpoint, "save_file", full)
    with pytest.raises(BenchError, match=f"cannot write x.safetensors: .*{said}"):
        checkpoint.write(path, {"a": torch.ones(2)}, {})
    assert names(tmp_path) == ["x.safetensors"]
    assert torch.equal(load_file(path)["a"], torch.zeros(2))


def test_interrupted_write_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(tensors: Any, part: Path, **_: Any) -> None:
        part.write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(checkpoint, "save_file", interrupted)
    with pytest.raises(KeyboardInterrupt):
        checkpoint.write(tmp_path / "x.safetensors", {"a": torch.ones(2)}, {})
    assert names(tmp_path) == []


def test_equal_contents_are_equal_bytes(tmp_path: Path) -> None:
    """safetensors writes metadata in the order of a salted hash: with one key there is one order.

    Two processes are compared in tests/integration/test_actor_reuse.py.
    """
    path = tmp_path / "x.safetensors"
    checkpoint.write(path, {"a": torch.zeros(2)}, {"nimg": 8, "z": 1})
    with safe_open(path, framework="pt") as file:
        assert len(file.metadata()) == 1


def cut(data: bytes) -> bytes:
    return data[: len(data) // 2]


def old_format(data: bytes) -> bytes:
    assert b'"format\\": 4' in data
    return data.replace(b'"format\\": 4', b'"format\\": 0')


def flipped(data: bytes) -> bytes:
    """One bit of the last tensor: safetensors reads that without a word."""
    return data[:-1] + bytes([data[-1] ^ 1])


def before_sums(data: bytes) -> bytes:
    """As the format before this one had it; its header is padded to its old length."""
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + size])
    record = json.loads(header["__metadata__"]["bench"])
    del record["crc32"]
    header["__metadata__"]["bench"] = json.dumps({**record, "format": 3})
    return data[:8] + json.dumps(header).encode().ljust(size) + data[8 + size :]


@pytest.mark.parametrize(
    "damage", [cut, old_format, flipped, lambda data: b"", lambda data: b"x" * 99]
)
def test_damage_is_one_line(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    path = tmp_path / "x.safetensors"
    checkpoint.write(path, {"a": torch.zeros(200)}, {})
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(
        BenchError, match=r"^checkpoint x.safetensors (cannot|is of format|is damaged)"
    ):
        checkpoint.read(path)


def test_what_the_format_before_wrote_is_read(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    checkpoint.write(path, {"a": torch.arange(5.0)}, {"nimg": 8})
    path.write_bytes(before_sums(path.read_bytes()))
    tensors, meta = checkpoint.read(path)
    assert torch.equal(tensors["a"], torch.arange(5.0))
    assert meta == {"nimg": 8}


def test_newest_first(tmp_path: Path) -> None:
    for nimg in (8, 100_000, 24, 9_999):
        checkpoint.path_at(tmp_path, nimg).touch()
    (tmp_path / "snapshot-000000000008.safetensors").touch()
    images = [int(p.name[11:23]) for p in checkpoint.existing(tmp_path)]
    assert images == [100_000, 9_999, 24, 8]


def test_retention(tmp_path: Path) -> None:
    for nimg in (8, 16, 24, 32):
        checkpoint.path_at(tmp_path, nimg).touch()
    (tmp_path / f"{PART}123-checkpoint-8.safetensors").touch()
    (tmp_path / "snapshot-000000000008.safetensors").touch()
    checkpoint.retain(tmp_path)
    assert names(tmp_path) == [
        "checkpoint-000000000024.safetensors",
        "checkpoint-000000000032.safetensors",
        "snapshot-000000000008.safetensors",
    ]
    checkpoint.retain(tmp_path, keep=0)
    assert names(tmp_path) == ["snapshot-000000000008.safetensors"]


def test_what_lies_beyond_the_last_written_goes(tmp_path: Path) -> None:
    """Two broken ones must not push out the good one that was just written."""
    for nimg in (8, 16, 40, 48):
        checkpoint.path_at(tmp_path, nimg).touch()
    checkpoint.retain(tmp_path, checkpoint.path_at(tmp_path, 16))
    assert [int(p.name[11:23]) for p in checkpoint.existing(tmp_path)] == [16, 8]


def test_pack_and_unpack() -> None:
    tensors: dict[str, torch.Tensor] = {}
    body = {"state": {0: {"Q": [torch.ones(2), torch.zeros(1)], "step": 3}}, "g": [(0.9, None)]}
    packed = checkpoint.pack(body, "opt", tensors)
    assert set(tensors) == {"opt/state/0/Q/0", "opt/state/0/Q/1"}
    back = checkpoint.unpack(packed, tensors)
    assert back["state"][0]["step"] == 3  # the number 0, not the text
    assert torch.equal(back["state"][0]["Q"][0], torch.ones(2))
    assert back["g"] == [[0.9, None]]


def descend(net: nn.Module, optimizer: torch.optim.Optimizer, steps: range) -> None:
    for step in steps:
        generator = torch.Generator().manual_seed(step)
        x = torch.randn(4, 3, 6, 6, generator=generator)
        optimizer.zero_grad()
        net(x).square().mean().backward()
        torch.manual_seed(step)  # for those that draw
        optimizer.step()


def small_net() -> nn.Module:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Flatten(), nn.Linear(128, 2))
    return net.to(memory_format=torch.channels_last)


@pytest.mark.parametrize("name", NAMES)
def test_every_optimizer_goes_on_exactly(tmp_path: Path, name: str) -> None:
    config = tiny(**{"train.optimizer": name, "train.weight_decay": 0.01}).train
    net = small_net()
    optimizer = make_optimizer(net.parameters(), config)
    descend(net, optimizer, range(3))
    tensors = {f"net/{k}": v for k, v in net.state_dict().items()}
    meta = checkpoint.pack(optimizer.state_dict(), "opt", tensors)
    checkpoint.write(tmp_path / "x.safetensors", tensors, {"opt": meta})
    descend(net, optimizer, range(3, 6))

    read_tensors, said = checkpoint.read(tmp_path / "x.safetensors")
    fresh = small_net()
    fresh.load_state_dict({k[4:]: v for k, v in read_tensors.items() if k.startswith("net/")})
    again = make_optimizer(fresh.parameters(), config)
    checkpoint.load_optimizer(again, checkpoint.unpack(said["opt"], read_tensors))
    descend(fresh, again, range(3, 6))
    for a, b in zip(net.parameters(), fresh.parameters(), strict=True):
        assert torch.equal(a, b)


def test_moments_keep_the_layout_of_their_parameter(tmp_path: Path) -> None:
    """Else every step after a resume mixes layouts, which is slow and may round otherwise."""
    config = tiny().train
    net = small_net()
    optimizer = make_optimizer(net.parameters(), config)
    descend(net, optimizer, range(1))
    body = optimizer.state_dict()
    plain = {
        i: {k: v.contiguous() for k, v in moments.items()} for i, moments in body["state"].items()
    }
    checkpoint.load_optimizer(optimizer, {**body, "state": plain})
    moment = optimizer.state[next(iter(net.parameters()))]["exp_avg"]
    assert moment.is_contiguous(memory_format=torch.channels_last)
