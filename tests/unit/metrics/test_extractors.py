"""The table's door: names, a user's own file, and what is refused there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from bench import doors
from bench.errors import BenchError
from bench.metrics.extractors import extract, load_extractor
from bench.nonfinite import NonFiniteError

MINE = """
import torch
from bench.metrics.extractors import Extractor

class Own(Extractor):
    name = "{name}"
    num_features = 2
    input_size = 0
    resizer = "none"
    {extra}

    def forward(self, images):
        x = images.float()
        return {result}

def build():
    return Own()

def wrong():
    return 3

def fails():
    raise KeyError("why")

number = 3
"""
GOOD = "torch.stack([x.mean((1, 2, 3)), x.std((1, 2, 3))], 1)"


def written(folder: Path, *, name: str = "mine", result: str = GOOD, extra: str = "") -> str:
    path = folder / "mine.py"
    path.write_text(MINE.format(name=name, result=result, extra=extra))
    return f"{path}:build"


def test_a_users_own(tmp_path: Path) -> None:
    spec = written(tmp_path)
    extractor = load_extractor(spec)
    assert extractor.metric == "fd_mine"
    assert doors.VERDICTS[spec] == "extractor mine.py:build passes 11 conformance checks"
    pictures = np.arange(2 * 3 * 4 * 4, dtype=np.uint8).reshape(2, 3, 4, 4)
    np.testing.assert_allclose(extract(extractor, pictures)[:, 0], pictures.mean((1, 2, 3)))


@pytest.mark.parametrize(
    ("result", "rule"),
    [
        ("x.mean((1, 2, 3))[:, None].repeat(1, 3)", "fails on uint8"),
        ("torch.zeros(len(x), 2)", "different pictures have different features"),
        (f"{GOOD} + torch.rand(1)", "two calls"),
        (f"{GOOD} - x.mean()", "do not depend on its batch"),
        (f"{GOOD} / 0", "NaN or infinite"),
    ],
)
def test_a_broken_one_is_refused(tmp_path: Path, result: str, rule: str) -> None:
    with pytest.raises(BenchError, match=rule):
        load_extractor(written(tmp_path, result=result))


def test_only_clean_fid_may_be_called_fid(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match="metric is called fd_mine"):
        load_extractor(written(tmp_path, extra='metric = "fid"'))


@pytest.mark.parametrize("name", ["randconv", "Has Space", ""])
def test_a_name_that_would_mislead_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(BenchError, match="its name"):
        load_extractor(written(tmp_path, name=name))


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("randcnv", "did you mean 'randconv'"),
        ("nowhere.py:build", "extractor file nowhere.py does not exist"),
        ("{file}:nothing", "has no 'nothing'"),
        ("{file}:number", "names no function"),
        ("{file}", "names no function"),
        ("{file}:wrong", "returned int"),
        ("{file}:fails", "cannot be built: KeyError: 'why'"),
    ],
)
def test_errors_say_what_to_do(tmp_path: Path, spec: str, message: str) -> None:
    path = written(tmp_path).removesuffix(":build")
    with pytest.raises(BenchError, match=message):
        load_extractor(spec.replace("{file}", path))


@pytest.mark.parametrize(
    "pictures", [np.zeros((2, 3, 4), np.uint8), np.zeros((2, 1, 4, 4), np.float32)]
)
def test_only_uint8_nchw(pictures: np.ndarray) -> None:
    with pytest.raises(BenchError, match="takes uint8 pictures"):
        extract(load_extractor("randconv"), pictures)


def test_non_finite_features_are_an_error() -> None:
    extractor = load_extractor("randconv")
    assert isinstance(extractor.scale, torch.Tensor)
    extractor.scale[3] = 0
    with pytest.raises(NonFiniteError, match="features of randconv"):
        extract(extractor, np.zeros((2, 1, 32, 32), np.uint8))


def test_digest_covers_the_identity(tmp_path: Path) -> None:
    first = load_extractor(written(tmp_path)).digest
    assert load_extractor(written(tmp_path)).digest == first
    assert load_extractor(written(tmp_path, extra='version = "2"')).digest != first
    assert load_extractor(written(tmp_path, name="other")).digest != first
