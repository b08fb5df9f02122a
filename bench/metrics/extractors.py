"""Feature extractors: pictures in, feature vectors out, under an identity that can be compared.

A value measured on one extractor says nothing beside a value measured on another, so name,
weights, input size and resizer make one digest, and the digest is part of a metric's protocol.
Adding one is a new file with a `build()` and one line in bench.metrics.EXTRACTORS. A user's own
comes from "file.py:build" and has to pass `check_extractor` first.

Features are made on the device that is asked for. On CUDA it is done without TF32 and by
deterministic algorithms, so that they are the CPU's to DEVICE_TOLERANCE: the sums of float32
products in another order, and nothing else.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from bench.errors import BenchError
from bench.metrics import EXTRACTORS
from bench.nonfinite import require_finite

DEVICE_TOLERANCE = 1e-4  # between devices, of the largest feature


class Extractor(nn.Module):
    """Contract of an extractor.

    `forward` takes uint8 NCHW of any resolution and channel count it states, on the module's
    device, does all resizing itself, and returns floats [N, num_features]. It draws nothing at
    random, has no state that a call changes, and treats each picture alone. Weights are buffers
    or parameters, so that they are in `state_dict` and hence in the digest; `version` changes
    when the code does. `batch_size` pictures at a time must fit into memory.
    """

    name: str
    version: str = "1"
    num_features: int
    input_size: int
    resizer: str
    batch_size: int = 256
    familiar: ClassVar[Mapping[str, str]] = {}  # names of its metrics that everybody knows

    @property
    def metric(self) -> str:
        """The key of its Fréchet distance; only Inception through clean-fid may call it FID."""
        return self.key("fd")

    def key(self, kind: str) -> str:
        """The key of a metric on its features: "kd" -> "kd_randconv"."""
        return self.familiar.get(kind, f"{kind}_{self.name}")

    @cached_property
    def digest(self) -> str:
        """SHA-256 (hex) of name, version, input size, resizer and every weight, byte for byte."""
        sha = hashlib.sha256()
        head = (self.name, self.version, self.num_features, self.input_size, self.resizer)
        sha.update(repr(head).encode())
        for key, value in sorted(self.state_dict().items()):
            array = value.detach().cpu().contiguous().numpy()
            sha.update(f"{key} {array.dtype} {array.shape}".encode())
            sha.update(array.astype(array.dtype.newbyteorder("<")).tobytes())
        return sha.hexdigest()

    def identity(self) -> dict[str, str | int]:
        """What a protocol has to record about the extractor."""
        return {
            "extractor": self.name,
            "extractor_digest": self.digest,
            "resizer": self.resizer,
            "input_size": self.input_size,
            "num_features": self.num_features,
        }


def load_extractor(name: str) -> Extractor:
    """A new extractor of a name in the table, or of a user's "file.py:build".

    Raises:
        BenchError: as `Family.load`; a user's that cannot be built or breaks the contract.
    """
    return _built(EXTRACTORS.load(name), name)


def extract(
    extractor: Extractor,
    images: NDArray[np.uint8] | Tensor,
    *,
    batch_size: int | None = None,
    device: str | torch.device = "cpu",
) -> NDArray[np.float64]:
    """Features of uint8 NCHW pictures in the order given: float64 [N, num_features].

    Raises BenchError where `images` is not uint8 NCHW, NonFiniteError where a feature is not
    finite. `images` may be a memory map; it is read a batch at a time.
    """
    if images.ndim != 4 or str(images.dtype).removeprefix("torch.") != "uint8":
        raise BenchError(
            f"extractor {extractor.name} takes uint8 pictures [N, C, H, W], "
            f"not {images.dtype} {tuple(images.shape)}"
        )
    extractor.to(device).eval()
    at_once = batch_size or extractor.batch_size
    features = np.empty((len(images), extractor.num_features), np.float64)
    with torch.inference_mode(), exact_products(device):
        for start in range(0, len(images), at_once):
            batch = images[start : start + at_once]
            if not isinstance(batch, Tensor):
                batch = torch.from_numpy(np.array(batch))
            out = extractor(batch.to(device))
            features[start : start + at_once] = out.double().cpu().numpy()
    require_finite(features, f"features of {extractor.name}")
    return features


@contextmanager
def exact_products(device: str | torch.device) -> Iterator[None]:
    """float32 as it is on CUDA: no TF32, no algorithm chosen by its speed, none that draws lots."""
    if torch.device(device).type != "cuda":
        yield
        return
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        with torch.backends.cudnn.flags(
            enabled=True, benchmark=False, deterministic=True, allow_tf32=False
        ):
            yield
    finally:
        torch.set_float32_matmul_precision(before)


def in_colour(name: str, images: Tensor) -> Tensor:
    """uint8 [N, 3, H, W] of pictures of one channel or three, for a network of photographs.

    Raises:
        BenchError: they have another number of channels.
    """
    channels = images.shape[1]
    if channels not in (1, 3):
        raise BenchError(f"extractor {name} takes pictures of 1 or 3 channels, not {channels}")
    return images if channels == 3 else images.expand(-1, 3, -1, -1)


def check_extractor(build: Callable[[], Extractor], spec: str) -> int:
    """How many rules of Extractor's contract a user's extractor keeps: all of them.

    Raises:
        BenchError: it cannot be built, or the first rule that it breaks.
    """
    extractor = _built(build, spec)
    kept = 0

    def hold(rule: str, ok: bool) -> None:
        nonlocal kept
        if not ok:
            raise BenchError(f"extractor {extractor.name} breaks its contract: {rule}")
        kept += 1

    if not re.fullmatch(r"[a-z][a-z0-9_]*", extractor.name) or _is_taken(extractor.name, spec):
        raise BenchError(
            f"extractor {spec}: its name {extractor.name!r} must be lower-case letters, digits "
            f"and _, and none of {', '.join(sorted(EXTRACTORS.table))}"
        )
    rng = np.random.Generator(np.random.Philox(key=7))
    for channels, size in ((1, 32), (1, 28), (3, 64)):
        flat = rng.integers(0, 256, (6, channels, 4, 4), dtype=np.uint8)
        pictures = flat.repeat(size // 4, axis=2).repeat(size // 4, axis=3)
        try:
            first = extract(extractor, pictures)
            again = extract(extractor, pictures)
            alone = extract(extractor, pictures[:1])
        except BenchError:
            raise
        except Exception as error:  # a user's code may raise anything
            raise BenchError(
                f"extractor {extractor.name} fails on uint8 pictures "
                f"{pictures.shape}: {_first_line(error)}"
            ) from error
        scale = np.abs(first).max() or 1.0
        hold("two calls on the same pictures are equal", bool((first == again).all()))
        # float32 convolutions may sum in another order at another batch size
        near = np.abs(first[0] - alone[0]).max() <= 1e-4 * scale
        hold("a picture's features do not depend on its batch", bool(near))
        hold("different pictures have different features", bool(np.ptp(first, axis=0).max() > 0))
    hold("its digest is 64 hex digits", bool(re.fullmatch(r"[0-9a-f]{64}", extractor.digest)))
    named = extractor.metric == f"fd_{extractor.name}" or spec in EXTRACTORS.table
    hold(f"its metric is called fd_{extractor.name}", named)  # FID is not for anybody
    return kept


def _is_taken(name: str, spec: str) -> bool:
    """Whether it is another extractor's name: a table's own may have it."""
    return name in EXTRACTORS.table and name != spec


def _built(build: Any, spec: str) -> Extractor:
    """What `build` returns, checked to be an Extractor that states all it must."""
    if not callable(build):
        raise BenchError(f"extractor {spec} names no function; give file.py:build")
    try:
        extractor = build()
    except BenchError:
        raise
    except Exception as error:  # a user's code may raise anything
        raise BenchError(f"extractor {spec} cannot be built: {_first_line(error)}") from error
    if not isinstance(extractor, Extractor):
        raise BenchError(
            f"extractor {spec} returned {type(extractor).__name__}, "
            "not a bench.metrics.extractors.Extractor"
        )
    stated = ("name", "num_features", "input_size", "resizer")
    missing = [field for field in stated if not hasattr(extractor, field)]
    if missing:
        raise BenchError(f"extractor {spec}: it does not state {', '.join(missing)}")
    return extractor.eval().requires_grad_(False)


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0]
