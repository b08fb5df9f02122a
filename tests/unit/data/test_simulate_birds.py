"""The simulated birds: listed as they were drawn, boxes to the pixel, species that can be told."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bench.data.folder_scan import scan
from bench.data.opening import open_data
from bench.data.readers import cub
from bench.data.reading import Reading
from bench.data.simulate_birds import SimulationSize
from bench.data.simulate_birds.bird import draw_pose, feet, paint_bird
from bench.data.simulate_birds.painting import Grid, cone, covered
from bench.data.simulate_birds.photographs import bounding_box, photograph
from bench.data.simulate_birds.scenery import paint_scenery
from bench.data.simulate_birds.species import HABITS, draw_species, species_name
from bench.streams import stream

SIZE = SimulationSize(species=6, photos=10, side=48)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("birds")
    SIZE.write(folder)
    return folder


def test_is_in_the_official_layout(root: Path) -> None:
    listing = cub.list_sources(scan(root))
    assert len(listing.sources) == 60
    assert listing.skipped == ()
    assert listing.notes == ()
    assert [s.part for s in listing.sources].count("train") == 30
    labels = [s.label for s in listing.sources]
    assert [labels.count(name) for name in sorted(set(map(str, labels)))] == [10] * 6
    (frame,) = cub.frames(listing.sources[0], every=1, mode="RGB", warn=print)
    assert frame.pixels.shape == (48, 64, 3)


def test_the_same_settings_give_the_same_bytes_and_more_photos_go_on(
    root: Path, tmp_path: Path
) -> None:
    SIZE.write(tmp_path / "again")
    files = sorted(path.relative_to(root) for path in root.rglob("*") if path.is_file())
    assert all((root / f).read_bytes() == (tmp_path / "again" / f).read_bytes() for f in files)
    SimulationSize(species=2, photos=4, side=48).write(tmp_path / "fewer")
    some = sorted((tmp_path / "fewer" / "images").rglob("*.jpg"))
    assert len(some) == 8
    for path in some:
        assert path.read_bytes() == (root / path.relative_to(tmp_path / "fewer")).read_bytes()
    assert SIZE.digest() != SimulationSize(species=6, photos=10, side=48, seed=1).digest()


@pytest.mark.parametrize("index", range(16))
def test_a_box_is_that_of_the_pixels_that_the_bird_changed(index: int) -> None:
    species = draw_species(stream(3, "species", index), index)
    size = (72, 96)
    _, box = photograph(species, size[0], stream(3, "photo", index))
    # the same draws again: the scenery without the bird, and the bird as it was laid over it
    rng = stream(3, "photo", index)
    pose = draw_pose(rng, species, *size)
    scenery = paint_scenery(species, pose, size, rng)
    bird = paint_bird(species, pose, size, rng)
    black = np.where(bird.cover[..., None] >= 0.5, 0.0, scenery)
    changed = np.abs(black - scenery).max(axis=-1) > 0
    rows, columns = np.nonzero(changed)
    assert box == (columns.min(), rows.min(), np.ptp(columns) + 1, np.ptp(rows) + 1)
    # an eighth of the picture or more is the bird's box, and it is inside
    assert box[2] * box[3] > size[0] * size[1] / 12
    assert box[0] >= 0
    assert box[0] + box[2] <= size[1]
    if species.habit in ("branch", "ground"):
        # the toes are a few pixels above the box's lower side, or the tail hangs below them
        assert box[1] + box[3] >= int(feet(species, pose)[0][1])


def test_bounding_box_by_hand() -> None:
    inside = np.zeros((9, 9), bool)
    inside[2, 3] = inside[5, 4] = True
    assert bounding_box(inside) == (3, 2, 2, 4)


def test_a_cone_of_equal_radii_is_as_large_as_a_stadium() -> None:
    shape = cone((60, 80), (20.0, 30.0), (50.0, 30.0), 10.0, 10.0)
    # half a per cent: edges of one pixel's softness average out
    assert shape.cover.sum() == pytest.approx(np.pi * 100 + 30 * 20, rel=0.005)
    grid = Grid.of(shape.window)
    right_of_start = (grid.x > 21) & (grid.x < 49) & (grid.y > 0)
    assert np.allclose(shape.distance[right_of_start], (np.abs(grid.y - 30) - 10 + 0 * grid.x)[
        right_of_start], atol=1e-4)  # fmt: skip
    assert covered(np.float32([-3, 0, 3])).tolist() == [1, 0.5, 0]


def test_every_way_of_life_is_there_and_names_differ() -> None:
    some = [draw_species(stream(0, "species", index), index) for index in range(24)]
    assert {species.habit for species in some} == set(HABITS)
    assert len({species_name(index) for index in range(600)}) == 600


def test_species_can_be_told_apart_in_their_boxes(tmp_path: Path) -> None:
    size = SimulationSize(species=6, photos=16, side=48)
    cached = open_data(
        None, Reading(size=(16, 16)), workload_reader="cub", home=tmp_path, simulated=size
    )
    assert cached.simulated
    assert cached.images.shape == (96, 3, 16, 16)
    assert cached.masks is not None
    assert 0.3 < cached.masks.mean() < 0.9
    assert cached.labels is not None
    # how often each of 64 colours is in the box's middle half
    bins = np.einsum("c,ncij->nij", [16, 4, 1], cached.images[:, :, 4:12, 4:12] // 64)
    images = np.stack([np.bincount(b.ravel(), minlength=64) for b in bins]).astype(float)
    train, report = cached.parts["train"], cached.parts["report"]
    centres = np.stack([images[train[cached.labels[train] == k]].mean(axis=0) for k in range(6)])
    distances = np.abs(images[report, None] - centres).sum(axis=-1)
    right = (distances.argmin(axis=1) == cached.labels[report]).mean()
    assert right > 0.4, "chance is a sixth"


def test_pictures_use_the_range_and_are_no_noise(root: Path) -> None:
    pictures = [np.asarray(Image.open(p)).astype(float) for p in sorted(root.rglob("*.jpg"))]
    stack = np.stack(pictures)
    assert stack.std() > 35
    # neighbours are alike, as in photographs: at most a third of the contrast lies between them
    assert np.abs(np.diff(stack, axis=2)).mean() < stack.std() / 3


@pytest.mark.parametrize("wrong", [{"species": 1}, {"photos": 3}, {"side": 20}, {"every": 2}])
def test_impossible_sizes(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="a simulated set needs"):
        SimulationSize(**wrong)
