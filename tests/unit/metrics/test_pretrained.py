"""Extractors with weights of others: what they do to a picture, and what is refused."""

from __future__ import annotations

import io
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from cleanfid.features import build_feature_extractor
from cleanfid.inception_torchscript import InceptionV3W
from cleanfid.resize import build_resizer
from safetensors.torch import save_file

from bench.errors import BenchError
from bench.identity import by_content
from bench.metrics import inception
from bench.metrics.extractors import extract, load_extractor
from bench.sweep.planning.wish import whole_place
from tests.fakes.pretrained import MODEL, write_inception, write_timm
from tests.unit.metrics.pictures import echo_like


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Torch's folder of models, empty; and no network."""

    def unreachable(*_: object, **__: object) -> None:
        raise urllib.error.URLError("no network")

    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    monkeypatch.setattr(urllib.request, "urlopen", unreachable)
    return tmp_path / "hub"


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.filterwarnings("ignore::FutureWarning")  # torch says that TorchScript will go one day
def test_inception_is_what_clean_fid_computes(
    hub: Path, monkeypatch: pytest.MonkeyPatch, channels: int
) -> None:
    """Its own extractor on its own resizer's pictures; it takes colour alone."""
    monkeypatch.setattr(inception, "SHA256", write_inception(hub))
    pictures = np.random.default_rng(0).integers(0, 256, (3, channels, 40, 56), dtype=np.uint8)
    colour = np.broadcast_to(pictures, (3, 3, 40, 56)).transpose(0, 2, 3, 1)
    resized = np.stack([build_resizer("clean")(picture) for picture in colour])
    batch = torch.from_numpy(resized).permute(0, 3, 1, 2)
    network = InceptionV3W(str(hub / "checkpoints"), download=False)
    # clean-fid itself looks for the file in a folder of its own
    monkeypatch.setattr("cleanfid.features.InceptionV3W", lambda *_, **__: network)
    model = build_feature_extractor("clean", torch.device("cpu"), use_dataparallel=False)
    with torch.inference_mode():
        expected = model(batch).numpy()
    extractor = load_extractor("inception")
    assert extractor.metric == "fid"
    # float32 sums in another memory order
    np.testing.assert_allclose(extract(extractor, pictures), expected, rtol=1e-4, atol=1e-4)


def test_a_file_that_is_not_inception_is_not_loaded(
    hub: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = write_inception(hub)  # of a drawn network: it would load
    loaded: list[object] = []
    monkeypatch.setattr(torch.jit, "load", loaded.append)
    with pytest.raises(BenchError, match=f"begins with {digest[:8]}, not f58cb9b6.*not loaded"):
        load_extractor("inception")
    assert not loaded


def test_without_the_file_and_a_network_it_says_what_to_fetch_and_where(hub: Path) -> None:
    with pytest.raises(BenchError) as caught:
        load_extractor("inception")
    text = str(caught.value)
    assert "\n" not in text
    assert "no network" in text
    assert "https://" in text
    assert str(hub / "checkpoints" / inception.FILE) in text


def test_a_download_is_kept_whole_and_right_or_not_at_all(
    hub: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = write_inception(tmp_path / "server")
    content = (tmp_path / "server" / "checkpoints" / inception.FILE).read_bytes()
    monkeypatch.setattr(urllib.request, "urlopen", lambda *_, **__: io.BytesIO(content))
    with pytest.raises(BenchError, match="is not Inception as clean-fid knows it"):
        load_extractor("inception")
    assert list((hub / "checkpoints").iterdir()) == []
    monkeypatch.setattr(inception, "SHA256", digest)
    assert load_extractor("inception").num_features == 2048
    assert [path.name for path in (hub / "checkpoints").iterdir()] == [inception.FILE]


def test_timm_is_the_models_own_features(tmp_path: Path) -> None:
    """Pictures of the model's size, normalised as its settings say."""
    extractor = load_extractor(write_timm(tmp_path))
    assert extractor.metric == "fd_test_vit"
    pictures = echo_like(3, seed=0, size=160)
    net = timm.create_model(MODEL, num_classes=0).eval()
    net.load_state_dict(extractor.net.state_dict())
    scaled = torch.from_numpy(pictures).expand(-1, 3, -1, -1) / 127.5 - 1  # its mean and std are .5
    with torch.inference_mode():
        expected = net(scaled).numpy()
    np.testing.assert_allclose(extract(extractor, pictures), expected, rtol=1e-4, atol=1e-4)


def test_weights_are_what_counts_and_not_where_they_lie(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    one, other = write_timm(tmp_path / "a"), write_timm(tmp_path / "b")
    assert by_content({"extractor": one}) == by_content({"extractor": other})
    assert by_content([f"fd:{one}"]) == by_content([f"fd:{other}"])  # of a metric's own judge
    assert load_extractor(one).digest == load_extractor(other).digest
    state = timm.create_model(MODEL).state_dict()
    save_file(state, tmp_path / "b" / "drawn.safetensors")
    assert by_content({"extractor": one}) != by_content({"extractor": other})
    assert load_extractor(one).digest != load_extractor(other).digest


@pytest.mark.parametrize(
    ("spec", "verdict"),
    [
        ("timm", "timm needs a model"),
        ("timm:", "nothing may stand behind 'timm'"),
        ("randconv:64", "nothing may stand behind 'randconv'"),
        ("timm:vit_smal_patch14_dinov2", "did you mean vit_small_patch14_dinov2"),
        ("timm:test_vit@w.pt", "weights come from a .safetensors file"),
        ("timm:test_vit@none.safetensors", "none.safetensors of timm's test_vit do not exist"),
        ("timm:test_vit@{bad}", "do not fit timm's test_vit: .*Missing key"),
        ("timm:test_vit@{broken}", "do not fit timm's test_vit"),
        ("timm:test_vit", r"cannot be fetched .*model.safetensors of timm/test_vit.*@FILE"),
    ],
)
def test_what_cannot_be_is_one_line(hub: Path, tmp_path: Path, spec: str, verdict: str) -> None:
    bad, broken = tmp_path / "bad.safetensors", tmp_path / "broken.safetensors"
    save_file({"a": torch.zeros(2)}, bad)
    broken.write_bytes(b"no tensors")
    with pytest.raises(BenchError, match=verdict) as caught:
        load_extractor(spec.format(bad=bad, broken=broken))
    assert "\n" not in str(caught.value)


def test_other_channels_than_a_photographs_are_refused(tmp_path: Path) -> None:
    extractor = load_extractor(write_timm(tmp_path))
    with pytest.raises(BenchError, match="pictures of 1 or 3 channels, not 2"):
        extract(extractor, np.zeros((2, 2, 8, 8), np.uint8))


def test_a_metrics_own_file_counts_by_its_content(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in "ab":
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "mine.py").write_text("build = None")
    monkeypatch.chdir(tmp_path / "a")
    here = whole_place("fd:mine.py:build")
    assert here == f"fd:{tmp_path / 'a' / 'mine.py'}:build"
    assert whole_place("kd:timm:m@w.safetensors") == f"kd:timm:m@{tmp_path / 'a' / 'w.safetensors'}"
    there = f"fd:{tmp_path / 'b' / 'mine.py'}:build"
    assert by_content(here) == by_content(there)
    (tmp_path / "b" / "mine.py").write_text("build = 3")
    assert by_content(here) != by_content(there)
