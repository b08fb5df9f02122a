"""Discriminator guidance: does it bring samples nearer to real pictures?

The echo paper trains a U-Net's encoder to tell its generator's samples from real pictures at every
noise level, guides EDM's sampler by it, and takes the best epoch by FID: 3.75 becomes 2.60 in 30
steps, with a weight of 5 for the first order, none for the correction and "a scaling of 2". Here
epoch and weights are chosen on `select`, and quality before and after is measured once on `report`,
from noise that neither the training of the discriminator nor the choice has seen.
`dg-search` is the paper's future work: the discriminator's width is searched as well.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from bench.metrics.jackknife import paired_reach
from bench.nonfinite import NonFiniteError
from bench.studies.guided import Choice, Guided, Tried
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
from leaderboards.measures import Measure

ALIKE = 0.01  # of the score: a change that surely is smaller matters to nobody


class DiscriminatorGuidance(Study):
    name: ClassVar[str] = "discriminator-guidance"
    title: ClassVar[str] = "does a discriminator bring the samples nearer to real pictures?"
    workloads: ClassVar[frozenset[str]] = frozenset({"echo"})
    of_network: ClassVar[bool] = True
    settings: ClassVar[tuple[str, ...]] = ("sampler=heun", "steps=18")
    widths: ClassVar[tuple[int, ...]] = (32,)

    def answer(self, setting: Setting) -> Answer:
        trained = yield from one_network(setting)
        guided = Guided(setting, trained)
        choice = guided.choose(self.widths)
        score, best = trained.task.score, choice.best

        def judged(way: Tried | None) -> dict[str, Any] | None:
            setting.say(f"{'guided' if way else 'unguided'}, on report")
            try:
                if way is None:
                    return trained.judged("report")
                networks = guided.networks(choice.epochs[way.width], way.epoch)
                return trained.judged("report", guided.sampling(way), networks)
            except NonFiniteError:
                return None

        judged_before = setting.kept.numbers("report-before", lambda: judged(None))
        judged_after = setting.kept.numbers("report-after", lambda: judged(best))
        before, after = (_finite(measured) for measured in (judged_before, judged_after))
        unguided = setting.kept.numbers("select-before", lambda: trained.evaluate("select").value)
        helps, verdict = _verdict(judged_before, judged_after, score)
        return Findings(
            lines=(
                f"chosen on select of {len(choice.tried)} ways ({unguided:.3g} unguided): width "
                f"{best.width}, epoch {best.epoch}, weights {best.weight:g} and "
                f"{best.weight_second:g}, boost {best.boost:g}: {best.score or math.nan:.3g}",
                f"{verdict} (of one network and its discriminator)",
                "the paper: FID 3.75 before, 2.60 after (50,000 samples, Inception); not ours",
            ),
            tables=(
                Table(
                    name="before_and_after",
                    title="quality on report before and after guidance",
                    columns=("measure", "before", "after"),
                    rows=[(k, before.get(k), after.get(k)) for k in sorted({*before, *after})],
                ),
                _ways(choice, score.title),
                _accuracies(choice),
            ),
            pictures=(
                Picture(
                    name=self.name.replace("-", "_"),
                    draw=partial(
                        _draw,
                        choice=choice,
                        unguided=unguided,
                        title=score.title,
                        label=setting.label,
                    ),
                ),
            ),
            claims=(
                Claim(
                    text="discriminator guidance improves the distance",
                    verdict=helps,
                    evidence=verdict,
                ),
            ),
            facts={"before": before, "after": after},
        )


class DiscriminatorSearch(DiscriminatorGuidance):
    name: ClassVar[str] = "dg-search"
    title: ClassVar[str] = "which discriminator, and which weights, guide best?"
    widths: ClassVar[tuple[int, ...]] = (16, 32, 64)


def _finite(judged: Mapping[str, Any] | None) -> dict[str, float]:
    return {k: v for k, v in (judged or {"metrics": {}})["metrics"].items() if math.isfinite(v)}


def _verdict(
    before: Mapping[str, Any] | None, after: Mapping[str, Any] | None, score: Measure
) -> tuple[str, str]:
    """Whether it helps, and the change against its error: both are of the same noise."""
    if before is None or after is None:
        return OPEN, f"{score.title} on report is not finite, guided or unguided"
    one, other = (float(judged["metrics"][score.key]) for judged in (before, after))
    change = other - one
    reach = paired_reach(after["without"], before["without"])
    told = f"{score.title} on report: {one:.3g} before, {other:.3g} after guidance, "
    if math.isnan(reach):
        return OPEN, f"{told}{change:+.3g}: too few samples for an error"
    told += f"{change:+.3g} +- {reach:.2g} ({change / one:+.1%}): "
    if abs(change) + reach < ALIKE * one:
        return FAILS, told + f"no difference that matters, surely within {ALIKE:.0%}"
    if abs(change) <= reach:
        return OPEN, told + "no difference that its error would allow to claim"
    if change < 0:
        return HOLDS, told + "guidance helps"
    return FAILS, told + "guidance harms"


def _ways(choice: Choice, title: str) -> Table:
    return Table(
        name="ways",
        title=f"{title} on select by epoch and weights",
        columns=("width", "epoch", "first order", "second order", "boost", title),
        rows=[
            (w.width, w.epoch, w.weight, w.weight_second, w.boost, w.score) for w in choice.tried
        ],
    )


def _accuracies(choice: Choice) -> Table:
    return Table(
        name="discriminator",
        title="pictures held out that the discriminator tells rightly, by noise level",
        columns=("width", "epoch", "loss", "sigma", "right", "of"),
        rows=[
            (width, epoch.number, epoch.loss, level.sigma, level.right, level.count)
            for width, epochs in choice.epochs.items()
            for epoch in epochs
            for level in epoch.levels
        ],
        shown=False,
    )


def _draw(path: Path, *, choice: Choice, unguided: float, title: str, label: str) -> None:
    from matplotlib.figure import Figure

    height = max(4.5, 1.5 + 0.2 * len(choice.tried))  # inches; a line for each way
    figure = Figure(figsize=(10, height), layout="constrained")
    left, right = figure.subplots(1, 2)
    for width, epochs in choice.epochs.items():
        for epoch in sorted({_best_epoch(width, choice), len(epochs)}):
            levels = epochs[epoch - 1].levels
            share = [level.accuracy for level in levels]
            name = f"width {width}, epoch {epoch}"
            left.plot([level.sigma for level in levels], share, "o-", label=name)
    left.axhline(0.5, color="grey", linestyle=":")
    left.set(xscale="log", xlabel="sigma", ylabel="told rightly", title="discriminator, held out")
    left.legend()
    names = [_named(way, choice.tried) for way in choice.tried]
    changes = [math.nan if way.score is None else way.score - unguided for way in choice.tried]
    right.barh(names, changes)
    right.axvline(0.0, color="k", linestyle="--")
    right.invert_yaxis()
    right.set(
        xlabel=f"{title} on select, minus {unguided:.4g} unguided", title="ways to guide (weights)"
    )
    right.tick_params(axis="y", labelsize="small")
    figure.suptitle(label)
    figure.savefig(path, dpi=110, format="png")


def _best_epoch(width: int, choice: Choice) -> int:
    """The epoch of a width that guides best."""
    own = [way for way in choice.tried if way.width == width and way.score is not None]
    return min(own, key=lambda way: way.score or 0.0).epoch if own else 1


def _named(way: Tried, tried: Sequence[Tried]) -> str:
    several = len({other.width for other in tried}) > 1
    boost = f", boost {way.boost:g}" if way.boost != 1.0 else ""
    width = f"width {way.width}, " if several else ""
    return f"{width}epoch {way.epoch}, {way.weight:g} / {way.weight_second:g}{boost}"


STUDY = DiscriminatorGuidance()
SEARCH = DiscriminatorSearch()
