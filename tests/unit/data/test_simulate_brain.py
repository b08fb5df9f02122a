"""The simulated brains: files as BraTS lays them out, and contrasts as MR has them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import nibabel
import numpy as np
import pytest

from bench.data.folder_scan import scan
from bench.data.opening import open_data
from bench.data.readers import brats_layout as brats
from bench.data.reading import Reading
from bench.data.simulate_brain import FIELD_MM, SimulationSize
from bench.data.simulate_brain.brain_patient import BrainPatient, draw_brain_patient
from bench.data.simulate_brain.brain_writing import Volumes, draw_scan
from bench.data.simulate_brain.random_waves import draw_waves
from bench.data.simulate_brain.tumour import ENHANCING, NECROTIC, OEDEMA
from bench.streams import stream

SIZE = SimulationSize(patients=6, side=24)
SIDE = 48


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("simulated")
    SIZE.write(folder)
    return folder


@pytest.fixture(scope="module")
def scans() -> list[tuple[BrainPatient, Volumes]]:
    people = [draw_brain_patient(stream(0, "simulate-brain", index)) for index in range(12)]
    return [(person, draw_scan(person, SIDE)) for person in people]


def test_is_in_the_official_layout(root: Path) -> None:
    listing = brats.list_sources(scan(root))
    assert listing.skipped == ()
    assert len(listing.sources) == 6
    assert listing.sources[0].subject == "BraTS20_Training_001"
    path = root / "BraTS20_Training_001" / "BraTS20_Training_001_flair.nii.gz"
    stored = nibabel.load(path)
    assert stored.get_data_dtype() == np.int16
    assert nibabel.aff2axcodes(stored.affine) == ("L", "P", "S")
    assert stored.header.get_zooms() == pytest.approx((FIELD_MM / 24,) * 3)


def test_same_seed_same_files_and_another_seed_others(root: Path, tmp_path: Path) -> None:
    SIZE.write(tmp_path / "again")
    other = replace(SIZE, seed=1)
    other.write(tmp_path / "other")
    for file in sorted(root.rglob("*.nii.gz")):
        name = file.relative_to(root)
        assert (tmp_path / "again" / name).read_bytes() == file.read_bytes()
        assert (tmp_path / "other" / name).read_bytes() != file.read_bytes()
    assert SIZE.digest() == replace(SIZE).digest() != other.digest()


def test_a_patient_does_not_depend_on_how_many_are_drawn(root: Path, tmp_path: Path) -> None:
    replace(SIZE, patients=5).write(tmp_path / "few")
    files = sorted((tmp_path / "few").rglob("*.nii.gz"))
    assert len(files) == 25
    for file in files:
        assert (root / file.relative_to(tmp_path / "few")).read_bytes() == file.read_bytes()


def _median(scan: Volumes, kind: str, where: np.ndarray) -> float:
    """Median signal, in units of the whole brain's."""
    voxels = scan.modalities[kind]
    return float(np.median(voxels[where]) / np.median(voxels[voxels > 0]))


def _mean(scans: list[tuple[BrainPatient, Volumes]], kind: str, label: int) -> float:
    shown = [_median(s, kind, s.seg == label) for _, s in scans if (s.seg == label).sum() > 20]
    assert len(shown) > 4
    return float(np.mean(shown))


def test_regions_have_the_contrasts_that_name_them(
    scans: list[tuple[BrainPatient, Volumes]],
) -> None:
    enhancing = [one for one in scans if one[0].lesions[0].rim]
    assert _mean(enhancing, "t1ce", ENHANCING) > 1.25
    assert _mean(enhancing, "t1ce", ENHANCING) > 1.4 * _mean(enhancing, "t1", ENHANCING)
    assert _mean(enhancing, "t1ce", NECROTIC) < 0.75
    assert _mean(scans, "flair", OEDEMA) > 1.4
    assert _mean(scans, "t2", OEDEMA) > 1.2
    for _, scan_ in scans:
        t1 = scan_.modalities["t1"]
        white = np.quantile(t1[(t1 > 0) & (scan_.seg == 0)], 0.85)
        assert np.median(t1[scan_.seg == OEDEMA]) < 0.85 * white


def test_fluid_is_dark_but_for_t2_and_flair_shows_white_matter_darker(
    scans: list[tuple[BrainPatient, Volumes]],
) -> None:
    for _, scan_ in scans:
        healthy = (scan_.modalities["t2"] > 0) & (scan_.seg == 0)
        bright = scan_.modalities["t2"] > np.quantile(scan_.modalities["t2"][healthy], 0.98)
        fluid = healthy & bright
        assert _median(scan_, "flair", fluid) < 0.85
        assert _median(scan_, "t1", fluid) < 0.75
        t1, t2 = (scan_.modalities[kind][healthy].astype(float) for kind in ("t1", "t2"))
        assert np.corrcoef(t1, t2)[0, 1] < -0.5


def test_regions_are_nested(scans: list[tuple[BrainPatient, Volumes]]) -> None:
    """Around the core lies the rim, around both oedema: mean distances from the core's middle."""
    for person, scan_ in scans:
        if len(person.lesions) > 1 or not person.lesions[0].rim:
            continue
        core = np.argwhere(scan_.seg == NECROTIC)
        if len(core) < 20:
            continue
        away = [
            np.linalg.norm(np.argwhere(scan_.seg == label) - core.mean(axis=0), axis=1).mean()
            for label in (NECROTIC, ENHANCING, OEDEMA)
        ]
        assert away == sorted(away)


def test_some_do_not_enhance_and_all_have_a_tumour_inside_the_brain(
    scans: list[tuple[BrainPatient, Volumes]],
) -> None:
    for person, scan_ in scans:
        assert (scan_.seg > 0).sum() > 50
        assert bool((scan_.seg == ENHANCING).any()) == bool(person.lesions[0].rim)
        for voxels in scan_.modalities.values():
            assert ((voxels > 0) == (scan_.modalities["t1"] > 0)).all()
            assert (voxels[scan_.seg > 0] > 0).all()
        assert 0.1 < (scan_.modalities["t1"] > 0).mean() < 0.25
    rims = [draw_brain_patient(stream(1, "any", i)).lesions[0].rim for i in range(200)]
    assert 0.1 < np.mean([rim == 0 for rim in rims]) < 0.3


def test_waves_are_standard_and_their_zeros_are_where_they_say() -> None:
    waves = draw_waves(np.random.default_rng(0), 20.0, 60)
    points = np.random.default_rng(1).uniform(-200, 200, (20_000, 3)).astype(np.float32)
    values = waves.at(points)
    # 60 waves over a region of 20 wavelengths: a few hundred independent values
    assert abs(values.mean()) < 0.1
    assert abs(values.std() - 1) < 0.1
    near = waves.distance_to_zero(points)
    close = points[near < 0.3]
    steps = np.random.default_rng(2).standard_normal((64, 3))
    ball = 1.0 * steps / np.linalg.norm(steps, axis=1, keepdims=True)
    around = np.stack([waves.at((close + step).astype(np.float32)) for step in ball])
    changes = (around.min(axis=0) < 0) & (around.max(axis=0) > 0)
    assert changes.mean() > 0.97  # a zero within 1 mm, but for the flattest


def test_opens_as_simulated_data_without_near_copies(tmp_path: Path) -> None:
    size = SimulationSize(patients=20, side=32)
    cached = open_data(
        None, Reading(size=(32, 32, 32), fit="centre"), workload_reader="brats", home=tmp_path,
        simulated=size,
    )  # fmt: skip
    assert cached.simulated
    assert cached.images.shape == (20, 4, 32, 32, 32)
    assert dict(cached.subjects) == {"train": 12, "select": 4, "report": 4}
    assert "SIMULATED" in cached.notes[0]
    assert cached.name.startswith("simulated-brain")
    assert cached.spacing is not None
    assert (cached.spacing == FIELD_MM / 32).all()
    assert not any("near copies" in note.lower() for note in cached.notes)


@pytest.mark.parametrize("wrong", [{"patients": 4}, {"side": 8}, {"side": 1000}])
def test_impossible_sizes_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="needs 5 patients"):
        SimulationSize(**wrong)
