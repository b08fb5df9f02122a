"""All state of a run in one safetensors file, written whole or not at all.

A file holds weights, optimizer moments, the averages and all that grows with the run (loss and
flags of each step, the stability log) as tensors, and every other scalar as JSON in the header,
which safetensors limits to 100 MB. Retention: the last KEEP files of a trial, also when it has
ended: its end may not have been heard, and whoever hears it deletes them. What a finished trial
keeps for good is the judged weights (`weights.safetensors`) and the EMA snapshots.
"""

from __future__ import annotations

import json
import zlib
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor
from torch.optim import Optimizer

from bench.errors import BenchError
from bench.files import PART, whole

KEEP = 2
FORMAT = 4
READ = (3, 4)  # 3 is the same without the sum over its content


def write(path: Path, tensors: dict[str, Tensor], meta: dict[str, Any]) -> None:
    """Write tensors and scalars, whole or not at all.

    Raises:
        BenchError: the disk is full or the folder cannot be written.
    """
    plain = {k: v.detach().cpu().contiguous() for k, v in tensors.items()}
    header = {"format": FORMAT, "state": meta, "crc32": _crc32(plain)}
    with whole(path) as part:
        # one key: safetensors writes several in an order of the process's own
        save_file(plain, part, metadata={"bench": json.dumps(header)})


def read(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors and scalars of a checkpoint.

    Raises:
        BenchError: the file is broken or of another format.
    """
    try:
        with safe_open(path, framework="pt") as file:
            header = json.loads((file.metadata() or {}).get("bench", "{}"))
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except Exception as error:  # safetensors raises its own type for every kind of damage
        raise BenchError(f"checkpoint {path.name} cannot be read: {error}") from error
    version = header.get("format")
    if version not in READ:
        raise BenchError(f"checkpoint {path.name} is of format {version}, not {FORMAT}")
    if version >= 4 and header["crc32"] != _crc32(tensors):
        raise BenchError(f"checkpoint {path.name} is damaged: its content is not what was written")
    return tensors, header["state"]


def _crc32(tensors: dict[str, Tensor]) -> int:
    """Of all bytes, in the order of the names: safetensors itself does not notice a flipped bit."""
    crc = 0
    for key in sorted(tensors):
        flat = tensors[key].contiguous().view(-1).view(torch.uint8)
        crc = zlib.crc32(flat.numpy().data, zlib.crc32(key.encode(), crc))
    return crc


def path_at(folder: Path, nimg: int) -> Path:
    return folder / f"checkpoint-{nimg:012d}.safetensors"


def existing(folder: Path) -> list[Path]:
    """The checkpoints of a trial, newest first."""
    return sorted(folder.glob("checkpoint-*.safetensors"), reverse=True)


def retain(folder: Path, last: Path | None = None, *, keep: int = KEEP) -> None:
    """Delete all but the newest `keep` checkpoints, and what a killed process left half-written.

    `last` is the one just written: those beyond it could not be used, or belong to another run.
    """
    old = [path for path in existing(folder) if last is None or path <= last]
    for path in {*existing(folder), *folder.glob(f"{PART}*")} - set(old[:keep]):
        path.unlink(missing_ok=True)


_PLAIN = (Tensor, dict, list, tuple, str, int, float, bool, type(None))


def pack(body: Any, name: str, tensors: dict[str, Tensor]) -> Any:
    """`body` (dicts, lists and scalars, however nested) as JSON; its tensors go to `tensors`.

    Optimizers keep state where they like: one a parameter, in groups, as lists, as numbers.
    Settings that are objects (a dtype) are left out of a dict: building sets them again.
    """
    if isinstance(body, Tensor):
        tensors[name] = body
        return {"tensor": name}
    if isinstance(body, dict):
        kept = {k: v for k, v in body.items() if isinstance(v, _PLAIN)}
        return {"dict": [[k, pack(v, f"{name}/{k}", tensors)] for k, v in kept.items()]}
    if isinstance(body, list | tuple):
        return {"list": [pack(v, f"{name}/{i}", tensors) for i, v in enumerate(body)]}
    return body


def unpack(body: Any, tensors: dict[str, Tensor]) -> Any:
    """What `pack` took apart; tuples come back as lists."""
    if not isinstance(body, dict):
        return body
    ((kind, value),) = body.items()
    if kind == "tensor":
        return tensors[value]
    if kind == "dict":
        return {k: unpack(v, tensors) for k, v in value}
    return [unpack(v, tensors) for v in value]


def load_optimizer(optimizer: Optimizer, body: dict[str, Any]) -> None:
    """Put a state_dict back, moments in the memory layout of their parameters."""
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    state = {
        index: {key: _owned(value, parameters[index]) for key, value in moments.items()}
        for index, moments in body["state"].items()
    }
    built = optimizer.state_dict()["param_groups"]
    groups = [{**b, **g} for b, g in zip(built, body["param_groups"], strict=True)]
    optimizer.load_state_dict({**body, "state": state, "param_groups": groups})


def _owned(value: Any, parameter: Tensor) -> Any:
    if isinstance(value, Tensor) and value.shape == parameter.shape:
        return torch.empty_like(parameter, dtype=value.dtype).copy_(value)
    return value
