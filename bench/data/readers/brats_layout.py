"""BraTS' official layout (Menze et al. 2015; here the names of 2020), as downloaded.

    BraTS20_Training_001/BraTS20_Training_001_t1.nii.gz      T1
                         BraTS20_Training_001_t1ce.nii.gz    T1 with contrast agent
                         BraTS20_Training_001_t2.nii.gz      T2
                         BraTS20_Training_001_flair.nii.gz   T2-FLAIR
                         BraTS20_Training_001_seg.nii.gz     0; 1 necrotic core, 2 oedema, 4 rim

Files end in .nii or .nii.gz, in folders at any depth; other years' names (BraTS2021_00000,
Brats18_...) fit too. A patient is one volume of four channels, t1, t1ce, t2, flair, and one mask of
the classes 0 to 3: 4 becomes 3. Each modality is normalised over its own brain, the voxels above 0
(`bench.data.readers.volume_intensity`). Patients without seg, as the official validation set, are
left out, and said. One official file, that of BraTS20_Training_355, is called ..._Segm.nii: the one
further file of a folder is its seg where its name says so.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.data.folder_scan import DataFolder, Note
from bench.data.readers import nifti_file
from bench.data.readers.reader import Frame, Listing, Mode, Pixels, Source, UnreadableError, Warn
from bench.data.readers.volume_intensity import BACKGROUND, RANGE, normalised

SUFFIXES: frozenset[str] = frozenset()  # known by the names of its folders
LOOKS_FOR = "BraTS (folders BraTS20_Training_001 with ..._t1, _t1ce, _t2, _flair, _seg as NIfTI)"
MODALITIES = ("t1", "t1ce", "t2", "flair")
STORED = (0, 1, 2, 4)  # labels in the files; their places here are the classes
MASK_NAMES = ("necrotic core", "oedema", "enhancing")
_CASE = re.compile(r"brats\d*[_-]", re.IGNORECASE)
_IS_SEG = re.compile(r"seg", re.IGNORECASE)
Files = dict[str, tuple[str, Path]]  # of a patient: (key, path) by modality, and "seg"


def _patients(folder: DataFolder) -> tuple[dict[str, Files], list[str]]:
    """The files of each patient by its folder's key, and the patients whose seg has a name of its
    own."""
    found: defaultdict[str, Files] = defaultdict(dict)
    further: defaultdict[str, list[tuple[str, Path]]] = defaultdict(list)
    for key, path in folder.ending_in(nifti_file.SUFFIXES):
        home = PurePosixPath(key).parent
        case = home.name or folder.root.name
        if not _CASE.match(case):
            continue
        name = PurePosixPath(nifti_file.stem(key)).name
        kind = name.removeprefix(f"{case}_").lower()
        if kind in (*MODALITIES, "seg") and name != kind:
            found[home.as_posix()].setdefault(kind, (key, path))
        else:
            further[home.as_posix()].append((key, path))
    renamed = []
    for home_key, files in found.items():
        others = [one for one in further[home_key] if _IS_SEG.search(PurePosixPath(one[0]).name)]
        if "seg" not in files and len(others) == 1:
            files["seg"] = others[0]
            renamed.append(others[0][0])
    return dict(found), renamed


def matches(folder: DataFolder) -> bool:
    return bool(_patients(folder)[0])


def list_sources(folder: DataFolder) -> Listing:
    patients, renamed = _patients(folder)
    sources: list[Source] = []
    skipped: list[tuple[str, str]] = []
    unlabelled: list[str] = []
    listing_files: list[Path] = []
    for key, files in sorted(patients.items()):
        case = folder.root.name if key == "." else PurePosixPath(key).name
        missing = [kind for kind in MODALITIES if kind not in files]
        if missing:
            skipped.append((key, f"no {', no '.join(missing)}"))
        elif "seg" not in files:
            unlabelled.append(key)
        else:
            paths = tuple(files[kind][1] for kind in MODALITIES)
            mask_path = files["seg"][1]
            listing_files += [*paths[1:], mask_path]
            sources.append(
                Source(
                    key=key,
                    path=paths[0],
                    subject=case,
                    channels=len(MODALITIES),
                    dims=3,
                    channel_paths=paths,
                    mask_path=mask_path,
                    size=_size(paths[0]),
                )
            )
    notes = []
    if unlabelled:
        text = f"{len(unlabelled)} patients have no seg, as the official validation set: left out"
        notes.append(Note(text=text, files=tuple(unlabelled)))
    if renamed:
        text = f"{len(renamed)} patients' seg has a name of its own: taken all the same"
        notes.append(Note(text=text, files=tuple(renamed)))
    return Listing(
        sources=tuple(sources),
        listing_files=tuple(listing_files),
        skipped=tuple(skipped),
        notes=tuple(notes),
        mask_names=MASK_NAMES,
    )


def _size(path: Path) -> tuple[int, ...] | None:
    try:
        return nifti_file.read_header(path).shape
    except UnreadableError:
        return None  # decoding gives the reason


def frames(source: Source, *, every: int, mode: Mode, warn: Warn) -> Iterator[Frame]:
    assert source.mask_path is not None, "a patient without seg is no source"
    seg = _named("seg", source.mask_path)
    mask = _classes(seg)
    channels, clipped = [], []
    for kind, path in zip(MODALITIES, source.channel_paths, strict=True):
        volume = _named(kind, path)
        nifti_file.check_together(volume, seg, (kind, "seg"))
        try:
            scaled = normalised(volume.voxels, volume.voxels > 0)
        except UnreadableError as error:
            raise UnreadableError(f"{kind}: {error}") from error
        channels.append(scaled.values)
        clipped.append(scaled.clipped)
    yield Frame(
        pixels=np.stack(channels, axis=-1),
        stated_range=RANGE,
        masks=mask[None],
        spacing=seg.spacing,
        background=BACKGROUND,
        clipped=float(np.mean(clipped)),
    )


def _named(kind: str, path: Path) -> nifti_file.NiftiVolume:
    try:
        return nifti_file.read_volume(path)
    except UnreadableError as error:
        raise UnreadableError(f"{kind}: {error}") from error


def _classes(seg: nifti_file.NiftiVolume) -> NDArray[np.uint8]:
    """uint8 [R, A, S]: places in STORED."""
    held = np.unique(seg.voxels)
    wrong = [f"{value:g}" for value in held.tolist() if value not in STORED]
    if wrong:
        some = ", ".join(wrong[:3]) + (", ..." if wrong[3:] else "")
        stored = ", ".join(map(str, STORED))
        raise UnreadableError(f"seg: it holds the labels {some}; BraTS has {stored}")
    return np.searchsorted(STORED, seg.voxels).astype(np.uint8)


def write_patient(
    root: Path,
    case: str,
    modalities: Mapping[str, NDArray[np.int16]],
    seg: NDArray[np.uint8],
    affine: NDArray[np.float64],
) -> None:
    """Writes one patient's folder: int16 voxels by modality, and labels of STORED, [i, j, k]."""
    (root / case).mkdir(parents=True)
    files: dict[str, NDArray[Any]] = {**modalities, "seg": seg}
    for kind, voxels in files.items():
        nifti_file.write_volume(root / case / f"{case}_{kind}.nii.gz", voxels, affine)


def write_example(root: Path, clips: Mapping[str, Pixels]) -> None:
    """Each clip is a patient's volume, the same in all modalities; its brightest half is oedema."""
    for number, pixels in enumerate(clips.values(), start=1):
        voxels = pixels.astype(np.int16)
        seg = np.where(voxels > np.median(voxels), 2, 0).astype(np.uint8)
        case = f"BraTS20_Training_{number:03d}"
        write_patient(root, case, dict.fromkeys(MODALITIES, voxels), seg, np.eye(4))
