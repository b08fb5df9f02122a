"""What is kept beside the cache is written whole or not at all, and says so in one line."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import SafetensorError

from bench.diffusion import gaussian
from bench.diffusion.gaussian import GaussianDenoiser
from bench.errors import BenchError
from bench.metrics import frechet
from bench.metrics.frechet import FrechetReference

FULL = OSError(errno.ENOSPC, "No space left on device")
WRAPPED = SafetensorError("I/O error: No space left on device (os error 28)")


@pytest.mark.parametrize("error", [FULL, WRAPPED])
def test_gaussian_on_a_full_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    fitted = GaussianDenoiser.fit(torch.rand(8, 1, 2, 2))

    def full(_: Any, part: Path) -> None:
        part.write_bytes(b"half")
        raise error

    monkeypatch.setattr(gaussian, "save_file", full)
    with pytest.raises(BenchError, match=r"^cannot write g.safetensors: .*No space left"):
        fitted.save(tmp_path / "g.safetensors")
    assert list(tmp_path.iterdir()) == []


def test_reference_on_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    features = np.random.default_rng(0).standard_normal((9, 3))
    reference = FrechetReference.of_features(features, digest="x")

    def full(file: Any, **_: Any) -> None:
        file.write(b"half")
        raise FULL

    monkeypatch.setattr(frechet.np, "savez", full)
    with pytest.raises(BenchError, match=r"^cannot write r.npz: No space left on device$"):
        reference.save(tmp_path / "r.npz")
    assert list(tmp_path.iterdir()) == []
