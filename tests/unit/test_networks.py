"""The door to networks: names, settings, users' files, and what is refused in one line."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from backbones.inputs import Inputs
from bench import doors, networks
from bench.errors import BenchError
from tests.fakes import volume_net

GREY = Inputs(spatial=(8, 8), channels=1, out_channels=1)
VOLUMES = f"{volume_net.__file__}:build"

MINE = """
from dataclasses import dataclass
import torch
from backbones.backbone import Backbone
from backbones.embeddings import Sinusoidal
from backbones.sizes import Size

@dataclass(frozen=True, kw_only=True)
class Args:
    width: int = 8

SIZES = {"smoke": Size(args={}, widths={"default": {"width": 4}}, lr={})}
BUILT = []

class Mine(Backbone):
    def __init__(self, inputs, width):
        super().__init__(inputs, c_noise_range=(0.0, 1.0))
        if inputs.n_classes or inputs.vector_dim:
            raise ValueError("neither classes nor numbers here")
        self.noise = Sinusoidal(8)
        self.first = torch.nn.Conv2d(inputs.in_channels + 8, width, 3, padding=1)
        self.last = torch.nn.Conv2d(width, inputs.out_channels, 3, padding=1)

    def forward(self, x, c_noise, cond=None, vector=None):
        level = self.noise(c_noise).to(x)[:, :, None, None].expand(-1, -1, *x.shape[2:])
        h = torch.tanh(self.first(torch.cat([x, level], 1)))
        return self.last(torch.nn.functional.dropout(h, 0.1, self.training))

def network(inputs, args):
    BUILT.append(args.width)
    return Mine(inputs, args.width)
"""


def _file(folder: Path, text: str, name: str = "my_net") -> str:
    path = folder / f"{name}.py"
    path.write_text(text)
    return f"{path}:network"


def test_names_and_settings_that_do_not_exist_name_those_that_do() -> None:
    with pytest.raises(BenchError, match=r"unknown backbone 'ddpmp'; did you mean 'ddpmpp'\?"):
        networks.load("ddpmp")
    with pytest.raises(
        BenchError, match=r"setting of adm 'widht'; did you mean 'width'\?.*dropout"
    ):
        networks.build("adm", GREY, widht=3)
    assert "channels_per_head" in networks.args_of("adm")
    assert networks.load("dit").SIZES["paper"].lr["edm"] == 1e-4


def test_a_users_network_is_checked_once_and_built(tmp_path: Path) -> None:
    name = _file(tmp_path, MINE)
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    assert networks.args_of(name) == ["width"]
    assert doors.VERDICTS[name] == f"backbone {Path(name).name} passes 11 conformance checks"
    assert torch.equal(torch.rand(3), expected)  # the checks draw nothing from the caller
    built = networks.load(name).build.__globals__["BUILT"]
    assert set(built) == {4}  # the smoke size's width, not the default
    before = len(built)
    assert networks.build(name, GREY, width=12).inputs == GREY
    assert built[before:] == [12]
    with pytest.raises(BenchError, match="network: neither classes"):
        networks.build(name, Inputs(spatial=(8, 8), channels=1, out_channels=1, n_classes=2))


def test_a_users_network_is_checked_on_real_numbers_wherever_it_is_loaded(tmp_path: Path) -> None:
    name = _file(tmp_path, MINE, "on_meta")
    with torch.device("meta"), torch.no_grad():
        net = networks.build(name, GREY)
    assert next(net.parameters()).device.type == "meta"
    assert name in doors.VERDICTS


def test_a_users_network_of_volumes() -> None:
    inputs = Inputs(spatial=(4, 6, 8), channels=1, out_channels=2)
    net = networks.build(VOLUMES, inputs, width=3)
    assert net(torch.randn(2, 1, 4, 6, 8), torch.tensor([0.1, 0.2])).shape == (2, 2, 4, 6, 8)
    with pytest.raises(BenchError, match=r"for volumes \(D, H, W\), not for 8x8"):
        networks.build(VOLUMES, GREY)


BROKEN = {
    "import nowhere_to_be_found": "cannot be imported: ModuleNotFoundError",
    "import sys; sys.exit(0)": "cannot be imported: SystemExit",
    "network = print": "has no Args; it must define that frozen dataclass",
    "class Args: pass\nnetwork = print": "has no Args; it must define that frozen dataclass",
    "network = 3": "names no function",
    MINE.replace("def network", "def another"): "has no 'network'",
    MINE.replace("SIZES = ", "SIZES = [3] or "): "must map names of scales to backbones.sizes.Size",
    MINE.replace('"default": {', '"wide": {'): "a Size needs a width 'default'",
    MINE.replace('{"width": 4}', '{"widht": 4}'): "did you mean 'width'?",
    MINE.replace("width: int = 8", "width: int = 8\n    depth: int"): "missing",
    MINE.replace(
        "return Mine(inputs", "return torch.nn.Conv2d(1, 1"
    ): "built a Conv2d, not a Backbone",
    MINE.replace("return Mine(", "return Yours("): "NameError: name 'Yours' is not defined",
    MINE.replace("raise ValueError(", "print("): "breaks its contract: classes: two classes",
    MINE.replace("torch.cat([x, level], 1)", "x"): "breaks its contract: shapes, at 16x16: Runtime",
    MINE.replace(", padding=1", ""): "breaks its contract: shapes: output has shape (3, 1, 12, 12)",
    MINE.replace("+ 8, width", "+ 8, width if inputs.spatial[0] > 99 else int('x')"): (
        "it can be built at no size tried; at 16x16: invalid literal"
    ),
}


@pytest.mark.parametrize("text", BROKEN, ids=list(BROKEN.values()))
def test_files_from_outside_are_refused_with_the_reason(text: str, tmp_path: Path) -> None:
    with pytest.raises(BenchError) as caught:
        networks.load(_file(tmp_path, text))
    assert BROKEN[text] in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "my_net.py" in str(caught.value)


def test_a_file_that_is_not_there_or_names_no_function(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match=r"backbone file .*missing\.py does not exist"):
        networks.load(f"{tmp_path}/missing.py:build")
    path = _file(tmp_path, MINE).partition(":")[0]
    for name in (path, f"{path}:"):
        with pytest.raises(BenchError, match=r"names no function; give .*my_net\.py:build"):
            networks.load(name)
