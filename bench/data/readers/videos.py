"""A folder of videos of any size, at any depth, or one video file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from bench.data.readers import video_file
from bench.data.readers.images import SUFFIXES as IMAGE_SUFFIXES
from bench.data.readers.reader import Frame, Listing, Mode, Source, Warn, walk

LOOKS_FOR = f"videos at any depth ({' '.join(sorted(video_file.SUFFIXES))})"


def matches(path: Path) -> bool:
    return bool(walk(path, video_file.SUFFIXES))


def list_sources(path: Path) -> Listing:
    sources = tuple(Source(key=key, path=file) for key, file in walk(path, video_file.SUFFIXES))
    others = len(walk(path, IMAGE_SUFFIXES))
    notes = (f"{others} images beside the videos were not read",) if others else ()
    return Listing(sources=sources, notes=notes)


def frames(source: Source, *, every: int, mode: Mode, warn: Warn) -> Iterator[Frame]:
    return video_file.decode(source.path, every=every, mode=mode, warn=warn)


def write_example(root: Path, clips: Mapping[str, Frame]) -> None:
    root.mkdir(parents=True, exist_ok=True)
    for name, pixels in clips.items():
        video_file.encode(root / f"{name}.avi", pixels, fps=30)
