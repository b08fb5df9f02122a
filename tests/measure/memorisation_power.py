"""How often the test for copies catches them, and how often it alarms about honest samples.

    python -m tests.measure.memorisation_power [--rounds 40] [--seed 0]

Real pictures of subjects that "training" has not seen stand for an honest, perfect generator: the
subjects of a set are dealt anew each round, three of five to train, one to be held out, one to be
the samples. Then a share of the samples is replaced by training pictures, as they are or
slightly changed. Levels: .01 for a board of one entry and of ENTRIES. On the simulated
echocardiograms, and on three real sets where $BENCH_REALDATA has them.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import scipy.ndimage
from numpy.typing import NDArray

from bench.metrics import copying
from bench.metrics.copying_metric import LEVEL
from bench.metrics.extractors import extract
from bench.metrics.real import RealData, extractor_named
from bench.workloads.workload import load as load_workload

ENTRIES = 40  # of a board
SAMPLES = 128
MOST_SUBJECTS = 1500  # of a set, so that a round takes no minute
SHARES = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
CHANGED_SHARE = 0.2
SETS = (
    ("echo", None),
    ("echo", "ultrasound_clips"),
    ("chexpert_generate", "pneumoniamnist.npz"),
    ("birds", "boxed_photos"),
)
Pictures = NDArray[np.uint8]


def blurred(pictures: Pictures, rng: np.random.Generator) -> Pictures:
    out = scipy.ndimage.gaussian_filter(pictures.astype(float), (0, 0, 0.6, 0.6))
    return np.clip(np.round(out), 0, 255).astype(np.uint8)


def noisy(pictures: Pictures, rng: np.random.Generator) -> Pictures:
    out = pictures + rng.normal(0, 4, pictures.shape)
    return np.clip(np.round(out), 0, 255).astype(np.uint8)


CHANGES: dict[str, Callable[[Pictures, np.random.Generator], Pictures]] = {
    "blur": blurred,
    "noise": noisy,
    "shift": lambda pictures, rng: np.roll(pictures, 1, -1),
    "flip": lambda pictures, rng: pictures[..., ::-1],
}


class Deal:
    """The subjects of a set dealt once: what is known, and the samples of an honest generator."""

    def __init__(self, pool: Pool, rng: np.random.Generator) -> None:
        subjects = rng.permutation(np.unique(pool.owners))[:MOST_SUBJECTS]
        three, four = len(subjects) * 3 // 5, len(subjects) * 4 // 5
        self.train = pool.rows_of(subjects[:three])
        held = pool.rows_of(subjects[three:four])
        self.known = [pool.known(rows) for rows in (self.train, held)]
        values, owners = [], []
        for rows in (self.train, held):
            near = copying.nearness(pool.plain[rows], pool.owners[rows], *self.known)
            values.append(near.log_ratio)
            owners.append(pool.owners[rows])
        self.null = copying.nearest_by_subject(np.concatenate(values), np.concatenate(owners))
        self.samples = rng.permutation(pool.rows_of(subjects[four:]))[:SAMPLES]
        self.honest_features = pool.plain[self.samples]
        self.honest = self.near(self.honest_features)

    def near(self, features: NDArray[np.float64]) -> copying.Nearness:
        nobody = np.full(len(features), copying.NOBODY)
        return copying.nearness(features, nobody, *self.known)

    def p_with(self, copies: NDArray[np.float64]) -> float:
        """Of the honest samples, the first ones replaced by copies of these features."""
        features = np.concatenate([copies, self.honest_features[len(copies) :]])
        return copying.copied_p(self.near(features), self.null)


class Pool:
    """All pictures of a set with their features."""

    def __init__(self, real: RealData) -> None:
        count = len(real.data.images)
        self.pictures = real.pictures_at(np.arange(count))
        self.owners = real.data.subject.astype(np.int64)
        self.judge = extractor_named("randconv")
        self.plain = extract(self.judge, self.pictures)
        self.mirrored = extract(self.judge, np.ascontiguousarray(self.pictures[..., ::-1]))

    def rows_of(self, subjects: NDArray[np.int64]) -> NDArray[np.int64]:
        return np.flatnonzero(np.isin(self.owners, subjects))

    def known(self, rows: NDArray[np.int64]) -> copying.Known:
        return copying.Known.of(self.plain[rows], self.mirrored[rows], self.owners[rows])


def measured(pool: Pool, rounds: int, seed: int) -> Iterator[tuple[str, list[float]]]:
    """The p-values of each kind of samples over the rounds."""
    rng = np.random.default_rng(seed)
    found: dict[str, list[float]] = {}
    for _ in range(rounds):
        deal = Deal(pool, rng)
        n = len(deal.samples)
        found.setdefault("honest", []).append(copying.copied_p(deal.honest, deal.null))
        for share in SHARES:
            rows = rng.choice(deal.train, max(1, round(share * n)))
            found.setdefault(f"copies {share:.0%}", []).append(deal.p_with(pool.plain[rows]))
        for name, change in CHANGES.items():
            rows = rng.choice(deal.train, round(CHANGED_SHARE * n))
            changed = np.ascontiguousarray(change(pool.pictures[rows], rng))
            p = deal.p_with(extract(pool.judge, changed))
            found.setdefault(f"{name} {CHANGED_SHARE:.0%}", []).append(p)
    yield from found.items()


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    asked: Any = parser.parse_args(arguments)
    where = os.environ.get("BENCH_REALDATA")
    for name, folder in SETS:
        begin = time.monotonic()
        title = folder or "simulated echocardiograms"
        if folder is not None and (where is None or not (Path(where) / folder).exists()):
            print(f"{title}: left out, $BENCH_REALDATA does not have it")
            continue
        workload = load_workload(name)
        with tempfile.TemporaryDirectory() as home:
            path = None if folder is None or where is None else Path(where) / folder
            data = workload.open_data(path, workload.scale("laptop"), Path(home), {})
            pool = Pool(RealData(str(data.path)))
            results = list(measured(pool, asked.rounds, asked.seed))
        deal = Deal(pool, np.random.default_rng(asked.seed))
        print(
            f"{title}: {len(np.unique(pool.owners))} subjects, null of {len(deal.null)}, "
            f"{len(deal.samples)} samples, {asked.rounds} rounds, {time.monotonic() - begin:.0f} s"
        )
        for kind, values in results:
            alone, board = (np.mean(np.array(values) < LEVEL / n) for n in (1, ENTRIES))
            print(f"  {kind:12} barred alone {alone:4.0%}   among {ENTRIES} {board:4.0%}")


if __name__ == "__main__":
    main()
