"""One axis after the other: the protocol of the echo paper as a search.

The paper trains every architecture with one setup and keeps the best, then every setup with that
architecture, and goes on like that. Here so with every axis of the space: first those that make a
cell, all else at the cell's defaults, then the others in the space's order, all else at the best so
far. A stage has one trial of each other value of its axis, of a range VALUES of them; all train to
the end, and the next stage begins once all have ended, so workers wait at its end. After the last
axis it is the first one's turn again; a round that has nothing new to try gives the best so far a
new seed. Sampler and guidance, the paper's last stages, need no training (`bench tune`).

An axis is never varied together with another: what is missed by that is what the default search is
compared with it for (tests.measure.search).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, IntDistribution

from bench.streams import stream
from bench.sweep.deciding.parameters import SAMPLE_KEYS
from bench.sweep.deciding.resolve import default_params
from bench.sweep.deciding.suggest import Offer
from bench.sweep.record.history import History
from bench.sweep.record.plan import Plan
from bench.sweep.record.trial import ABSENT, Trial
from bench.workloads.workload import Scale
from leaderboards.barred import failures

ORIGIN = "stage"
VALUES = 5  # of a range, in each round
ROUND = ", round "  # in a stage's name, from the second on

Params = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Stage:
    """The trials that vary one axis: the parameters that each is given. first: how many trials the
    stages before it have."""

    axis: str
    round: int
    first: int
    given: tuple[Params, ...]

    @property
    def name(self) -> str:
        return f"{self.axis}{ROUND}{self.round + 1}" if self.round else self.axis

    @property
    def end(self) -> int:
        return self.first + len(self.given)


class Stagewise:
    """The stages of one sweep, worked out as far as its trials have come."""

    def __init__(self, offer: Offer, scale: Scale) -> None:
        self.offer, self.scale = offer, scale
        self.stages: list[Stage] = []

    def next(self, plan: Plan, history: History) -> tuple[str, Params] | None:
        """The stage and the given parameters of the next trial; None: the stage before has to end
        first. A function of plan and history.

        Raises:
            BenchError: the space fails.
        """
        trials = [t for t in history.trials.values() if t.suggestion.origin == ORIGIN]
        while not self.stages or len(trials) >= self.stages[-1].end:
            before = trials[: self.stages[-1].end] if self.stages else []
            if any(trial.open for trial in before):
                return None
            self.stages.append(self._stage(plan, before))
        stage = next(s for s in self.stages if len(trials) < s.end)
        return stage.name, stage.given[len(trials) - stage.first]

    def _stage(self, plan: Plan, before: Sequence[Trial]) -> Stage:
        """The next stage that has anything new to try."""
        best = best_of(plan, before)
        base = best.suggestion.params if best else plan.defaults[0]
        tried = [trial.suggestion.params for trial in before]
        turn = self.stages[-1].round if self.stages else 0
        done = {stage.axis for stage in self.stages if stage.round == turn}
        for around in (turn, turn + 1):
            for axis in self._axes(plan, base):
                if axis in done and around == turn:
                    continue
                given = tuple(
                    params
                    for params in self._values(plan, base, axis, around, first=not before)
                    if not any(params.items() <= other.items() for other in tried)
                )
                if given:
                    return Stage(axis=axis, round=around, first=len(before), given=given)
        return Stage(axis="seed", round=turn, first=len(before), given=(dict(base),))

    def _axes(self, plan: Plan, base: Params) -> list[str]:
        """Those that training tells and that are not given for all trials: of the cell, then what
        `base` has beside. How a network is sampled changes nothing that trials are compared by."""
        cell = [axis for axis in plan.cell_axes if axis not in plan.fixed]
        others = [axis for axis in self._distributions(base) if axis not in cell]
        guided = tuple(f"{key}_" for key in SAMPLE_KEYS)  # a guidance's own: guidance_weight
        return [*cell, *(a for a in others if a not in SAMPLE_KEYS and not a.startswith(guided))]

    def _values(
        self, plan: Plan, base: Params, axis: str, around: int, first: bool
    ) -> Iterator[Params]:
        """`base` with each other value of an axis; the very first stage has `base` itself too."""
        if first:
            yield base
        if axis in plan.cell_axes:
            for default in _other_cells(plan, base, axis):
                others = {k: v for k, v in base.items() if k not in plan.cell_axes and around}
                yield self.offer.offered({**default, **others})
            return
        spread = self._distributions(base).get(axis)
        for value in [] if spread is None else _spread(plan, spread, axis, around):
            if value != base.get(axis):
                yield self._with_defaults(plan, {**base, axis: value})

    def _with_defaults(self, plan: Plan, params: Params) -> Params:
        """With the preset's values of what the space has for these alone (adamw's weight_decay)."""
        cell = {axis: str(params[axis]) for axis in plan.cell_axes if axis in params}
        usual = default_params(self.scale, cell, params.get("optimizer"))
        return self.offer.offered({**usual, **params})

    def _distributions(self, base: Params) -> Mapping[str, BaseDistribution]:
        """What the space suggests beside `base`, in its order."""
        study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
        given = {key: value for key, value in base.items() if key not in self.offer.fixed}
        if given:
            study.enqueue_trial(given)
        asked = study.ask()
        self.offer.run(asked)
        return asked.distributions


def _other_cells(plan: Plan, base: Params, axis: str) -> Iterator[Params]:
    """The defaults of one cell for each other value of the axis: alike in the axes before it and,
    as far as there is one, in those after."""
    place = plan.cell_axes.index(axis)
    cell = {name: str(base.get(name, ABSENT)) for name in plan.cell_axes}
    chosen: dict[str, tuple[int, Params]] = {}
    for other, params in zip(plan.cells, plan.defaults, strict=True):
        before = plan.cell_axes[:place]
        if other[axis] == cell[axis] or any(other[name] != cell[name] for name in before):
            continue
        alike = sum(other[name] == cell[name] for name in plan.cell_axes[place + 1 :])
        if other[axis] not in chosen or alike > chosen[other[axis]][0]:
            chosen[other[axis]] = alike, params
    yield from (params for _, params in chosen.values())


def _spread(plan: Plan, spread: BaseDistribution, axis: str, around: int) -> list[Any]:
    """All choices; of a range one value in each of VALUES equal shares of it."""
    if isinstance(spread, CategoricalDistribution):
        return list(spread.choices)
    draw = stream(plan.seed, f"stage {axis}", around)
    values = [_at(spread, (k + float(draw.random())) / VALUES) for k in range(VALUES)]
    return list(dict.fromkeys(values))


def _at(spread: Any, share: float) -> float:
    """The value of a range below which this share of it lies."""
    low, high = spread.low, spread.high
    value = low * (high / low) ** share if spread.log else low + share * (high - low)
    if spread.step is not None:
        value = low + round((value - low) / spread.step) * spread.step
    return round(value) if isinstance(spread, IntDistribution) else float(value)


def best_of(plan: Plan, trials: Sequence[Trial]) -> Trial | None:
    """The best on `select` at the end of those that completed and are not barred."""
    completed = [t for t in trials if t.outcome == "completed" and plan.last_rung in t.rungs]
    seeds: dict[str, list[dict[str, float]]] = {}
    for trial in completed:
        seeds.setdefault(trial.suggestion.entry_id, []).append(trial.metrics)
    barred = failures(seeds, plan.measures)
    may_win = [t for t in completed if t.suggestion.entry_id not in barred]
    ordered = plan.score.in_order(may_win, lambda trial: trial.rungs[plan.last_rung])
    return next(iter(ordered), None)
