"""What may be claimed, in sentences: device, data, extractor, scale, verdict, its limits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from leaderboards import agreement, other_budgets
from leaderboards.entries import CONFIRM_SEEDS
from leaderboards.rank import Ranking
from leaderboards.rows import Row
from leaderboards.scrubbing import scrubbed, without_places

UNITS = {"nimg": "kimg of training", "gpu-seconds": "device-seconds of training"}
SMALL_SCALES = ("smoke", "laptop")  # presets whose verdicts need not transfer
NOTED = 6  # trials whose notes are told before "and N more"
NAMED = 3  # entries named in a verdict before "and N more"


def opening(rows: Sequence[Row], device: Mapping[str, Any] | str | None) -> list[str]:
    """What the numbers come from: device, data, extractor and scale."""
    lines = []
    if device:
        lines.append(f"device: {describe_device(device)}")
    for name, simulated in sorted({(row.data_name, row.data_simulated) for row in rows}):
        if simulated:
            lines.append(f"data: SIMULATED ({name}); drawn by the program, no patient's images")
        else:
            lines.append(f"data: real ({name})")
    for digest in sorted({row.protocol_digest for row in rows}):
        protocol = next(row.protocol for row in rows if row.protocol_digest == digest)
        lines.append(f"score: {describe_protocol(protocol)} [protocol {digest[:8]}]")
    for scale in sorted({row.scale for row in rows}):
        caution = "; verdicts at this scale need not transfer" if scale in SMALL_SCALES else ""
        lines.append(f"scale: {scale}{caution}")
    return lines


def trial_notes(rows: Sequence[Row]) -> list[str]:
    """One line that lists the trials with something to say, the first NOTED in words."""
    several = len({row.sweep for row in rows}) > 1
    said = [
        f"{f'{row.sweep} ' if several else ''}{row.trial} ({'; '.join(row.notes)})"
        for row in rows
        if row.notes
    ]
    more = f" and {len(said) - NOTED} more" if len(said) > NOTED else ""
    return [f"notes on trials: {', '.join(said[:NOTED])}{more}"] if said else []


def describe_device(device: Mapping[str, Any] | str) -> str:
    """The device record in one line: its text, or its plain values."""
    if isinstance(device, str):
        return without_places(device)
    if isinstance(device.get("text"), str):
        return without_places(str(device["text"]))
    values = {k: v for k, v in scrubbed(device).items() if isinstance(v, str | int | float)}
    return ", ".join(f"{key} {value}" for key, value in values.items())


def describe_protocol(protocol: Mapping[str, Any]) -> str:
    """The metric and what it was measured against, in one line."""
    metric = str(protocol.get("metric", "score"))
    better = "lower" if protocol.get("direction", "min") == "min" else "higher"
    parts = [f"{metric}, {better} is better"]
    if "budget_tflop" in protocol:
        parts.append(f"{protocol['budget_tflop']:g} training TFLOP a trial")
    if "equal" in protocol:
        unit = UNITS.get(str(protocol["equal"]), str(protocol["equal"]))
        where = f" of {protocol['device']}" if "device" in protocol else ""
        parts.append(f"{protocol['budget']:.3g} {unit}{where} a trial")
    if "n_samples" in protocol:
        parts.append(f"{protocol['n_samples']} samples")
    parts.append("against the report part")
    if "resolution" in protocol:
        parts.append(f"{protocol['resolution']} px")
    if "sampler" in protocol:
        parts.append(f"{protocol['sampler']} at {protocol.get('nfe', '?')} NFE for all")
    if "extractor" in protocol:
        digest = str(protocol.get("extractor_digest", ""))[:8]
        parts.append(f"extractor {protocol['extractor']} {digest}".rstrip())
    return ", ".join(parts)


def verdict(ranking: Ranking) -> list[str]:
    """Who may be best, what is not known, and what to do about it."""
    sweeps = sorted({row.sweep for row in ranking.rows})
    name = sweeps[0] if len(sweeps) == 1 else "NAME"
    confirm = f"`bench confirm {name} --top K` retrains the K best on select from new seeds"
    placed, best = ranking.ranked, ranking.may_be_best
    lines = []
    if not placed:
        lines.append("verdict: no trial completed, so there is nothing to rank")
    elif len(placed) == 1:
        lines.append("verdict: one entry completed; there is nothing to compare it with")
    elif ranking.winner is not None:
        seeds = len(ranking.winner.entry.confirming)
        lines.append(
            f"verdict: winner {ranking.winner.entry.first.label}, best of {len(placed)} "
            f"with 95 % confidence, confirmed on {seeds} new seeds"
        )
    elif len(best) == 1:
        seeds = len(best[0].entry.confirming)
        lines.append(
            f"verdict: no winner yet: {best[0].entry.first.label} stands alone but is confirmed on "
            f"{seeds} of {CONFIRM_SEEDS} new seeds; {confirm}"
        )
    else:
        names = [place.entry.first.label for place in best[:NAMED]]
        more = f" and {len(best) - NAMED} more" if len(best) > NAMED else ""
        lines.append(
            f"verdict: no winner: {len(best)} of {len(placed)} entries may be best "
            f"({'; '.join(names)}{more}); {confirm}"
        )
    if placed:
        lines += [spread_line(ranking), *_optimism(ranking)]
        lines.append(agreement.line(agreement.agreements(ranking.rows)))
    other = other_budgets.line(other_budgets.others(ranking))
    if other is not None:
        lines.append(other)
    return lines


def spread_line(ranking: Ranking) -> str:
    """Where the training spread comes from."""
    spread = ranking.spread
    if spread.kind == "none":
        return "training spread: not measured, nor any sampling error; nothing is told apart"
    if spread.kind == "assumed":
        return f"training spread: {spread.rel_sd:.1%} of the score ({spread.source})"
    single = sum(len(place.entry.scores) == 1 for place in ranking.ranked)
    lender = "the workload's" if spread.kind == "borrowed" else "this"
    borrowed = f"; {single} entries with one seed borrow {lender} spread" if single else ""
    apart = f"; {len(spread.own)} with a larger spread of their own" if spread.own else ""
    return f"training spread: {spread.rel_sd:.1%} of the score ({spread.source}){borrowed}{apart}"


def _optimism(ranking: Ranking) -> list[str]:
    """The winner's curse, where the leading score is still the one that was picked."""
    if ranking.optimism is None:
        return []
    pick = min if ranking.rows[0].protocol.get("direction", "min") == "min" else max
    leading = pick(place.score for place in ranking.ranked)
    by = ranking.optimism
    little = abs(by) < 1e-3 * abs(leading)
    flatters = "flatters by next to nothing" if little else f"flatters by about {by:.2g}"
    return [
        f"selection: the leading score, {leading:.4g}, is the best of {len(ranking.ranked)} noisy "
        f"values and {flatters}; only new seeds tell by how much"
    ]
