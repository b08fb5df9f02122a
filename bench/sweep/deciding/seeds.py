"""The training seed of a trial: new ones for a configuration that was drawn before."""

from __future__ import annotations

import dataclasses

from bench.config import TrialConfig
from bench.streams import derive_seed
from bench.sweep.record.history import History
from bench.sweep.record.plan import Plan
from bench.sweep.record.records import Suggestion


def seeded(plan: Plan, history: History, config: TrialConfig) -> TrialConfig:
    """A configuration drawn before gets a new seed and joins its entry."""
    same = _count(history, config.entry_id)
    if not same:
        return config
    return dataclasses.replace(config, seed=derive_seed(plan.seed, "trial", same) % 2**31)


def confirming(plan: Plan, history: History, first: Suggestion) -> TrialConfig:
    """An entry's configuration with its next new seed: its k-th is that of every entry."""
    count = _count(history, first.entry_id, "confirm")
    seed = derive_seed(plan.seed, "confirm", count + 1) % 2**31
    return dataclasses.replace(TrialConfig.from_dict(first.config), seed=seed)


def _count(history: History, entry: str, origin: str | None = None) -> int:
    """How many trials of an entry there are, of any origin or of one."""
    suggested = [t.suggestion for t in history.trials.values()]
    return sum(s.entry_id == entry and origin in (None, s.origin) for s in suggested)
