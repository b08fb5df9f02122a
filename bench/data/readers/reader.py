"""What a reader is: a module that lists a layout's sources and streams their frames.

The contract, which the conformance suite checks for every line of the table:
- `matches` looks at names only (no decoding) and never raises for a folder that was scanned.
- `list_sources` opens listings (CSV, array headers), not pixels; its order is deterministic.
- `frames` streams: it holds a few frames at a time, whatever the size of the source. It is the
  only call that decodes. Frames come at the source's own depth.
- Nothing is random, nothing is cached, no thread is started; one reader serves several threads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from bench.data.folder_scan import DataFolder, Note
from bench.data.value_range import ValueRange

Pixels = NDArray[Any]  # uint8, uint16 or float32
Mode = Literal["L", "RGB"]
Part = Literal["train", "select", "report"]
PARTS: tuple[Part, ...] = ("train", "select", "report")
Warn = Callable[[str], None]


class UnreadableError(Exception):
    """A source gives no (further) frame; the message is the reason, without the file name."""


@dataclass(frozen=True, kw_only=True)
class Frame:
    """One image, or one volume, as its file has it.

    pixels: uint8, uint16 or float32; [H, W] in mode "L", [H, W, 3] in mode "RGB". Volumes have
    channels of their own, whatever the mode: [D, H, W] or [D, H, W, C].
    stated_range: the values for black and white, where the file names them.
    masks: uint8 [M, *spatial], class labels of the pixels.
    spacing: mm from one voxel to the next along each spatial axis; None unknown.
    background: the value of what surrounds the object, which goes around it where a volume is
    padded; None: the range's lowest.
    clipped: the share of the object's values that the reader cut off at the ends of its range.
    """

    pixels: Pixels
    stated_range: ValueRange | None = None
    masks: NDArray[np.uint8] | None = None
    spacing: tuple[float, ...] | None = None
    background: float | None = None
    clipped: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Box:
    """The rectangle around an object, in pixels of its picture from its left upper corner.

    picture: width and height of the picture that it was drawn in, where they are stated.
    """

    x: float
    y: float
    width: float
    height: float
    picture: tuple[int, int] | None = None


@dataclass(frozen=True, kw_only=True)
class Source:
    """What is decoded as a unit: one video, one image, one object of an image, one array of images.

    Of several objects in one picture each is a source; their keys are the picture's and "#1", "#2".
    """

    key: str  # path below the root, "/" between folders; stable between machines
    path: Path
    part: Part | None = None  # where the layout has official parts
    subject: str | None = None  # where the layout states it
    frame_subjects: tuple[str, ...] | None = None  # one a frame, for arrays of many subjects
    subjects_known: bool = True  # False: frame_subjects are placeholders, each image its own
    channels: int | None = None  # of volumes; None: grey or colour, decided for the whole set
    dims: int = 2  # spatial dimensions: 3 for volumes
    label: str | None = None  # the class of all frames, where the layout states it
    frame_labels: tuple[str, ...] | None = None  # the class of each frame
    vector: tuple[float, ...] | None = None  # a value for each of Listing.vector_names; NaN unknown
    mask_path: Path | None = None  # a file whose pixels are the frames' mask
    mask_classes: int | None = None  # how many the layout names; None where it names none
    box: Box | None = None  # around the object: all frames are cut to it
    nth: int | None = None  # which object of its picture, where that has several
    channel_paths: tuple[Path, ...] = ()  # one file a channel, in order; `path` is one of them
    size: tuple[int, ...] | None = None  # of its frames, where the layout or a header states it

    @property
    def file_key(self) -> str:
        """The key without the object's number: what names of subjects and classes are read from."""
        return self.key if self.nth is None else self.key.removesuffix(f"#{self.nth}")


@dataclass(frozen=True, kw_only=True)
class Listing:
    """What a folder holds: sources to read, those listed but not readable, and what to say.

    columns: classes that --label-by can name in place of the sources' own: by the column's name,
    one class a source, None unknown.
    mask_names: what the classes of masks are called, from class 1 on; class 0 is what is none.
    """

    sources: tuple[Source, ...]
    listing_files: tuple[Path, ...] = ()  # files whose content decides parts or subjects
    skipped: tuple[tuple[str, str], ...] = ()  # (key, reason)
    notes: tuple[Note, ...] = ()
    vector_names: tuple[str, ...] = ()
    columns: Mapping[str, tuple[str | None, ...]] = field(default_factory=dict)
    mask_names: tuple[str, ...] = ()


class Reader(Protocol):
    """The functions and names of a reader module."""

    LOOKS_FOR: str
    SUFFIXES: frozenset[str]
    """Endings of the files it reads; empty for a layout, which is known by its listing."""

    def matches(self, folder: DataFolder) -> bool:
        """Whether there is something for this reader in the folder."""

    def list_sources(self, folder: DataFolder) -> Listing:
        """Everything there is to read; BenchError where the listing itself is wrong."""

    def frames(self, source: Source, *, every: int, mode: Mode, warn: Warn) -> Iterator[Frame]:
        """One frame in `every` of a source's moving images (still images: all of them).

        Raises UnreadableError where decoding ends; frames yielded before that count. `warn` is told
        what was lost in a source that could be read in part.
        """

    def write_example(self, root: Path, clips: Mapping[str, Pixels]) -> None:
        """Writes clips (name -> uint8 [T, H, W]) in this layout, for tests and documentation."""
