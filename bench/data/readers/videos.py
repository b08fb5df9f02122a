"""A folder of videos of any size, at any depth, or one video file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from bench.data.folder_scan import DataFolder
from bench.data.readers import video_file
from bench.data.readers.reader import Frame, Listing, Mode, Pixels, Source, Warn

SUFFIXES = video_file.SUFFIXES
LOOKS_FOR = f"videos at any depth ({' '.join(sorted(SUFFIXES))})"


def matches(folder: DataFolder) -> bool:
    return bool(folder.ending_in(SUFFIXES))


def list_sources(folder: DataFolder) -> Listing:
    files = folder.ending_in(SUFFIXES)
    return Listing(sources=tuple(Source(key=key, path=path) for key, path in files))


def frames(source: Source, *, every: int, mode: Mode, warn: Warn) -> Iterator[Frame]:
    for pixels in video_file.decode(source.path, every=every, mode=mode, warn=warn):
        yield Frame(pixels=pixels)


def write_example(root: Path, clips: Mapping[str, Pixels]) -> None:
    root.mkdir(parents=True, exist_ok=True)
    for name, pixels in clips.items():
        video_file.encode(root / f"{name}.avi", pixels, fps=30)
