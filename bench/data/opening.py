"""open_data: from a path (or none: a simulated set) to a cache, built once and found again.

List the sources with the reader that applies, name their subjects, digest content and settings;
if no cache of that digest is there, decode every source frame by frame into one, then deal the
parts and measure the train part. Memory holds a few frames at a time; broken sources are skipped,
counted and named.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from bench.data import cache, readers
from bench.data.cache import CachedImages, building, load_cache
from bench.data.decoding import Plan, Progress, colour_mode, decode
from bench.data.fingerprint import content_digests
from bench.data.parts import assign
from bench.data.readers.reader import Part, Reader
from bench.data.resize import RESIZER
from bench.data.subjects import group, hash_order
from bench.errors import BenchError

NAMED = 5  # skipped files named in one note; the rest is counted


class Simulation(Protocol):
    """A simulated set: writes itself in its official layout. Equal fields, equal files."""

    @property
    def every(self) -> int:
        """One frame in `every` of the drawn clips is read."""

    def digest(self) -> str:
        """Identifies what `write` would write, the drawing code included."""

    def write(self, root: Path) -> None:
        """Writes the set into the empty folder `root`."""

    def describe(self) -> dict[str, Any]:
        """Name and settings, JSON-able, for the record."""


def open_data(
    path: Path | None,
    *,
    workload_reader: str,
    resolution: int,
    home: Path,
    every: int = 5,
    group_by: str | None = None,
    max_frames_per_subject: int | None = None,
    max_subjects: int | None = None,
    simulated: Simulation,
    progress: Progress | None = None,
) -> CachedImages:
    """The cache of the images in `path` (None: of the simulated set), under home/cache.

    workload_reader: the workload's official layout, tried first and used for the simulated set.
    every: one frame in `every` of videos (the simulated set states its own); still images: all.
    group_by: a regular expression on the path below `path`; group 1 or the whole match is the
    subject. max_frames_per_subject: evenly spaced ones. max_subjects: drawn by hash, as many of
    each official part as its share, at least one. progress(done, total) counts sources.
    Raises BenchError for every mistake in these and for data that cannot be used.
    """
    _check(resolution, every, max_frames_per_subject, max_subjects)
    root = home / "cache"
    try:
        root.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BenchError(f"cannot write in {home}: {error.strerror}; choose another") from error
    about = None
    if path is None:
        about, every = simulated.describe(), simulated.every
        path = root / f"simulated-{simulated.digest()}"
        if not path.is_dir():
            with building(path) as draft:
                simulated.write(draft)
        reader_name, reader = workload_reader, readers.load(workload_reader)
    else:
        reader_name, reader = readers.detect(path, workload_reader)
    settings = {
        "format": cache.FORMAT,
        "reader": reader_name,
        "resolution": resolution,
        "every": every,
        "resizer": RESIZER,
        "group_by": group_by,
        "max_frames_per_subject": max_frames_per_subject,
        "max_subjects": max_subjects,
    }
    plan = _plan(path, reader, settings, root)
    final = root / plan.digest
    if not final.is_dir():
        with building(final) as draft:
            _build(plan, reader, settings, about, draft, progress)
    return load_cache(final)


def _check(resolution: int, every: int, frames: int | None, subjects: int | None) -> None:
    for name, value, least in (
        ("resolution", resolution, 4),
        ("every", every, 1),
        ("max_frames_per_subject", frames, 1),
        ("max_subjects", subjects, 3),
    ):
        if value is not None and value < least:
            raise BenchError(f"{name} {value} is too small; at least {least}")


def _plan(path: Path, reader: Reader, settings: dict[str, Any], root: Path) -> Plan:
    listing = reader.list_sources(path)
    if not listing.sources:
        raise BenchError(
            f"nothing readable in {path}; looked for {reader.LOOKS_FOR}"
            + (f"; {_named(listing.skipped)}" if listing.skipped else "")
        )
    files = [source.path for source in listing.sources]
    digests = content_digests([*files, *listing.listing_files], root / "digests.json")
    content = {s.key: digests.get(s.path, "unreadable " + s.key) for s in listing.sources}
    rows = [[s.key, content[s.key], s.part] for s in listing.sources]
    rows += [[file.name, digests.get(file, ""), None] for file in listing.listing_files]
    fingerprint = hashlib.blake2b(json.dumps(rows).encode(), digest_size=16).hexdigest()
    text = json.dumps([fingerprint, settings], sort_keys=True)
    grouping = group(listing.sources, settings["group_by"], content)
    plan = Plan(
        sources=list(listing.sources),
        subjects=list(grouping.subjects),
        skipped=list(listing.skipped),
        said=[*listing.notes, *grouping.notes],
        stated=grouping.stated,
        fingerprint=fingerprint,
        digest=hashlib.blake2b(text.encode(), digest_size=10).hexdigest(),
    )
    _keep_some_subjects(plan, settings["max_subjects"])
    return plan


def _keep_some_subjects(plan: Plan, most: int | None) -> None:
    """Drops sources of subjects beyond `most`; arrays of many subjects are thinned in decode."""
    official: dict[str, Part | None] = {}
    for source, subject in zip(plan.sources, plan.subjects, strict=True):
        if subject is not None:
            official.setdefault(subject, source.part)
    if most is None or len(official) <= most:
        return
    sizes = Counter(official.values())
    room = {part: max(1, round(most * n / len(official))) for part, n in sizes.items()}
    kept = set()
    for subject in sorted(official, key=hash_order):
        if room[official[subject]] > 0:
            room[official[subject]] -= 1
            kept.add(subject)
    both = [p for p in zip(plan.sources, plan.subjects, strict=True) if p[1] in kept]
    plan.sources, plan.subjects = [source for source, _ in both], [name for _, name in both]
    plan.said.append(f"{len(kept)} of {len(official)} subjects are used, drawn by hash")


def _build(
    plan: Plan,
    reader: Reader,
    settings: dict[str, Any],
    about: dict[str, Any] | None,
    draft: Path,
    progress: Progress | None,
) -> None:
    """Decodes, deals parts, measures, and writes the three files of a cache into `draft`."""
    resolution = settings["resolution"]
    mode, how = colour_mode(plan, reader)
    channels = 1 if mode == "L" else 3
    read = decode(plan, reader, settings, mode, draft / cache.IMAGES, progress)
    if not read.subjects:
        raise BenchError(f"none of {len(plan.sources)} files could be read: {_named(plan.skipped)}")
    codes, part_notes = assign(read.subjects, read.official)
    names = list(dict.fromkeys(read.subjects))
    place = {name: index for index, name in enumerate(names)}
    subject = np.array([place[name] for name in read.subjects], np.int32)
    shape = (len(codes), channels, resolution, resolution)
    images = np.memmap(draft / cache.IMAGES, np.uint8, mode="r", shape=shape)
    stats = cache.pixel_statistics(images, np.flatnonzero(codes == 0))
    if stats.sigma_data == 0.0:
        raise BenchError("all pixels of the train part are equal: nothing to learn from")
    np.savez(draft / cache.FRAMES, subject=subject, part=codes)
    sizes = sorted(read.sizes.elements(), key=lambda size: size[0] * size[1])
    counts = {
        f"{len(plan.skipped)} files skipped": plan.skipped,
        f"{len(plan.partial)} files read in part": plan.partial,
    }
    losses = [(text, f"{text}: {_named(rows)}") for text, rows in counts.items() if rows]
    small = sum(n for size, n in read.sizes.items() if min(size) < resolution)
    said = [*plan.said, *part_notes]
    if small:
        said.append(f"{small} frames are smaller than {resolution}x{resolution}: enlarged")
    if about is not None:
        said.insert(0, "SIMULATED data, drawn by this program")
    index = {
        "format": cache.FORMAT,
        "digest": plan.digest,
        "shape": shape,
        "sigma_data": stats.sigma_data,
        "name": f"{about['name'] if about else settings['reader']}-{plan.digest[:8]}",
        "simulated": about is not None,
        "subject_ids": [_hashed_id(name, plan.fingerprint) for name in names],
        "notes": [*said, *(long for _, long in losses)],
        "record_notes": [*said, *(short for short, _ in losses)],
        "meta": {
            "settings": settings,
            "simulation": about,
            "channels_because": how,
            "subjects_stated": plan.stated,
            "sources": len(plan.sources),
            "skipped": len(plan.skipped),
            "read_in_part": len(plan.partial),
            "source_height_width": {
                "min": sizes[0],
                "median": sizes[len(sizes) // 2],
                "max": sizes[-1],
            },
            "channel_mean": stats.mean,
            "channel_std": stats.std,
        },
    }
    (draft / cache.INDEX).write_text(json.dumps(index, indent=1))


def _hashed_id(subject: str, fingerprint: str) -> str:
    """Keyed by the data itself: without it, "pat 7" cannot be found by trying all numbers."""
    return hashlib.blake2b(
        subject.encode(), key=fingerprint.encode(), digest_size=6
    ).hexdigest()  # fmt: skip


def _named(rows: Sequence[tuple[str, str]]) -> str:
    """'a.avi (listed but missing), ... and 3 more'."""
    text = ", ".join(f"{key} ({reason})" for key, reason in rows[:NAMED])
    return f"{text} and {len(rows) - NAMED} more" if len(rows) > NAMED else text
