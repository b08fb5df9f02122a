"""A trial's generated pictures beside real ones of the `report` part, in one local PNG; and where
the other files lie that it left of the same evaluation."""

from __future__ import annotations

import re
from pathlib import Path

from PIL import Image, ImageDraw

from bench.errors import BenchError
from bench.sweep.record import barring
from bench.sweep.record.history import History
from bench.sweep.record.home import Home
from bench.sweep.record.publishing import REFERENCE
from bench.sweep.record.trial import Trial

HEAD = 24  # pixels for the captions
SAMPLES = "samples.png"
ON_THE_WAY = re.compile(r"-\d{12}\.png$")  # ends the name of a picture made before the end


def choose(history: History, number: int | None) -> Trial:
    """The trial of that number, or the best on `select`.

    Raises:
        BenchError: there is none.
    """
    trial = barring.best(history) if number is None else history.trials.get(number)
    if trial is None:
        what = "completed trial" if number is None else f"trial {number}"
        raise BenchError(f"sweep {history.plan.sweep} has no {what}")
    return trial


def beside_real(home: Home, history: History, trial: Trial) -> Path:
    """Write HOME/sweeps/NAME/samples-NNNN.png: generated on the left, real on the right.

    Raises:
        BenchError: the trial has no pictures, or the sweep none of its data.
    """
    plan = history.plan
    folder = home.folder(plan.sweep)
    made = _folder(home, history, trial) / SAMPLES
    if not made.exists():
        raise BenchError(f"trial {trial.number} of {plan.sweep} has no pictures; it did not end")
    real = folder / REFERENCE
    if not real.exists():
        raise BenchError(f"sweep {plan.sweep} has no pictures of its data; begin it anew")
    left, right = Image.open(made), Image.open(real)
    width, height = left.width + 16 + right.width, max(left.height, right.height) + HEAD
    page = Image.new("RGB", (width, height), "white")
    page.paste(left, (0, HEAD))
    page.paste(right, (left.width + 16, HEAD))
    draw = ImageDraw.Draw(page)
    kind = "SIMULATED data" if plan.data["simulated"] else "real data"
    leads = barring.best(history)
    first = "first on select: " if leads is not None and leads.number == trial.number else ""
    caption = f"{first}{trial.number:03d} {trial.suggestion.label}, judged on report"
    draw.text((4, 6), caption, fill="black")
    draw.text((left.width + 20, 6), f"{kind}, report part", fill="black")
    path = folder / f"samples-{trial.number:04d}.png"
    page.save(path)
    return path


def other_files(home: Home, history: History, trial: Trial) -> list[Path]:
    """What the trial's end left beside samples.png and is there: tables, pictures of cases."""
    names = [artifact["path"] for artifact in trial.artifacts]
    last = [name for name in names if name != SAMPLES and not ON_THE_WAY.search(name)]
    paths = [_folder(home, history, trial) / name for name in last]
    return [path for path in paths if path.exists()]


def _folder(home: Home, history: History, trial: Trial) -> Path:
    return home.folder(history.plan.sweep) / "trials" / f"{trial.number:04d}"
