"""All state of a run in one safetensors file, written whole or not at all.

A file holds weights, optimizer moments, the averages and the stability log as tensors, and every
scalar as JSON in the header. Retention: the last KEEP files of a trial that is running; a finished
trial keeps its averages only (`ema.safetensors`) and the EMA snapshots.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor
from torch.optim import Optimizer

from bench.errors import BenchError

KEEP = 2
FORMAT = "1"


def write(path: Path, tensors: dict[str, Tensor], meta: dict[str, Any]) -> None:
    """Write atomically: a temporary file beside it, fsync, rename.

    Raises:
        BenchError: the disk is full or the folder cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(f".part{os.getpid()}")
    try:
        whole = {k: v.detach().cpu().contiguous() for k, v in tensors.items()}
        save_file(whole, part, metadata={"format": FORMAT, "state": json.dumps(meta)})
        with open(part, "rb") as file:
            os.fsync(file.fileno())
        os.replace(part, path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise BenchError(f"cannot write {path.name}: {error.strerror or error}") from error


def read(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors and scalars of a checkpoint.

    Raises:
        BenchError: the file is broken or of another format.
    """
    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except Exception as error:  # safetensors raises its own type for every kind of damage
        raise BenchError(f"checkpoint {path.name} cannot be read: {error}") from error
    if header.get("format") != FORMAT:
        found = header.get("format")
        raise BenchError(f"checkpoint {path.name} is of format {found}, not {FORMAT}")
    return tensors, json.loads(header["state"])


def path_at(folder: Path, nimg: int) -> Path:
    return folder / f"checkpoint-{nimg:012d}.safetensors"


def existing(folder: Path) -> list[Path]:
    """The checkpoints of a trial, newest first."""
    return sorted(folder.glob("checkpoint-*.safetensors"), reverse=True)


def retain(folder: Path, keep: int = KEEP) -> None:
    """Delete all but the newest `keep` checkpoints."""
    for path in existing(folder)[keep:]:
        path.unlink(missing_ok=True)


def optimizer_tensors(optimizer: Optimizer) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """An optimizer's state as named tensors and the scalars beside them."""
    tensors: dict[str, Tensor] = {}
    scalars: dict[str, Any] = {}
    for index, state in optimizer.state_dict()["state"].items():
        for key, value in state.items():
            place = tensors if isinstance(value, Tensor) else scalars
            place[f"opt/{index}/{key}"] = value
    return tensors, scalars


def load_optimizer(
    optimizer: Optimizer, tensors: dict[str, Tensor], scalars: dict[str, Any]
) -> None:
    """Put the state written by `optimizer_tensors` back; parameter groups stay as built."""
    state: dict[int, dict[str, Any]] = {}
    for name, value in {**tensors, **scalars}.items():
        if name.startswith("opt/"):
            _, index, key = name.split("/", 2)
            # torch keeps an Adam step counter as a tensor of its own: never share the file's
            owned = value.clone() if isinstance(value, torch.Tensor) else value
            state.setdefault(int(index), {})[key] = owned
    body = optimizer.state_dict()
    body["state"] = state
    optimizer.load_state_dict(body)
