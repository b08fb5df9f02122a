"""A folder of DICOM files, at any depth of folders, or one file, through pydicom.

Files end in .dcm or .dicom, or carry the mark DICM whatever their name. The patient (PatientID, or
the study where it is empty) is the subject, by a hash: no name or number of a patient leaves this
module. Pixels keep their depth; what they mean is `bench.data.readers.dicom_values`. A file with
several frames gives each; those of moving pictures are thinned as a video's. Compressed pixels are
decoded with what is installed; the extra diffusion-bench[dicom] adds JPEG, JPEG-LS and JPEG 2000.
"""

from __future__ import annotations

import hashlib
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from bench.data.folder_scan import DataFolder, Note
from bench.data.readers.colour import to_mode
from bench.data.readers.reader import Frame, Listing, Mode, Pixels, Source, UnreadableError, Warn

SUFFIXES = frozenset({".dcm", ".dicom"})
LOOKS_FOR = "DICOM files at any depth (.dcm .dicom, or the mark DICM in any file)"
EXTRA = "pip install 'diffusion-bench[dicom]'"
_NO_PICTURES = {"SEG": "a segmentation", "RTSTRUCT": "contours", "SR": "a report", "PR": "a layout"}
_MOVING = ("FrameTime", "FrameTimeVector", "CineRate", "RecommendedDisplayFrameRate")
_REASON = 160  # characters of a decoder's complaint
_MOST_PIXELS = 2 * (Image.MAX_IMAGE_PIXELS or 0)  # of a frame: as Pillow refuses


def is_dicom(path: Path) -> bool:
    """Whether the file carries the mark of DICOM files."""
    try:
        with path.open("rb") as stream:
            return stream.read(132)[128:] == b"DICM"
    except OSError:
        return False


def _files(folder: DataFolder) -> Iterator[tuple[str, Path]]:
    for key, path in folder.files:
        if key.lower().endswith(tuple(SUFFIXES)) or is_dicom(path):
            yield key, path


def matches(folder: DataFolder) -> bool:
    return any(True for _ in _files(folder))


@dataclass(frozen=True, kw_only=True)
class _Header:
    """What the listing needs of one file; nothing in it names a patient."""

    subject: str | None
    is_by_study: bool
    says: tuple[str, ...]  # each a line of the notes, counted over files


def list_sources(folder: DataFolder) -> Listing:
    sources, skipped = [], []
    said: Counter[str] = Counter()
    for key, path in sorted(_files(folder)):
        try:
            header = _header(path)
        except UnreadableError as error:
            skipped.append((key, str(error)))
            continue
        said.update(header.says)
        said["name no patient: their study is the subject"] += header.is_by_study
        sources.append(Source(key=key, path=path, subject=header.subject))
    notes = [Note(text=f"{count} DICOM files {what}") for what, count in said.items() if count]
    return Listing(sources=tuple(sources), skipped=tuple(skipped), notes=tuple(notes))


def _header(path: Path) -> _Header:
    """Raises UnreadableError for a file without pictures, or one that cannot be decoded here."""
    from bench.data.readers.dicom_values import remarks

    with _quietly(path):
        data = _read(path)
        kind = str(data.get("Modality", ""))
        if kind in _NO_PICTURES or "Rows" not in data:
            raise UnreadableError(f"{_NO_PICTURES.get(kind, 'DICOM without pixels')}: no picture")
        syntax = data.file_meta.TransferSyntaxUID
        says = [*remarks(data)]
        if syntax.is_compressed and syntax.is_encapsulated:
            _check_decoder(syntax)
            says.append(f"are compressed ({syntax.name})")
        frames = _frame_count(data)
        if frames > 1:
            says.append("hold several frames: each is a picture")
        patient, study = (str(data.get(n, "")).strip() for n in ("PatientID", "StudyInstanceUID"))
        return _Header(
            subject=_hashed(patient or study) if patient or study else None,
            is_by_study=bool(study) and not patient,
            says=tuple(says),
        )


def _hashed(name: str) -> str:
    return "patient " + hashlib.blake2b(name.encode(), digest_size=8, key=b"DICOM").hexdigest()


def _read(path: Path) -> Any:
    from pydicom import dcmread
    from pydicom.errors import InvalidDicomError

    try:
        data = dcmread(path, stop_before_pixels=True)
    except InvalidDicomError:
        raise UnreadableError("no DICOM file: it lacks the mark DICM") from None
    if "TransferSyntaxUID" not in data.file_meta:
        raise UnreadableError("it does not state its transfer syntax")
    return data


def _check_decoder(syntax: Any) -> None:
    from pydicom.pixels import get_decoder

    try:
        is_available = get_decoder(syntax).is_available
    except NotImplementedError:
        raise UnreadableError(f"{syntax.name} is not decoded") from None
    if not is_available:
        raise UnreadableError(f"{syntax.name}: its decoder is not installed; {EXTRA}")


def _frame_count(data: Any) -> int:
    return int(data.get("NumberOfFrames") or 1)


def frames(source: Source, *, every: int, mode: Mode, warn: Warn) -> Iterator[Frame]:
    from pydicom.pixels import iter_pixels

    from bench.data.readers.dicom_values import shown

    with _quietly(source.path):
        data = _read(source.path)
        if "Rows" not in data:
            raise UnreadableError("DICOM without pixels: no picture")
        if data.Rows * data.Columns > _MOST_PIXELS:
            raise UnreadableError(f"{data.Rows}x{data.Columns} pixels: more than is safe to decode")
        syntax = data.file_meta.TransferSyntaxUID
        if syntax.is_compressed and syntax.is_encapsulated:
            _check_decoder(syntax)
        count = _frame_count(data)
        is_moving = count > 1 and (any(n in data for n in _MOVING) or data.get("Modality") == "US")
        wanted = range(0, count, every if is_moving else 1)
        stored = iter_pixels(source.path, indices=wanted)
    for index in wanted:
        with _quietly(source.path):
            pixels, stated = shown(np.asarray(next(stored)), data, index)
        yield Frame(pixels=to_mode(pixels, mode), stated_range=stated)


@contextmanager
def _quietly(path: Path) -> Iterator[None]:
    """Every failure within becomes an UnreadableError that does not name the file; pydicom's
    warnings of odd headers are not shown."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except UnreadableError:
        raise
    except Exception as error:  # damaged bytes raise anything, from pydicom and from its decoders
        text = " ".join(str(error).replace(str(path), "the file").split())
        reason = text if len(text) < _REASON else text[:_REASON] + "..."
        raise UnreadableError(reason.rstrip(".") or type(error).__name__) from error


def write_example(root: Path, clips: Mapping[str, Pixels]) -> None:
    for name, pixels in clips.items():
        (root / name).mkdir(parents=True, exist_ok=True)
        for index, image in enumerate(pixels):
            write_file(root / name / f"image_{index:04d}.dcm", image, PatientID=name)


def write_file(path: Path, pixels: Pixels, **elements: Any) -> None:
    """Writes uint8, uint16 or int16 [H, W], [T, H, W] or, of colour, [H, W, 3] uncompressed.

    `elements` are further data elements by keyword, or other values of those set here.
    """
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage

    data = Dataset()
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data.file_meta.MediaStorageSOPClassUID = data.SOPClassUID = SecondaryCaptureImageStorage
    instance = hashlib.blake2b(pixels.tobytes(), digest_size=8).digest()
    data.file_meta.MediaStorageSOPInstanceUID = f"2.25.{int.from_bytes(instance, 'big')}"
    data.SOPInstanceUID = data.file_meta.MediaStorageSOPInstanceUID
    is_colour = pixels.ndim == 3 and pixels.shape[2] == 3
    height, width = pixels.shape[:2] if is_colour else pixels.shape[-2:]
    data.Modality = "OT"
    data.Rows, data.Columns = height, width
    data.SamplesPerPixel = 3 if is_colour else 1
    data.PhotometricInterpretation = "RGB" if is_colour else "MONOCHROME2"
    if is_colour:
        data.PlanarConfiguration = 0
    elif pixels.ndim == 3:
        data.NumberOfFrames = len(pixels)
    bits = 8 * pixels.dtype.itemsize
    data.BitsAllocated, data.BitsStored, data.HighBit = bits, bits, bits - 1
    data.PixelRepresentation = int(pixels.dtype.kind == "i")
    data.PixelData = pixels.tobytes() + b"\0" * (pixels.nbytes % 2)
    for name, value in elements.items():
        setattr(data, name, value)
    data.HighBit = data.BitsStored - 1
    data.save_as(path, enforce_file_format=True)
