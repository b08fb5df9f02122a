"""How much of a score is chance: three spreads side by side.

The echo paper scored one network against ten subsets of the real pictures (4.02 +- .045) and drew
ten sample sets against one subset (4.05 +- .001), and took the second for the accuracy of its
table. It left out the third: the same configuration trained again from another seed. A difference
between two configurations, each trained once, holds that one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from scipy import stats

from bench.errors import BenchError
from bench.metrics.extractors import extract
from bench.metrics.frechet import FrechetReference, frechet_distance
from bench.metrics.real import RealData, extractor_named
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
from bench.studies.table1_study import arm, cell_of
from bench.studies.trained import Trained

DRAWS = 10  # of real subsets and of sample sets, as in the paper
SEEDS = 5
LEAST_SUBJECTS = 4  # of which halves are drawn; of three, only three subsets differ
HALF = 0.5  # of the report pictures (or subjects) that a subset holds
SAMPLES = 50_000  # of the paper
FRAMES, SUBJECTS, SAMPLE_SETS, TRAININGS = "frames", "subjects", "samples", "trainings"


@dataclass(frozen=True, kw_only=True)
class Spread:
    """Distances that differ by one thing alone."""

    name: str
    values: tuple[float, ...]
    paper: str = "-"

    @property
    def mean(self) -> float:
        return float(np.mean(self.values))

    @property
    def sd(self) -> float:
        return float(np.std(self.values, ddof=1))

    @property
    def relative(self) -> float:
        return self.sd / self.mean

    @property
    def apart(self) -> float:
        """What two single values differ by in 95 %, relative: t of the values' own number."""
        t = float(stats.t.ppf(0.975, len(self.values) - 1))
        return t * math.sqrt(2) * self.relative

    def sd_ratio(self, other: Spread) -> tuple[float, float]:
        """The 95 % interval of its sd over another's: F, values taken for normal draws."""
        chance = stats.f(len(self.values) - 1, len(other.values) - 1)
        squared = (self.relative / other.relative) ** 2
        low, high = squared / chance.ppf(0.975), squared / chance.ppf(0.025)
        return float(low) ** 0.5, float(high) ** 0.5


class Noise(Study):
    name: ClassVar[str] = "noise"
    title: ClassVar[str] = "how much of a score is chance: samples, real pictures or training?"
    workloads: ClassVar[frozenset[str]] = frozenset({"echo"})

    def answer(self, setting: Setting) -> Answer:
        need_subjects(setting.data, "report", 2)
        cell, seeds = cell_of(setting), setting.seeds or SEEDS
        if seeds < 2:
            raise BenchError(f"a spread between trainings needs two seeds, got --seeds {seeds}")
        ran = yield tuple(arm(setting, cell, setting.seed + k) for k in range(seeds))
        done = [trial for trial in ran if trial.outcome == "completed"]
        if len(done) < 2:
            raise BenchError(f"{len(done)} of {seeds} trainings completed; a spread needs two")
        found = [Trained.of(trial) for trial in done]
        name, most = str(setting.measuring["extractor"]), int(setting.measuring["n_reference"])
        real = RealData(setting.frame.data.cache, found[0].config.train.device)
        count, whole = setting.frame.measure.n_report, real.rows("report", most)

        def features(trained: Trained, key: str, draw: int) -> Any:
            def make() -> Any:
                setting.say(f"drawing {count} pictures: {key}")
                pictures = trained.drawn(count, "study/noise", setting.seed + draw)
                return extract(extractor_named(name), pictures, device=real.device)

            return setting.kept.array(f"features-{key}", make)

        draws = [features(found[0], f"draw{k}", k) for k in range(DRAWS)]
        trainings = [draws[0], *(features(t, f"seed{k + 1}", 0) for k, t in enumerate(found[1:]))]
        all_real = extract(extractor_named(name), real.pictures_at(whole), device=real.device)
        fixed = FrechetReference.of_features(all_real, digest="")
        subjects = real.data.subject[whole]
        rng = np.random.default_rng(setting.seed)
        frames = [rng.permutation(len(whole))[: int(HALF * len(whole))] for _ in range(DRAWS)]
        persons = np.unique(subjects)
        groups = [rng.permutation(persons)[: int(HALF * len(persons))] for _ in range(DRAWS)]
        by_subject = [np.flatnonzero(np.isin(subjects, group)) for group in groups]

        def against(rows: Any) -> float:
            reference = FrechetReference.of_features(all_real[rows], digest="")
            return frechet_distance(reference, draws[0]).value

        spreads = {
            FRAMES: Spread(
                name=f"real subsets by frame, {HALF:.0%} each",
                values=tuple(against(rows) for rows in frames),
                paper=".045 (of 4.02)",
            ),
            SAMPLE_SETS: Spread(
                name=f"sample sets of {count}",
                values=tuple(frechet_distance(fixed, f).value for f in draws),
                paper=".001 (of 4.05)",
            ),
            TRAININGS: Spread(
                name=f"trainings from {len(found)} seeds",
                values=tuple(frechet_distance(fixed, f).value for f in trainings),
                paper="left out",
            ),
        }
        if len(persons) >= LEAST_SUBJECTS:
            spreads[SUBJECTS] = Spread(
                name=f"real subsets by subject, {HALF:.0%} each",
                values=tuple(against(rows) for rows in by_subject),
            )
        return _findings(setting, spreads, found[0].task.score.title)


def _findings(setting: Setting, spreads: Mapping[str, Spread], title: str) -> Findings:
    samples, trainings, by_subject = spreads[SAMPLE_SETS], spreads[TRAININGS], spreads.get(SUBJECTS)
    return Findings(
        lines=(
            f"trained again from another seed the score differs by {trainings.relative:.1%} (sd), "
            f"drawn again by {samples.relative:.1%}, against other real pictures by "
            f"{spreads[FRAMES].relative:.1%} of frames"
            + (f" and {by_subject.relative:.1%} of subjects" if by_subject else ""),
            *(
                ()
                if by_subject
                else (
                    f"against other subjects it is not known: the report part has fewer than "
                    f"{LEAST_SUBJECTS}, so halves of them say nothing",
                )
            ),
            f"two configurations trained once each are told apart (95 %) where they differ by more "
            f"than {trainings.apart:.1%}, by a spread that {len(trainings.values)} trainings tell; "
            f"that of sample sets alone would say {samples.apart:.1%}",
        ),
        tables=(
            Table(
                name="noise",
                title=f"{title}: three spreads, one thing changed at a time",
                columns=(
                    "what changes",
                    "values",
                    "mean",
                    "sd",
                    "sd / mean",
                    "paper's sd, not ours",
                ),
                rows=[
                    (s.name, len(s.values), s.mean, s.sd, s.relative, s.paper)
                    for s in spreads.values()
                ],
            ),
            Table(
                name="values",
                title="all distances",
                columns=("what changes", title),
                rows=[(s.name, value) for s in spreads.values() for value in s.values],
                shown=False,
            ),
        ),
        pictures=(
            Picture(
                name="noise",
                draw=partial(
                    _draw, spreads=tuple(spreads.values()), title=title, label=setting.label
                ),
            ),
        ),
        claims=_claims(spreads, setting.frame.measure.n_report),
        facts={s.name: s.values for s in spreads.values()},
    )


def _claims(spreads: Mapping[str, Spread], drawn: int) -> tuple[Claim, ...]:
    """drawn: samples of a set."""
    frames, samples, trainings = (spreads[key] for key in (FRAMES, SAMPLE_SETS, TRAININGS))
    table = ", ".join(f"{s.name} {s.relative:.2%}" for s in spreads.values())
    low, high = samples.sd_ratio(frames)
    few = drawn < SAMPLES
    first = OPEN if few else HOLDS if high < 0.5 else FAILS if low > 0.5 else OPEN
    low, high = trainings.sd_ratio(samples)
    second = FAILS if low > 1 else HOLDS if high < 2 else OPEN
    return (
        Claim(
            text="only the subset of real pictures can vary the score, samples hardly do",
            verdict=first,
            evidence=f"standard deviations: {table}; {drawn} samples were drawn, the paper drew "
            f"{SAMPLES}" + (", which vary less" if few else ""),
        ),
        Claim(
            text="on one subset of real pictures the score of a configuration is highly accurate",
            verdict=second,
            evidence=f"trained again it varies {trainings.relative / samples.relative:.2g} times "
            f"({low:.2g} to {high:.2g}) as much as drawn again; the paper drew again alone",
        ),
    )


def _draw(path: Path, *, spreads: tuple[Spread, ...], title: str, label: str) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 3.5), layout="constrained")
    axes = figure.add_subplot()
    for place, spread in enumerate(spreads):
        axes.plot(spread.values, [place] * len(spread.values), "o", alpha=0.5)
        axes.errorbar(spread.mean, place + 0.2, xerr=spread.sd, fmt="k|", capsize=3)
    axes.set_yticks(range(len(spreads)), [spread.name for spread in spreads])
    axes.invert_yaxis()
    axes.set(xlabel=title, title=f"one thing changed at a time; bars: mean and sd ({label})")
    figure.savefig(path, dpi=110, format="png")


STUDY = Noise()
