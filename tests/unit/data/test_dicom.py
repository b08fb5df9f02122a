"""DICOM: pydicom's own files and written ones, values and ranges, patients never in the clear."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.data import get_testdata_file
from pydicom.pixels import apply_modality_lut, apply_windowing
from pydicom.sequence import Sequence

from bench.data.folder_scan import scan
from bench.data.readers import dicom
from bench.data.readers.dicom_values import window_share
from bench.data.readers.reader import Frame, Mode, Source, UnreadableError
from bench.data.value_range import as_float
from tests.unit.data.conftest import Open


def _bundled(name: str) -> Path:
    path = get_testdata_file(name, download=False)
    assert path is not None, f"pydicom does not ship {name} any more"
    return Path(str(path))


def _frames(path: Path, mode: Mode = "L", every: int = 1) -> list[Frame]:
    source = Source(key=path.name, path=path)
    return list(dicom.frames(source, every=every, mode=mode, warn=print))


def _deep(seed: int = 0, shape: tuple[int, ...] = (16, 16), high: int = 4096) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, high, shape, np.uint16)


@pytest.mark.parametrize(
    ("name", "dtype", "count"),
    [
        ("CT_small.dcm", "float32", 1),
        ("693_J2KI.dcm", "float32", 1),  # JPEG 2000
        ("MR_small_RLE.dcm", "uint16", 1),
        ("MR_small_jp2klossless.dcm", "uint16", 1),
        ("MR_small_jpeg_ls_lossless.dcm", "uint16", 1),
        ("MR_small_bigendian.dcm", "uint16", 1),
        ("JPGExtended.dcm", "uint16", 1),  # 12 bits of JPEG
        ("JPEGLSNearLossless_08.dcm", "uint8", 1),
        ("SC_rgb_jpeg_dcmtk.dcm", "uint8", 1),
        ("SC_rgb_rle_16bit_2frame.dcm", "uint16", 2),
        ("examples_overlay.dcm", "uint16", 1),
        ("examples_palette.dcm", "uint8", 1),
        ("examples_ybr_color.dcm", "uint8", 30),
        ("dicomdirtests/77654033/CR1/6154", "uint16", 1),  # MONOCHROME1, no ending
    ],
)
def test_files_that_pydicom_ships_are_read(name: str, dtype: str, count: int) -> None:
    frames = _frames(_bundled(name))
    assert len(frames) == count
    assert all(frame.pixels.dtype == dtype and frame.pixels.ndim == 2 for frame in frames)
    assert frames[0].pixels.max() > frames[0].pixels.min()


def test_every_compression_gives_the_same_picture() -> None:
    plain = _frames(_bundled("MR_small.dcm"))[0].pixels
    for name in ("RLE", "jp2klossless", "jpeg_ls_lossless", "bigendian", "implicit", "padded"):
        assert np.array_equal(_frames(_bundled(f"MR_small_{name}.dcm"))[0].pixels, plain)


def test_hounsfield_units_are_those_of_pydicom_and_the_window_is_the_range() -> None:
    path = _bundled("693_J2KI.dcm")
    data = pydicom.dcmread(path)
    (frame,) = _frames(path)
    inside = data.pixel_array != data.PixelPaddingValue
    assert 0.5 < inside.mean() < 1
    assert np.array_equal(frame.pixels[inside], apply_modality_lut(data.pixel_array, data)[inside])
    # centre 40, width 100: PS3.3 C.11.2.1.2 has black at 40 - .5 - 99/2, white at 40 - .5 + 99/2
    assert frame.stated_range == (-10, 89)
    assert _frames(_bundled("CT_small.dcm"))[0].stated_range is None


@pytest.mark.parametrize("shape", ["LINEAR", "LINEAR_EXACT", "SIGMOID"])
def test_a_window_is_that_of_pydicom(shape: str) -> None:
    data = pydicom.Dataset()
    data.PhotometricInterpretation, data.BitsStored, data.PixelRepresentation = "MONOCHROME2", 12, 0
    data.WindowCenter, data.WindowWidth, data.VOILUTFunction = 1800, 900, shape
    values = _deep(high=4096)
    expected = apply_windowing(values, data) / 4095
    # 1e-9: two orders of the same float64 operations
    assert window_share(values.astype(float), 1800, 900, shape) == pytest.approx(expected, abs=1e-9)


def test_a_window_of_one_picture_is_applied_and_keeps_the_depth(tmp_path: Path) -> None:
    pixels = _deep()
    dicom.write_file(
        tmp_path / "a.dcm", pixels, BitsStored=12, Modality="DX", WindowCenter=2000,
        WindowWidth=1000, RescaleSlope="0.5", RescaleIntercept="1000",
    )  # fmt: skip
    (frame,) = _frames(tmp_path / "a.dcm")
    assert frame.pixels.dtype == np.uint16
    assert frame.stated_range == (0, 4095)
    values = pixels * 0.5 + 1000
    expected = np.clip((values - 1999.5) / 999 + 0.5, 0, 1) * 4095
    assert np.array_equal(frame.pixels, np.rint(expected))


def test_monochrome1_is_black_low(tmp_path: Path) -> None:
    pixels = _deep()
    dicom.write_file(
        tmp_path / "a.dcm", pixels, BitsStored=12, PhotometricInterpretation="MONOCHROME1"
    )
    (frame,) = _frames(tmp_path / "a.dcm")
    assert np.array_equal(frame.pixels, 4095 - pixels)
    assert frame.stated_range == (0, 4095)
    (unstated,) = [n.text for n in dicom.list_sources(scan(tmp_path)).notes if "MONO" in n.text]
    assert unstated == "1 DICOM files are MONOCHROME1 (white is 0): inverted"


def test_padding_is_as_black_as_the_picture(tmp_path: Path) -> None:
    for kind in ("MONOCHROME1", "MONOCHROME2"):
        pixels = _deep(high=900) + np.uint16(100)
        pixels[:4] = 65535
        dicom.write_file(
            tmp_path / "a.dcm", pixels, PhotometricInterpretation=kind, PixelPaddingValue=65535
        )
        (frame,) = _frames(tmp_path / "a.dcm")
        assert (frame.pixels[:4] == frame.pixels[4:].min()).all()
        assert frame.pixels.max() < 1000


def test_values_by_frame_of_enhanced_files_are_used(tmp_path: Path) -> None:
    def group(slope: float) -> pydicom.Dataset:
        macro, outer = pydicom.Dataset(), pydicom.Dataset()
        macro.RescaleSlope, macro.RescaleIntercept, macro.RescaleType = slope, -1024, "HU"
        outer.PixelValueTransformationSequence = Sequence([macro])
        return outer

    pixels = _deep(shape=(2, 16, 16))
    groups = Sequence([group(1.0), group(2.0)])
    dicom.write_file(tmp_path / "a.dcm", pixels, PerFrameFunctionalGroupsSequence=groups)
    first, second = _frames(tmp_path / "a.dcm")
    assert np.array_equal(first.pixels, pixels[0].astype(np.float32) - 1024)
    assert np.array_equal(second.pixels, 2 * pixels[1].astype(np.float32) - 1024)


def test_moving_pictures_are_thinned_and_stacks_are_not(tmp_path: Path) -> None:
    pixels = _deep(shape=(7, 8, 8))
    dicom.write_file(tmp_path / "stack.dcm", pixels)
    dicom.write_file(tmp_path / "moving.dcm", pixels, FrameTime="33.3")
    assert len(_frames(tmp_path / "stack.dcm", every=3)) == 7
    thinned = [frame.pixels for frame in _frames(tmp_path / "moving.dcm", every=3)]
    assert np.array_equal(thinned, pixels[::3])


def test_colour_and_its_depth(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (8, 9, 3), np.uint8)
    dicom.write_file(tmp_path / "a.dcm", pixels)
    assert np.array_equal(_frames(tmp_path / "a.dcm", mode="RGB")[0].pixels, pixels)
    with pytest.raises(UnreadableError, match="uint32 colour"):
        _frames(_bundled("SC_rgb_rle_32bit.dcm"))


def test_twelve_of_sixteen_bits_reach_the_training_range(tmp_path: Path, opened: Open) -> None:
    root = tmp_path / "in"
    root.mkdir()
    for index in range(6):
        dicom.write_file(root / f"{index}.dcm", _deep(index), BitsStored=12, PatientID=f"P{index}")
    cached = opened(root)
    assert cached.images.dtype == np.uint16
    assert cached.value_range == (0, 4095)
    x = as_float(cached.images, cached.value_range)
    assert x.min() < -0.95
    assert x.max() > 0.95


SECRET = {"PatientID": "MRN-4711", "PatientName": "Doe^Jane", "PatientBirthDate": "19700101"}


def test_no_record_or_note_names_a_patient(tmp_path: Path, opened: Open) -> None:
    root = tmp_path / "in"
    root.mkdir()
    for index in range(8):
        elements: dict[str, Any] = dict(SECRET)
        elements["PatientID"] = f"MRN-47{index // 2}1"
        dicom.write_file(
            root / f"IM{index}", _deep(index), WindowCenter=9, WindowWidth=4, **elements
        )
    (root / "report.dcm").write_bytes((root / "IM0").read_bytes()[:900])
    cached = opened(root)
    assert sum(cached.subjects.values()) == 4
    said = json.dumps([cached.record(), cached.notes, (cached.path / "index.json").read_text()])
    for word in ("MRN", "Doe", "1970"):
        assert word not in said
    assert not any(
        "MRN" in str(source.subject) for source in dicom.list_sources(scan(root)).sources
    )


def test_files_without_pictures_are_skipped_with_the_reason(tmp_path: Path) -> None:
    for name in ("test-SR.dcm", "liver_1frame.dcm", "no_meta.dcm", "dicomdirtests/DICOMDIR"):
        path = _bundled(name)
        (tmp_path / path.name).write_bytes(path.read_bytes())
    dicom.write_file(tmp_path / "good.dcm", _deep())
    listing = dicom.list_sources(scan(tmp_path))
    assert [source.key for source in listing.sources] == ["good.dcm"]
    assert dict(listing.skipped) == {
        "DICOMDIR": "DICOM without pixels: no picture",
        "liver_1frame.dcm": "a segmentation: no picture",
        "no_meta.dcm": "no DICOM file: it lacks the mark DICM",
        "test-SR.dcm": "a report: no picture",
    }


def test_without_its_decoder_a_file_is_skipped_and_the_extra_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The decoders are taken out of pydicom's own registry, as where they are not installed."""
    from pydicom.pixels.decoders import JPEGLSLosslessDecoder

    monkeypatch.setattr(JPEGLSLosslessDecoder, "_available", {})
    path = _bundled("MR_small_jpeg_ls_lossless.dcm")
    (tmp_path / path.name).write_bytes(path.read_bytes())
    ((_, reason),) = dicom.list_sources(scan(tmp_path)).skipped
    assert reason == (
        "JPEG-LS Lossless Image Compression: its decoder is not installed; "
        "pip install 'diffusion-bench[dicom]'"
    )


@pytest.mark.parametrize("cut", [200, 1000, 3000])
def test_cut_files_are_unreadable_without_their_path(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "cut.dcm"
    path.write_bytes(_bundled("MR_small_RLE.dcm").read_bytes()[:cut])
    with pytest.raises(UnreadableError) as error:
        _frames(path)
    assert str(tmp_path) not in str(error.value)
    assert str(error.value)
