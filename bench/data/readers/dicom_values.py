"""What DICOM pixels mean: from stored numbers to values, black low, with the range they state.

In the standard's order (PS3.3 C.7.6.3, C.11): padding, rescale slope and intercept, window,
MONOCHROME1.
- Hounsfield units (CT) stay what they are, float32; the first window is the range stated.
- Of other pictures a window is that of one picture, and is applied: from its low to its high end
  the values become 0..2^bits - 1 (linear, linear exact or sigmoid, as the file says).
- Without a window the range is that of the bits stored, where these are fewer than 16. Of 16 bits
  and of signed numbers none is stated: files write 16 where 12 are used.
Sixteen bits or fewer stay uint8 or uint16; a rescale that is no identity, without a window, and
signed numbers give float32.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.data.readers.reader import Pixels, UnreadableError
from bench.data.value_range import ValueRange

_MACROS = ("PixelValueTransformationSequence", "FrameVOILUTSequence")
_SHAPES = ("LINEAR", "LINEAR_EXACT", "SIGMOID")


def remarks(data: Any) -> Iterator[str]:
    """What is to be said of a file by its header, each to follow on 'N DICOM files'."""
    window = _window(data, 0)
    if _is_inverse(data):
        yield "are MONOCHROME1 (white is 0): inverted"
    if _is_hounsfield(data):
        yield "are in Hounsfield units" + (
            ": their window is the range, values beyond it are clipped" if window else ""
        )
    elif window:
        yield "state a window: it is applied, values beyond it are clipped"
    if window and len(np.atleast_1d(_element(data, "WindowCenter", 0))) > 1:
        yield "state several windows: the first is used"
    if not window and "VOILUTSequence" in data:
        yield "have a VOI table, which is not applied"


def shown(stored: Pixels, data: Any, index: int) -> tuple[Pixels, ValueRange | None]:
    """Stored pixels of frame `index` -> uint8, uint16 or float32, and the range they state."""
    if stored.ndim == 3:
        return _colour(stored, data)
    if data.get("PhotometricInterpretation") == "PALETTE COLOR":
        from pydicom.pixels import apply_color_lut

        coloured = np.asarray(apply_color_lut(stored, data))
        # A table of 16 bits for 8-bit pixels: the upper eight are what a screen shows.
        is_wider = coloured.dtype == np.uint16 and stored.dtype == np.uint8
        return _colour((coloured >> 8).astype(np.uint8) if is_wider else coloured, data)
    stored = _without_padding(stored, data)
    slope = float(_element(data, "RescaleSlope", index) or 1)
    intercept = float(_element(data, "RescaleIntercept", index) or 0)
    bits, is_signed = int(data.BitsStored), stored.dtype.kind == "i"
    window = _window(data, index)
    if "ModalityLUTSequence" in data:
        raise UnreadableError("a modality table, which is not read")
    if _is_hounsfield(data):
        values = stored.astype(np.float32) * np.float32(slope) + np.float32(intercept)
        return _upright(values, window_ends(*window) if window else None, data)
    if window:
        share = window_share(stored * slope + intercept, *window)
        bits = min(bits, 16)
        kept = np.rint(share * (2**bits - 1)).astype(np.uint8 if bits <= 8 else np.uint16)
        return _upright(kept, (0.0, float(2**bits - 1)), data)
    stated = None if is_signed or bits >= 16 else (0.0, float(2**bits - 1))
    if (slope, intercept) == (1, 0) and not is_signed and bits <= 16:
        return _upright(stored.astype(np.uint8 if bits <= 8 else np.uint16), stated, data)
    if stated is not None:
        ends = sorted(end * slope + intercept for end in stated)
        stated = ends[0], ends[1]
    values = stored.astype(np.float32) * np.float32(slope) + np.float32(intercept)
    return _upright(values, stated, data)


def window_ends(centre: float, width: float, shape: str) -> ValueRange:
    """The values that become black and white."""
    if shape == "LINEAR":
        return centre - 0.5 - (width - 1) / 2, centre - 0.5 + (width - 1) / 2
    return centre - width / 2, centre + width / 2


def window_share(
    values: NDArray[Any], centre: float, width: float, shape: str
) -> NDArray[np.float64]:
    """0 (black) to 1 (white) of values in a window, by PS3.3 C.11.2.1.2 and C.11.2.1.3."""
    if shape == "SIGMOID":
        exponent = np.clip(-4 * (values - centre) / width, -60, 60)
        return np.asarray(1 / (1 + np.exp(exponent)))
    low, high = window_ends(centre, width, shape)
    if high <= low:  # a linear window of width 1 is a threshold
        return np.asarray(values > low, np.float64)
    return np.clip((values - low) / (high - low), 0, 1)


def _colour(stored: Pixels, data: Any) -> tuple[Pixels, ValueRange | None]:
    if stored.dtype not in (np.uint8, np.uint16):
        raise UnreadableError(f"{stored.dtype.name} colour, which is not read")
    bits = int(data.BitsStored)
    is_stated = stored.dtype == np.uint16 and 8 < bits < 16
    return stored, (0.0, float(2**bits - 1)) if is_stated else None


def _upright(
    values: Pixels, stated: ValueRange | None, data: Any
) -> tuple[Pixels, ValueRange | None]:
    """Black low: MONOCHROME1 is mirrored in its range, or in its largest value."""
    if not _is_inverse(data):
        return values, stated
    low, high = stated if stated is not None else (0.0, float(values.max()))
    mirrored = low + high - values.astype(np.float64)
    if values.dtype.kind == "u":
        mirrored = np.clip(mirrored, 0, np.iinfo(values.dtype).max)
    return mirrored.astype(values.dtype), stated


def _without_padding(stored: Pixels, data: Any) -> Pixels:
    """Pixels around the picture, marked by a value of their own, as black as its blackest."""
    padding = data.get("PixelPaddingValue")
    if padding is None:
        return stored
    outside = stored == padding
    if not outside.any() or outside.all():
        return stored
    inside = stored[~outside]
    return np.where(outside, inside.max() if _is_inverse(data) else inside.min(), stored)


def _is_inverse(data: Any) -> bool:
    return bool(data.get("PhotometricInterpretation") == "MONOCHROME1")


def _is_hounsfield(data: Any) -> bool:
    return bool(data.get("Modality") == "CT" or _element(data, "RescaleType", 0) == "HU")


def _window(data: Any, index: int) -> tuple[float, float, str] | None:
    """Centre, width and shape of the first window; None without one that can be used."""
    try:
        centre, width = (
            float(np.atleast_1d(_element(data, name, index))[0])
            for name in ("WindowCenter", "WindowWidth")
        )
    except (TypeError, ValueError, IndexError):
        return None
    shape = str(_element(data, "VOILUTFunction", index) or _SHAPES[0])
    is_usable = np.isfinite([centre, width]).all() and width >= 1 and shape in _SHAPES
    return (centre, width, shape) if is_usable else None


def _element(data: Any, name: str, index: int) -> Any:
    """An element of the file, or of frame `index` in files that state it by frame."""
    if name in data:
        return data.get(name)
    groups = list(data.get("SharedFunctionalGroupsSequence") or [])[:1]
    groups += list(data.get("PerFrameFunctionalGroupsSequence") or [])[index : index + 1]
    for group in groups:
        for macro in _MACROS:
            for item in group.get(macro) or []:
                if name in item:
                    return item.get(name)
    return None
