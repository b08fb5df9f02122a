"""The next suggestion of a sweep, as its record: the search's, a new seed of an entry, or an arm.

What is suggested is a function of the plan, the history and the number; how it is split into
micro-batches depends on what the machine has room for.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from bench.config import TrialConfig
from bench.methods import load_method
from bench.sweep.cost import footprint, slots
from bench.sweep.cost.price import cost
from bench.sweep.deciding import seeds, suggest
from bench.sweep.deciding.resolve import Frame, resolve
from bench.sweep.deciding.role import Role, role
from bench.sweep.deciding.stagewise import ORIGIN, Stagewise
from bench.sweep.deciding.trial_label import label
from bench.sweep.planning.forecast import predict_sec
from bench.sweep.record.history import History, Record
from bench.sweep.record.plan import Plan
from search_spaces import Choices, Space


@dataclass(frozen=True, kw_only=True)
class Memory:
    """What a trial may use, in GB (1e9 bytes); None: not known.

    packed: GPUs that trials are packed on; None: they are not. timed: whether the machine is the
    one whose timings the plan has.
    """

    limit_gb: float | None
    device_gb: float | None
    packed: int | None
    timed: bool = True


class Proposer:
    """Of one sweep. What it keeps between its answers saves time alone."""

    def __init__(self, frame: Frame, space: Space, choices: Choices) -> None:
        self.frame, self.space, self.choices = frame, space, choices
        self._told: suggest.Kept = {}
        self._stagewise: Stagewise | None = None

    def body(self, history: History, number: int, memory: Memory) -> Record | None:
        """The body of trial `number`'s "suggest" record; None: running trials have to end first.

        Raises:
            BenchError: the space fails, or suggests what cannot be trained.
        """
        plan = history.plan
        again = {c["number"]: c["of"] for c in plan.confirm}
        if number in again:
            first = history.trials[again[number]].suggestion
            config = seeds.confirming(plan, history, first)
            fitted: dict[str, Any] = {
                "predicted_gb": first.predicted_gb,
                "predicted_training_gb": first.predicted_training_gb,
                "slot": first.slot,
            }
            drawn = first.params, first.distributions
            return _record(plan, number, config, *drawn, "confirm", True, fitted, memory)
        arm = next((a for a in plan.arms if a["number"] == number), None)
        if arm is not None:
            config, fitted = _fit(TrialConfig.from_dict(arm["config"]), memory)
            named = {"label": arm["name"], "apart": arm["apart"], **fitted}
            return _record(plan, number, config, arm["params"], {}, "study", True, named, memory)
        stage = ""
        if plan.search == "stagewise":
            chosen = self._stages(plan).next(plan, history)
            if chosen is None:
                return None
            stage, part = chosen[0], Role(ORIGIN, chosen[1])
        else:
            part = role(plan, history, number)
        params, distributions = suggest.suggest(
            plan, history, number, self.space, self.choices, part.fixed, self._told
        )
        # fitted first: how it is split into micro-batches is part of which entry it is
        config, fitted = _fit(resolve(self.frame, params, plan.seed), memory)
        config = seeds.seeded(plan, history, config)
        drawn = params, distributions
        more = {"stage": stage, **fitted} if stage else fitted
        return _record(plan, number, config, *drawn, part.origin, part.protected, more, memory)

    def _stages(self, plan: Plan) -> Stagewise:
        if self._stagewise is None:
            offered_by = suggest.Offer(
                space=self.space, choices=self.choices, name=plan.space, fixed=plan.fixed
            )
            self._stagewise = Stagewise(offered_by, self.frame.scale)
        return self._stagewise


def _record(
    plan: Plan,
    number: int,
    config: TrialConfig,
    params: dict[str, Any],
    distributions: dict[str, str],
    origin: str,
    protected: bool,
    more: dict[str, Any],
    memory: Memory,
) -> Record:
    """The body of a "suggest" record; `more` is what it says beside, of memory too."""
    # timings are of the machine that the sweep was planned on
    seconds = predict_sec(config, plan) if memory.timed else None
    # what the user gave for all trials does not tell them apart
    searched = {k: v for k, v in params.items() if k in plan.cell_axes or k not in plan.fixed}
    return {
        "trial": number,
        "trial_id": config.trial_id,
        "entry_id": config.entry_id,
        "seed": config.seed,
        "label": label(searched, plan.cell_axes),
        "origin": origin,
        "protected": protected,
        "params": params,
        "distributions": distributions,
        "cost": asdict(cost(config.task, config.method)),
        "config": config.to_dict(),
        "predicted_sec": None if seconds is None else round(seconds, 1),
        **more,
    }


def _fit(config: TrialConfig, memory: Memory) -> tuple[TrialConfig, dict[str, Any]]:
    """The configuration in micro-batches that fit, and what the suggestion says of memory."""
    limit = memory.limit_gb
    fitting = config if limit is None else footprint.fit(config, limit)
    needed = footprint.predict(fitting or config)
    need = needed.peak_gb
    fitted: dict[str, Any] = {"predicted_gb": round(need, 3)}
    if load_method(config.method.kind).trains:
        fitted["predicted_training_gb"] = float(f"{needed.training_peak_gb:.4g}")
    if limit is None:
        return config, fitted
    if fitting is None:
        fitted["unfit"] = (
            f"infeasible, not launched: needs {need:.1f} GB by prediction even one image at "
            f"a time, a trial may use {limit:.1f} GB"
        )
    if memory.packed is not None:
        device_gb: Any = memory.device_gb
        fitted["slot"] = slots.slot(need, device_gb)
    return fitting or config, fitted
