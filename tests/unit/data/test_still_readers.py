"""Images and arrays: depths, rotations, colour, MedMNIST's parts, what cannot be read."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bench.data.readers import images, npz
from bench.data.readers.reader import Source, UnreadableError


def _read(path: Path, mode: str = "L") -> tuple[np.ndarray, list[str]]:
    said: list[str] = []
    (frame,) = images.frames(Source(key="x", path=path), every=5, mode=mode, warn=said.append)  # type: ignore[arg-type]  # a test's str
    return frame, said


def test_sixteen_bits_keep_the_upper_eight(tmp_path: Path) -> None:
    deep = np.arange(0, 65536, 256, dtype=np.uint16).reshape(16, 16) + 7
    Image.fromarray(deep).save(tmp_path / "deep.png")
    frame, said = _read(tmp_path / "deep.png")
    assert np.array_equal(frame, np.arange(256, dtype=np.uint8).reshape(16, 16))
    assert said == ["16 bits a pixel, upper 8 kept"]


def test_floating_point_is_refused(tmp_path: Path) -> None:
    Image.fromarray(np.ones((8, 8), np.float32)).save(tmp_path / "float.tiff")
    with pytest.raises(UnreadableError, match="floating-point"):
        _read(tmp_path / "float.tiff")


def test_camera_rotation_is_applied(tmp_path: Path) -> None:
    image = Image.fromarray(np.zeros((8, 16), np.uint8))
    exif = Image.Exif()
    exif[0x0112] = 6  # rotate by a quarter turn to show
    image.save(tmp_path / "photo.jpg", exif=exif)
    assert _read(tmp_path / "photo.jpg")[0].shape == (16, 8)


@pytest.mark.parametrize("kind", ["1", "P", "LA", "RGBA", "CMYK"])
def test_other_pixel_kinds_become_grey_or_colour(tmp_path: Path, kind: str) -> None:
    path = tmp_path / ("x.tiff" if kind == "CMYK" else "x.png")
    Image.new("RGB", (8, 6), (255, 255, 255)).convert(kind).save(path)
    assert np.array_equal(_read(path)[0], np.full((6, 8), 255))
    assert np.array_equal(_read(path, "RGB")[0], np.full((6, 8, 3), 255))


def test_truncated_image_is_unreadable(tmp_path: Path) -> None:
    path = tmp_path / "x.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64), np.uint8)).save(path)
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(UnreadableError):
        _read(path)


def _arrays(path: Path, **arrays: np.ndarray) -> npz.Listing:
    np.savez_compressed(path / "set.npz", **arrays)
    return npz.list_sources(path)


def test_medmnist_parts_and_colour(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    colour = rng.integers(0, 255, (4, 8, 8, 3), np.uint8)
    listing = _arrays(
        tmp_path, train_images=colour, val_images=colour[:2], test_images=colour[:3],
        train_labels=np.zeros((4, 1), np.uint8),
    )  # fmt: skip
    assert [source.part for source in listing.sources] == ["train", "select", "report"]
    frames = list(npz.frames(listing.sources[0], every=5, mode="RGB", warn=print))
    assert np.array_equal(np.stack(frames), colour)
    assert "9 images without subjects" in listing.notes[0]


def test_sixteen_bit_arrays_and_stated_subjects(tmp_path: Path) -> None:
    deep = (np.arange(3 * 4 * 4, dtype=np.uint16) << 8).reshape(3, 4, 4)
    listing = _arrays(tmp_path, images=deep, subjects=np.array(["a", "b", "a"]))
    (source,) = listing.sources
    assert source.frame_subjects == ("a", "b", "a")
    frames = list(npz.frames(source, every=1, mode="L", warn=lambda _: None))
    assert np.array_equal(np.stack(frames), (deep >> 8).astype(np.uint8))


@pytest.mark.parametrize(
    ("arrays", "reason"),
    [
        ({"images": np.zeros((4, 8, 8), np.float32)}, "float32 pixels"),
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
    (source,) = npz.list_sources(tmp_path).sources
    frames = npz.frames(source, every=1, mode="L", warn=print)
    assert next(frames).shape == next(frames).shape == (8, 8)
    with pytest.raises(UnreadableError, match="ends after 2 of 4 images"):
        next(frames)
