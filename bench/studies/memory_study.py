"""How much memory training on volumes takes: by patch, by skip, with and without checkpointing.

No trial is judged: each configuration is predicted (bench.sweep.cost.footprint) and trained for two
steps in a process of its own (bench.sweep.cost.measured_memory), the largest ones only predicted.
What a GPU would hold is predicted beside, from the same tensors.
"""

from __future__ import annotations

import dataclasses
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from bench.config import TrialConfig
from bench.studies import segmentation_arms
from bench.studies.segmentation_arms import WHOLE, WORKLOADS
from bench.studies.study import Answer, Findings, Picture, Setting, Study, Table
from bench.sweep.cost.footprint import predict
from bench.sweep.cost.measured_memory import measured_gb
from bench.sweep.deciding.resolve import resolve

SKIPS = ("average", "add", "concatenate")
MOST_GB = 8.0  # predicted: beyond, nothing is trained to be measured
Row = tuple[Any, ...]


class Memory(Study):
    name: ClassVar[str] = "memory"
    title: ClassVar[str] = "how much memory does training take?"
    workloads: ClassVar[frozenset[str]] = WORKLOADS

    def answer(self, setting: Setting) -> Answer:
        yield ()
        base = segmentation_arms.base(setting, "patch", "resolution", "skip", "checkpointing")
        seen: dict[str, dict[str, Any]] = {
            "whole" if patch == WHOLE else f"{patch} voxels": {"patch": patch}
            for patch in segmentation_arms.patches(setting)
        }
        seen["half resolution"] = {"patch": WHOLE, "resolution": "half"}
        rows = []
        for name, arm in seen.items():
            for skip in SKIPS:
                for kept in (False, True):
                    params = {**base, **arm, "skip": skip, "checkpointing": kept}
                    config = resolve(setting.frame, params, setting.seed)
                    rows.append(self._row(setting, config, name, skip, kept))
        whole = {row[1]: row[3] for row in rows if row[0] == "whole" and row[2] == "no"}
        largest = {row[1]: row[3] for row in rows if "voxels" in row[0] and row[2] == "no"}
        return Findings(
            lines=(
                f"averaging takes {whole['average'] / whole['concatenate']:.2f} of concatenation's "
                "memory on whole volumes (predicted, equal width)",
                f"the largest patch takes {largest['average'] / whole['average']:.2f} of the whole "
                "volume's memory",
            ),
            tables=(
                Table(
                    name=self.name,
                    title="peak of training one batch, in GB, without the process itself",
                    columns=(
                        *("patch", "skip", "checkpointing", "predicted", "measured here"),
                        *("predicted / measured", "predicted on a GPU"),
                    ),
                    rows=rows,
                ),
            ),
            pictures=(Picture(name=self.name, draw=partial(draw, rows=rows, label=setting.label)),),
        )

    def _row(self, setting: Setting, config: TrialConfig, seen: str, skip: str, kept: bool) -> Row:
        predicted = predict(config).training_peak_gb
        key = f"memory-{seen.replace(' ', '-')}-{skip}-{int(kept)}"
        measured = None
        if predicted <= MOST_GB:
            setting.say(f"training two steps: {key}")
            measured = setting.kept.numbers(key, partial(measured_gb, config))
        on_gpu = dataclasses.replace(config, train=dataclasses.replace(config.train, device="cuda"))
        return (
            seen,
            skip,
            "yes" if kept else "no",
            predicted,
            measured,
            None if not measured else predicted / measured,
            predict(on_gpu).training_peak_gb,
        )


def draw(path: Path, *, rows: list[Row], label: str) -> None:
    """Predicted bars with what was measured as points."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.add_subplot()
    patches = list(dict.fromkeys(row[0] for row in rows))
    kinds = list(dict.fromkeys((row[1], row[2]) for row in rows))
    width = 0.8 / len(kinds)
    for place, (skip, kept) in enumerate(kinds):
        own = [row for row in rows if row[1:3] == (skip, kept)]
        xs = [patches.index(row[0]) + (place - (len(kinds) - 1) / 2) * width for row in own]
        name = f"{skip}{', checkpointing' if kept == 'yes' else ''}"
        axes.bar(xs, [row[3] for row in own], width * 0.9, label=name)
        seen = [(x, row[4]) for x, row in zip(xs, own, strict=True) if row[4]]
        axes.plot([x for x, _ in seen], [y for _, y in seen], "k_", ms=9)
    axes.plot([], [], "k_", ms=9, label="measured here")
    axes.set_xticks(range(len(patches)), patches)
    axes.set(yscale="log", ylabel="GB at the peak of training", title=f"by patch ({label})")
    axes.legend(fontsize=8)
    figure.savefig(path, dpi=110, format="png")


STUDY = Memory()
