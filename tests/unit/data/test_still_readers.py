"""Images and arrays: depths, rotations, colour, MedMNIST's parts, what cannot be read."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from bench.data.folder_scan import scan
from bench.data.readers import images, npz
from bench.data.readers.reader import Frame, Mode, Source, UnreadableError


def _frame(path: Path, mode: Mode = "L") -> tuple[Frame, list[str]]:
    warnings: list[str] = []
    source = Source(key="x", path=path)
    (frame,) = images.frames(source, every=5, mode=mode, warn=warnings.append)
    return frame, warnings


def _read(path: Path, mode: Mode = "L") -> np.ndarray:
    return _frame(path, mode)[0].pixels


def _with_significant_bits(path: Path, bits: int) -> None:
    """Puts an sBIT chunk behind the header of a PNG."""
    raw, chunk = path.read_bytes(), b"sBIT" + bytes([bits])
    body = struct.pack(">I", 1) + chunk + struct.pack(">I", zlib.crc32(chunk))
    path.write_bytes(raw[:33] + body + raw[33:])


DEEP = (np.arange(256, dtype=np.uint16) * 16 + 7).reshape(16, 16)


@pytest.mark.parametrize("name", ["deep.png", "deep.tiff"])
def test_sixteen_bits_are_kept(tmp_path: Path, name: str) -> None:
    Image.fromarray(DEEP).save(tmp_path / name)
    frame, warnings = _frame(tmp_path / name)
    assert frame.pixels.dtype == np.uint16
    assert np.array_equal(frame.pixels, DEEP)
    assert frame.stated_range is None
    assert warnings == []
    assert np.array_equal(_read(tmp_path / name, "RGB"), np.repeat(DEEP[..., None], 3, axis=2))


def test_the_bits_that_a_file_states_are_its_range(tmp_path: Path) -> None:
    Image.fromarray(DEEP).save(tmp_path / "s.png")
    _with_significant_bits(tmp_path / "s.png", 12)
    assert _frame(tmp_path / "s.png")[0].stated_range == (0, 4095)
    Image.fromarray(DEEP).save(tmp_path / "m.tiff", tiffinfo={281: 4011})  # MaxSampleValue
    assert _frame(tmp_path / "m.tiff")[0].stated_range == (0, 4095)
    pgm = b"P5 16 16 4095\n" + DEEP.astype(">u2").tobytes()
    (tmp_path / "p.pgm").write_bytes(pgm)
    frame, _ = _frame(tmp_path / "p.pgm")
    assert frame.stated_range == (0, 65535)
    # a PGM's maximum is its white: 1 level of rounding
    assert np.abs(frame.pixels / 65535 - DEEP / 4095).max() <= 1 / 65535


def test_sixteen_bit_colour_is_kept(tmp_path: Path) -> None:
    colour = np.random.default_rng(0).integers(0, 65536, (20, 24, 3), np.uint16)
    for codec, name in (("png", "c.png"), ("tiff", "c.tiff")):
        (tmp_path / name).write_bytes(_encode(codec, colour))
        assert Image.open(tmp_path / name).mode == "RGB", "Pillow would make 8 bits of it"
        assert np.array_equal(_read(tmp_path / name, "RGB"), colour)
        grey = _read(tmp_path / name)
        assert grey.dtype == np.uint16
        # half a level of rounding
        assert np.abs(grey - colour @ [0.299, 0.587, 0.114]).max() <= 0.5 + 1e-9


def _encode(codec: str, colour: np.ndarray) -> bytes:
    frame = av.VideoFrame.from_ndarray(colour, format="rgb48le")
    context = av.CodecContext.create(codec, "w")
    context.width, context.height = frame.width, frame.height
    context.pix_fmt = "rgb48be" if codec == "png" else "rgb48le"
    context.time_base = Fraction(1)
    packets = context.encode(frame.reformat(format=context.pix_fmt)) + context.encode(None)
    return b"".join(bytes(packet) for packet in packets)


def test_floating_point_and_signed_pixels_are_kept(tmp_path: Path) -> None:
    values = np.linspace(-3, 5, 64, dtype=np.float32).reshape(8, 8)
    Image.fromarray(values).save(tmp_path / "float.tiff")
    frame, _ = _frame(tmp_path / "float.tiff")
    assert frame.pixels.dtype == np.float32
    assert np.array_equal(frame.pixels, values)
    assert frame.stated_range is None
    Image.fromarray(values).save(tmp_path / "stated.tiff", tiffinfo={340: -4.0, 341: 6.0})
    assert _frame(tmp_path / "stated.tiff")[0].stated_range == (-4, 6)
    hounsfield = np.arange(-1000, 3000, 250, dtype=np.int32).reshape(4, 4)
    for start in (0, 8):  # with and without negative values: the same depth for both
        Image.fromarray(hounsfield.reshape(-1)[start : start + 8].reshape(2, 4)).save(
            tmp_path / "ct.tiff"
        )
        pixels = _read(tmp_path / "ct.tiff")
        assert pixels.dtype == np.float32
        assert np.array_equal(pixels.reshape(-1), hounsfield.reshape(-1)[start : start + 8])


def test_later_pages_are_left_out_and_said(tmp_path: Path) -> None:
    pages = [Image.fromarray(np.full((8, 8), v, np.uint8)) for v in (10, 20, 30)]
    pages[0].save(tmp_path / "pages.tiff", save_all=True, append_images=pages[1:])
    frame, warnings = _frame(tmp_path / "pages.tiff")
    assert (frame.pixels == 10).all()
    assert warnings == ["2 further pages not read"]


def test_camera_rotation_is_applied(tmp_path: Path) -> None:
    image = Image.fromarray(np.zeros((8, 16), np.uint8))
    exif = Image.Exif()
    exif[0x0112] = 6  # rotate by a quarter turn to show
    image.save(tmp_path / "photo.jpg", exif=exif)
    assert _read(tmp_path / "photo.jpg").shape == (16, 8)


@pytest.mark.parametrize("kind", ["1", "P", "LA", "RGBA", "CMYK"])
def test_other_pixel_kinds_become_grey_or_colour(tmp_path: Path, kind: str) -> None:
    path = tmp_path / ("x.tiff" if kind == "CMYK" else "x.png")
    Image.new("RGB", (8, 6), (255, 255, 255)).convert(kind).save(path)
    assert np.array_equal(_read(path), np.full((6, 8), 255))
    assert np.array_equal(_read(path, "RGB"), np.full((6, 8, 3), 255))


def test_truncated_image_is_unreadable(tmp_path: Path) -> None:
    path = tmp_path / "x.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64), np.uint8)).save(path)
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(UnreadableError):
        _read(path)


def _arrays(path: Path, **arrays: np.ndarray) -> npz.Listing:
    np.savez_compressed(path / "set.npz", **arrays)
    return npz.list_sources(scan(path))


def test_medmnist_parts_and_colour(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    colour = rng.integers(0, 255, (4, 8, 8, 3), np.uint8)
    listing = _arrays(
        tmp_path, train_images=colour, val_images=colour[:2], test_images=colour[:3],
        train_labels=np.array([[0], [1], [0], [1]], np.uint8),
    )  # fmt: skip
    assert {source.part for source in listing.sources} == {"train", "select", "report"}
    read = {source.part: _rows(source, "RGB") for source in listing.sources}
    assert np.array_equal(read["train"], colour)
    assert [note.text for note in listing.notes] == [
        "9 images without subjects: each counts as its own"
    ]
    assert not any(source.subjects_known for source in listing.sources)
    by_part = {source.part: source.frame_labels for source in listing.sources}
    assert by_part == {"train": ("0", "1", "0", "1"), "select": None, "report": None}


def _rows(source: Source, mode: Mode = "L") -> np.ndarray:
    frames = npz.frames(source, every=1, mode=mode, warn=lambda _: None)
    return np.stack([frame.pixels for frame in frames])


@pytest.mark.parametrize(
    ("dtype", "kept"),
    [
        *[("uint8", "uint8"), ("uint16", "uint16"), (">u2", "uint16"), ("int16", "float32")],
        *[("float16", "float32"), ("float32", "float32"), ("float64", "float32")],
    ],
)
def test_arrays_of_any_depth_and_stated_subjects(tmp_path: Path, dtype: str, kept: str) -> None:
    deep = np.arange(3 * 4 * 4).astype(dtype).reshape(3, 4, 4)
    listing = _arrays(
        tmp_path, images=deep, subjects=np.array(["a", "b", "a"]), value_range=np.array([0, 50])
    )
    (source,) = listing.sources
    assert source.frame_subjects == ("a", "b", "a")
    assert source.subjects_known
    assert _rows(source).dtype == kept
    assert np.array_equal(_rows(source), deep)
    (first, *_) = npz.frames(source, every=1, mode="L", warn=lambda _: None)
    assert first.stated_range == (0, 50)


def test_masks_and_volumes(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    volumes = rng.integers(0, 4096, (3, 4, 5, 6, 2)).astype(np.uint16)
    masks = rng.integers(0, 3, (3, 4, 5, 6), np.uint8)
    (source,) = _arrays(tmp_path, train_volumes=volumes, train_masks=masks).sources
    assert (source.dims, source.channels, source.part) == (3, 2, "train")
    frames = list(npz.frames(source, every=1, mode="L", warn=print))
    assert np.array_equal(np.stack([frame.pixels for frame in frames]), volumes)
    assert all(frame.masks is not None and frame.masks.shape == (1, 4, 5, 6) for frame in frames)
    assert np.array_equal(np.stack([frame.masks for frame in frames])[:, 0], masks)
    several = np.stack([masks > 0, masks > 1], axis=-1)
    (source,) = _arrays(tmp_path, volumes=volumes, masks=several).sources
    (first, *_) = npz.frames(source, every=1, mode="L", warn=print)
    assert np.array_equal(first.masks, np.moveaxis(several[0], -1, 0))


@pytest.mark.parametrize(
    ("arrays", "reason"),
    [
        ({"images": np.zeros((4, 8, 8), np.complex64)}, "complex64 pixels"),
        ({"volumes": np.zeros((4, 8, 8), np.uint8)}, "shape"),
        ({"images": np.zeros((0, 8, 8), np.uint8)}, "nothing in it"),
        ({"images": np.zeros((4, 8, 8, 8), np.uint8)}, "shape"),
        ({"images": np.zeros((4, 8), np.uint8)}, "shape"),
        ({"images": np.array([{}, {}])}, "object pixels"),
        ({"images": np.zeros((4, 8, 8), np.uint8), "subjects": np.zeros(3)}, "subjects has shape"),
        ({"labels": np.zeros(3)}, "no array called"),
    ],
)
def test_arrays_that_are_no_images_are_skipped(
    tmp_path: Path, arrays: dict[str, np.ndarray], reason: str
) -> None:
    listing = _arrays(tmp_path, **arrays)
    assert listing.sources == ()
    assert reason in listing.skipped[0][1]


def test_an_array_that_ends_early_gives_what_is_there(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    np.save(buffer, np.ones((4, 8, 8), np.uint8))
    with zipfile.ZipFile(tmp_path / "set.npz", "w") as archive:
        archive.writestr("images.npy", buffer.getvalue()[:-100])
    (source,) = npz.list_sources(scan(tmp_path)).sources
    frames = npz.frames(source, every=1, mode="L", warn=print)
    assert next(frames).pixels.shape == next(frames).pixels.shape == (8, 8)
    with pytest.raises(UnreadableError, match="ends after 2 of 4 images"):
        next(frames)


@pytest.mark.parametrize(
    ("extra", "reason"),
    [
        ({"masks": np.zeros((4, 8, 7), np.uint8)}, "masks is uint8"),
        ({"masks": np.zeros((4, 8, 8), np.float32)}, "masks is float32"),
        ({"value_range": np.array([3, 1])}, "value_range"),
        ({"value_range": np.array([1])}, "value_range"),
    ],
)
def test_what_lies_beside_the_images_has_to_fit(
    tmp_path: Path, extra: dict[str, np.ndarray], reason: str
) -> None:
    (source,) = _arrays(tmp_path, images=np.ones((4, 8, 8), np.uint8), **extra).sources
    with pytest.raises(UnreadableError, match=reason):
        list(npz.frames(source, every=1, mode="L", warn=print))


def test_a_header_of_more_images_than_bytes_is_skipped(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    np.save(buffer, np.ones((4, 8, 8), np.uint8))
    forged = buffer.getvalue().replace(b"(4, 8, 8), }        ", b"(400000000, 8, 8), }")
    with zipfile.ZipFile(tmp_path / "set.npz", "w") as archive:
        archive.writestr("images.npy", forged)
    assert "more images than bytes" in npz.list_sources(scan(tmp_path)).skipped[0][1]
