"""What a bare log of summed losses says: does it count samples at the least noise, and of how many?

Every batch size and way of drawing is fitted (bench.studies.level_models). How often each level
comes speaks for the batch size by itself; the height of the levels gives what one such sample
costs a pixel, c = level x batch / pixels. A network that predicts no noise at all pays 1, and one
that predicts badly more, so that c well above 1 is no training's that has learned anything.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.studies.draw_counts import DRAWS
from bench.studies.level_models import (
    Fit,
    LevelFit,
    fit_levels,
    fit_rivals,
    frequencies_p,
    order_p,
)
from bench.studies.seed_log import NOISE_STEPS, PIXELS, SOURCE, seed_log
from bench.studies.study import Table

BATCHES = range(2, 17)
LIKELY = 1.92  # in log-likelihood of the best: half the 95 % point of chi-squared, 1 df
USUAL = "published code"


@dataclass(frozen=True, kw_only=True)
class Hypothesis:
    """A batch size and a way of drawing, fitted. p: how well the counts' frequencies fit."""

    batch: int
    draw: str
    fit: LevelFit
    p: float
    cost: float  # of a sample at the least noise, a pixel
    cost_se: float


@dataclass(frozen=True, kw_only=True)
class LogVerdict:
    """What a log says; `hypotheses` are of the usual way of drawing, `others` of the rest."""

    losses: NDArray[np.float64]
    steps: NDArray[np.int64]
    hypotheses: tuple[Hypothesis, ...]
    others: tuple[Hypothesis, ...]
    rivals: tuple[Fit, ...]
    order_p: float
    missing: int = 0
    source: str = ""
    lines: tuple[str, ...] = field(default=())

    @property
    def chosen(self) -> Hypothesis:
        return max(self.hypotheses, key=lambda h: h.fit.log_likelihood)

    @property
    def best(self) -> LevelFit:
        return self.chosen.fit

    @property
    def batch(self) -> int:
        return self.chosen.batch

    @property
    def likely(self) -> list[int]:
        """Batch sizes that the frequencies of the levels alone leave likely (95 %)."""
        least = self.best.log_likelihood - LIKELY
        return [h.batch for h in self.hypotheses if h.fit.log_likelihood >= least]

    @property
    def possible(self) -> list[int]:
        """Of those, what costs no more than predicting no noise does, within two errors."""
        return [
            h.batch
            for h in self.hypotheses
            if h.batch in self.likely and h.cost - 2 * h.cost_se <= 1
        ]

    @property
    def facts(self) -> dict[str, Any]:
        chosen = self.chosen
        return {
            "losses": len(self.losses),
            "batch": chosen.batch,
            "batches_likely": self.likely,
            "batches_possible": self.possible,
            "level": chosen.fit.level,
            "cost_per_pixel": chosen.cost,
            "counts": np.bincount(chosen.fit.counts).tolist(),
            "frequencies_p": chosen.p,
            "order_p": self.order_p,
            "aic": {f.model: f.aic for f in (chosen.fit, *self.rivals)},
            "bic": {f.model: f.bic for f in (chosen.fit, *self.rivals)},
        }

    def models_table(self, name: str, title: str) -> Table:
        fits: list[Fit] = [self.best, *self.rivals]
        least = min(fit.aic for fit in fits), min(fit.bic for fit in fits)
        return Table(
            name=name,
            title=title,
            source=self.source,
            columns=("model", "parameters", "log-likelihood", "AIC", "over best", "BIC", "over "),
            rows=[
                (
                    f"counts, batch {self.batch}" if fit is self.best else fit.model,
                    fit.parameters,
                    fit.log_likelihood,
                    fit.aic,
                    fit.aic - least[0],
                    fit.bic,
                    fit.bic - least[1],
                )
                for fit in fits
            ],
        )

    def batches_table(self, name: str, title: str) -> Table:
        most = self.best.log_likelihood
        columns = ("batch", "drawn", "log-likelihood", "below best", "p of counts", "cost a pixel")
        return Table(
            name=name,
            title=title,
            source=self.source,
            columns=(*columns, "error", "expected 0, 1, 2, 3+", "allowed"),
            rows=[
                (
                    h.batch,
                    h.draw,
                    h.fit.log_likelihood,
                    most - h.fit.log_likelihood,
                    h.p,
                    h.cost,
                    h.cost_se,
                    _expected(h, len(self.losses)),
                    "yes" if h.batch in self.possible else
                    "cost above 1" if h.batch in self.likely else "frequencies",
                )
                for h in (*self.hypotheses, *self.others)
            ],
        )  # fmt: skip


def judge(
    losses: NDArray[np.float64] | None = None,
    batch: int | None = None,
    pixels: int = PIXELS,
    usual: str = USUAL,
) -> LogVerdict:
    """Judge the seed's log, or these losses of consecutive steps. `batch` bounds what is tried
    where it is known, only to save time; `usual` is the way of drawing that is taken first."""
    log = seed_log()
    x = log.losses if losses is None else losses
    steps = log.steps if losses is None else np.arange(len(x))
    tried = BATCHES if batch is None else range(max(2, batch // 3), 2 * batch + 1)
    first = fit_levels(x, DRAWS[usual](6, NOISE_STEPS))

    def hypothesis(size: int, draw: str) -> Hypothesis:
        probabilities = DRAWS[draw](size, NOISE_STEPS)
        fit = fit_levels(x, probabilities, near=first)
        return Hypothesis(
            batch=size,
            draw=draw,
            fit=fit,
            p=frequencies_p(fit.counts, probabilities),
            cost=fit.level * size / pixels,
            cost_se=fit.level_se * size / pixels,
        )

    found = tuple(hypothesis(size, usual) for size in tried)
    chosen = max(found, key=lambda h: h.fit.log_likelihood)
    others = tuple(hypothesis(chosen.batch, draw) for draw in DRAWS if draw != usual)
    verdict = LogVerdict(
        losses=x,
        steps=steps,
        hypotheses=found,
        others=others,
        rivals=fit_rivals(x),
        order_p=order_p(steps, chosen.fit.counts > 0),
        missing=log.skipped if losses is None else 0,
        source=SOURCE if losses is None else "",
    )
    return LogVerdict(**{**_fields(verdict), "lines": _lines(verdict)})


def _fields(verdict: LogVerdict) -> dict[str, Any]:
    return {name: getattr(verdict, name) for name in verdict.__dataclass_fields__}


def _expected(h: Hypothesis, n: int) -> str:
    p = n * DRAWS[h.draw](h.batch, NOISE_STEPS)
    return ", ".join(f"{v:.1f}" for v in (p[0], p[1], p[2], p[3:].sum()))


def _lines(verdict: LogVerdict) -> tuple[str, ...]:
    chosen, fit = verdict.chosen, verdict.best
    seen = np.bincount(fit.counts, minlength=3)
    rival = min(verdict.rivals, key=lambda f: f.aic)
    better = "better" if fit.aic < rival.aic else "worse"
    above = max(_costs_of_each(verdict), default=float("nan"))
    return (
        f"{len(verdict.losses)} losses ({verdict.missing} lines unreadable): the likeliest counts "
        f"of samples at t = 0 are 0, 1, 2 in {seen[0]}, {seen[1]}, {seen[2]} steps; expected of "
        f"batch {chosen.batch}: {_expected(chosen, len(verdict.losses))} (p {chosen.p:.2f})",
        f"counts fit {better} than {rival.model}, the best rival: AIC {fit.aic:.0f} against "
        f"{rival.aic:.0f}, BIC {fit.bic:.0f} against {rival.bic:.0f}; high losses come "
        f"{'in no order' if verdict.order_p > 0.05 else 'in runs'} (p {verdict.order_p:.2f})",
        f"the frequencies alone allow batch {span(verdict.likely)}; a cost of at most 1 a pixel "
        f"leaves {span(verdict.possible)}; batch {chosen.batch} is likeliest, at "
        f"{chosen.cost:.2f} +- {chosen.cost_se:.2f} a pixel (no single loss above {above:.2f})",
    )


def _costs_of_each(verdict: LogVerdict) -> list[float]:
    """What a sample at the least noise cost in each loss that holds one."""
    fit = verdict.best
    some = fit.counts > 0
    each = (verdict.losses[some] - fit.rest_median) / fit.counts[some]
    return [float(v) / fit.level * verdict.chosen.cost for v in each]


def span(batches: list[int]) -> str:
    if not batches:
        return "none"
    return str(batches[0]) if len(batches) == 1 else f"{batches[0]} to {batches[-1]}"
