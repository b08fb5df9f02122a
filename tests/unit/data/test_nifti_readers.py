"""NIfTI files: orientation, spacing, what is refused; folders of images and labels."""

from __future__ import annotations

import gzip
import json
import struct
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest

from bench.data.folder_scan import scan
from bench.data.readers import nifti
from bench.data.readers.nifti_file import read_classes, read_header, read_volume, write_volume
from bench.data.readers.reader import UnreadableError
from bench.data.readers.volume_intensity import normalised, object_of
from bench.errors import BenchError
from tests.unit.data.conftest import Open

_PIXDIM, _SROW_Z = 80, 312  # offsets of pixdim[1] and of the affine's third row in a header


def _voxels(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(1, 1000, shape or (6, 7, 8)).astype(np.int16)


def _pairs(root: Path, count: int = 6, shape: tuple[int, ...] = (8, 8, 8)) -> Path:
    """images/a0.nii.gz and labels/a0.nii.gz, ... of random voxels."""
    for folder in ("images", "labels"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    for index in range(count):
        voxels = _voxels(*shape, seed=index)
        write_volume(root / "images" / f"a{index}.nii.gz", voxels, np.eye(4))
        label = (voxels % 3).astype(np.uint8)
        write_volume(root / "labels" / f"a{index}.nii.gz", label, np.eye(4))
    return root


@pytest.mark.parametrize("codes", ["RAS", "LPS", "SRA", "AIL", "PSR"])
def test_any_order_of_axes_becomes_right_front_up(tmp_path: Path, codes: str) -> None:
    voxels = _voxels()
    affine = np.diag((1.0, 2.0, 3.0, 1.0))
    to = nibabel.orientations.axcodes2ornt(codes)
    stored = nibabel.Nifti1Image(voxels, affine).as_reoriented(
        nibabel.orientations.ornt_transform(nibabel.orientations.axcodes2ornt("RAS"), to)
    )
    nibabel.save(stored, tmp_path / "a.nii.gz")
    assert nibabel.aff2axcodes(nibabel.load(tmp_path / "a.nii.gz").affine) == tuple(codes)
    read, header = read_volume(tmp_path / "a.nii.gz"), read_header(tmp_path / "a.nii.gz")
    assert np.array_equal(read.voxels, voxels)
    assert read.spacing == header.spacing == pytest.approx((1, 2, 3))
    assert header.shape == voxels.shape
    assert np.allclose(read.affine, affine)


@pytest.mark.parametrize(("unit", "factor"), [("meter", 1e3), ("micron", 1e-3), ("unknown", 1)])
def test_spacing_is_in_millimetres(tmp_path: Path, unit: str, factor: float) -> None:
    image = nibabel.Nifti1Image(_voxels(), np.diag((0.5, 0.5, 2, 1)))
    image.header.set_xyzt_units(unit)
    nibabel.save(image, tmp_path / "a.nii")
    assert read_volume(tmp_path / "a.nii").spacing == pytest.approx(
        (0.5 * factor, 0.5 * factor, 2 * factor)
    )


def test_a_trailing_axis_of_one_is_no_dimension_and_scaling_is_applied(tmp_path: Path) -> None:
    voxels = _voxels(5, 6, 7, 1)
    image = nibabel.Nifti1Image(voxels, np.eye(4))
    image.header.set_slope_inter(0.5, 10)
    nibabel.save(image, tmp_path / "a.nii.gz")
    stored = np.asanyarray(nibabel.load(tmp_path / "a.nii.gz").dataobj)
    assert np.array_equal(read_volume(tmp_path / "a.nii.gz").voxels, stored[..., 0])


def _overwrite(path: Path, at: int, content: bytes) -> None:
    raw = bytearray(gzip.decompress(path.read_bytes()))
    raw[at : at + len(content)] = content
    path.write_bytes(gzip.compress(bytes(raw)))


def _bad(path: Path, what: str) -> None:
    voxels: Any = _voxels()
    if what in ("zero spacing", "infinite spacing", "truncated", "garbled", "empty", "no header"):
        write_volume(path, voxels, np.eye(4))
    if what == "4D":
        nibabel.save(nibabel.Nifti1Image(_voxels(5, 6, 7, 2), np.eye(4)), path)
    elif what == "2D":
        nibabel.save(nibabel.Nifti1Image(_voxels(5, 6), np.eye(4)), path)
    elif what == "NaN":
        voxels = voxels.astype(np.float32)
        voxels[2, 3, 4] = np.nan
        write_volume(path, voxels, np.eye(4))
    elif what == "flat affine":
        write_volume(path, voxels, np.eye(4))
        _overwrite(path, _SROW_Z, struct.pack("<4f", 0, 0, 0, 0))
    elif what == "colour":
        colour = np.zeros((4, 4, 4), np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")]))
        nibabel.save(nibabel.Nifti1Image(colour, np.eye(4)), path)
    elif what == "zero spacing":
        _overwrite(path, _PIXDIM, struct.pack("<f", 0.0))
    elif what == "infinite spacing":
        _overwrite(path, _PIXDIM, struct.pack("<f", float("inf")))
    elif what == "truncated":
        path.write_bytes(path.read_bytes()[:-200])
    elif what == "garbled":
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 0xFF
        path.write_bytes(bytes(content))
    elif what == "empty":
        path.write_bytes(b"")
    elif what == "no header":
        path.write_bytes(b"not what the name says" * 30)
    elif what == "a promise":
        image = nibabel.Nifti1Image(np.zeros((2, 2, 2), np.int16), np.eye(4))
        raw = bytearray(image.to_bytes())
        raw[42:48] = struct.pack("<3h", 30000, 30000, 30000)
        path.write_bytes(gzip.compress(bytes(raw)))


BAD = {
    "4D": "4D (5x6x7x2)",
    "2D": "2D (5x6)",
    "NaN": "1 of its voxels are not finite",
    "flat affine": "must be above 0",
    "colour": "not numbers",
    "zero spacing": "its spacing is 0x1x1 mm: every one must be above 0",
    "infinite spacing": "its spacing is infx1x1 mm",
    "truncated": "truncated: it ends before its last voxel",
    "garbled": "",  # whichever of zlib and the checksum notices first
    "empty": "mpty",
    "no header": "ot a gzipped file",
    "a promise": "truncated: its header promises 30000x30000x30000 voxels",
}


@pytest.mark.parametrize("what", BAD)
def test_bad_files_are_refused_with_their_reason(tmp_path: Path, what: str) -> None:
    _bad(tmp_path / "a.nii.gz", what)
    with pytest.raises(UnreadableError) as error:
        read_volume(tmp_path / "a.nii.gz")
    assert str(error.value)
    assert BAD[what] in str(error.value)
    assert str(tmp_path) not in str(error.value)


@pytest.mark.parametrize("what", BAD)
def test_a_bad_file_among_good_ones_is_skipped_by_name(
    opened: Open, tmp_path: Path, what: str
) -> None:
    root = _pairs(tmp_path / "data")
    _bad(root / "images" / "a2.nii.gz", what)
    cached = opened(root, size=(8, 8, 8), fit="centre")
    assert len(cached.images) == 5
    note = next(note for note in cached.notes if "skipped" in note)
    assert note.startswith("1 files skipped: images/a2.nii.gz (")
    assert BAD[what] in note


def test_a_truncated_file_that_is_not_packed_is_refused(tmp_path: Path) -> None:
    write_volume(tmp_path / "a.nii", _voxels(), np.eye(4))
    content = (tmp_path / "a.nii").read_bytes()
    (tmp_path / "a.nii").write_bytes(content[:-100])
    with pytest.raises(UnreadableError, match="truncated"):
        read_volume(tmp_path / "a.nii")


@pytest.mark.parametrize(
    ("value", "said"), [(0.5, "holds 0.5"), (-1.0, "holds -1"), (255.0, "holds 255")]
)
def test_labels_that_are_no_small_whole_numbers_are_refused(
    opened: Open, tmp_path: Path, value: float, said: str
) -> None:
    root = _pairs(tmp_path / "data")
    label = np.zeros((8, 8, 8), np.float32)
    label[1, 2, 3] = value
    write_volume(root / "labels" / "a1.nii.gz", label, np.eye(4))
    with pytest.raises(UnreadableError, match=f"whole numbers of 0 to 254; it {said}"):
        read_classes(root / "labels" / "a1.nii.gz")
    notes = "\n".join(opened(root, size=(8, 8, 8)).notes)
    assert f"images/a1.nii.gz (its label: labels are whole numbers of 0 to 254; it {said})" in notes


@pytest.mark.parametrize("what", ["shape", "affine"])
def test_labels_that_do_not_lie_on_their_image_are_refused(
    opened: Open, tmp_path: Path, what: str
) -> None:
    root = _pairs(tmp_path / "data")
    label = np.ones((8, 8, 9) if what == "shape" else (8, 8, 8), np.uint8)
    moved = np.eye(4)
    moved[0, 3] = 0.0 if what == "shape" else 2e-3  # the tolerance is 1e-3
    write_volume(root / "labels" / "a1.nii.gz", label, moved)
    moved[0, 3] /= 4
    write_volume(root / "labels" / "a2.nii.gz", np.ones((8, 8, 8), np.uint8), moved)
    cached = opened(root, size=(8, 8, 8))
    assert len(cached.images) == 5
    said = "its label is 8x8x9, its image 8x8x8" if what == "shape" else "differ by up to 0.002"
    assert any(f"images/a1.nii.gz ({said}" in n or said in n for n in cached.notes)


def test_pairs_become_a_cache_with_classes_and_spacing(opened: Open, tmp_path: Path) -> None:
    root = _pairs(tmp_path / "data")
    cached = opened(root, size=(8, 8, 8), fit="centre")
    assert cached.images.dtype == np.float32
    assert cached.value_range == (-1, 1)
    assert cached.mask_names == ("class 1", "class 2")
    assert cached.masks is not None
    assert np.array_equal(cached.masks[2, 0], _voxels(8, 8, 8, seed=2) % 3)
    assert cached.spacing is not None
    assert cached.spacing.shape == (6, 3)
    # z-scores in units of 4 standard deviations, by hand
    values = _voxels(8, 8, 8, seed=2).astype(float)
    expected = (values - values.mean()) / (4 * values.std())
    assert np.allclose(cached.images[2, 0], expected, atol=1e-6)  # float32
    names = {"labels": {"0": "background", "1": "Anterior", "2": "Posterior"}}
    (root / "dataset.json").write_text(json.dumps(names))
    assert opened(root, size=(8, 8, 8)).mask_names == ("Anterior", "Posterior")


def test_a_label_that_dataset_json_does_not_name_leaves_its_image_out_by_name(
    opened: Open, tmp_path: Path
) -> None:
    root = _pairs(tmp_path / "data")
    names = {"labels": {"0": "background", "1": "Anterior", "2": "Posterior"}}
    (root / "dataset.json").write_text(json.dumps(names))
    stray = np.ones((8, 8, 8), np.uint8)
    stray[0, 0, 0] = 200
    write_volume(root / "labels" / "a4.nii.gz", stray, np.eye(4))
    cached = opened(root, size=(8, 8, 8))
    assert cached.mask_names == ("Anterior", "Posterior")
    assert len(cached.images) == 5
    notes = "\n".join(cached.notes)
    assert "images/a4.nii.gz (its label holds 200, and dataset.json names classes to 2)" in notes


def test_unpaired_files_are_skipped_by_name(opened: Open, tmp_path: Path) -> None:
    root = _pairs(tmp_path / "data")
    (root / "labels" / "a1.nii.gz").unlink()
    (root / "images" / "a3.nii.gz").unlink()
    notes = "\n".join(opened(root, size=(8, 8, 8)).notes)
    assert "images/a1.nii.gz (no label of its name in labels)" in notes
    assert "labels/a3.nii.gz (a label without an image of its name)" in notes


def test_the_decathlons_folders_and_nnunets_channels(tmp_path: Path) -> None:
    for folder in ("imagesTr", "labelsTr", "imagesTs"):
        (tmp_path / folder).mkdir()
    for name in ("imagesTr/a_0000", "imagesTr/a_0001", "labelsTr/a", "imagesTs/b_0000"):
        write_volume(tmp_path / f"{name}.nii.gz", _voxels(), np.eye(4))
    listing = nifti.list_sources(scan(tmp_path))
    (source,) = listing.sources
    assert source.key == "imagesTr/a_0000.nii.gz"
    assert source.mask_path == tmp_path / "labelsTr" / "a.nii.gz"
    assert listing.skipped == (
        ("imagesTr/a_0001.nii.gz", "a further channel: the first, _0000, is read"),
    )
    assert any("imagesTs/b_0000.nii.gz" in note.local for note in listing.notes)


def test_images_without_labels_and_masks_beside_images(opened: Open, tmp_path: Path) -> None:
    for name in "abcde":
        write_volume(tmp_path / f"{name}.nii", _voxels(seed=ord(name)), np.eye(4))
    cached = opened(tmp_path, size=(6, 7, 8), fit="centre")
    assert len(cached.images) == 5
    assert cached.masks is None
    assert cached.mask_names == ()
    for name in "abcde":
        label = (_voxels(seed=ord(name)) > 500).astype(np.uint8)
        write_volume(tmp_path / f"{name}_seg.nii", label, np.eye(4))
    beside = opened(tmp_path, size=(6, 7, 8), fit="centre")
    assert len(beside.images) == 5
    assert beside.masks is not None


def test_a_file_without_orientation_is_said(tmp_path: Path) -> None:
    image = nibabel.Nifti1Image(_voxels(), None)
    nibabel.save(image, tmp_path / "a.nii.gz")
    notes = nifti.list_sources(scan(tmp_path)).notes
    assert any("1 files state no orientation" in note.text for note in notes)


def test_intensities_are_z_scores_over_the_object() -> None:
    voxels = np.zeros((10, 10, 10))
    inside = np.zeros(voxels.shape, bool)
    inside[2:8, 2:8, 2:8] = True
    voxels[inside] = np.random.default_rng(0).normal(300, 20, 216)
    voxels[4, 4, 4] = 900
    assert np.array_equal(object_of(voxels), inside)
    scaled = normalised(voxels, inside)
    of = voxels[inside]
    expected = np.clip((of - of.mean()) / of.std(), -4, 4) / 4
    assert np.allclose(scaled.values[inside], expected, atol=1e-6)  # float32
    assert (scaled.values[~inside] == -1).all()
    assert scaled.clipped == 1 / 216
    assert object_of(np.arange(1000.0).reshape(10, 10, 10)).all()  # nothing surrounds it
    with pytest.raises(UnreadableError, match="no contrast"):
        normalised(np.full((3, 3, 3), 7), np.ones((3, 3, 3), bool))
    with pytest.raises(UnreadableError, match="nothing in it"):
        normalised(voxels, np.zeros(voxels.shape, bool))


def test_clipped_values_and_labels_beyond_the_cut_are_said(opened: Open, tmp_path: Path) -> None:
    root = _pairs(tmp_path / "data")
    spiked = np.random.default_rng(0).normal(100, 1, (8, 8, 8)).astype(np.float32)
    spiked[:2, 0, 0] = 1e4
    spiked[0, 0, 0] = 2e4
    write_volume(root / "images" / "a0.nii.gz", spiked, np.eye(4))
    cached = opened(root, size=(8, 8, 4), fit="centre")
    notes = "\n".join(cached.record_notes)
    label = [(_voxels(8, 8, 8, seed=k) % 3 > 0) for k in range(6)]
    outside = sum(int(a.sum() - a[:, :, 2:6].sum()) for a in label)
    assert f"{outside} labelled voxels of 6 frames" in notes
    assert "--size 8x8x8 would keep them" in notes
    assert "6 frames were cut about their centre to 8x8x4" in notes
    assert "clipped" not in notes  # 1 or 2 of 3072 voxels
    for index in range(1, 6):
        spiked = spiked.copy()
        spiked[:, index % 8, 3] += index / 10  # no near copies
        spiked[:2, 0, 0] = 1e4
        write_volume(root / "images" / f"a{index}.nii.gz", spiked, np.eye(4))
    again = "\n".join(opened(root, size=(8, 8, 8)).record_notes)
    assert "lie beyond 4 standard deviations: clipped" in again


def test_spacings_that_differ_are_said(opened: Open, tmp_path: Path) -> None:
    root = _pairs(tmp_path / "data")
    for folder in ("images", "labels"):
        path = root / folder / "a0.nii.gz"
        voxels = np.asanyarray(nibabel.load(path).dataobj)
        write_volume(path, voxels, np.diag((1.0, 1.0, 2.5, 1.0)))
    cached = opened(root, size=(8, 8, 8))
    assert cached.spacing is not None
    assert cached.spacing[0].tolist() == [1, 1, 2.5]
    assert any("1x1x1 to 1x1x2.5 mm" in note for note in cached.notes)
    halved = opened(root, size=(4, 4, 4))
    assert halved.spacing is not None
    assert halved.spacing[0].tolist() == [2, 2, 5]


def test_a_size_that_does_not_suit_names_one_that_does(opened: Open, tmp_path: Path) -> None:
    root = _pairs(tmp_path / "data", shape=(9, 12, 16))
    with pytest.raises(BenchError, match=r"they are 9x12x16, which --size 16x16x16 --fit centre"):
        opened(root, size=(16, 16))
