"""What may be claimed, in sentences: device, data, protocol, scale, verdict and its limits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from leaderboards import agreement, other_budgets, second_judge
from leaderboards.best import ALPHA
from leaderboards.entries import CONFIRM_SEEDS
from leaderboards.facts import SweepFacts
from leaderboards.measures import Measure
from leaderboards.rank import Ranked, Ranking
from leaderboards.rows import Row

UNITS = {
    "nimg": "kimg of training",
    "gpu-seconds": "device-seconds of training",
    "memory": "GB of training memory",
}
SPENT = ("budget_tflop", "equal", "budget", "device")  # of a protocol: what each trial has to spend
SCORED = ("metric", "direction", "scale", "unit")  # of a protocol: what the score is
ARGUMENTS = "_args"  # ends the name of a part's own settings: guidance_args
SMALL_SCALES = ("smoke", "laptop")  # presets whose verdicts need not transfer
MORE_CASES = (
    "none of them trains anything, so new seeds tell nothing: they differ by less than the cases "
    "can tell, and more cases are needed (a larger scale, or more data)"
)
NOTED = 6  # trials whose notes are told before "and N more"
POPULATIONS = {
    "subjects": "for subjects like those of the report part",
    "none": "for the report part's own subjects: other subjects are not in these errors",
}
NAMED = 3  # entries named in a verdict before "and N more"
CONFIDENCE = "95 % confidence over all looks"


def opening(rows: Sequence[Row], facts: Sequence[SweepFacts]) -> list[str]:
    """What the numbers come from: device, data and its problems, protocol, scale, conditions."""
    lines = [f"device: {text}" for text in dict.fromkeys(f.device for f in facts) if text]
    kinds = {(row.data_name, row.data_simulated) for row in rows}
    kinds |= {(f.data_name, f.data_simulated) for f in facts if f.data_name}
    for name, simulated in sorted(kinds):
        lines.append(f"data: {'SIMULATED' if simulated else 'real'} ({name})")
    lines += [f"data: {note}" for note in data_notes(facts)]
    for digest in sorted({row.protocol_digest for row in rows}):
        protocol = next(row.protocol for row in rows if row.protocol_digest == digest)
        lines.append(f"score: {describe_protocol(protocol)} [protocol {digest[:8]}]")
    for scale in sorted({row.scale for row in rows}):
        caution = "; verdicts at this scale need not transfer" if scale in SMALL_SCALES else ""
        lines.append(f"scale: {scale}{caution}")
    conditions = dict.fromkeys(line for f in facts for line in f.conditions)
    return [*lines, *(f"note: {line}" for line in conditions)]


def data_notes(facts: Sequence[SweepFacts]) -> list[str]:
    """The problems of all the data, each once; with the sweep's name where sweeps differ."""
    alike = len({f.data_notes for f in facts}) <= 1
    return list(
        dict.fromkeys(
            note if alike else f"{f.sweep}: {note}" for f in facts for note in f.data_notes
        )
    )


def trial_notes(rows: Sequence[Row]) -> list[str]:
    """One line that lists the trials with something to say, the first NOTED in words."""
    several = len({row.sweep for row in rows}) > 1
    noted = [
        f"{f'{row.sweep} ' if several else ''}{row.trial} ({'; '.join(row.notes)})"
        for row in rows
        if row.notes
    ]
    more = f" and {len(noted) - NOTED} more" if len(noted) > NOTED else ""
    return [f"notes on trials: {', '.join(noted[:NOTED])}{more}"] if noted else []


def describe_protocol(protocol: Mapping[str, Any]) -> str:
    """What the score is and how it was measured, in one line."""
    measure = Measure.of_score(protocol)
    unit = f" in {measure.unit}" if measure.unit else ""
    parts = [f"{measure.title}{unit}", measure.better_text]
    if "budget_tflop" in protocol:
        parts.append(f"{protocol['budget_tflop']:g} training TFLOP a trial")
    if "equal" in protocol:
        spent = UNITS.get(str(protocol["equal"]), str(protocol["equal"]))
        where = f" of {protocol['device']}" if "device" in protocol else ""
        parts.append(f"{protocol['budget']:.3g} {spent}{where} a trial")
    parts.append("against the report part")
    for name, value in protocol.items():
        if name in (*SPENT, *SCORED):
            continue
        if name.endswith(ARGUMENTS) and isinstance(value, Mapping):
            part = name.removesuffix(ARGUMENTS)
            parts += [_setting(f"{part} {argument}", given) for argument, given in value.items()]
        elif isinstance(value, str | int | float):
            parts.append(_setting(name, value))
    return ", ".join(parts)


def _setting(name: str, value: Any) -> str:
    """'guidance weight 5', 'guidance interval 0.1 to 2'; of a digest eight letters."""
    if isinstance(value, list | tuple):
        shown = " to ".join(map(_plain, value))
    else:
        shown = _plain(value[:8] if isinstance(value, str) and name.endswith("digest") else value)
    return f"{name} {shown}"


def _plain(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def verdict(ranking: Ranking, measures: Sequence[Measure] = ()) -> list[str]:
    """Who may be best on the report part, what is not known, and what to do about it."""
    sweeps = sorted({row.sweep for row in ranking.rows})
    name = sweeps[0] if len(sweeps) == 1 else "NAME"
    confirm = f"`bench confirm {name}` races them on new seeds until one is left"
    placed, best = ranking.ranked, ranking.may_be_best
    lines = []
    if not placed and ranking.barred:
        lines.append("verdict: no winner: every entry that completed is barred")
    elif not placed:
        lines.append("verdict: no trial completed, so there is nothing to rank")
    elif len(placed) == 1:
        rest = "all others are barred" if ranking.barred else "there is nothing to compare it with"
        lines.append(f"verdict: one entry completed; {rest}")
    elif ranking.winner is not None:
        entry = ranking.winner.entry
        rests_on = f"confirmed on {len(entry.confirming)} new seeds"
        lines.append(
            f"verdict: winner {entry.first.label}, best of {len(placed)} with {CONFIDENCE}, "
            f"{rests_on if entry.first.trained else 'which has nothing to train'}"
        )
    elif ranking.alone is not None:
        lines.append(f"verdict: no winner: {_divided(ranking, ranking.alone)}")
    elif len(best) == 1 and ranking.under_way:
        lines.append(
            f"verdict: no winner yet: {best[0].entry.first.label} stands alone, but "
            f"{ranking.under_way} trials on new seeds have not ended"
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
        advice = confirm if any(place.entry.first.trained for place in best) else MORE_CASES
        lines.append(
            f"verdict: no winner: {len(best)} of {len(placed)} entries may be best "
            f"({'; '.join(names)}{more}); {advice}"
        )
    lines += [one.line for one in ranking.barred]
    lines += [second_judge.line(judge, ranking.leader) for judge in ranking.second_judges]
    if placed:
        lines += [*_references(ranking, measures), *_known(ranking), *_look(ranking)]
        lines += _leaders(ranking)
        lines += [spread_line(ranking), *_optimism(ranking)]
        lines.append(agreement.line(agreement.agreements(ranking.rows)))
    other = other_budgets.line(other_budgets.others(ranking))
    if other is not None:
        lines.append(other)
    return lines


def _divided(ranking: Ranking, alone: Ranked) -> str:
    """Why the one that stands alone by the score is no winner."""
    label, score = alone.entry.first.label, ranking.measure.title
    if ranking.one_extractor:
        return (
            f"{label} stands alone under {score}, but under one extractor alone nobody wins; a "
            "new sweep measures a second one"
        )
    others = [
        f"{j.ahead[0].first.label} under {j.measure.title}"
        for j in ranking.second_judges
        if j.ahead
    ]
    new = sum(not entry.confirmed for judge in ranking.second_judges for entry in judge.ahead)
    more = f"; {new} of those ahead there have not been confirmed on new seeds" if new else ""
    return f"it depends on the extractor: {label} leads under {score}, {' and '.join(others)}{more}"


def _known(ranking: Ranking) -> list[str]:
    """What holds of the leader, winner or not."""
    if len(ranking.ranked) < 2:
        return []
    measure = ranking.measure
    leader = ranking.leader
    assert leader.behind is not None
    population = f"; {POPULATIONS[p]}" if (p := _population(ranking)) else ""
    others = [place.behind or 0.0 for place in ranking.may_be_best if place is not leader]
    rest = ""
    if others:
        furthest = measure.bound_text(max(others))
        count = "1 other" if len(others) == 1 else f"{len(others)} others"
        rest = f", the {count} that may be it {furthest}"
    return [
        f"known: with {CONFIDENCE} {leader.entry.first.label} is "
        f"{measure.bound_text(leader.behind)} worse than the best of these{rest}; "
        f"the chance that it is the best is {leader.chance:.0%}{population}"
    ]


def _look(ranking: Ranking) -> list[str]:
    """What this look at new seeds may spend, where more can follow."""
    if len(ranking.ranked) < 2 or not any(p.entry.first.trained for p in ranking.ranked):
        return []
    which = f"look {ranking.look} at new seeds" if ranking.look else "before any new seeds"
    return [
        f"looks: {which}, at {ranking.level:.2g} of the {ALPHA:g} that all looks have to spend; "
        "what one leaves out stays out"
    ]


def _population(ranking: Ranking) -> str | None:
    """Whether the errors know of other subjects."""
    rows = [row for place in ranking.ranked for row in place.entry.scored]
    if all(row.left_out for row in rows):
        return "subjects"
    return "none" if any(row.left_out for row in rows) else None


def _leaders(ranking: Ranking) -> list[str]:
    """Who is first on report and on select, where these are different trials."""
    measure = ranking.measure
    tried = [
        row for row in ranking.compared if row.outcome == "completed" and row.select is not None
    ]
    if not tried:
        return []
    on_select = measure.in_order(tried, lambda row: float(row.select or 0.0))[0]
    entry = measure.in_order(ranking.ranked, lambda place: place.score)[0].entry
    if on_select in entry.rows:
        return []
    return [
        f"leaders: first by score, on the report part, is trial {entry.first.trial} "
        f"({entry.first.label}); first on select, which suggestion, pruning and `bench show "
        f"samples` go by, is trial {on_select.trial} ({on_select.label})"
    ]


def _references(ranking: Ranking, measures: Sequence[Measure]) -> list[str]:
    """The measures on which every entry is worse than what anything should beat."""
    lines = []
    for measure in measures:
        if measure.key == ranking.measure.key:
            values: list[float | None] = [place.score for place in ranking.ranked]
        else:
            values = [place.entry.mean(measure.key) for place in ranking.ranked]
        if not values or not all(map(measure.misses_reference, values)):
            continue
        side = "below" if measure.direction == "higher" else "above"
        lead = f"{measure.reference_verdict}: " if measure.reference_verdict else ""
        what = f", {measure.reference_text}" if measure.reference_text else ""
        lines.append(f"{lead}every entry's {measure.title} is {side} {measure.reference:g}{what}")
    return lines


def spread_line(ranking: Ranking) -> str:
    """Where the training spread comes from."""
    spread, measure = ranking.spread, ranking.measure
    if spread.kind == "none":
        return "training spread: none, nothing here is trained"
    shown = f"training spread: {measure.spread_text(spread.sd)} ({spread.source})"
    if spread.kind == "assumed":
        return f"{shown}; no ranks are given before entries were trained from two seeds"
    cells = [spread.of(p.entry).variance ** 0.5 for p in ranking.ranked if p.entry.first.trained]
    low, high = (measure.spread_text(sd) for sd in (min(cells), max(cells)))
    parts = [shown, f"by cell, moderated, {low} to {high}" if low != high else ""]
    if spread.block:
        parts.append(f"beside {measure.spread_text(spread.block**0.5)} that all have from a seed")
    unknown = sum(not spread.of(p.entry).replicated for p in ranking.ranked)
    parts.append(
        f"assumed for {unknown} entries of cells that were trained once" if unknown else ""
    )
    return "; ".join(part for part in parts if part)


def _optimism(ranking: Ranking) -> list[str]:
    """The winner's curse, where the leading score is still the one that was picked."""
    if ranking.optimism is None:
        return []
    measure, by = ranking.measure, ranking.optimism
    leader = measure.in_order(ranking.ranked, lambda place: place.score)[0]
    unit = abs(leader.score) if measure.scale == "ratio" else leader.total_se or 0.0
    size = measure.with_unit(f"{by:.2g}")
    flatters = f"flatters by about {size}" if by >= 1e-3 * unit else "flatters by next to nothing"
    return [
        f"selection: the leading score on report, {leader.score:.4g}, is the best of "
        f"{len(ranking.ranked)} noisy values and {flatters}; only new seeds tell by how much"
    ]
