"""open_data at every depth, aspect and dimension, with labels, masks and vectors beside images."""

from __future__ import annotations

import csv
import json
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest

from bench.data.cache import CachedImages, load_cache
from bench.data.readers import echonet
from bench.data.value_range import as_float
from bench.errors import BenchError
from tests.unit.data.conftest import Open, grey_pictures, write_images


def _sigma(cached: CachedImages) -> float:
    low, high = cached.value_range
    x = 2 * (np.asarray(cached.images, np.float64) - low) / (high - low) - 1
    return float(x[cached.parts["train"]].std())


@pytest.mark.parametrize(("bits", "high"), [(12, 4095), (10, 1023), (16, 65535)])
def test_sixteen_bit_pictures_keep_depth_and_bits(
    opened: Open, tmp_path: Path, bits: int, high: int
) -> None:
    deep = {
        name: (pixels.astype(np.uint16) << (bits - 8)) + 1
        for name, pixels in grey_pictures(6).items()
    }
    cached = opened(write_images(tmp_path / "deep", deep))
    assert cached.images.dtype == np.uint16
    assert cached.value_range == (0, high)
    assert np.array_equal(np.sort(cached.images[:, 0], 0), np.sort(list(deep.values()), 0))
    assert cached.sigma_data == pytest.approx(_sigma(cached), rel=1e-12)
    assert any(f"taken for {bits}-bit data" in note for note in cached.record_notes)
    x = as_float(cached.images, cached.value_range)
    assert x.min() < -0.99  # not "nearly black": the whole range is used
    assert x.max() > 0.95
    asked = opened(tmp_path / "deep", value_range=(0.0, 131070.0))
    assert asked.sigma_data == pytest.approx(cached.sigma_data * high / 131070, rel=1e-9)


def test_floating_point_arrays_keep_their_own_range(opened: Open, tmp_path: Path) -> None:
    values = np.random.default_rng(0).normal(10, 5, (20, 16, 16)).astype(np.float32)
    np.savez(tmp_path / "set.npz", images=values)
    cached = opened(tmp_path / "set.npz")
    assert cached.images.dtype == np.float32
    assert np.array_equal(cached.images[:, 0], values)
    assert cached.value_range == (float(values.min()), float(values.max()))
    assert cached.sigma_data == pytest.approx(_sigma(cached), rel=1e-10)
    assert any("no range is stated" in note for note in cached.record_notes)


def test_values_outside_a_stated_range_are_clipped_and_said(opened: Open, tmp_path: Path) -> None:
    values = np.random.default_rng(0).uniform(0, 1, (20, 16, 16)).astype(np.float32)
    np.savez(tmp_path / "set.npz", images=values, value_range=np.array([0.25, 2.0]))
    cached = opened(tmp_path / "set.npz")
    assert cached.value_range == (0.25, 2.0)
    assert np.array_equal(cached.images[:, 0], np.clip(values, 0.25, 2))
    share = float((values < 0.25).mean())
    assert f"{share:.2g} of all pixel values lie outside 0.25..2: clipped" in cached.notes


def test_depths_of_one_folder_are_raised_to_the_widest(opened: Open, tmp_path: Path) -> None:
    pictures = grey_pictures(6)
    mixed = {
        name: pixels if i % 2 else pixels.astype(np.uint16) * 257
        for i, (name, pixels) in enumerate(pictures.items())
    }
    cached = opened(write_images(tmp_path / "mixed", mixed))
    assert cached.images.dtype == np.uint16
    assert cached.value_range == (0, 65535)
    assert np.array_equal(cached.images[:, 0], np.stack(list(pictures.values())) * np.uint16(257))
    text = "frames of several depths (3 uint16, 3 uint8): all kept as uint16, each from its own"
    assert any(note.startswith(text) for note in cached.record_notes)


def test_not_finite_pixels_are_skipped(opened: Open, tmp_path: Path) -> None:
    pictures = {n: p.astype(np.float32) for n, p in grey_pictures(5, ending=".tiff").items()}
    next(iter(pictures.values()))[3, 3] = np.nan
    cached = opened(write_images(tmp_path / "data", pictures))
    assert len(cached.images) == 4
    assert any("pixels that are not finite" in note for note in cached.notes)


@pytest.mark.parametrize("fit", ["crop", "pad"])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_any_aspect_is_cropped_or_padded_and_said(
    opened: Open, tmp_path: Path, fit: str, dtype: str
) -> None:
    values = np.random.default_rng(0).integers(100, 250, (8, 20, 40)).astype(dtype)
    if dtype == "float32":
        values -= 300  # 0 is not the lowest
    np.savez(tmp_path / "set.npz", images=values)
    cached = opened(tmp_path / "set.npz", size=(10, 10), fit=fit)
    rim, middle = cached.images[:, 0, [0, 1, 8, 9]], cached.images[:, 0, 3:7]
    low = cached.value_range[0]
    assert (middle > low).any()
    assert (rim == low).all() == (fit == "pad")
    assert np.isfinite(cached.images).all()
    word = {"crop": "their centre was cut out", "pad": "padded with the range's lowest"}[fit]
    assert any("8 frames have another aspect than 10x10: " + word in n for n in cached.notes)
    assert cached.record()["settings"]["fit"] == fit
    wide = opened(tmp_path / "set.npz", size=(10, 20), fit=fit)
    assert wide.images.shape == (8, 1, 10, 20)
    assert not any("aspect" in note for note in wide.notes)
    assert wide.digest != cached.digest


def _volumes(path: Path, **more: np.ndarray) -> np.ndarray:
    rng = np.random.default_rng(0)
    volumes = rng.integers(0, 1024, (9, 6, 8, 10, 2)).astype(np.uint16)
    np.savez(path, volumes=volumes, subjects=np.arange(9), **more)
    return volumes


def test_volumes_with_channels_and_masks(opened: Open, tmp_path: Path) -> None:
    masks = np.random.default_rng(1).integers(0, 3, (9, 6, 8, 10), np.uint8)
    volumes = _volumes(tmp_path / "v.npz", masks=masks, labels=np.arange(9) % 2)
    cached = opened(tmp_path / "v.npz", size=(6, 8, 10))
    assert cached.images.shape == (9, 2, 6, 8, 10)
    assert np.array_equal(np.moveaxis(cached.images, 1, -1), volumes)
    assert cached.value_range == (0, 1023)
    assert cached.masks is not None
    assert np.array_equal(cached.masks[:, 0], masks)
    assert cached.labels is not None
    assert cached.labels.tolist() == [i % 2 for i in range(9)]
    small = opened(tmp_path / "v.npz", size=(4, 4, 5), fit="pad")
    assert small.images.shape == (9, 2, 4, 4, 5)
    assert small.masks is not None
    assert small.masks.shape == (9, 1, 4, 4, 5)
    assert set(np.unique(small.masks)) <= {0, 1, 2}


def test_a_size_of_the_wrong_dimensions_is_refused(opened: Open, tmp_path: Path) -> None:
    _volumes(tmp_path / "v.npz")
    with pytest.raises(BenchError, match=r"volumes: give the size as DxHxW \(--size\)"):
        opened(tmp_path / "v.npz", size=(8, 8))
    root = write_images(tmp_path / "pictures", grey_pictures(4))
    with pytest.raises(BenchError, match="images: give the size as HxW"):
        opened(root, size=(8, 8, 8))


def test_labels_masks_and_caps_stay_with_their_images(opened: Open, tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 200, (24, 16, 16), np.uint8)
    images[:, 0, 0] = np.arange(24)
    masks = (images > 90).astype(np.uint8)
    np.savez(
        tmp_path / "set.npz", images=images, masks=masks, labels=np.arange(24) % 3 + 9,
        subjects=np.arange(24) % 4,
    )  # fmt: skip
    cached = opened(tmp_path / "set.npz", max_frames_per_subject=4)
    rows = cached.images[:, 0, 0, 0].astype(int)
    assert len(rows) == 16
    assert cached.labels is not None
    assert cached.masks is not None
    assert cached.label_names == ("9", "10", "11")
    assert np.array_equal(cached.labels, rows % 3)
    assert np.array_equal(cached.masks[:, 0], masks[rows])
    counts = cached.label_counts()
    assert {part: sum(n) for part, n in counts.items()} == {
        part: len(indices) for part, indices in cached.parts.items()
    }
    assert all(n[-1] == 0 for n in counts.values())
    assert cached.record()["labels"] == counts


def test_labels_come_from_the_path_when_asked(opened: Open, tmp_path: Path) -> None:
    pictures = {
        f"{kind}/{name}": pixels
        for k, kind in enumerate(("SECRET", "normal"))
        for name, pixels in grey_pictures(6, seed=k).items()
    }
    pictures["other.png"] = grey_pictures(1, seed=9)["ax0.png"]
    root = write_images(tmp_path / "data", pictures)
    assert opened(root).labels is None
    cached = opened(root, label_by="^([^/]+)/")
    assert cached.label_names == ("SECRET", "normal")
    assert cached.labels is not None
    assert cached.labels.tolist() == [0] * 6 + [1] * 6 + [-1]
    assert any("no class in 1 of 13 files" in note for note in cached.record_notes)
    assert "SECRET" not in json.dumps(cached.record())
    with pytest.raises(BenchError, match=r"--label-by 'zzz' matches none of the 13 paths"):
        opened(root, label_by="zzz")
    with pytest.raises(BenchError, match=r"--label-by '\(' is no regular expression"):
        opened(root, label_by="(")


def test_ejection_fraction_is_the_vector_of_echonet(opened: Open, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    clips = {f"v{i}": rng.integers(0, 256, (2, 16, 16), np.uint8) for i in range(6)}
    echonet.write_example(tmp_path / "e", clips)
    listing = tmp_path / "e" / "FileList.csv"
    rows = list(csv.reader(listing.open()))
    for i, row in enumerate(rows[1:]):
        row[1] = str(50 + i) if i else "unknown"
    with listing.open("w", newline="") as stream:
        csv.writer(stream).writerows(rows)
    cached = opened(tmp_path / "e")
    assert cached.vector_names == ("EF",)
    assert cached.vector is not None
    assert np.isnan(cached.vector[:2]).all()
    assert cached.vector[2:, 0].tolist() == [51, 51, 52, 52, 53, 53, 54, 54, 55, 55]
    assert any("1 videos have no EF" in note for note in cached.record_notes)
    again = load_cache(cached.path)
    assert again.vector is not None
    assert np.array_equal(again.vector, cached.vector, equal_nan=True)


def test_x_rays_of_several_depths_keep_the_range_of_each(opened: Open, tmp_path: Path) -> None:
    """8 bits, 12 of 16 by sBIT, and RGBA, as mixed exports have them: none becomes nearly black."""
    rng = np.random.default_rng(0)
    shares = rng.uniform(0, 1, (9, 16, 16))
    root = tmp_path / "mixed"
    write_images(root, {f"a{i}.png": (255 * shares[i]).astype(np.uint8) for i in range(3)})
    deep = {f"b{i}.png": (4095 * shares[i]).astype(np.uint16) for i in range(3, 6)}
    write_images(root, deep)
    for name in deep:
        raw, chunk = (root / name).read_bytes(), b"sBIT\x0c"
        body = struct.pack(">I", 1) + chunk + struct.pack(">I", zlib.crc32(chunk))
        (root / name).write_bytes(raw[:33] + body + raw[33:])
    grey = (255 * shares[6:]).astype(np.uint8)
    opaque = np.full((3, 16, 16), 255, np.uint8)
    opaque[2, :4] = 0
    rgba = np.stack([grey, grey, grey, opaque], axis=-1)
    write_images(root, {f"c{i}.png": rgba[i] for i in range(3)})
    cached = opened(root)
    assert cached.images.shape == (9, 1, 16, 16)
    assert cached.value_range == (0, 4095)
    x = as_float(cached.images, cached.value_range)
    # half a step of 8 bits and one of 12, in a range of 2, and what truncation loses
    assert np.abs(x[:, 0] - (2 * shares - 1)).max() < 2 * (1 / 255 + 1 / 4095)
    notes = " ".join(cached.notes)
    assert "6 uint8, 3 uint16" in notes
    assert "c2.png (transparent in parts: read as if it were not)" in notes
