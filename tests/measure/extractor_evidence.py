"""What each extractor sees: damage to real pictures, and its agreement with two CIFAR-10 networks.

    python -m tests.measure.extractor_evidence [--extractor NAME_OR_FILE.py:build ...] [--levels]

For each of the three real sets in $BENCH_REALDATA a table. Agreement: the rank correlation
(Spearman) of the Fréchet distances over all kinds and levels of damage with those of ResNet-20 and
ResNet-56. Ordered: how many of the 12 kinds have distances that rise with every level. Seen: how
many levels that an eye sees lie above the floor, by more than twice the floor's spread; the floor
is the distance between the two undamaged samples, its spread that of 10 halvings of both together.
--levels prints every distance, in floors.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass

import click
import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import spearmanr

from bench.metrics.extractors import Extractor, extract, load_extractor
from bench.metrics.frechet import FrechetReference, frechet_distance
from tests.measure.degradations import DEGRADATIONS, VISIBLE, Pictures
from tests.measure.real_pictures import PixelMean, cifar_resnets, real_sets, working_folder

Float64 = NDArray[np.float64]
HALVINGS = 10
SHIPPED = ("drawn", "randconv", "randconv64")  # those whose weights are in the package


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What one extractor says of one set: distances by kind and level, in floors."""

    floor: float
    spread: float  # standard deviation of the floor, in floors
    distances: dict[str, Float64]

    @property
    def flat(self) -> Float64:
        return np.concatenate(list(self.distances.values()))

    @property
    def ordered(self) -> list[str]:
        return [kind for kind, d in self.distances.items() if (np.diff(d) > 0).all()]

    @property
    def unseen(self) -> list[str]:
        """Levels that an eye sees and the distance does not."""
        least = 1 + 2 * self.spread
        return [
            f"{kind} {DEGRADATIONS[kind][1][level]:g}"
            for kind, d in self.distances.items()
            for level in range(VISIBLE, len(d))
            if d[level] <= least
        ]


def damaged(pictures: Pictures) -> dict[str, list[Pictures]]:
    return {
        kind: [damage(pictures, level) for level in levels]
        for kind, (damage, levels) in DEGRADATIONS.items()
    }


def look(
    extractor: Extractor, reference: Pictures, clean: Pictures, bad: dict[str, list[Pictures]]
) -> Seen:
    """All distances of one extractor on one set."""
    real = FrechetReference.of_features(extract(extractor, reference), digest="")
    features = extract(extractor, clean)
    floor = frechet_distance(real, features, blocks=0).value
    both = np.concatenate([extract(extractor, reference), features])
    draw = np.random.default_rng(0)
    floors = []
    for _ in range(HALVINGS):
        order = draw.permutation(len(both))
        one, other = both[order[: len(reference)]], both[order[len(reference) :]]
        side = FrechetReference.of_features(one, digest="")
        floors.append(frechet_distance(side, other, blocks=0).value)
    distances = {
        kind: np.array(
            [frechet_distance(real, extract(extractor, p), blocks=0).value for p in levels]
        )
        / floor
        for kind, levels in bad.items()
    }
    return Seen(floor=floor, spread=float(np.std(floors)) / floor, distances=distances)


def kept_look(
    extractor: Extractor, reference: Pictures, clean: Pictures, bad: dict[str, list[Pictures]]
) -> Seen:
    """`look`, from the temporary folder where it was made before: a large network's is slow."""
    sha = hashlib.sha256(extractor.digest.encode())
    for pictures in (reference, clean, *(p for levels in bad.values() for p in levels)):
        sha.update(np.ascontiguousarray(pictures).data)
    path = working_folder() / f"seen-{sha.hexdigest()[:16]}.json"
    if not path.exists():
        seen = look(extractor, reference, clean, bad)
        rows = {kind: list(d) for kind, d in seen.distances.items()}
        path.write_text(json.dumps([seen.floor, seen.spread, rows]))
    floor, spread, rows = json.loads(path.read_text())
    distances = {kind: np.array(row) for kind, row in rows.items()}
    return Seen(floor=floor, spread=spread, distances=distances)


def agreement(one: Seen, other: Seen) -> float:
    return float(spearmanr(one.flat, other.flat).statistic)


@click.command()
@click.option(
    "--extractor", "names", multiple=True, help="name or file.py:build; else the package's own"
)
@click.option("--levels", is_flag=True, help="print every distance, in floors")
def main(names: Sequence[str], levels: bool) -> None:
    """See the module's docstring."""
    torch.set_num_threads(1)
    extractors = [load_extractor(name) for name in names or SHIPPED]
    judges = cifar_resnets()
    for title, (reference, clean) in real_sets().items():
        bad = damaged(clean)
        by_judge = {j.name: kept_look(j, reference, clean, bad) for j in judges}
        looks = {e.name: look(e, reference, clean, bad) for e in [*extractors, PixelMean()]}
        looks |= by_judge
        total = sum(len(seen) - VISIBLE for seen in bad.values())
        print(f"\n{title}: {len(clean)} pictures, {sum(map(len, bad.values()))} degradations")
        head = " ".join(f"{'with ' + name:>13}" for name in by_judge)
        print(f"{'extractor':<14}{head}  ordered  seen  jpeg 25  checker 12")
        for name, seen in looks.items():
            with_judges = " ".join(f"{agreement(seen, j):>13.2f}" for j in by_judge.values())
            print(
                f"{name:<14}{with_judges}  {len(seen.ordered):>4}/{len(bad)} "
                f"{total - len(seen.unseen):>3}/{total} {seen.distances['jpeg'][2]:>8.1f} "
                f"{seen.distances['checkerboard'][2]:>9.1f}"
            )
        for name in (e.name for e in extractors):
            seen = looks[name]
            crooked = [kind for kind in bad if kind not in seen.ordered]
            if crooked or seen.unseen:
                print(f"  {name}: not ordered: {crooked}; not seen: {seen.unseen}")
        if levels:
            for name, seen in looks.items():
                print(f"  {name}: floor {seen.floor:.4g}, its spread {seen.spread:.2f}")
                for kind, d in seen.distances.items():
                    print(f"    {kind:<18}" + " ".join(f"{value:8.2f}" for value in d))


if __name__ == "__main__":
    main()
