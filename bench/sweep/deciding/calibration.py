"""How far the ranking at each rung agrees with the final one, and what pruning may make of it.

Measured on a sweep that pruned nothing (pruned, the trials that looked worst early have no final
value, and the agreement would be that of the rest). Each rung gets Spearman's and Kendall's rank
correlation with the last, with bootstrap intervals over trials, and the share that goes on there:
the smallest with which, in SURVIVE of resampled sweeps, one of the trials that end within error of
the best gets past all rungs. In a resampled sweep all have reported before anyone is promoted for
good, as those that wait are promoted late: at a rung the best share of those that got there go on,
FINALISTS at least. The permitted loss is shared alike by the rungs. Where an agreement is not
established, nothing is pruned. (Contract 11.)
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.errors import BenchError
from bench.files import whole
from bench.streams import stream
from bench.sweep.deciding.promote import FINALISTS
from bench.sweep.record.history import History
from bench.sweep.record.home import Home
from bench.sweep.record.plan import Plan
from leaderboards.agreement import spearman

SURVIVE = 0.95  # of resampled sweeps in which one of the eventual best passes all rungs
SHARES = tuple(round(0.25 + 0.05 * i, 2) for i in range(16))  # never fewer than a quarter; to 1
ESTABLISHED = 0.4  # low end of Spearman's interval: below it too few survive, by simulation
DRAWS = 1000
MIN_TRIALS = 8
REL_ERROR = 0.05  # of a last value: some two standard deviations between seeds

Values = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Rung:
    """One rung's agreement with the last; intervals are 95 % bootstrap intervals over trials."""

    fraction: float
    spearman: float
    spearman_low: float
    spearman_high: float
    kendall: float
    kendall_low: float
    kendall_high: float
    keep: float  # share of those that report here which goes on; 1: do not prune here
    lost: float  # of resampled sweeps: no trial as good as the best got past this rung


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """Of one workload, preset, space and protocol."""

    workload: str
    scale: str
    scale_digest: str
    protocol_digest: str
    simulated: bool  # the data it was measured on
    space: str  # by name; a user's own by its content
    sweep: str
    trials: int
    error: float  # within which two last values are not told apart
    relative: bool  # the error is a share of the value; else in the score's unit
    rungs: tuple[Rung, ...]  # all but the last

    @property
    def keep(self) -> list[float]:
        return [rung.keep for rung in self.rungs]

    @property
    def text(self) -> str:
        shares = ", ".join(f"{k:.0%}" for k in self.keep)
        return f"pruning keeps {shares}: measured on {self.trials} unpruned trials ({self.sweep})"


def measure(history: History) -> Calibration:
    """The agreement in a finished sweep.

    Raises:
        BenchError: it pruned or did not draw at random, or too few of its trials completed.
    """
    plan = history.plan
    if plan.prune:
        raise BenchError(
            f"sweep {plan.sweep} pruned trials, so its early rungs cannot be judged by it; "
            "take one of --search random, or let bench calibrate run its own"
        )
    if plan.search != "random" and plan.startup_trials < len(history.trials):
        raise BenchError(
            f"most trials of sweep {plan.sweep} were chosen by what others did, so they are no "
            "sample of the space; take one run with --search random, or let bench calibrate run "
            "its own"
        )
    last = plan.last_rung
    done = [
        t
        for t in history.with_outcome("completed")
        if len(t.rungs) == last + 1 and t.suggestion.origin != "confirm"
    ]
    if len(done) < MIN_TRIALS:
        raise BenchError(
            f"sweep {plan.sweep} has {len(done)} completed trials; a calibration needs {MIN_TRIALS}"
        )
    values = np.array([[t.rungs[i] for i in range(last + 1)] for t in done])
    error = _error(plan)
    return Calibration(
        workload=plan.workload,
        scale=plan.scale,
        scale_digest=plan.scale_digest,
        protocol_digest=plan.protocol_digest,
        simulated=plan.data["simulated"],
        space=_space(plan),
        sweep=plan.sweep,
        trials=len(done),
        error=error,
        relative=plan.score.scale == "ratio",
        rungs=judge(
            plan.score.sign * values,
            plan.rungs,
            error,
            relative=plan.score.scale == "ratio",
        ),
    )


def _error(plan: Plan) -> float:
    """Within which two last values are not told apart: a share of the value, or on a difference
    scale nothing."""
    return REL_ERROR if plan.score.scale == "ratio" else 0.0


def judge(
    values: Values,
    fractions: Sequence[float],
    error: float,
    *,
    relative: bool = True,
) -> tuple[Rung, ...]:
    """All rungs but the last, of values [trials, rungs] in which lower is better; `error` is a
    share of the value or, where it is not `relative`, in its unit."""
    n, draw = len(values), stream(0, "calibrate")
    sweeps = draw.integers(0, n, (DRAWS, n))
    going = np.ones_like(sweeps, bool)
    final = values[sweeps, -1]
    best = final.min(1, keepdims=True)
    good = final <= best + (error * np.abs(best) if relative else error)
    rungs, last = [], values.shape[1] - 1
    for i in range(last):
        early = values[:, i]
        rho, tau = spearman(early, values[:, -1]), kendall(early, values[:, -1])
        rhos = [spearman(early[rows], values[rows, -1]) for rows in sweeps]
        taus = [kendall(early[rows], values[rows, -1]) for rows in sweeps]
        low, high = _interval(rhos)
        permitted, keep = (1 - SURVIVE) * (i + 1) / last, 1.0
        if low > ESTABLISHED:
            place, many = _places(early[sweeps], going), going.sum(1, keepdims=True)
            for keep in SHARES:
                on = going & (place <= np.maximum(FINALISTS, np.floor(keep * many + 1e-9)))
                if 1 - (on & good).any(1).mean() <= permitted:
                    break
            going = on
        rungs.append(
            Rung(
                fraction=fractions[i],
                spearman=rho or 0.0,
                spearman_low=low,
                spearman_high=high,
                kendall=tau or 0.0,
                kendall_low=_interval(taus)[0],
                kendall_high=_interval(taus)[1],
                keep=keep,
                lost=float(1 - (going & good).any(1).mean()),
            )
        )
    return tuple(rungs)


def _places(early: Values, going: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Of each trial [sweeps, trials] its place, from 1, among those that got here."""
    order = np.argsort(np.where(going, early, np.inf), axis=1, kind="stable")
    return 1 + np.argsort(order, axis=1)


def kendall(first: Values, second: Values) -> float | None:
    """Kendall's tau-b; None where one side is constant."""
    from scipy.stats import kendalltau  # half a second to import

    tau = float(kendalltau(first, second).statistic)
    return None if math.isnan(tau) else tau


def _interval(correlations: Sequence[float | None]) -> tuple[float, float]:
    """The middle 95 %; a resampled sweep without any order counts as one without agreement."""
    low, high = np.quantile([value or 0.0 for value in correlations], [0.025, 0.975])
    return float(low), float(high)


def store(home: Home, measured: Calibration) -> Path:
    path = _path(home, measured.workload, measured.scale, measured.space, measured.protocol_digest)
    with whole(path) as part:
        part.write_text(json.dumps(dataclasses.asdict(measured), indent=1) + "\n")
    return path


def load(home: Home, plan: Plan) -> Calibration | None:
    """What was measured under a plan's own preset, space and protocol (data, budget and rungs in
    it).

    Raises:
        BenchError: the file is damaged.
    """
    path = _path(home, plan.workload, plan.scale, _space(plan), plan.protocol_digest)
    if not path.exists():
        return None
    try:
        body = json.loads(path.read_text())
        rungs = tuple(Rung(**rung) for rung in body.pop("rungs"))
        measured = Calibration(rungs=rungs, **body)
    except (ValueError, TypeError, KeyError) as error:
        raise BenchError(f"{path} is damaged; delete it, or run bench calibrate again") from error
    return measured if measured.scale_digest == plan.scale_digest else None


def applied(home: Home, plan: Plan) -> Plan:
    """A plan with what pruning keeps as it was measured, if it was; its notes say which."""
    if not plan.prune:
        return plan
    measured = load(home, plan)
    if measured is None:
        shares = ", ".join(f"{k:.0%}" for k in plan.keep)
        note = (
            f"pruning keeps {shares}: the preset's own; bench calibrate {plan.workload} measures "
            "what these rungs know"
        )
        return dataclasses.replace(plan, notes=(*plan.notes, note))
    notes = (*plan.notes, measured.text)
    return dataclasses.replace(plan, keep=tuple(measured.keep), notes=notes)


def _space(plan: Plan) -> str:
    return plan.space_digest or plan.space


def _path(home: Home, workload: str, scale: str, space: str, protocol: str) -> Path:
    return home.path / "calibration" / f"{workload}-{scale}-{space}-{protocol[:8]}.json"
