"""Writes the simulated set as EchoNet-Dynamic lays it out, listing what was drawn.

EF, ESV and EDV are those of the two traced frames, the largest and the smallest volume in the
clip, from the drawn geometry. Splits are dealt 60/20/20 in the order of drawing.
"""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from bench.data.readers.echonet import write_file_list
from bench.data.readers.video_file import encode
from bench.data.simulate_echo import SimulationSize, heart, scanner
from bench.streams import stream

_SPLITS = ("TRAIN", "TRAIN", "TRAIN", "VAL", "TEST")
_QUALITY = 3  # libav's quantiser: about 3 kB a frame, as EchoNet's files


def write_set(size: SimulationSize, root: Path) -> None:
    """Draws, encodes and lists size.patients clips of size.frames frames."""
    (root / "Videos").mkdir(parents=True)
    rows: list[list[object]] = []
    traces: list[list[object]] = [["FileName", "X1", "Y1", "X2", "Y2", "Frame"]]
    for index in range(size.patients):
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
        rows.append([name, round(ef, 4), round(esv, 4), round(edv, 4), *shape, split])
        for frame in (systole, diastole):  # by cross-section, as the official file
            for line in heart.tracing(patient, moving, frame):
                traces.append([f"{name}.avi", *(round(float(z), 4) for z in line), frame])
    write_file_list(root, rows)
    with (root / "VolumeTracings.csv").open("w", newline="", encoding="utf-8") as out:
        csv.writer(out, lineterminator="\n").writerows(traces)


def _split(index: int, patients: int) -> str:
    """60/20/20; the last three patients of a tiny set make sure that no split is empty."""
    if patients < len(_SPLITS):
        return ("TRAIN", "VAL", "TEST")[index % 3]
    return _SPLITS[index % len(_SPLITS)]
