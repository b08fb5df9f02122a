"""BraTS' layout: what becomes of it, and every patient that is left out."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest

from bench.data.folder_scan import scan
from bench.data.readers import brats_layout as brats
from bench.data.readers import choose
from bench.data.readers.nifti_file import write_volume
from bench.errors import BenchError
from tests.unit.data.conftest import Open

SHAPE = (10, 9, 8)
LPS = np.diag((-1.0, -1.0, 1.0, 1.0))  # as the official files lie


def _patient(root: Path, number: int, *, name: str = "BraTS20_Training") -> str:
    rng = np.random.default_rng(number)
    case = f"{name}_{number:03d}"
    brain = np.zeros(SHAPE, bool)
    brain[1:-1, 1:-1, 1:-1] = True
    modalities = {
        kind: np.where(brain, rng.integers(1, 900, SHAPE), 0).astype(np.int16)
        for kind in brats.MODALITIES
    }
    seg = np.where(brain, rng.choice(brats.STORED, SHAPE), 0).astype(np.uint8)
    brats.write_patient(root, case, modalities, seg, LPS)
    return case


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for number in range(1, 7):
        _patient(tmp_path / "data" / "MICCAI_BraTS2020_TrainingData", number)
    return tmp_path / "data"


def _file(root: Path, number: int, kind: str) -> Path:
    case = f"BraTS20_Training_{number:03d}"
    return root / "MICCAI_BraTS2020_TrainingData" / case / f"{case}_{kind}.nii.gz"


def test_four_modalities_in_order_turned_with_their_classes(opened: Open, root: Path) -> None:
    assert choose(scan(root), prefer="echonet")[0] == "brats"
    cached = opened(root, size=SHAPE, fit="centre")
    assert cached.images.shape == (6, 4, *SHAPE)
    assert cached.images.dtype == np.float32
    assert cached.value_range == (-1, 1)
    assert cached.mask_names == ("necrotic core", "oedema", "enhancing")
    assert cached.spacing is not None
    assert (cached.spacing == 1).all()
    assert "necrotic" not in str(cached.record())
    for channel, kind in enumerate(("t1", "t1ce", "t2", "flair")):
        stored = np.asanyarray(nibabel.load(_file(root, 3, kind)).dataobj)[::-1, ::-1]
        inside = stored > 0
        expected = (stored - stored[inside].mean()) / (4 * stored[inside].std())
        got = cached.images[2, channel]
        assert np.allclose(got[inside], expected[inside], atol=1e-6)  # float32
        assert (got[~inside] == -1).all()
    seg = np.asanyarray(nibabel.load(_file(root, 3, "seg")).dataobj)[::-1, ::-1]
    assert cached.masks is not None
    for stored_as, number in ((0, 0), (1, 1), (2, 2), (4, 3)):
        assert np.array_equal(cached.masks[2, 0] == number, seg == stored_as)


def test_subjects_are_the_folders_and_padding_is_background(opened: Open, root: Path) -> None:
    listing = brats.list_sources(scan(root))
    assert [source.subject for source in listing.sources] == [
        f"BraTS20_Training_{number:03d}" for number in range(1, 7)
    ]
    assert all(source.size == SHAPE for source in listing.sources)
    cached = opened(root, size=(16, 16, 16), fit="centre")
    around = np.ones((16, 16, 16), bool)
    around[3:13, 3:12, 4:12] = False
    assert (cached.images[:, :, around] == -1).all()
    assert any("6 frames were padded about their centre" in note for note in cached.notes)
    assert cached.meta["subjects_stated"]


def _break(root: Path, what: str) -> None:
    voxels = np.ones(SHAPE, np.int16)
    voxels[3:5] = 7
    if what == "missing modality":
        _file(root, 2, "t2").unlink()
    elif what == "other shape":
        write_volume(_file(root, 2, "t2"), np.ones((10, 9, 7), np.int16), LPS)
    elif what == "other affine":
        write_volume(_file(root, 2, "flair"), voxels, LPS + np.eye(4)[:, [3, 0, 1, 2]] * 0.01)
    elif what == "seg of other shape":
        write_volume(_file(root, 2, "seg"), np.ones((10, 9, 7), np.uint8), LPS)
    elif what == "seg of other affine":
        write_volume(_file(root, 2, "seg"), np.ones(SHAPE, np.uint8), 1.01 * LPS)
    elif what == "labels":
        seg = np.zeros(SHAPE, np.uint8)
        seg[1, 2, 3], seg[1, 2, 4] = 3, 7
        write_volume(_file(root, 2, "seg"), seg, LPS)
    elif what == "truncated":
        content = _file(root, 2, "t1ce").read_bytes()
        _file(root, 2, "t1ce").write_bytes(content[: len(content) // 2])
    elif what == "4D":
        four = nibabel.Nifti1Image(np.ones((*SHAPE, 2), np.int16), LPS)
        nibabel.save(four, _file(root, 2, "t1"))
    elif what == "NaN":
        write_volume(_file(root, 2, "t2"), np.full(SHAPE, np.nan, np.float32), LPS)
    elif what == "empty brain":
        write_volume(_file(root, 2, "t2"), np.zeros(SHAPE, np.int16), LPS)


BAD = {
    "missing modality": "no t2",
    "other shape": "its t2 is 10x9x7, its seg 10x9x8",
    "other affine": "the affines of its flair and its seg differ",
    "seg of other shape": "its t1 is 10x9x8, its seg 10x9x7",
    "seg of other affine": "the affines of its t1 and its seg differ by up to 0.09",
    "labels": "seg: it holds the labels 3, 7; BraTS has 0, 1, 2, 4",
    "truncated": "t1ce: truncated",
    "4D": "t1: 4D (10x9x8x2)",
    "NaN": "t2: 720 of its voxels are not finite",
    "empty brain": "t2: nothing in it",
}


@pytest.mark.parametrize("what", BAD)
def test_a_bad_patient_is_skipped_by_name(opened: Open, root: Path, what: str) -> None:
    _break(root, what)
    cached = opened(root, size=SHAPE, fit="centre")
    assert len(cached.images) == 5
    note = next(note for note in cached.notes if "skipped" in note)
    assert note.startswith(
        "1 files skipped: MICCAI_BraTS2020_TrainingData/BraTS20_Training_002 (" + BAD[what]
    )


def test_validation_patients_are_left_out_and_said(opened: Open, root: Path) -> None:
    case = _patient(root, 9, name="BraTS20_Validation")
    (root / case / f"{case}_seg.nii.gz").unlink()
    cached = opened(root, size=SHAPE, fit="centre")
    assert len(cached.images) == 6
    assert any(
        "1 patients have no seg, as the official validation set: left out: " + case in note
        for note in cached.notes
    )


def test_the_official_seg_with_another_name_is_found(opened: Open, root: Path) -> None:
    _file(root, 5, "seg").rename(_file(root, 5, "seg").with_name("W39_1998.09.19_Segm.nii.gz"))
    cached = opened(root, size=SHAPE, fit="centre")
    assert len(cached.images) == 6
    assert any("1 patients' seg has a name of its own" in note for note in cached.notes)


def test_nothing_left_is_one_line(opened: Open, root: Path) -> None:
    for number in range(1, 7):
        _file(root, number, "t1").unlink()
    with pytest.raises(BenchError, match=r"nothing readable .* 6 files skipped: .*_001 \(no t1\)"):
        opened(root, size=SHAPE)


def test_another_modality_is_another_cache(opened: Open, root: Path) -> None:
    first = opened(root, size=SHAPE).digest
    write_volume(_file(root, 2, "flair"), np.arange(720).reshape(SHAPE).astype(np.int16), LPS)
    assert opened(root, size=SHAPE).digest != first
