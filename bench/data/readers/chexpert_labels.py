"""CheXpert's 14 observations, and the classes that can be made of them.

The class by default is "No Finding" or "Finding" (any observation but Support Devices is positive);
an image with nothing but uncertain findings has none. With --label-by COLUMN another one decides:
an observation ("Edema", against "no Edema": 0 or not mentioned, as the paper's baseline takes
it; uncertain is unknown), Sex, AP/PA, Frontal/Lateral, or "Only Finding": the one positive
observation of images that have exactly one, or No Finding.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from bench.data.folder_scan import Note

OBSERVATIONS = (
    "No Finding",
    "Enlarged Cardiomediastinum",
    "Cardiomegaly",
    "Lung Opacity",
    "Lung Lesion",
    "Edema",
    "Consolidation",
    "Pneumonia",
    "Atelectasis",
    "Pneumothorax",
    "Pleural Effusion",
    "Pleural Other",
    "Fracture",
    "Support Devices",
)
NONE, DEVICES = OBSERVATIONS[0], OBSERVATIONS[-1]
POSITIVE, NEGATIVE, UNCERTAIN = 1.0, 0.0, -1.0
ONLY = "Only Finding"
_FINDINGS = OBSERVATIONS[1:-1]
# Enlarged Cardiomediastinum and Lung Opacity stand above others in CheXpert's tree of labels.
_ABOVE = {
    "Enlarged Cardiomediastinum": {"Cardiomegaly"},
    "Lung Opacity": {"Lung Lesion", "Edema", "Consolidation", "Pneumonia", "Atelectasis"},
    "Consolidation": {"Pneumonia"},
}
_TEXTS = ("Sex", "AP/PA", "Frontal/Lateral")

Classes = tuple[str | None, ...]


def value_of(cell: str) -> float:
    """1, 0 or -1 of a cell; NaN where it is empty or holds anything else."""
    if not cell:
        return math.nan
    try:
        value = float(cell)
    except ValueError:
        return math.nan
    return value if value in (POSITIVE, NEGATIVE, UNCERTAIN) else math.nan


def classes(rows: Sequence[Mapping[str, str]]) -> tuple[dict[str, Classes], Classes, list[Note]]:
    """Of listed rows: the classes by each column, those by default, and what is to be said."""
    values = [{name: value_of(row[name]) for name in OBSERVATIONS} for row in rows]
    columns: dict[str, Classes] = {
        name: tuple(_by_observation(name, row[name]) for row in values) for name in OBSERVATIONS
    }
    for name in _TEXTS:
        columns[name] = tuple(row.get(name, "").strip() or None for row in rows)
    columns[ONLY] = tuple(_only(row) for row in values)
    label = tuple(_default(row) for row in values)
    odd = sum(
        math.isnan(value) and bool(cells[name].strip())
        for cells, row in zip(rows, values, strict=True)
        for name, value in row.items()
    )
    notes = []
    if odd:
        text = f"{odd} observations are neither 1, 0, -1 nor empty: taken for not mentioned"
        notes.append(Note(text=text))
    text = (
        "classes: No Finding, or Finding (any observation but Support Devices); another with "
        f"--label-by COLUMN, as --label-by Cardiomegaly or --label-by '{ONLY}'; uncertain is "
        "of unknown class, and -1 in the vector"
    )
    return columns, label, [*notes, Note(text=text)]


def _by_observation(name: str, value: float) -> str | None:
    if value == UNCERTAIN:
        return None
    return name if value == POSITIVE else f"no {name}"


def _default(row: Mapping[str, float]) -> str | None:
    if any(row[name] == POSITIVE for name in _FINDINGS):
        return "Finding"
    return NONE if row[NONE] == POSITIVE else None


def _only(row: Mapping[str, float]) -> str | None:
    positive = {name for name in _FINDINGS if row[name] == POSITIVE}
    positive -= {name for name in positive if _ABOVE.get(name, set()) & positive}
    if not positive:
        return NONE if row[NONE] == POSITIVE else None
    return positive.pop() if len(positive) == 1 else None
