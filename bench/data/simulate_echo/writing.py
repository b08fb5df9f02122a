"""Writes the simulated set as EchoNet-Dynamic lays it out, listing what was drawn.

EF, ESV and EDV are those of the two traced frames, the largest and the smallest volume in the
clip, from the drawn geometry. Splits are dealt 60/20/20 in the order of drawing.
"""

from __future__ import annotations

import csv
from functools import partial
from pathlib import Path

import numpy as np

from bench.data.on_cores import in_order
from bench.data.readers.echonet import write_file_list
from bench.data.readers.video_file import encode
from bench.data.simulate_echo import SimulationSize, heart, scanner
from bench.streams import stream

Row = list[object]

_SPLITS = ("TRAIN", "TRAIN", "TRAIN", "VAL", "TEST")
_WORTH_PROCESSES = 500  # frames: a few seconds of drawing
_QUALITY = 3  # libav's quantiser: about 3 kB a frame, as EchoNet's files


def write_set(size: SimulationSize, root: Path) -> None:
    """Draws, encodes and lists size.patients clips of size.frames frames, as many at once as there
    are cores."""
    (root / "Videos").mkdir(parents=True)
    drawn = in_order(
        partial(_write_clip, size, root),
        size.patients,
        worth_it=size.patients * size.frames > _WORTH_PROCESSES,
    )
    write_file_list(root, [row for row, _ in drawn])
    header = ["FileName", "X1", "Y1", "X2", "Y2", "Frame"]
    with (root / "VolumeTracings.csv").open("w", newline="", encoding="utf-8") as out:
        csv.writer(out, lineterminator="\n").writerows(
            [header, *(line for _, traces in drawn for line in traces)]
        )


def _write_clip(size: SimulationSize, root: Path, index: int) -> tuple[Row, list[Row]]:
    """One patient's clip; its row of the list, and its tracings."""
    name = f"SIM{index:05d}"
    rng = stream(size.seed, "simulate-echo", index)
    patient, machine = heart.draw_heart(rng), scanner.draw_scanner(rng)
    moving = heart.motion(patient, size.frames, size.fps)
    encode(
        root / "Videos" / f"{name}.avi",
        scanner.render(patient, machine, moving, rng),
        fps=size.fps,
        quality=_QUALITY,
    )
    ml = heart.volumes(patient, moving) * (machine.depth_cm / machine.radius) ** 3
    systole, diastole = int(np.argmin(ml)), int(np.argmax(ml))
    esv, edv = float(ml[systole]), float(ml[diastole])
    ef = 100 * (1 - esv / edv)
    split = _split(index, size.patients)
    shape = (heart.SIZE, heart.SIZE, size.fps, size.frames)
    traces: list[Row] = [
        [f"{name}.avi", *(round(float(z), 4) for z in line), frame]
        for frame in (systole, diastole)
        for line in heart.tracing(patient, moving, frame)  # by cross-section, as the official file
    ]
    return [name, round(ef, 4), round(esv, 4), round(edv, 4), *shape, split], traces


def _split(index: int, patients: int) -> str:
    """60/20/20; the last three patients of a tiny set make sure that no split is empty."""
    if patients < len(_SPLITS):
        return ("TRAIN", "VAL", "TEST")[index % 3]
    return _SPLITS[index % len(_SPLITS)]
