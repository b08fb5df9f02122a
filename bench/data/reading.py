"""Reading: how the files of a data set are read. Every field is part of the cache's identity."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any, Literal, get_args

from bench.errors import BenchError, unknown

Fit = Literal["crop", "pad", "centre"]
FITS: tuple[Fit, ...] = get_args(Fit)
PartsFrom = Literal["official", "dealt"]
PARTS_FROM: tuple[PartsFrom, ...] = get_args(PartsFrom)
BOX_PADDING = 0.1
MOST_PADDING = 2.0
SMALLEST = 4  # pixels along an axis


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What is read of a folder, and how. Raises BenchError for values that cannot be.

    size: of every image in the cache, (H, W), or (D, H, W) of volumes.
    fit: how another size comes to it: "crop" cuts out the centre of the wanted aspect and resizes
    it, "pad" resizes all of the image and puts the range's lowest value around it, "centre" cuts
    and pads about the centre and resizes nothing, so that a voxel stays as large as it is.
    every: one frame in so many of videos; a simulated set states its own. Still images: all.
    reader: a name in the readers' table; None: what most of the folder is.
    include, exclude: globs on the path below the folder, or on the file name alone.
    group_by, label_by: regular expressions on that path; group 1, or the whole match, names the
    subject, or the class. label_by may also be the name of a column that the layout's listing has.
    value_range: the pixel values that become -1 and 1; None: stated by the files, or measured.
    box_padding: where an object's box is known, pictures are cut to it with so much around it on
    each side, as a share of its longer side. The cut takes the wanted aspect and stays inside the
    picture: what is too large is as much of the picture as that allows.
    parts: "official" keeps those of the layout; "dealt" deals all subjects anew, 60/20/20.
    max_frames_per_subject: evenly spaced ones. max_subjects: drawn by hash, as many of each
    official part as its share, or a tenth of them where that is more and it has so many.
    """

    size: tuple[int, ...]
    fit: Fit = "crop"
    every: int = 5
    reader: str | None = None
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    group_by: str | None = None
    label_by: str | None = None
    value_range: tuple[float, float] | None = None
    box_padding: float = BOX_PADDING
    parts: PartsFrom = "official"
    max_frames_per_subject: int | None = None
    max_subjects: int | None = None

    def __post_init__(self) -> None:
        if len(self.size) not in (2, 3):
            raise BenchError(f"size {self.size_text}: give (H, W), or (D, H, W) for volumes")
        if min(self.size) < SMALLEST:
            raise BenchError(f"size {self.size_text} is too small; at least {SMALLEST} each way")
        if self.fit not in FITS:
            raise unknown("fit", self.fit, FITS)
        if self.parts not in PARTS_FROM:
            raise unknown("parts", self.parts, PARTS_FROM)
        if not 0 <= self.box_padding <= MOST_PADDING:
            raise BenchError(
                f"box padding {self.box_padding:g}: give a share of the box's longer side, 0 to "
                f"{MOST_PADDING:g}; 30 % is 0.3"
            )
        for name, value, least in (
            ("every", self.every, 1),
            ("max_frames_per_subject", self.max_frames_per_subject, 1),
            ("max_subjects", self.max_subjects, 3),
        ):
            if value is not None and value < least:
                raise BenchError(f"{name} {value} is too small; at least {least}")
        if self.value_range is not None:
            low, high = self.value_range
            if not (math.isfinite(low) and math.isfinite(high) and low < high):
                raise BenchError(f"value range {low:g}..{high:g}: give a lower and a higher number")

    @property
    def size_text(self) -> str:
        """112x112."""
        return "x".join(str(n) for n in self.size)

    def identity(self) -> dict[str, Any]:
        """All fields, JSON-able, for the cache's digest and the record."""
        return dataclasses.asdict(self)
