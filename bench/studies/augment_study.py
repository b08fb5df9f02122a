"""Do generated x-rays help denoising, as added training data? The seed wondered.

For each training seed a generator is trained on the training part, and nothing else of the data;
its pictures are added to that part, half as many and as many as there are real ones; the seed's
denoiser is trained on each for the same number of images, so at equal FLOPs. A further arm has
half of the real pictures and none added: where that loses nothing, pictures are not what is
missing, and none that are added could help. Differences are paired by seed, and scored on real
pictures of `report` alone.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from scipy.stats import t as student

from bench.data.value_range import to_uint8
from bench.pictures import save_grid
from bench.studies.added_pictures import drawn, with_training
from bench.studies.study import Answer, Arm, Findings, Picture, Ran, Setting, Study, Table
from bench.studies.trained import Trained
from bench.sweep.cost.equal import Equal
from bench.sweep.deciding.resolve import default_params
from bench.tasks import build_task
from bench.workloads.workload import Scale
from leaderboards.measures import Measure

DENOISER, GENERATOR = "fast_ddpm", "edm"
SEEDS = 3
SHARES = (0.5, 1.0)  # of as many generated pictures as there are real ones
KIMG = {"smoke": 0.5, "laptop": 3.0, "gpu": 60.0, "paper": 600.0}
GENERATOR_BUDGET = 2.0  # in units of a denoiser's images
NONE, HALF = "real only", "half of the real"
SHOWN = 32


class Augment(Study):
    name: ClassVar[str] = "augment"
    title: ClassVar[str] = "do generated x-rays help denoising, as added training data?"
    workloads: ClassVar[frozenset[str]] = frozenset({"chexpert"})

    def budget(self, scale: Scale) -> Equal:
        return Equal(kind="nimg", amount=KIMG.get(scale.name, KIMG["laptop"]))

    def answer(self, setting: Setting) -> Answer:
        seeds = [setting.seed + k for k in range(SEEDS)]
        generators = yield tuple(_generator(setting, seed) for seed in seeds)
        real = setting.data.parts["train"]
        asked, shown = [], []
        for seed, generator in zip(seeds, generators, strict=True):
            most = round(max(SHARES) * len(real))
            pictures = setting.kept.array(
                f"drawn-{seed}",
                partial(drawn, Trained.of(generator), setting.data, most),
            )
            shown.append(pictures[:SHOWN])
            asked += _denoisers(setting, seed, pictures)
        ran = yield tuple(asked)
        score = build_task(ran[0].config).score
        table, lines = _compare(ran, score, len(real))
        epochs = ran[0].config.train.budget_nimg / len(real)
        fd = [g.metrics.get(f"eval/{build_task(g.config).score.key}") for g in generators]
        known = ", ".join("-" if v is None else f"{v:.3g}" for v in fd)
        return Findings(
            lines=(
                f"{len(real)} real training pictures ({setting.label}), {epochs:.1f} times over; "
                f"generators' {build_task(generators[0].config).score.title}: {known}",
                *lines,
            ),
            tables=(table, _trials(ran, score)),
            pictures=(
                Picture(
                    name="generated",
                    draw=partial(_grid, np.concatenate(shown), setting.data.value_range),
                    real=not setting.data.simulated,
                ),
            ),
            facts={"real": len(real), "epochs": epochs, "seeds": seeds},
        )


def _params(setting: Setting, scheme: str) -> dict[str, Any]:
    cell = {
        "architecture": setting.scale.choices.architectures[0],
        "preconditioning": scheme,
    }
    return default_params(setting.scale, cell)


def _generator(setting: Setting, seed: int) -> Arm:
    return Arm(
        name=f"generator, seed {seed}",
        why="on the training part alone",
        params=_params(setting, GENERATOR),
        seed=seed,
        budget=GENERATOR_BUDGET,
        task="generate",
        metrics=("fd",),
    )


def _denoisers(setting: Setting, seed: int, pictures: Any) -> list[Arm]:
    real = setting.data.parts["train"]
    fewer = np.random.default_rng(seed).permutation(real)[: math.ceil(len(real) / 2)]
    sets = {NONE: (real, 0), HALF: (np.sort(fewer), 0)}
    sets |= {f"{share:.0%} added": (real, round(share * len(real))) for share in SHARES}
    return [
        Arm(
            name=name,
            why=f"seed {seed}: {len(rows)} real and {count} generated",
            params=_params(setting, DENOISER),
            seed=seed,
            data=with_training(
                setting.data,
                setting.folder / f"data-{seed}-{place}",
                f"{seed}-{place}",
                rows,
                pictures[:count],
            ),
        )
        for place, (name, (rows, count)) in enumerate(sets.items())
    ]


def _compare(ran: Sequence[Ran], score: Measure, real: int) -> tuple[Table, tuple[str, ...]]:
    """Each arm against real pictures alone, paired by seed: mean and 95 % t interval."""
    values: dict[str, dict[int, float]] = {}
    for trial in ran:
        if trial.outcome == "completed":
            place = values.setdefault(trial.arm.name, {})
            place[trial.arm.seed] = trial.metrics[f"eval/{score.key}"]
    better = 1 if score.direction == "higher" else -1
    rows: list[tuple[Any, ...]] = []
    lines = []
    base = values.get(NONE, {})
    for name, by_seed in values.items():
        both = sorted(set(by_seed) & set(base))
        mean = float(np.mean(list(by_seed.values())))
        if name == NONE or len(both) < 2:
            rows.append((name, len(by_seed), mean, None, None, None))
            continue
        change = np.array([by_seed[s] - base[s] for s in both])
        half = float(student.ppf(0.975, len(both) - 1) * change.std(ddof=1) / math.sqrt(len(both)))
        low, high = float(change.mean()) - half, float(change.mean()) + half
        rows.append((name, len(by_seed), mean, float(change.mean()), low, high))
        if low <= 0 <= high:
            verdict = "cannot be told from none"
        else:
            verdict = "helps" if better * change.mean() > 0 else "harms"
        lines.append(
            f"{name}: {score.title} {change.mean():+.2f} ({low:+.2f} to {high:+.2f}, "
            f"{len(both)} seeds): {verdict}"
        )
    table = Table(
        name="shares",
        title=f"{score.title} on report, by what the training part holds ({real} real pictures)",
        columns=("training part", "seeds", score.title, "change", "low", "high"),
        rows=rows,
    )
    return table, tuple(lines)


def _trials(ran: Sequence[Ran], score: Measure) -> Table:
    return Table(
        name="trials",
        title="all trials",
        columns=("training part", "seed", "outcome", "kimg", score.title),
        rows=[
            (
                trial.arm.name,
                trial.arm.seed,
                trial.outcome,
                trial.config.train.budget_nimg / 1000,
                trial.metrics.get(f"eval/{score.key}"),
            )
            for trial in ran
        ],
        shown=False,
    )


def _grid(pictures: Any, value_range: tuple[float, float], path: Path) -> None:
    save_grid(to_uint8(pictures, value_range), path)


STUDY = Augment()
