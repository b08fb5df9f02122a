"""The training seed of a trial: new ones for a configuration that was drawn before."""

from __future__ import annotations

import dataclasses

from bench.config import TrialConfig
from bench.streams import derive_seed
from bench.sweep.record.history import SURE, History
from bench.sweep.record.plan import Plan
from bench.sweep.record.records import Suggestion


def seeded(plan: Plan, history: History, config: TrialConfig) -> TrialConfig:
    """A configuration drawn before gets a new seed and joins its entry."""
    same = history.of_entry(config.entry_id)
    if not same:
        return config
    return dataclasses.replace(config, seed=derive_seed(plan.seed, "trial", len(same)) % 2**31)


def confirming(plan: Plan, history: History, first: Suggestion) -> TrialConfig:
    """An entry's configuration with its next new seed: its k-th is that of every entry."""
    count = sum(t.suggestion.origin == SURE for t in history.of_entry(first.entry_id))
    seed = derive_seed(plan.seed, "confirm", count + 1) % 2**31
    return dataclasses.replace(TrialConfig.from_dict(first.config), seed=seed)
