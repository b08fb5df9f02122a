"""open_data: from a path (or none: a simulated set) to a cache, built once and found again.

Scan the folder, list the sources with the reader that applies, name their subjects and classes,
digest content and settings; if no whole cache of that digest is there, decode every source frame
by frame into one, deal the parts and measure the train part. Memory holds a few frames at a time;
broken sources are skipped, counted and named.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from bench.data import cache, readers
from bench.data.cache import CachedImages, building, load_cache
from bench.data.cache_index import FORMAT, CacheIndex, write_index
from bench.data.class_folders import class_folder_notes
from bench.data.decoding import FrameRecord, Plan, Progress, colour_mode, decode
from bench.data.fingerprint import content_digests
from bench.data.fitting import RESIZER
from bench.data.folder_scan import DataFolder, Note, scan
from bench.data.joining import join_near_copies
from bench.data.labels import numbered, source_labels
from bench.data.parts import assign
from bench.data.readers.reader import Listing, Part, Reader, Source
from bench.data.reading import BOX_PADDING, Reading
from bench.data.size_notes import check_shapes, size_notes, size_summary, voxel_notes
from bench.data.subjects import group, hash_order
from bench.data.unifying import unify
from bench.data.value_range import pixel_statistics
from bench.errors import BenchError

SIMULATED = Note(text="SIMULATED data, drawn by this program")


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
    reading: Reading,
    *,
    workload_reader: str,
    home: Path,
    simulated: Simulation | None,
    progress: Progress | None = None,
    official_parts: bool = False,
) -> CachedImages:
    """The cache of the images in `path` (None: of the simulated set), under home/cache.

    workload_reader: the workload's official layout, tried first and used for the simulated set,
    which also states its own `every`. progress(done, total) counts sources. official_parts: the
    user asks for the layout's own. A cache that is damaged is built anew, and the notes say so.
    Raises BenchError for every mistake in these and for data that cannot be used.
    """
    root = home / "cache"
    try:
        root.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BenchError(f"cannot write in {home}: {error.strerror}; choose another") from error
    about, others = None, tuple[Note, ...]()
    if path is None:
        if simulated is None:
            raise BenchError("no data; give the path of a folder or file")
        about, reading = simulated.describe(), dataclasses.replace(reading, every=simulated.every)
        reader_name, reader = workload_reader, readers.load(workload_reader)
        drawn = root / f"simulated-{simulated.digest()}"
        folder = _simulated_folder(simulated, drawn, reading, reader)
    else:
        folder = scan(path, reading.include, reading.exclude)
        reader_name, reader, others = readers.choose(folder, workload_reader, reading.reader)
    reading = dataclasses.replace(reading, reader=reader_name)
    plan = _plan(folder, reader, reading, others, root)
    if official_parts and all(source.part is None for source in plan.sources):
        raise BenchError(
            f"--parts official: these data (read as {reader_name}) have no parts of their own; "
            "leave it out, and all subjects are dealt 60/20/20"
        )
    final = root / plan.digest
    damage: tuple[str, ...] = ()
    if final.exists() or final.is_symlink():
        try:
            cached = load_cache(final)
            if cached.digest != plan.digest:
                raise BenchError(f"the image cache in {final} is that of other data")
            return cached
        except BenchError as error:
            damage = (f"built anew: {error}",)
            cache.remove(final)
    with building(final) as draft:
        _build(plan, reader, reading, about, draft, progress)
    cached = load_cache(final)
    return dataclasses.replace(cached, notes=(*damage, *cached.notes))


def _simulated_folder(
    simulated: Simulation, path: Path, reading: Reading, reader: Reader
) -> DataFolder:
    """The drawn set; drawn again where its folder is there and its listing is not."""
    if path.is_dir() and not reader.matches(scan(path)):
        cache.remove(path)
    if not path.is_dir():
        with building(path) as draft:
            simulated.write(draft)
    return scan(path, reading.include, reading.exclude)


def _plan(
    folder: DataFolder, reader: Reader, reading: Reading, others: Sequence[Note], root: Path
) -> Plan:
    listing = reader.list_sources(folder)
    if not listing.sources:
        skipped = _losses("skipped", listing.skipped)
        raise BenchError(
            f"nothing readable in {folder.root}; looked for {reader.LOOKS_FOR}"
            + "".join(f"; {note.local}" for note in skipped)
        )
    check_shapes(listing.sources, reading)
    files = [source.path for source in listing.sources]
    digests = content_digests([*files, *listing.listing_files], root / "digests.json")
    content = {s.key: digests.get(s.path, "unreadable " + s.key) for s in listing.sources}
    fingerprint = _fingerprint(listing, content, digests)
    settings = {"format": FORMAT, "resizer": RESIZER, **reading.identity()}
    text = json.dumps([fingerprint, settings], sort_keys=True)
    grouping = group(listing.sources, reading.group_by)
    labels, label_notes = source_labels(listing, reading.label_by)
    plan = Plan(
        sources=list(listing.sources),
        subjects=list(grouping.subjects),
        labels=labels,
        vector_names=listing.vector_names,
        mask_names=listing.mask_names,
        skipped=list(listing.skipped),
        notes=[
            *folder.notes,
            *others,
            *listing.notes,
            *(Note(text=text) for text in grouping.notes),
            *(Note(text="examples", files=(text,), private=True) for text in grouping.examples),
            *label_notes,
            *([] if reading.label_by else class_folder_notes(listing.sources, grouping.subjects)),
        ],
        subjects_stated=grouping.stated and all(s.subjects_known for s in listing.sources),
        fingerprint=fingerprint,
        digest=hashlib.blake2b(text.encode(), digest_size=10).hexdigest(),
    )
    _keep_some_subjects(plan, reading.max_subjects)
    return plan


def _fingerprint(listing: Listing, content: dict[str, str], digests: dict[Path, str]) -> str:
    """Digest of all that decides pixels, parts, subjects and classes, wherever the folder lies."""
    rows: list[list[str | None]] = [[s.key, content[s.key], s.part] for s in listing.sources]
    rows += [[None, digests.get(file, ""), None] for file in listing.listing_files]
    return hashlib.blake2b(json.dumps(rows).encode(), digest_size=16).hexdigest()


def _keep_some_subjects(plan: Plan, most: int | None) -> None:
    """Drops sources of subjects beyond `most`; arrays of many subjects are thinned in decode."""
    official: dict[str, Part | None] = {}
    for source, subject in zip(plan.sources, plan.subjects, strict=True):
        if subject is not None:
            official.setdefault(subject, source.part)
    if most is None or len(official) <= most:
        return
    sizes = Counter(official.values())
    # A part that is small in a large set (200 of 64,740 patients) still has to carry a score.
    least = max(1, most // 10)
    room = {part: max(min(n, least), round(most * n / len(official))) for part, n in sizes.items()}
    largest = max(sizes, key=lambda part: sizes[part])
    room[largest] = max(least, room[largest] - max(0, sum(room.values()) - most))
    kept = set()
    for subject in sorted(official, key=hash_order):
        if room[official[subject]] > 0:
            room[official[subject]] -= 1
            kept.add(subject)
    places = [i for i, subject in enumerate(plan.subjects) if subject in kept]
    plan.sources = [plan.sources[i] for i in places]
    plan.subjects = [plan.subjects[i] for i in places]
    plan.labels = [plan.labels[i] for i in places]
    text = f"{len(kept)} of {len(official)} subjects are used, drawn by hash"
    plan.notes.append(Note(text=text))


def _build(
    plan: Plan,
    reader: Reader,
    reading: Reading,
    about: dict[str, Any] | None,
    draft: Path,
    progress: Progress | None,
) -> None:
    """Decodes, deals parts, measures, and writes the files of a cache into `draft`."""
    mode, how = colour_mode(plan, reader)
    stated_channels = plan.sources[0].channels
    channels = stated_channels if stated_channels is not None else {"L": 1, "RGB": 3}[mode]
    images_path, masks_path = draft / cache.IMAGES, draft / cache.MASKS
    decoded = decode(plan, reader, reading, mode, images_path, masks_path, progress)
    if not decoded.frames:
        note = _losses("skipped", plan.skipped)[0]
        raise BenchError(f"none of {len(plan.sources)} files could be read: {note.local}")
    unified = unify(decoded, reading, (channels, *reading.size), images_path, masks_path)
    frames = unified.frames
    shape = (len(frames), channels, *reading.size)
    images = np.memmap(images_path, unified.dtype, mode="r", shape=shape)
    is_official = reading.parts == "official"
    official = [frame.official if is_official else None for frame in frames]
    if not is_official and any(frame.official is not None for frame in frames):
        text = "the layout's own parts are set aside: all subjects were dealt anew, 60/20/20"
        plan.notes.append(Note(text=text))
    joined = join_near_copies(
        images, [frame.subject for frame in frames], official, unified.value_range
    )
    subjects = joined.subjects
    labels, label_names = numbered([frame.label for frame in frames])
    codes, part_notes = assign(
        subjects,
        official,
        None if labels is None else labels.tolist(),
        stills=all(_is_still(source) for source in plan.sources),
    )
    names = list(dict.fromkeys(subjects))
    stats = pixel_statistics(images, np.flatnonzero(codes == 0), unified.value_range)
    if stats.sigma_data == 0.0:
        raise BenchError("all pixels of the train part are equal: nothing to learn from")
    columns: dict[str, Any] = {"subject": _places(subjects, names), "part": codes}
    if labels is not None:
        columns["label"] = labels
    if plan.vector_names:
        columns["vector"] = np.array([frame.vector for frame in frames], np.float32)
    if any(frame.spacing is not None for frame in frames):
        unknown = (np.nan,) * len(reading.size)
        columns["spacing"] = np.array([frame.spacing or unknown for frame in frames], np.float32)
    np.savez(draft / cache.FRAMES, **columns)
    notes = [
        *([SIMULATED] if about is not None else []),
        *plan.notes,
        *unified.notes,
        *(Note(text=text) for text in joined.notes),
        *(Note(text="near copies", files=(text,), private=True) for text in joined.examples),
        *(Note(text=text) for text in part_notes),
        *size_notes(frames, reading),
        *voxel_notes(frames),
        *_losses("skipped", plan.skipped),
        *_losses("read in part", plan.partial),
        *_box_notes(plan, reading),
    ]
    index = CacheIndex(
        digest=plan.digest,
        shape=shape,
        dtype=unified.dtype,
        value_range=unified.value_range,
        sigma_data=stats.sigma_data,
        name=f"{about['name'] if about else reading.reader}-{plan.digest[:8]}",
        simulated=about is not None,
        subject_ids=tuple(_hashed_id(name, plan.fingerprint) for name in names),
        label_names=label_names,
        mask_count=unified.mask_count,
        vector_names=plan.vector_names,
        mask_names=_mask_names(plan, frames) if unified.mask_count else (),
        notes=tuple(note.local for note in notes),
        record_notes=tuple(note.text for note in notes if not note.private),
        meta={
            # globs may hold file names: their number is enough for a record
            "settings": {
                "resizer": RESIZER,
                **reading.identity(),
                "include": len(reading.include),
                "exclude": len(reading.exclude),
                "box_padding": reading.box_padding if _boxed(plan) else None,
            },
            "simulation": about,
            "channels_because": how,
            "subjects_stated": plan.subjects_stated,
            "sources": len(plan.sources),
            "skipped": len(plan.skipped),
            "read_in_part": len(plan.partial),
            "source_size": size_summary(decoded.frames),
            "channel_mean": stats.mean,
            "channel_std": stats.std,
        },
    )
    write_index(draft / cache.INDEX, index)


def _mask_names(plan: Plan, frames: Sequence[FrameRecord]) -> tuple[str, ...]:
    """The names of the masks' classes from 1 on: the layout's, then "class 7" up to the highest.

    A box that is kept as a mask is no class.
    """
    if _boxed(plan):
        return ()
    highest = max(frame.highest_class for frame in frames)
    more = range(len(plan.mask_names) + 1, highest + 1)
    return (*plan.mask_names, *(f"class {number}" for number in more))


def _is_still(source: Source) -> bool:
    suffixes = readers.load("images").SUFFIXES
    return source.path.suffix.lower() in suffixes


def _places(subjects: Sequence[str], names: Sequence[str]) -> Any:
    place = {name: index for index, name in enumerate(names)}
    return np.array([place[name] for name in subjects], np.int32)


def _boxed(plan: Plan) -> int:
    return sum(source.box is not None for source in plan.sources)


def _box_notes(plan: Plan, reading: Reading) -> list[Note]:
    boxed = _boxed(plan)
    if not boxed:
        is_asked = reading.box_padding != BOX_PADDING
        text = "these data have no boxes: --box-padding changes nothing"
        return [Note(text=text)] if is_asked else []
    share = f"{100 * reading.box_padding:g} % of their longer side around them"
    text = f"{boxed} pictures are cut to their object's box, {share}; the box is kept as a mask"
    notes = [Note(text=text)]
    if boxed < len(plan.sources):
        text = f"{len(plan.sources) - boxed} pictures beside them have no box and are whole"
        notes.append(Note(text=text))
    if plan.clipped_boxes:
        text = f"{len(plan.clipped_boxes)} boxes reach beyond their picture: clipped"
        notes.append(Note(text=text, files=tuple(plan.clipped_boxes)))
    return notes


def _hashed_id(subject: str, fingerprint: str) -> str:
    """Keyed by the data itself: without it, "pat 7" cannot be found by trying all numbers."""
    return hashlib.blake2b(
        subject.encode(errors="surrogatepass"), key=fingerprint.encode(), digest_size=6
    ).hexdigest()  # fmt: skip


def _losses(what: str, rows: Sequence[tuple[str, str]]) -> list[Note]:
    """'2 files skipped: a.avi (listed but missing), ... and 1 more', if there are any."""
    if not rows:
        return []
    named = tuple(f"{key} ({reason})" for key, reason in rows)
    return [Note(text=f"{len(rows)} files {what}", files=named)]
