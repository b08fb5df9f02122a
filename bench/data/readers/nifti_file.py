"""One NIfTI file in and out (.nii, .nii.gz; NIfTI-1 and -2), through nibabel: the only module that
imports it.

Voxels come in the canonical orientation: axis 0 towards the patient's right, axis 1 to the front
(anterior), axis 2 up (superior), whatever the file's own order is. The spacing is that of the
affine, in millimetres. nibabel mends odd headers in silence (a spacing of 0 becomes 1): headers are
therefore read unchecked first, and what cannot be believed is refused.
"""

from __future__ import annotations

import gzip
import io
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.data.readers.reader import UnreadableError

SUFFIXES = frozenset({".nii", ".nii.gz"})
LARGEST_CLASS = 254  # of a label file: kept in a byte, and 255 is no class in many sets
AFFINE_TOLERANCE = 1e-3  # mm, between two files that should lie on each other
_MM = {"mm": 1.0, "meter": 1e3, "micron": 1e-3, "unknown": 1.0}
_GZIP_FACTOR = 1032  # no gzip file holds more than so many times its own bytes
_PORTION = 1 << 20
_REASON = 160  # characters of nibabel's complaint
_LEVEL = 1  # of gzip: noise hardly becomes smaller with more

Triple = tuple[float, float, float]


@dataclass(frozen=True, kw_only=True)
class NiftiHeader:
    """What a file says of itself. shape and spacing (mm) are in canonical order: right, front, up.

    is_oriented: the file states its orientation; without it, nibabel takes the first axis to run
    to the patient's left.
    """

    shape: tuple[int, int, int]
    spacing: Triple
    is_oriented: bool


@dataclass(frozen=True, kw_only=True)
class NiftiVolume:
    """Voxels [R, A, S] of any number type, finite, scaled as the file says; spacing in mm.

    affine: float64 [4, 4], from voxels of this array to mm.
    """

    voxels: NDArray[Any]
    spacing: Triple
    affine: NDArray[np.float64]


def stem(key: str) -> str:
    """A file's name or key without .nii or .nii.gz, whatever their case."""
    for suffix in sorted(SUFFIXES, key=len, reverse=True):
        if key.lower().endswith(suffix):
            return key[: -len(suffix)]
    return key


def read_header(path: Path) -> NiftiHeader:
    """Raises UnreadableError for a file without one, of other than three dimensions, or one whose
    spacing is not three positive numbers."""
    import nibabel

    with _quietly(path):
        image = nibabel.load(path)
        return _header(image, path)


def read_volume(path: Path) -> NiftiVolume:
    """Decodes a whole file.

    Raises UnreadableError, with the reason and without the file's name, as `read_header` does, and
    for a file that ends early, voxels that are no numbers, and voxels that are not finite.
    """
    import nibabel
    from nibabel.orientations import apply_orientation, inv_ornt_aff, io_orientation

    with _quietly(path):
        _check_packing(path)
        image = nibabel.load(path)
        header = _header(image, path)
        _check_bytes(image, path)
        voxels = np.asanyarray(image.dataobj).reshape(image.shape[:3])
        if voxels.dtype.kind not in "iuf":
            raise UnreadableError(f"its voxels are {voxels.dtype}, not numbers")
        if voxels.dtype.kind == "f" and not np.isfinite(voxels).all():
            count = int(np.count_nonzero(~np.isfinite(voxels)))
            raise UnreadableError(f"{count} of its voxels are not finite (NaN or infinite)")
        turn = io_orientation(image.affine)
        return NiftiVolume(
            voxels=apply_orientation(voxels, turn),
            spacing=header.spacing,
            affine=np.asarray(image.affine @ inv_ornt_aff(turn, voxels.shape), np.float64),
        )


def read_classes(path: Path) -> tuple[NDArray[np.uint8], NiftiVolume]:
    """A file of labels: uint8 [R, A, S], and the volume that it was read from.

    Raises UnreadableError as `read_volume`, and for values other than whole numbers of 0 to 254.
    """
    volume = read_volume(path)
    values = np.unique(volume.voxels)
    wrong = [v for v in values.tolist() if v != round(v) or not 0 <= v <= LARGEST_CLASS]
    if wrong:
        some = ", ".join(f"{value:g}" for value in wrong[:3]) + (", ..." if wrong[3:] else "")
        raise UnreadableError(f"labels are whole numbers of 0 to {LARGEST_CLASS}; it holds {some}")
    return volume.voxels.astype(np.uint8), volume


def check_together(first: NiftiVolume, other: NiftiVolume, names: tuple[str, str]) -> None:
    """Raises UnreadableError where two files do not lie on each other, voxel for voxel.

    names: what the two are, for the reason ("label", "image").
    """
    if first.voxels.shape != other.voxels.shape:
        shapes = ["x".join(map(str, one.voxels.shape)) for one in (first, other)]
        raise UnreadableError(f"its {names[0]} is {shapes[0]}, its {names[1]} {shapes[1]}")
    apart = float(np.abs(first.affine - other.affine).max())
    if apart > AFFINE_TOLERANCE:
        raise UnreadableError(
            f"the affines of its {names[0]} and its {names[1]} differ by up to {apart:.3g}: they "
            "do not lie on each other"
        )


def _header(image: Any, path: Path) -> NiftiHeader:
    from nibabel.affines import voxel_sizes
    from nibabel.orientations import io_orientation

    shape = tuple(int(n) for n in image.shape)
    if len(shape) != 3 and not (len(shape) == 4 and shape[3] == 1):
        text = "x".join(map(str, shape))
        raise UnreadableError(f"{len(shape)}D ({text}): one volume a file is read, three axes")
    if 0 in shape:
        raise UnreadableError(f"shape {'x'.join(map(str, shape))}: nothing in it")
    unchecked = _unchecked(type(image), path)
    stated = np.asarray(unchecked["pixdim"][1:4], float)
    spacing = np.asarray(voxel_sizes(image.affine), float)
    for what, sizes in (("spacing", stated), ("affine's spacing", spacing)):
        if not np.isfinite(sizes).all() or (np.abs(sizes) == 0).any():
            text = "x".join(f"{size:g}" for size in sizes)
            raise UnreadableError(f"its {what} is {text} mm: every one must be above 0")
    if not np.isfinite(image.affine).all() or np.linalg.matrix_rank(image.affine) < 4:
        raise UnreadableError("its affine is not that of a volume (not finite, or flat)")
    factor = _MM[str(image.header.get_xyzt_units()[0])]
    # io_orientation names, for each axis of the file, the canonical axis that it becomes.
    right, front, up = np.argsort(io_orientation(image.affine)[:, 0])
    return NiftiHeader(
        shape=(shape[right], shape[front], shape[up]),
        spacing=(
            float(spacing[right]) * factor,
            float(spacing[front]) * factor,
            float(spacing[up]) * factor,
        ),
        is_oriented=bool(unchecked["sform_code"] > 0 or unchecked["qform_code"] > 0),
    )


def _unchecked(kind: Any, path: Path) -> Any:
    """The header as it stands in the file."""
    from nibabel.openers import ImageOpener

    with ImageOpener(path) as stream:
        return kind.header_class.from_fileobj(stream, check=False)


def _check_packing(path: Path) -> None:
    """Unpacks a .gz to its end, where its checksum is: nibabel stops at the last voxel, and would
    read damaged ones."""
    if path.name.lower().endswith(".gz"):
        with gzip.open(path) as stream:
            while stream.read(_PORTION):
                pass


def _check_bytes(image: Any, path: Path) -> None:
    """A header that promises more than a file can hold is refused before memory is asked for."""
    wanted = int(np.prod(image.shape, dtype=object)) * image.get_data_dtype().itemsize
    is_packed = path.name.lower().endswith(".gz")
    if wanted > path.stat().st_size * (_GZIP_FACTOR if is_packed else 1):
        text = "x".join(map(str, image.shape))
        raise UnreadableError(f"truncated: its header promises {text} voxels, its bytes are fewer")


@contextmanager
def _quietly(path: Path) -> Iterator[None]:
    """Every failure within becomes an UnreadableError that does not name the file; nibabel's lines
    about odd headers are not shown."""
    logging.getLogger("nibabel.global").setLevel(logging.CRITICAL + 1)
    try:
        yield
    except UnreadableError:
        raise
    except EOFError as error:
        raise UnreadableError("truncated: it ends before its last voxel") from error
    except Exception as error:  # damaged bytes raise anything, from nibabel, zlib and gzip
        text = " ".join(str(error).replace(str(path), "the file").split())
        is_short = text.startswith("Expected") and "bytes" in text
        text = f"truncated: {text}" if is_short else text
        reason = text if len(text) < _REASON else text[:_REASON] + "..."
        raise UnreadableError(reason.rstrip(".") or type(error).__name__) from error


def write_volume(path: Path, voxels: NDArray[Any], affine: NDArray[Any]) -> None:
    """Writes [i, j, k] voxels with their affine to mm; equal arrays, equal bytes."""
    import nibabel

    image = nibabel.Nifti1Image(voxels, np.asarray(affine, np.float64))
    image.header.set_xyzt_units("mm", "sec")
    content = image.to_bytes()
    if path.name.lower().endswith(".gz"):
        packed = io.BytesIO()
        with gzip.GzipFile(fileobj=packed, mode="wb", compresslevel=_LEVEL, mtime=0) as stream:
            stream.write(content)
        content = packed.getvalue()
    path.write_bytes(content)
