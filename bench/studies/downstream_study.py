"""What generated pictures are for: a regressor of ejection fraction, trained on them.

The echo paper generates so that other networks may train on it. Here the generator is conditioned
on EF (`--condition ef`), draws a picture for the EF of every real training picture, and a ResNet-18
learns EF from real pictures, from generated ones, or from both, and is tested on subjects that
neither it nor the generator has seen. "Both" comes twice: as many pictures as the others have, and
all; each arm for equally many steps, and all of both once more for equally many epochs.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import stats

from bench.conditions import Condition
from bench.errors import BenchError
from bench.metrics.real import RealData
from bench.studies.one_network import one_network
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
)
from bench.studies.trained import Trained
from bench.studies.value_regressors import Measured, SubjectErrors, trained_on
from bench.tasks.generate import GenerateTask

VALUE = "ef"
GROUPS = {  # per cent
    "all": (-np.inf, np.inf),
    "EF < 40": (-np.inf, 40.0),
    "40 to 55": (40.0, 55.0),
    "EF >= 55": (55.0, np.inf),
}
PICTURES = {"smoke": 48, "laptop": 512, "gpu": 8192, "paper": 50_000}
EPOCHS = {"smoke": 2, "laptop": 20, "gpu": 20, "paper": 20}  # of the real pictures
REAL, MEAN = "real", "the training mean"


class Downstream(Study):
    name: ClassVar[str] = "downstream"
    title: ClassVar[str] = "what are generated pictures worth as training data for EF?"
    workloads: ClassVar[frozenset[str]] = frozenset({"echo"})
    of_network: ClassVar[bool] = True
    settings: ClassVar[tuple[str, ...]] = (f"condition={VALUE}",)

    def answer(self, setting: Setting) -> Answer:
        trained = yield from one_network(setting)
        scale = setting.scale.name if setting.scale.name in PICTURES else "laptop"
        real = _measured(setting, "train", PICTURES[scale], setting.seed)
        tested = _measured(setting, "report", None, setting.seed)
        generated = Measured(
            values=setting.kept.array("downstream", partial(_draw_for, setting, trained, real[1])),
            numbers=real[0].numbers,
            subjects=np.arange(len(real[1])),
        )
        count = len(real[1])
        half = np.arange(count) % 2 == 0
        both = real[0].joined(generated)
        steps = max(1, EPOCHS[scale] * count // min(32, count))
        arms = {
            REAL: (real[0], steps),
            "generated": (generated, steps),
            "half of each": (real[0].some(half).joined(generated.some(~half)), steps),
            "both, equal steps": (both, steps),
            "both, equal epochs": (both, 2 * steps),
        }
        errors = {
            name: _kept(setting, name, pictures, tested[0], how_long)
            for name, (pictures, how_long) in arms.items()
        }
        mean = float(real[0].numbers.mean())
        numbers = errors[REAL].numbers
        errors[MEAN] = SubjectErrors(numbers=numbers, predicted=np.full(len(numbers), mean))
        rows = [
            (name, group, *found.error(low, high))
            for name, found in errors.items()
            for group, (low, high) in GROUPS.items()
        ]
        return Findings(
            lines=tuple(_line(name, found) for name, found in errors.items()),
            tables=(
                Table(
                    name="downstream",
                    title=f"mean absolute error of EF (%), {count} pictures an arm",
                    columns=("trained on", "subjects", "error", "low", "high", "how many"),
                    rows=rows,
                ),
            ),
            pictures=(
                Picture(name="downstream", draw=partial(_draw, rows=rows, label=setting.label)),
            ),
            claims=_claims(errors),
        )


def _line(name: str, found: SubjectErrors) -> str:
    value, low, high, people = found.error()
    return (
        f"{'by' if name == MEAN else 'trained on'} {name}: mean error {value:.3g} % EF "
        f"({low:.3g} to {high:.3g}, {people} subjects)"
    )


def _measured(
    setting: Setting, part: str, most: int | None, seed: int
) -> tuple[Measured, NDArray[np.int64]]:
    """Pictures of a part whose EF is known, at most so many, and which they are.

    Raises:
        BenchError: there are none.
    """
    data = setting.data
    names = [name.lower() for name in data.vector_names]
    if data.vector is None or VALUE not in names:
        raise BenchError(f"{data.name} has no {VALUE.upper()} of its pictures to learn from")
    numbers = data.vector[:, names.index(VALUE)].astype(np.float64)
    rows = data.parts[part][np.isfinite(numbers[data.parts[part]])]
    if not len(rows):
        raise BenchError(f"{VALUE.upper()} is known of no picture of the {part} part")
    if most is not None and len(rows) > most:
        rows = np.sort(np.random.default_rng(seed).permutation(rows)[:most])
    pictures = RealData(str(data.path)).pictures_at(rows)
    return Measured(values=pictures, numbers=numbers[rows], subjects=data.subject[rows]), rows


def _draw_for(setting: Setting, trained: Trained, rows: NDArray[np.int64]) -> NDArray[Any]:
    """A picture for the EF of each of these real ones, in their order."""
    setting.say(f"drawing {len(rows)} pictures for the EF of as many real ones")
    task = trained.task
    assert isinstance(task, GenerateTask)

    def condition(places: Sequence[int]) -> Condition:
        return task.condition_of(rows[np.asarray(places, np.int64)])

    return trained.drawn(len(rows), "study/downstream", condition=condition)


def _kept(
    setting: Setting, name: str, pictures: Measured, tested: Measured, steps: int
) -> SubjectErrors:
    def train() -> dict[str, Any]:
        setting.say(f"a regressor, trained on {name}: {steps} steps")
        torch.set_num_threads(setting.frame.threads)
        device = setting.frame.device
        found = trained_on(pictures, tested, steps=steps, seed=setting.seed, device=device)
        return {"numbers": found.numbers.tolist(), "predicted": found.predicted.tolist()}

    key = f"regressor-{name.replace(' ', '-').replace(',', '')}"
    found = setting.kept.numbers(key, train)
    return SubjectErrors(numbers=np.array(found["numbers"]), predicted=np.array(found["predicted"]))


def _claims(errors: dict[str, SubjectErrors]) -> tuple[Claim, ...]:
    """Whether generated pictures teach worse than real ones, by subject, in pairs."""
    apart = [np.abs(errors[name].predicted - errors[name].numbers) for name in ("generated", REAL)]
    change = apart[0] - apart[1]
    if len(change) < 3 or not change.std():
        return ()
    low, high = stats.ttest_rel(*apart).confidence_interval(0.95)
    mean, half = float(change.mean()), float(high - low) / 2
    verdict = HOLDS if low > 0 else FAILS if high < 0 else OPEN
    return (
        Claim(
            text="training on generated pictures yields downgraded performance on real ones",
            verdict=verdict,
            evidence=f"the error of EF rises by {mean:+.2g} +- {half:.2g} % against as many real "
            f"pictures ({len(change)} subjects, in pairs; one generator, one regressor each)",
        ),
    )


def _draw(path: Path, *, rows: Sequence[Sequence[Any]], label: str) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4), layout="constrained")
    axes = figure.add_subplot()
    names = list(dict.fromkeys(row[0] for row in rows))
    for shift, group in enumerate(GROUPS):
        mine = [row for row in rows if row[1] == group]
        errors = np.array([[row[2] - row[3], row[4] - row[2]] for row in mine]).T
        places = [k + 0.15 * (shift - 1.5) for k in range(len(mine))]
        axes.errorbar(
            places, [row[2] for row in mine], yerr=errors, fmt="o", capsize=2, label=group
        )
    axes.set_xticks(range(len(names)), names, rotation=20, ha="right")
    axes.set(ylabel="mean absolute error of EF (%)", title=f"trained on ... ({label})")
    axes.legend(fontsize="small")
    figure.savefig(path, dpi=110, format="png")


STUDY = Downstream()
