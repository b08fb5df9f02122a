"""Table 2 of the echo paper: how well classifiers tell generated pictures from real ones.

A linear classifier, a ResNet-18 and a ResNet-18 with augmentation, before and after discriminator
guidance. Beside them two things that the paper has not: the same classifiers on two halves of the
real pictures, which are to come to 50 %, and intervals. Real pictures are held out by subject; the
paper held out frames, so that a network could know a subject from its other frames.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from bench.studies.guided import Guided
from bench.studies.one_network import one_network
from bench.studies.shift_classifiers import (
    CLASSIFIERS,
    Pictures,
    ShiftSettings,
    halves_by_subject,
    real_pictures,
    told_apart,
)
from bench.studies.study import (
    FAILS,
    HOLDS,
    OPEN,
    Answer,
    Claim,
    Findings,
    Picture,
    Setting,
    Study,
    Table,
    need_subjects,
)

EPOCHS = {"smoke": 3}  # of a classifier; the paper's 50 at every other scale
PAPER = {
    "linear": ("71.67 %", "72.14 %"),
    "resnet18": ("66.25 %", "60.91 %"),
    "resnet18_augmented": ("98.30 %", "84.24 %"),
}
CHANCE, HARDLY = 0.5, 0.6  # accuracies: nothing is told, and little enough
BEFORE, AFTER, HALVES = "before guidance", "after guidance", "real against real"


class Shift(Study):
    name: ClassVar[str] = "shift"
    title: ClassVar[str] = "can classifiers tell generated pictures from real ones?"
    workloads: ClassVar[frozenset[str]] = frozenset({"echo"})
    of_network: ClassVar[bool] = True
    settings: ClassVar[tuple[str, ...]] = ("sampler=heun", "steps=18")
    width: ClassVar[int] = 32

    def answer(self, setting: Setting) -> Answer:
        need_subjects(setting.data, "train", 4)
        trained = yield from one_network(setting)
        guided = Guided(setting, trained)
        best = guided.choose((self.width,)).best

        def draw(after: bool) -> NDArray[Any]:
            setting.say(f"drawing {guided.size.pictures} pictures {AFTER if after else BEFORE}")
            networks = guided.networks(guided.epochs(best.width), best.epoch) if after else None
            sample = guided.sampling(best) if after else None
            return trained.drawn(
                guided.size.pictures, "study/shift", sample=sample, networks=networks
            )

        before = setting.kept.array("shift-before", lambda: draw(False))
        after = setting.kept.array("shift-after", lambda: draw(True))
        real = real_pictures(setting.data, "train", guided.size.pictures)
        first, second = halves_by_subject(real, seed=setting.seed)
        pairs = {
            BEFORE: (real, Pictures(values=before)),
            AFTER: (real, Pictures(values=after)),
            HALVES: (first, second),
        }
        rows = [
            (CLASSIFIERS[kind].title, name, *_told(setting, kind, name, *pair))
            for kind in CLASSIFIERS
            for name, pair in pairs.items()
        ]
        return Findings(
            lines=tuple(_lines(rows)),
            tables=(_as_the_paper(rows), _all(rows)),
            claims=_claims(rows),
            pictures=(Picture(name="shift", draw=partial(_draw, rows=rows, label=setting.label)),),
        )


def _told(
    setting: Setting, kind: str, name: str, real: Pictures, other: Pictures
) -> tuple[float, float, float, float, float, int]:
    """Accuracy on pictures held out, its interval, that over subjects (of pictures, where they have
    none), and how many there were."""

    def train() -> dict[str, Any]:
        setting.say(f"{CLASSIFIERS[kind].title}, {name}")
        settings = ShiftSettings(epochs=EPOCHS.get(setting.scale.name, 50))
        device = setting.frame.device
        found = told_apart(real, other, kind, settings, seed=setting.seed, device=device)
        return {**dataclasses.asdict(found), "accuracy": found.accuracy}

    found = setting.kept.numbers(f"shift-{kind}-{name.replace(' ', '-')}", train)
    wide = found["by_subject"] or found["interval"]
    return found["accuracy"], *found["interval"], *wide, found["count"]


def _lines(rows: Sequence[tuple[Any, ...]]) -> list[str]:
    lines = []
    for title in dict.fromkeys(row[0] for row in rows):
        by_name = {row[1]: row for row in rows if row[0] == title}
        shares = ", ".join(
            f"{name} {row[2]:.1%} ({low(row):.1%} to {high(row):.1%})"
            for name, row in by_name.items()
        )
        before, after = by_name[BEFORE], by_name[AFTER]
        apart = low(before) > high(after) or low(after) > high(before)
        change = "guidance changes it" if apart else "no change by guidance can be told"
        lines.append(f"{title}: {shares}; {change}")
    return lines


def low(row: Sequence[Any]) -> float:
    """The lower end of an accuracy: of pictures or over subjects, whichever is further."""
    return float(min(row[3], row[5]))


def high(row: Sequence[Any]) -> float:
    """The upper end."""
    return float(max(row[4], row[6]))


def _claims(rows: Sequence[tuple[Any, ...]]) -> tuple[Claim, ...]:
    by_place = {(row[0], row[1]): row for row in rows}
    titles = {kind: classifier.title for kind, classifier in CLASSIFIERS.items()}
    after = [by_place[title, AFTER] for title in titles.values()]
    best = max(after, key=low)
    halves = by_place[best[0], HALVES]
    tells = low(best) > max(CHANCE, halves[2])
    hardly = all(high(row) < HARDLY for row in after)
    linear, resnet = (by_place[titles[kind], BEFORE] for kind in ("linear", "resnet18"))
    above, below = low(linear) > high(resnet), low(resnet) > high(linear)
    return (
        Claim(
            text="after guidance a network still tells generated pictures from real ones",
            verdict=HOLDS if tells else FAILS if hardly else OPEN,
            evidence=f"{best[0]}: {best[2]:.1%} ({low(best):.1%} to {high(best):.1%}) {AFTER}; "
            f"real halves from each other {halves[2]:.1%}",
        ),
        Claim(
            text="a linear classifier tells them apart better than a plain ResNet-18",
            verdict=HOLDS if above else FAILS if below else OPEN,
            evidence=f"linear {linear[2]:.1%} ({low(linear):.1%} to {high(linear):.1%}), ResNet-18 "
            f"{resnet[2]:.1%} ({low(resnet):.1%} to {high(resnet):.1%})",
        ),
    )


def _as_the_paper(rows: Sequence[tuple[Any, ...]]) -> Table:
    """Classifiers across, before and after down."""
    titles = list(dict.fromkeys(row[0] for row in rows))
    shares = {(row[0], row[1]): row[2] for row in rows}
    names = list(dict.fromkeys(row[1] for row in rows))
    paper = [
        (f"the paper's, {name}, not ours", *(PAPER[kind][place] for kind in CLASSIFIERS))
        for place, name in enumerate((BEFORE, AFTER))
    ]
    return Table(
        name="table2",
        title="pictures held out that are told rightly",
        columns=("", *titles),
        rows=[*((name, *(f"{shares[t, name]:.1%}" for t in titles)) for name in names), *paper],
    )


def _all(rows: Sequence[tuple[Any, ...]]) -> Table:
    return Table(
        name="accuracies",
        title="accuracies with 95 % intervals: of pictures, and over subjects",
        columns=(
            *("classifier", "pictures", "accuracy", "low", "high"),
            *("low by subject", "high by subject", "held out"),
        ),
        rows=rows,
        shown=False,
    )


def _draw(path: Path, *, rows: Sequence[tuple[Any, ...]], label: str) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4), layout="constrained")
    axes = figure.add_subplot()
    titles = list(dict.fromkeys(row[0] for row in rows))
    for shift, name in enumerate(dict.fromkeys(row[1] for row in rows)):
        mine = [row for row in rows if row[1] == name]
        errors = np.array([[row[2] - row[3], row[4] - row[2]] for row in mine]).T
        places = [k + 0.2 * (shift - 1) for k in range(len(mine))]
        axes.errorbar(places, [row[2] for row in mine], yerr=errors, fmt="o", capsize=3, label=name)
    axes.axhline(0.5, color="grey", linestyle=":")
    axes.set_xticks(range(len(titles)), titles)
    axes.set(ylabel="told rightly", ylim=(0.3, 1.02), title=f"real or generated? ({label})")
    axes.legend()
    figure.savefig(path, dpi=110, format="png")


STUDY = Shift()
