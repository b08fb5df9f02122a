"""NIfTI volumes (.nii, .nii.gz) of one channel, with label maps in a folder beside them.

    images/a.nii.gz        labels/a.nii.gz         any pair of folders images* and labels*
    imagesTr/a_0000.nii.gz labelsTr/a.nii.gz       the Medical Segmentation Decathlon, nnU-Net
    a.nii.gz               a_seg.nii.gz            masks beside images (bench.data.companion_masks)

Images without a label, and labels without an image, are left out by name. Where no folder has
labels, all files are images without masks. Labels are whole numbers of 0 to 254, kept as they are;
a dataset.json that names them is believed, and a label beyond its classes leaves its image out. Of
nnU-Net's channels the first, _0000, is read. Intensities are normalised over the volume's object
(`bench.data.readers.volume_intensity`): all of it, or what is above its lowest value where that
surrounds the object. Who is in which file is guessed from names, or stated by --group-by.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import numpy as np

from bench.data import companion_masks
from bench.data.folder_scan import DataFolder, Note, printable
from bench.data.readers import nifti_file
from bench.data.readers.reader import Frame, Listing, Mode, Pixels, Source, UnreadableError, Warn
from bench.data.readers.volume_intensity import BACKGROUND, RANGE, normalised, object_of

SUFFIXES = nifti_file.SUFFIXES
LOOKS_FOR = "NIfTI volumes (.nii .nii.gz), with label maps in a folder labels* beside images*"
NAMES_FILE = "dataset.json"
_IMAGES, _LABELS = re.compile(r"images?", re.IGNORECASE), re.compile(r"labels?", re.IGNORECASE)
_CHANNEL = re.compile(r"_(\d{4})$")  # of nnU-Net
File = tuple[str, Path]


@dataclass(kw_only=True)
class _Pairing:
    """Images in order, the label file of some, and what was left out."""

    images: list[File] = field(default_factory=list)
    labels: dict[str, Path] = field(default_factory=dict)  # by the image's key
    skipped: list[tuple[str, str]] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)


def matches(folder: DataFolder) -> bool:
    return bool(folder.ending_in(SUFFIXES))


def list_sources(folder: DataFolder) -> Listing:
    files = folder.ending_in(SUFFIXES)
    pairing = _by_folders(files)
    if pairing is None:
        pairing = _Pairing()
        images, masks, notes = companion_masks.split_off(files)
        pairing.images, pairing.notes = _first_channels(images, pairing.skipped), list(notes)
        pairing.labels = dict(masks)
    names_file, names = _mask_names(folder.root) if pairing.labels else (None, ())
    sources = []
    unoriented = 0
    for key, path in sorted(pairing.images):
        label = pairing.labels.get(key)
        source = Source(
            key=key, path=path, mask_path=label, mask_classes=len(names) or None, channels=1, dims=3
        )
        with contextlib.suppress(UnreadableError):  # decoding gives the reason
            header = nifti_file.read_header(path)
            unoriented += not header.is_oriented
            source = dataclasses.replace(source, size=header.shape)
        sources.append(source)
    if unoriented:
        text = f"{unoriented} files state no orientation: their first axis is taken to run left"
        pairing.notes.append(Note(text=text))
    return Listing(
        sources=tuple(sources),
        listing_files=(*pairing.labels.values(), *([] if names_file is None else [names_file])),
        skipped=tuple(pairing.skipped),
        notes=tuple(pairing.notes),
        mask_names=names,
    )


def _by_folders(files: Sequence[File]) -> _Pairing | None:
    """Images and labels of folders called images* and labels*; None without such a pair."""
    homes = Counter(PurePosixPath(key).parent for key, _ in files)
    pairs = {
        home: next((other for other in homes if _belongs(home, other)), None) for home in homes
    }
    label_homes = {other for other in pairs.values() if other is not None}
    if not label_homes:
        return None
    pairing = _Pairing()
    bare: list[str] = []
    by_name: dict[tuple[PurePosixPath, str], File] = {}
    for key, path in files:
        home = PurePosixPath(key).parent
        if home in label_homes:
            by_name[home, _name(key)] = (key, path)
    used: set[str] = set()
    images = [one for one in files if PurePosixPath(one[0]).parent not in label_homes]
    for key, path in _first_channels(images, pairing.skipped):
        labels_home = pairs[PurePosixPath(key).parent]
        if labels_home is None:
            bare.append(key)
            continue
        name = _name(key)
        found = by_name.get((labels_home, name)) or by_name.get(
            (labels_home, _CHANNEL.sub("", name))
        )
        if found is None:
            pairing.skipped.append((key, f"no label of its name in {labels_home}"))
            continue
        used.add(found[0])
        pairing.images.append((key, path))
        pairing.labels[key] = found[1]
    for key, _ in by_name.values():
        if key not in used:
            pairing.skipped.append((key, "a label without an image of its name"))
    if bare:
        text = f"{len(bare)} images in folders without labels beside those with some: left out"
        pairing.notes.append(Note(text=text, files=tuple(bare)))
    return pairing


def _belongs(images: PurePosixPath, labels: PurePosixPath) -> bool:
    """imagesTr and labelsTr in one folder."""
    first, other = _IMAGES.match(images.name), _LABELS.match(labels.name)
    return (
        first is not None
        and other is not None
        and images.parent == labels.parent
        and images.name[first.end() :] == labels.name[other.end() :]
    )


def _first_channels(images: Sequence[File], skipped: list[tuple[str, str]]) -> list[File]:
    """Without nnU-Net's further channels _0001, _0002, where there is a _0000 to them."""
    keys = {nifti_file.stem(key) for key, _ in images}
    first = []
    for key, path in images:
        base = nifti_file.stem(key)
        channel = _CHANNEL.search(base)
        if channel and channel[1] != "0000" and _CHANNEL.sub("_0000", base) in keys:
            skipped.append((key, "a further channel: the first, _0000, is read"))
        else:
            first.append((key, path))
    return first


def _name(key: str) -> str:
    return PurePosixPath(nifti_file.stem(key)).name


def _mask_names(root: Path) -> tuple[Path | None, tuple[str, ...]]:
    """The file that names the classes and their names from 1 on; none where it does not."""
    path = root / NAMES_FILE
    try:
        labels = json.loads(path.read_bytes())["labels"]
        # the Decathlon maps numbers to names, nnU-Net names to numbers
        by_number = {
            int(a if str(a).isdigit() else b): printable(str(b if str(a).isdigit() else a))
            for a, b in labels.items()
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None, ()
    if set(by_number) != set(range(len(by_number))) or len(by_number) < 2:
        return None, ()
    return path, tuple(by_number[number] for number in range(1, len(by_number)))


def frames(source: Source, *, every: int, mode: Mode, warn: Warn) -> Iterator[Frame]:
    volume = nifti_file.read_volume(source.path)
    masks = None
    if source.mask_path is not None:
        try:
            classes, label = nifti_file.read_classes(source.mask_path)
        except UnreadableError as error:
            raise UnreadableError(f"its label: {error}") from error
        if source.mask_classes is not None and classes.max() > source.mask_classes:
            raise UnreadableError(
                f"its label holds {classes.max()}, and {NAMES_FILE} names classes to "
                f"{source.mask_classes}"
            )
        nifti_file.check_together(label, volume, ("label", "image"))
        masks = classes[None]
    scaled = normalised(volume.voxels, object_of(volume.voxels))
    yield Frame(
        pixels=scaled.values[..., None],
        stated_range=RANGE,
        masks=masks,
        spacing=volume.spacing,
        background=BACKGROUND,
        clipped=scaled.clipped,
    )


def write_example(root: Path, clips: Mapping[str, Pixels]) -> None:
    """Each clip is a volume; its brightest half is class 1."""
    for folder in ("images", "labels"):
        (root / folder).mkdir(parents=True)
    for name, pixels in clips.items():
        voxels = pixels.astype(np.int16)
        label = (voxels > np.median(voxels)).astype(np.uint8)
        nifti_file.write_volume(root / "images" / f"{name}.nii.gz", voxels, np.eye(4))
        nifti_file.write_volume(root / "labels" / f"{name}.nii.gz", label, np.eye(4))
