"""The class of every image: from the layout, from an .npz, or from the path by --label-by.

Where a layout's listing states columns, --label-by takes the name of one as well."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bench.data.folder_scan import Note
from bench.data.path_patterns import match_paths
from bench.data.readers.reader import Listing
from bench.errors import BenchError

UNKNOWN = -1


def source_labels(listing: Listing, label_by: str | None) -> tuple[list[str | None], list[Note]]:
    """The class of every source as a whole, and what is to be said.

    Raises BenchError for a --label-by that is neither a column of the listing nor a regular
    expression that comes to an end and matches something.
    """
    sources, columns = listing.sources, listing.columns
    if label_by is None:
        return [source.label for source in sources], []
    if label_by in columns:
        named = list(columns[label_by])
        if not any(named):
            raise BenchError(f"--label-by {label_by!r}: that column is empty for all files")
        return named, _unknown(named, f"the column {label_by} names")
    arrays = sum(source.frame_subjects is not None for source in sources)
    if arrays:
        raise BenchError(
            f"--label-by names classes by file, but {arrays} arrays hold many images each; "
            "put a 'labels' array beside 'images' in the .npz"
        )
    try:
        labels = match_paths([s.file_key for s in sources], label_by, "--label-by", "class")
    except BenchError as error:
        if not columns:
            raise
        raise BenchError(f"{error}; or name a column: {', '.join(columns)}") from error
    return labels, _unknown(labels, "--label-by matched")


def _unknown(labels: Sequence[str | None], what: str) -> list[Note]:
    unknown = labels.count(None)
    if not unknown:
        return []
    text = f"{what} no class in {unknown} of {len(labels)} files: theirs is unknown"
    return [Note(text=text)]


def numbered(labels: Sequence[str | None]) -> tuple[NDArray[np.int64] | None, tuple[str, ...]]:
    """int64 [N], places in the sorted class names (-1 unknown), and these; None without a class.

    Names that are all whole numbers are sorted as numbers.
    """
    names = {label for label in labels if label is not None}
    if not names:
        return None, ()
    whole = all(re.fullmatch(r"-?\d{1,18}", name) for name in names)
    ordered = sorted(names, key=lambda name: (int(name) if whole else 0, name))
    place: dict[str | None, int] = {name: index for index, name in enumerate(ordered)}
    return np.array([place.get(label, UNKNOWN) for label in labels], np.int64), tuple(ordered)
