"""How far the ranking at each rung agrees with the final one, and what pruning may make of it.

Measured on a sweep that pruned nothing (pruned, the trials that looked worst early have no final
value and the agreement would be that of the rest). For each rung: Spearman's and Kendall's rank
correlation with the last rung, with bootstrap intervals over trials, and the share that must go on
so that in SURVIVE of resampled sweeps at least one of the trials that end within error of the best
is among them. Where the agreement is not established, nothing is pruned. (Contract 11.)
"""

from __future__ import annotations

import dataclasses
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from bench.errors import BenchError
from bench.files import whole
from bench.streams import stream
from bench.sweep.history import History
from bench.sweep.home import Home

SURVIVE = 0.95  # of resampled sweeps in which one of the eventual best goes on
FLOOR = 0.25  # never fewer than a quarter, however well a rung ranks
STEP = 0.05  # shares are rounded up to it
DRAWS = 2000
MIN_TRIALS = 8
REL_ERROR = 0.05  # of a last value, where no spread between seeds was measured


@dataclass(frozen=True, kw_only=True)
class Rung:
    """One rung's agreement with the last."""

    fraction: float
    spearman: float
    spearman_low: float  # 95 % bootstrap interval over trials
    spearman_high: float
    kendall: float
    keep: float  # the share that goes on; 1: do not prune here


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """Of one workload, scale and protocol."""

    workload: str
    scale: str
    protocol_digest: str
    sweep: str
    trials: int
    rel_error: float  # within which two last values are not told apart
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
        BenchError: it pruned, or too few of its trials completed.
    """
    plan = history.plan
    if plan["prune"]:
        raise BenchError(
            f"sweep {plan['sweep']} pruned trials, so its early rungs cannot be judged by it; "
            "take one run with --no-prune, or let bench calibrate run its own"
        )
    last = len(plan["rungs"]) - 1
    done = [t for t in history.with_outcome("completed") if len(t.rungs) == last + 1]
    if len(done) < MIN_TRIALS:
        raise BenchError(
            f"sweep {plan['sweep']} has {len(done)} completed trials; a calibration needs "
            f"{MIN_TRIALS}"
        )
    values = np.array([[t.rungs[i] for i in range(last + 1)] for t in done])
    spread = plan.get("seed_spread") or {}
    rel_error = 2 * float(spread.get("rel_sd", REL_ERROR / 2))
    return Calibration(
        workload=plan["workload"],
        scale=plan["scale"],
        protocol_digest=plan["protocol_digest"],
        sweep=plan["sweep"],
        trials=len(done),
        rel_error=rel_error,
        rungs=tuple(
            judge(values[:, i], values[:, last], plan["rungs"][i], rel_error) for i in range(last)
        ),
    )


def judge(
    early: np.ndarray[Any, Any], final: np.ndarray[Any, Any], fraction: float, rel_error: float
) -> Rung:
    """One rung: values of the same trials early and at the end, lower is better."""
    n, draw = len(final), stream(0, "calibrate")
    rho = float(stats.spearmanr(early, final).statistic)
    found, needs = [], []
    for _ in range(DRAWS):
        rows = draw.integers(0, n, n)
        found.append(float(stats.spearmanr(early[rows], final[rows]).statistic))
        needs.append(_needed(early[rows], final[rows], rel_error))
    low, high = np.nanquantile(found, [0.025, 0.975])
    share = float(np.quantile(needs, SURVIVE, method="higher"))
    keep = min(1.0, max(FLOOR, math.ceil(share / STEP - 1e-9) * STEP))
    return Rung(
        fraction=fraction,
        spearman=rho,
        spearman_low=float(low),
        spearman_high=float(high),
        kendall=float(stats.kendalltau(early, final).statistic),
        keep=round(keep, 2) if low > 0 else 1.0,
    )


def _needed(early: np.ndarray[Any, Any], final: np.ndarray[Any, Any], rel_error: float) -> float:
    """The smallest share, best first at the rung, that holds one of the eventual best."""
    good = final <= final.min() * (1 + rel_error)
    return float((early < early[good].min()).sum() + 1) / len(final)


def store(home: Home, found: Calibration) -> Path:
    path = _path(home, found.workload, found.scale, found.protocol_digest)
    with whole(path) as part:
        part.write_text(json.dumps(dataclasses.asdict(found), indent=1) + "\n")
    return path


def load(home: Home, plan: dict[str, Any]) -> Calibration | None:
    """What was measured under a plan's own protocol (data, budget and rungs in it), if anything.

    Raises:
        BenchError: the file is damaged.
    """
    path = _path(home, plan["workload"], plan["scale"], plan["protocol_digest"])
    if not path.exists():
        return None
    try:
        body = json.loads(path.read_text())
        rungs = tuple(Rung(**rung) for rung in body.pop("rungs"))
        return Calibration(rungs=rungs, **body)
    except (ValueError, TypeError, KeyError) as error:
        raise BenchError(f"{path} is damaged; delete it, or run bench calibrate again") from error


def applied(home: Home, plan: dict[str, Any]) -> dict[str, Any]:
    """A plan with what pruning keeps as it was measured, if it was; its notes say which."""
    if not plan["prune"]:
        return plan
    found = load(home, plan)
    if found is None:
        own = ", ".join(f"{k:.0%}" for k in plan["keep"])
        note = (
            f"pruning keeps {own}: the preset's own; bench calibrate {plan['workload']} measures "
            "what these rungs know"
        )
        return {**plan, "notes": [*plan["notes"], note]}
    return {**plan, "keep": found.keep, "notes": [*plan["notes"], found.text]}


def _path(home: Home, workload: str, scale: str, protocol: str) -> Path:
    return home.path / "calibration" / f"{workload}-{scale}-{protocol[:8]}.json"
