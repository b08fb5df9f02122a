"""What real pictures, copies and the simplest model score, measured as a trial's samples are.

- floor by subject: real pictures of held-out subjects (select) against the report part, as many
  subjects as it has where there are so many. A perfect generator scores about this.
- floor by frame: the same numbers of pictures from both parts, dealt without regard to whose they
  are, so that both sides have the same subjects: how much of the floor is the choice of subjects.
- training copies: pictures of the train part, which a generator that only remembers would draw.
- linear-Gaussian: samples of the Gaussian with the train part's mean and covariance.

They are kept beside the cache under a digest of all that they depend on.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from bench.config import by_content, canonical
from bench.files import whole
from bench.metrics.frechet_metric import FrechetMetric
from bench.metrics.memorisation import matched_indices, of_subjects
from bench.metrics.metric import Evidence, Metric
from bench.metrics.real import RealData
from bench.predictions import Predictions
from bench.streams import stream
from leaderboards.references import FLOOR, Reference

VERSION = 1  # of what is measured here
AT_ONCE = 256  # pictures of the Gaussian that are drawn together
MOST = 20_000  # pictures of each reference; more would take hours


def references_of(
    real: RealData, metrics: Sequence[Metric], n_report: int
) -> tuple[Reference, ...]:
    """The reference rows of these metrics for trials that draw n_report pictures."""
    facts = {
        "version": VERSION,
        "data": real.data.digest,
        "n_report": n_report,
        "metrics": [by_content(dict(metric.protocol())) for metric in metrics],
        "keys": [metric.measures[0].key for metric in metrics],
    }
    digest = hashlib.sha256(canonical(facts).encode()).hexdigest()[:16]
    path = real.folder / f"references-{digest}.json"
    if path.exists():
        return tuple(map(Reference.from_dict, json.loads(path.read_text(encoding="utf-8"))))
    made = _measured(real, metrics, min(n_report, MOST), n_report)
    with whole(path) as part:
        part.write_text(json.dumps([one.to_dict() for one in made]), encoding="utf-8")
    return made


def _measured(
    real: RealData, metrics: Sequence[Metric], count: int, n_report: int
) -> tuple[Reference, ...]:
    data = real.data
    owners = {part: data.subject[rows] for part, rows in data.parts.items()}
    asked = len(np.unique(owners["report"]))
    held = of_subjects(data.parts["select"], owners["select"], asked, count)
    there = len(np.unique(data.subject[held]))
    few = [f"{there} subjects, the report part has {asked}"] if there < asked else []
    copies = matched_indices(data.parts["train"], count)
    rows = {
        (FLOOR, "real, other subjects"): (real.pictures_at(held), few),
        ("training copies", "training copies"): (real.pictures_at(copies), []),
        ("linear-Gaussian", "linear-Gaussian samples"): (gaussian_pictures(real, count), []),
    }
    made = []
    for (key, title), (pictures, notes) in rows.items():
        values = _values(real, metrics, pictures)
        fewer = [f"{len(pictures)} pictures, trials draw {n_report}"]
        limits = tuple(notes + (fewer if len(pictures) < n_report else []))
        made.append(
            Reference(key=key, title=title, count=len(pictures), values=values, notes=limits)
        )
    by_frame = _by_frame(real, metrics[0], count)
    return (made[0], *([by_frame] if by_frame else []), *made[1:])


def _values(
    real: RealData, metrics: Sequence[Metric], pictures: NDArray[np.uint8]
) -> dict[str, float]:
    """What the metrics that need pictures alone say of them, as of a trial's samples at its end."""
    predictions = Predictions(values=pictures, passes=0, outside_share=0.0)
    evidence = Evidence(part="report", real=real, predictions=predictions)
    return {
        f"eval/{key}": float(value)
        for metric in metrics
        if metric.needs == {"pictures"}
        for key, value in metric.estimate(evidence).items()
    }


def _by_frame(real: RealData, score: Metric, count: int) -> Reference | None:
    """The floor where both sides have the same subjects; of a Fréchet distance alone."""
    if not isinstance(score, FrechetMetric):
        return None
    parts = real.data.parts
    pool = np.concatenate([parts["select"], parts["report"]])
    order = stream(0, "floor by frame").permutation(len(pool))
    wanted = min(len(parts["report"]), int(score.settings["n_reference"]), MOST)
    first = min(wanted, len(pool) - min(count, len(pool) // 2))
    one, other = pool[order[:first]], pool[order[first : first + count]]
    notes = [f"{first} and {len(other)} pictures"] if (first, len(other)) != (wanted, count) else []
    distance = score.between(real, one, other)
    key = f"eval/{score.measures[0].key}"
    error = {} if distance.se is None else {f"{key}_se": distance.se}
    return Reference(
        key="floor by frame",
        title="real, same subjects",
        count=len(other),
        values={key: distance.value, **error},
        notes=tuple(notes),
    )


def gaussian_pictures(real: RealData, count: int) -> NDArray[np.uint8]:
    """uint8 [count, C, *spatial]: samples of the Gaussian of the train part, AT_ONCE at a time."""
    gaussian = real.gaussian()
    rng = stream(0, "linear-Gaussian reference")
    pictures = np.empty((count, *gaussian.shape), np.uint8)
    for begin in range(0, count, AT_ONCE):
        many = min(AT_ONCE, count - begin)
        inside = torch.from_numpy(rng.standard_normal((many, len(gaussian.eigenvalues))))
        x = inside * gaussian.eigenvalues.sqrt() @ gaussian.basis.T + gaussian.mean
        if len(gaussian.eigenvalues) < gaussian.dim:
            noise = torch.from_numpy(rng.standard_normal((many, gaussian.dim)))
            noise = noise - noise @ gaussian.basis @ gaussian.basis.T
            x = x + noise * gaussian.variance_outside**0.5
        unit = (x.clamp(-1, 1) + 1) / 2
        levels = (unit * 255).round().to(torch.uint8)
        pictures[begin : begin + many] = levels.view(many, *gaussian.shape).numpy()
    return pictures
