"""Networks of patches and the whole volumes, or tiles, that they are asked for."""

from __future__ import annotations

import dataclasses
import itertools
from pathlib import Path

import pytest

from bench.config import DataConfig, MethodConfig, SampleConfig, TaskConfig
from bench.data.practice_data import write_practice_data
from bench.errors import BenchError
from bench.methods import load_method
from bench.sweep.deciding.answered_sides import require_sides
from bench.sweep.deciding.resolve import Frame, resolve
from bench.tasks.segment import STRIDES, SegmentTask
from bench.workloads.brats import WORKLOAD
from bench.workloads.workload import Scale

SIDES = (12, 16, 20)


@pytest.fixture(scope="module")
def task(tmp_path_factory: pytest.TempPathFactory) -> TaskConfig:
    data = write_practice_data(tmp_path_factory.mktemp("practice") / "cache", SIDES)
    return SegmentTask.configure(SegmentTask.describe(data), {"patch": 8})


def network(levels: int) -> MethodConfig:
    given = {"multipliers": (1,) * levels, "width": 8, "groups": 4}
    args = load_method("diffusion").whole_arguments("volume_unet", given)
    return MethodConfig(backbone="volume_unet", backbone_args=args, preconditioning="edm")


def test_a_whole_volume_that_the_network_cannot_halve_is_refused(task: TaskConfig) -> None:
    require_sides(task, network(3), SampleConfig())
    with pytest.raises(BenchError, match=r"whole volumes of \[12, 16, 20\] voxels.*multiple of 8"):
        require_sides(task, network(4), SampleConfig())


def test_tiles_take_the_place_of_the_whole(task: TaskConfig) -> None:
    tiled = dataclasses.replace(SampleConfig(), tile=(8, 8, 8))
    require_sides(task, network(4), tiled)
    with pytest.raises(BenchError, match=r"tiles of \[10, 8, 8\] voxels.*multiple of 4"):
        require_sides(task, network(3), dataclasses.replace(tiled, tile=(10, 8, 8)))
    with pytest.raises(BenchError, match=r"tile \[8, 8\] needs 3 sides"):
        require_sides(task, network(3), dataclasses.replace(tiled, tile=(8, 8)))


@pytest.mark.parametrize("scale", WORKLOAD.scales.values(), ids=lambda scale: scale.name)
def test_every_patch_of_a_preset_suits_its_network_at_every_resolution(scale: Scale) -> None:
    given = scale.size("volume_unet").arguments()
    levels = len(load_method("diffusion").whole_arguments("volume_unet", given)["multipliers"])
    offered = scale.choices.among["volume_unet"]
    whole = scale.data["size"]
    for resolution in offered["resolution"]:
        for patch in (*offered["patch"], scale.defaults["patch"]):
            sides = whole if patch == 0 else (patch,) * len(whole)
            steps = 2 ** (levels - 1) * STRIDES[resolution]
            assert all(side % steps == 0 for side in sides), (resolution, patch)


@pytest.mark.parametrize("name", ["smoke", "laptop"])
def test_a_presets_budget_trains_all_that_it_offers(name: str, tmp_path: Path) -> None:
    """Whatever is drawn in mid-sweep: the largest networks on whole volumes, in large batches."""
    scale = WORKLOAD.scales[name]
    data = write_practice_data(tmp_path / "cache", scale.data["size"])
    everything = Frame(
        workload=WORKLOAD.name,
        scale=scale,
        data=DataConfig(name="practice", digest="0" * 16, simulated=True),
        task=SegmentTask.describe(data),
        metrics=("dice",),
        device="cpu",
        precision="float32",
        threads=1,
    )
    offered = scale.choices.among["volume_unet"]
    cell = {"method": "diffusion", "architecture": "volume_unet", "preconditioning": "edm"}
    largest = {"patch": 0, "resolution": "full", "batch_size": max(scale.choices.batch_sizes)}
    for width, skip in itertools.product(scale.choices.widths, offered["skip"]):
        config = resolve(everything, {**cell, **largest, "width": width, "skip": skip}, 0)
        assert len(config.train.rungs_nimg) == len(scale.rungs)
