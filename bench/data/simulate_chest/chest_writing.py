"""Writes the simulated set as CheXpert lays it out, listing what was drawn.

Patients go to train.csv, valid.csv and test_labels.csv 60/20/20 in the order of drawing. In
train.csv observations are as read from reports (most of what is absent is not mentioned, some are
uncertain); in the others every one is 0 or 1, as radiologists labelled the official ones.
"""

from __future__ import annotations

from pathlib import Path

from bench.data.readers.chexpert_layout import write_image, write_listing
from bench.data.simulate_chest import SimulationSize
from bench.data.simulate_chest.exposure import radiograph
from bench.data.simulate_chest.findings import as_listed, draw_findings, observe
from bench.data.simulate_chest.patient import draw_patient, draw_placing
from bench.data.simulate_chest.torso import heart_share
from bench.streams import stream

_SPLITS = ("train", "train", "train", "valid", "test")
_FILES = {"train": "train.csv", "valid": "valid.csv", "test": "test_labels.csv"}


def write_set(size: SimulationSize, root: Path) -> None:
    """Draws and lists size.views studies of each of size.patients patients."""
    rows: dict[str, list[list[object]]] = {name: [] for name in _FILES}
    for index in range(size.patients):
        split = _SPLITS[index % len(_SPLITS)]
        person = draw_patient(stream(size.seed, "simulate-chest", index))
        for view in range(size.views):
            rng = stream(size.seed, "simulate-chest study", index * size.views + view)
            found = draw_findings(rng)
            observed = observe(found, heart_share(person, found))
            placing = draw_placing(person, rng, is_ill=not observed["No Finding"])
            key = f"{split}/patient{index + 1:05d}/study{view + 1}/view1_frontal.jpg"
            write_image(root / key, radiograph(person, placing, found, size.side, rng))
            cells = as_listed(observed, rng) if split == "train" else list(observed.values())
            about = [f"CheXpert-simulated/{key}", person.sex, person.age, "Frontal", placing.view]
            rows[split].append([*about, *cells])
    for split, listed in rows.items():
        write_listing(root / _FILES[split], listed)
