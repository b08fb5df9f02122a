"""Folders as they come: strays, masks, odd names, pipes, links, other formats; all of it said."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from bench.console import tables
from bench.data import companion_masks
from bench.data.description import describe
from bench.data.folder_scan import printable, scan
from bench.errors import BenchError
from tests.unit.data.conftest import Open, grey_pictures, write_images


def _notes(opened: Open, root: Path, **fields: object) -> str:
    return " | ".join(opened(root, **fields).notes)


def test_strays_do_not_decide_what_a_folder_is(opened: Open, tmp_path: Path) -> None:
    root = write_images(tmp_path / "data", grey_pictures(30))
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(root / "movie.gif")
    np.savez(root / "features.npz", vectors=np.zeros(3))
    cached = opened(root)
    assert len(cached.images) == 30
    assert "1 videos files beside them were not read: movie.gif" in cached.notes
    assert "1 npz files beside them were not read: features.npz" in cached.notes
    assert "movie" not in json.dumps(cached.record())


def test_a_folder_of_two_kinds_is_refused_until_one_is_chosen(opened: Open, tmp_path: Path) -> None:
    root = write_images(tmp_path / "data", grey_pictures(6))
    np.savez(root / "set.npz", images=np.stack(list(grey_pictures(5, seed=1).values())))
    with pytest.raises(BenchError, match=r"1 npz \(as set.npz\), 6 images") as error:
        opened(root)
    assert "--reader npz or --reader images" in str(error.value)
    assert len(opened(root, reader="images").images) == 6
    assert len(opened(root, reader="npz").images) == 5
    assert len(opened(root, include=("*.png",)).images) == 6
    assert len(opened(root, exclude=("*.npz", "b*")).images) == 5
    with pytest.raises(BenchError, match=r"nothing for the reader videos .* 6 images"):
        opened(root, reader="videos")
    with pytest.raises(BenchError, match="unknown reader 'image'; did you mean 'images'"):
        opened(root, reader="image")
    with pytest.raises(BenchError, match=r"leave none of the 7 files .*'ax0.png'"):
        opened(root, include=("*.jpg",))


def test_other_formats_are_named_and_counted(opened: Open, tmp_path: Path) -> None:
    dicom = tmp_path / "dicom"
    (dicom / "series").mkdir(parents=True)
    (dicom / "a.dcm").write_bytes(b"x")
    for name in ("series/IM0001", "series/1.2.840.7"):
        (dicom / name).write_bytes(bytes(128) + b"DICM and more")
    with pytest.raises(BenchError, match=r"nothing readable .*3 files skipped: a\.dcm \(no DICOM"):
        opened(dicom)
    write_images(dicom, {"preview.png": np.zeros((8, 8), np.uint8)})
    with pytest.raises(BenchError, match=r"3 dicom .*--reader dicom or --reader images"):
        opened(dicom)
    nifti = tmp_path / "nifti"
    nifti.mkdir()
    for name in ("a.nii", "b.nii.gz"):
        (nifti / name).write_bytes(b"x")
    with pytest.raises(
        BenchError, match=r"none of 2 files could be read: 2 files skipped: a\.nii \("
    ):
        opened(nifti, size=(8, 8, 8))


def test_names_of_any_bytes_are_read_and_shown(opened: Open, tmp_path: Path) -> None:
    root = tmp_path / "data"
    pictures = list(grey_pictures(5).values())
    names = [b"caf\xe9.png", b"[red]b[.png", b"new\nline.png", b"[/red]c.png"]
    (root / "[").mkdir(parents=True)
    for name, pixels in zip(names, pictures, strict=False):
        Image.fromarray(pixels).save(tmp_path / "one.png")
        os.rename(os.fsencode(tmp_path / "one.png"), os.path.join(os.fsencode(root), name))
    (root / "[" / "red]broken.png").write_bytes(b"nothing")
    cached = opened(root, group_by="(.*)")
    assert len(cached.images) == 4
    assert "1 files skipped: [/red]broken.png (not an image that Pillow knows)" in cached.notes
    with (tmp_path / "out.txt").open("w", encoding="utf-8", errors="strict") as out:
        picture = tmp_path / "[/bold].png"
        Console(file=out, width=200).print(tables.data(describe(cached), cached.notes, picture))
    shown = (tmp_path / "out.txt").read_text()
    assert "[/red]broken.png" in shown
    assert "[/bold].png" in shown


def test_printable_names_stay_and_others_become_escapes() -> None:
    assert printable("Häufig [1] 図.png") == "Häufig [1] 図.png"
    assert printable(os.fsdecode(b"caf\xe9\n\x1b.png")) == r"caf\udce9\n\x1b.png"


def test_pipes_links_and_closed_folders_are_passed_over_and_said(
    opened: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = write_images(tmp_path / "data", grey_pictures(5))
    os.mkfifo(root / "pipe.png")
    (root / "again").symlink_to(root)
    (root / "gone.png").symlink_to(root / "nowhere.png")
    write_images(root / "closed", grey_pictures(3, seed=1))
    real = os.scandir

    def scandir(place: str) -> object:
        if Path(place).name == "closed":
            raise PermissionError(13, "Permission denied", place)
        return real(place)

    monkeypatch.setattr(os, "scandir", scandir)
    cached = opened(root)
    assert len(cached.images) == 5
    for text in (
        "1 pipes, sockets or devices were not read: pipe.png",
        "1 links to folders were not followed: again",
        "1 files that cannot be reached: gone.png",
        "1 folders that cannot be listed: closed",
    ):
        assert text in cached.notes
        assert text.split(":")[0] in cached.record_notes
    with pytest.raises(BenchError, match="pipe, socket or device"):
        opened(root / "pipe.png")
    with pytest.raises(BenchError, match="closed cannot be listed: Permission denied"):
        scan(root / "closed")


def test_pages_left_out_are_said(opened: Open, tmp_path: Path) -> None:
    root = write_images(tmp_path / "data", grey_pictures(4))
    pages = [Image.fromarray(p) for p in grey_pictures(3, seed=1).values()]
    pages[0].save(root / "stack.tif", save_all=True, append_images=pages[1:])
    assert "1 files read in part: stack.tif (2 further pages not read)" in _notes(opened, root)


def _with_masks(root: Path, second: bool = False) -> Path:
    """BUSI's names: "benign (1).png" beside "benign (1)_mask.png"."""
    pictures = {f"benign ({i}).png": p for i, p in enumerate(grey_pictures(5).values())}
    masks = {
        name.replace(".png", "_mask.png"): (pixels > 128).astype(np.uint8) * 255
        for name, pixels in pictures.items()
    }
    if second:
        masks["benign (0)_mask_1.png"] = np.zeros((16, 16), np.uint8)
    return write_images(root, pictures | masks)


def test_one_mask_beside_each_image_is_its_mask(opened: Open, tmp_path: Path) -> None:
    cached = opened(_with_masks(tmp_path / "data"))
    assert len(cached.images) == 5
    assert cached.masks is not None
    assert np.array_equal(cached.masks, (cached.images > 128).astype(np.uint8))
    assert any("5 masks beside the images are kept as their masks" in n for n in cached.notes)
    Image.fromarray(np.zeros((16, 16), np.uint8)).save(tmp_path / "data" / "benign (0)_mask.png")
    assert opened(tmp_path / "data").digest != cached.digest
    Image.fromarray(np.zeros((8, 16), np.uint8)).save(tmp_path / "data" / "benign (0)_mask.png")
    odd = opened(tmp_path / "data")
    assert len(odd.images) == 4
    assert any("benign (0).png (its mask is 8x16, the image 16x16)" in n for n in odd.notes)


def test_masks_of_unlike_numbers_are_left_out(opened: Open, tmp_path: Path) -> None:
    cached = opened(_with_masks(tmp_path / "data", second=True))
    assert len(cached.images) == 5
    assert cached.masks is None
    assert not (cached.path / "masks.bin").exists()
    assert "6 masks beside 5 images were left out: not every image has exactly one" in (
        cached.record_notes
    )


@pytest.mark.parametrize(
    ("name", "is_mask"),
    [
        *[("a_mask.png", True), ("a-mask.tif", True), ("a_mask_1.png", True), ("a_seg.png", True)],
        *[("a_GT.bmp", True), ("a_Segmentation2.png", True), ("a.label.png", True)],
        *[("b_mask.png", False), ("amask.png", False), ("a_masked.png", False)],
        *[("a_1.png", False), ("other/a_mask.png", False)],
    ],
)
def test_which_names_are_masks(name: str, is_mask: bool) -> None:
    files = [(key, Path(key)) for key in ("a.png", name)]
    images, _, notes = companion_masks.split_off(files)
    assert (name not in [key for key, _ in images]) == is_mask
    assert bool(notes) == is_mask


def test_images_without_subjects_are_not_called_stated(opened: Open, tmp_path: Path) -> None:
    images = np.stack(list(grey_pictures(6).values()))
    np.savez(tmp_path / "set.npz", images=images)
    cached = opened(tmp_path / "set.npz")
    assert cached.record()["subjects_stated"] is False
    assert "6 images without subjects: each counts as its own" in cached.record_notes
    np.savez(tmp_path / "stated.npz", images=images, subjects=np.arange(6))
    assert opened(tmp_path / "stated.npz").record()["subjects_stated"] is True
