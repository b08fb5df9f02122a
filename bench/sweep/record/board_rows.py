"""Leaderboard rows from a history: one a trial, whatever became of it.

A row holds every number that the trial measured, by its key: what a metric is called and how it is
drawn stands in the plan's measures, never here.
"""

from __future__ import annotations

import math

from bench.config import digest
from bench.errors import BenchError
from bench.sweep.record.history import History
from bench.sweep.record.plan import Plan
from bench.sweep.record.records import Suggestion
from bench.sweep.record.trial import Trial
from bench.sweep.record.trial_measures import PREDICTED_GB, PREDICTED_TRAINING_GB
from leaderboards.facts import SweepFacts, facts_of
from leaderboards.measures import Measure
from leaderboards.rows import ABSENT, Row
from leaderboards.scrubbing import base_name, public_label, scrubbed

# of metrics that become values
GROUPS = ("eval", "stability", "throughput", "sample", "own", "tune")
WORK = ("train", "sample", "measure")  # phases of a trial's clock that its cost is made of


def rows(history: History) -> list[Row]:
    """All trials of a sweep as rows, in the order they were suggested.

    Raises:
        BenchError: a record of the journal cannot be a row.
    """
    try:
        facts = facts_of(history.plan.to_dict())
        return [_row(history.plan, facts, trial) for trial in history.trials.values()]
    except (ValueError, IndexError) as error:  # of what the board's own records do not take
        raise BenchError(
            f"the journal of sweep {history.plan.sweep} gives no board: {error}; restore a copy"
        ) from error


def row(plan: Plan, trial: Trial) -> Row:
    """One trial as a row. Where files lie is in none of its texts: rows leave the machine."""
    return _row(plan, facts_of(plan.to_dict()), trial)


def _row(plan: Plan, facts: SweepFacts, trial: Trial) -> Row:
    suggestion = trial.suggestion
    params, protocol = suggestion.params, {**plan.protocol, **suggestion.apart}
    score = Measure.of_score(protocol)
    body = {
        "sweep": plan.sweep,
        "workload": plan.workload,
        "scale": plan.scale,
        "trial": trial.number,
        "trial_id": suggestion.trial_id,
        "entry_id": suggestion.entry_id,
        "seed": suggestion.seed,
        "cell": {axis: base_name(str(params.get(axis, ABSENT))) for axis in facts.cell_axes},
        "label": public_label(suggestion.label, params),
        "origin": suggestion.origin,
        "protected": suggestion.protected,
        "outcome": trial.outcome or "running",
        "cause": trial.cause,
        "params": {k: base_name(v) if isinstance(v, str) else v for k, v in params.items()},
        "protocol": protocol,
        "protocol_digest": digest(protocol) if suggestion.apart else plan.protocol_digest,
        "data_name": plan.data["name"],
        "data_digest": plan.data["digest"],
        "data_simulated": plan.data["simulated"],
        "score": trial.metrics.get(score.key),
        "score_se": trial.metrics.get(score.se_key),
        "select": trial.rungs.get(plan.last_rung),
        "values": _values(trial, facts, score),
        "rungs": [
            {
                "fraction": plan.rungs[i],
                # fewer than planned where the trial was stopped early
                "nimg": min(suggestion.train.rungs_nimg[i], trial.rung_nimg[i] or math.inf),
                "value": value,
                **_rung_more(trial, i, protocol["metric"]),
            }
            for i, value in sorted(trial.rungs.items())
        ],
        "left_out": trial.left_out,
        "notes": trial.notes,
    }
    try:
        return Row.from_dict(scrubbed(body))
    except ValueError as error:
        raise BenchError(f"the journal of sweep {plan.sweep} gives no board: {error}") from error


def _values(trial: Trial, facts: SweepFacts, score: Measure) -> dict[str, float]:
    """What was measured beside the score; of a trial that has no final value of a declared
    measure, the one of its last rung; and what it is and cost."""
    metrics, values = trial.metrics, {}
    for key, value in metrics.items():
        if key.partition("/")[0] in GROUPS and key not in (score.key, score.se_key):
            values[key] = float(value)
    if trial.outcome != "completed":
        for measure in facts.measures:
            at_rung = measure.key.replace("eval/", "rung/", 1)
            missing = measure.key not in metrics and measure.key != score.key
            if missing and at_rung in metrics:
                values[measure.key] = float(metrics[at_rung])
    return {**values, **_size(trial.suggestion), **_cost(trial)}


def _size(suggestion: Suggestion) -> dict[str, float]:
    predicted = {
        PREDICTED_GB: suggestion.predicted_gb,
        PREDICTED_TRAINING_GB: suggestion.predicted_training_gb,
    }
    return {
        "size/params_m": suggestion.cost["parameters"] / 1e6,
        "size/gflops_per_img": suggestion.cost["forward_flops"] / 1e9,
        **{key: gb for key, gb in predicted.items() if gb is not None},
    }


def _cost(trial: Trial) -> dict[str, float]:
    """Images seen, wall seconds of a trial that ended, and seconds of work by phase. Waiting,
    starting and the pauses of an interrupted trial are not in "busy"."""
    work = {phase: trial.seconds[phase] for phase in WORK if phase in trial.seconds}
    values = {"cost/kimg": trial.nimg / 1000}
    if trial.outcome == "completed" and 0 < trial.nimg < trial.suggestion.train.rungs_nimg[-1]:
        values["cost/stopped_kimg"] = trial.nimg / 1000
    if trial.ended_at is not None:
        values["cost/wall_sec"] = trial.wall_sec
    values |= {f"cost/{phase}_sec": seconds for phase, seconds in work.items()}
    return values | ({"cost/busy_sec": sum(work.values())} if work else {})


def _rung_more(trial: Trial, rung: int, metric: str) -> dict[str, float]:
    """Where a journal has them: device-seconds of training up to a rung, its sampling error."""
    more = {}
    seconds = trial.rung_seconds.get(rung, {}).get("train")
    if seconds is not None:
        more["train_sec"] = seconds * trial.devices
    error = trial.rung_metrics.get(rung, {}).get(f"rung/{metric}_se")
    if error is not None:
        more["se"] = error
    return more
