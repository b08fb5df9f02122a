"""A race of entries on new seeds: look by look, until it is known which is best or need not be.

All that may be best (leaderboards.best) get one more seed, the same for all, so that what a seed
does to all of them cancels. Then comes a look at all there is, at a level that allows for every
look (leaderboards.looks). It ends when one is left, when those left are equivalent within the
user's tolerance, when each has had as many seeds as it may, or when the budget holds no more.

What a look finds is a pure function of the journal, so a race that was stopped goes on.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from bench.errors import BenchError
from bench.sweep.cost import budget
from bench.sweep.record import board_rows
from bench.sweep.record.history import History
from bench.sweep.record.plan import RaceRules
from bench.sweep.running.engine import Engine
from leaderboards.entries import distinct
from leaderboards.facts import facts_of
from leaderboards.measures import Measure
from leaderboards.rank import Ranked, Ranking, rank

ONE_EXTRACTOR = "but nobody wins under one extractor alone, and this sweep measured no second one"
NAMED = 3  # entries named in a line before "and N more"


@dataclass(frozen=True, kw_only=True)
class Look:
    """What a look found. left: those that may be best, first by score. again: trials whose entries
    get one more seed. over: why no more follows; "" where it does."""

    ranking: Ranking
    left: tuple[Ranked, ...]
    again: tuple[int, ...] = ()
    over: str = ""

    @property
    def text(self) -> str:
        """Which look, its level and what it leaves, in one line."""
        ranking = self.ranking
        where = f"look {ranking.look}" if ranking.look else "the sweep's end"
        labels = [place.entry.first.label for place in self.left]
        more = f" and {len(labels) - NAMED} more" if len(labels) > NAMED else ""
        known = ""
        if len(self.left) > 1:
            behind = ranking.measure.bound_text(self.left[0].behind or 0.0)
            known = f"; the first is {behind} worse than the best"
        elif ranking.alone is not None and ranking.winner is None:
            known = f"; {len(self.again)} get a new seed for a second extractor's sake"
        return (
            f"{where} (level {ranking.level:.2g}): {len(labels)} of {len(ranking.ranked)} may be "
            f"best: {'; '.join(labels[:NAMED])}{more}{known}"
        )


def look_at(history: History, rules: RaceRules) -> Look:
    """What is known at this point of a race, and what follows.

    Raises:
        BenchError: fewer than two entries completed, so there is nothing to race.
    """
    rows, _ = distinct(board_rows.rows(history))
    ranking = rank(rows, facts_of(history.plan.to_dict()).measures)  # barred ones get no seeds
    if len(ranking.ranked) < 2:
        barred = f" and {len(ranking.barred)} barred" if ranking.barred else ""
        raise BenchError(
            f"a race needs two completed entries; sweep {history.plan.sweep} has "
            f"{len(ranking.ranked)}{barred}"
        )
    left = tuple(ranking.measure.in_order(ranking.may_be_best, lambda place: place.score))
    had = Counter(
        t.suggestion.entry_id
        for t in history.trials.values()
        if t.suggestion.origin == "confirm" and t.outcome is not None
    )
    contenders = {place.entry.entry_id: place.entry for place in left}
    if ranking.alone is not None:  # only those ahead under a second extractor are in its way
        contenders |= {entry.entry_id: entry for j in ranking.second_judges for entry in j.ahead}
    trained = [entry for entry in contenders.values() if entry.first.trained]
    able = [entry for entry in trained if had[entry.entry_id] < rules.seeds]
    fewest = min((had[entry.entry_id] for entry in able), default=0)
    next_ones = [entry for entry in able if had[entry.entry_id] == fewest]
    over = ""
    if ranking.winner is not None:
        over = f"one is left, {ranking.winner.entry.first.label}"
    elif ranking.alone is not None and ranking.one_extractor:
        over = f"one is left, {ranking.alone.entry.first.label}, {ONE_EXTRACTOR}"
    elif _equivalent(ranking, left, rules):
        over = f"the {len(left)} left are equivalent within {within_text(rules, ranking.measure)}"
    elif not trained:
        over = "nothing is trained in any of those left, so new seeds tell nothing"
    elif not able:
        over = f"each of those left has had {rules.seeds} new seeds, as many as it may (--seeds)"
    again = () if over else tuple(entry.first.trial for entry in next_ones)
    return Look(ranking=ranking, left=left, again=again, over=over)


def _equivalent(ranking: Ranking, left: tuple[Ranked, ...], rules: RaceRules) -> bool:
    """Whether none of those left is further behind the best than the tolerance."""
    as_shares = ranking.measure.scale == "ratio"
    if rules.within is None or len(left) < 2 or ranking.spread.relative != as_shares:
        return False
    return all(place.behind is not None and place.behind <= rules.within for place in left)


def tolerance(text: str, measure: Measure) -> float:
    """--within as a share of the score on the ratio scale, else in the score's unit.

    Raises:
        BenchError: it is none, or of the other kind.
    """
    ratio = measure.scale == "ratio"
    if ratio != text.endswith("%"):
        unit = f" in {measure.unit}" if measure.unit else ""
        want = "a percentage, as 3%" if ratio else f"a number{unit}, as 0.1"
        raise BenchError(
            f"--within {text}: {measure.title} is compared by its {measure.scale}; give {want}"
        )
    try:
        value = float(text.removesuffix("%")) / (100 if ratio else 1)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise BenchError(f"--within {text}: it must be a positive number")
    return value


def within_text(rules: RaceRules, measure: Measure) -> str:
    """The tolerance as the user would write it."""
    within = rules.within or 0.0
    return f"{100 * within:g}%" if measure.scale == "ratio" else measure.with_unit(f"{within:g}")


def opening(rules: RaceRules, measure: Measure, wall_sec: float | None) -> str:
    """What ends a race, before it begins."""
    ends = ["one is left"]
    if rules.within is not None:
        ends.append(f"those left are equivalent within {within_text(rules, measure)}")
    ends.append(f"each has had {rules.seeds} new seeds")
    if wall_sec is not None:
        ends.append(f"{wall_sec:g} s are spent")
    return f"a race on new seeds until {', '.join(ends[:-1])} or {ends[-1]}; never pruned"


def begin(engine: Engine, rules: RaceRules, wall_sec: float | None) -> None:
    """Ask for a race; a `Race` takes its first look."""
    given = budget.make(wall_sec, None).wall_sec
    trials = engine.history.trials.values()
    engine.write(
        "extend",
        plan={
            "trials": len(trials),
            "budget": {"wall_sec": None if given is None else engine.spent().wall_sec + given},
            "given_up": engine.history.begun_for_search,
            "race": {"seeds": rules.seeds, "within": rules.within},
        },
    )


class Race:
    """Takes an engine from look to look; where its plan has no race, it does nothing."""

    def __init__(self, engine: Engine, say: Callable[[str], None]) -> None:
        self.engine, self.say = engine, say
        engine.when_idle = self.go_on

    def go_on(self) -> None:
        """Once all that was asked for has ended: take the look, say it, ask for what follows."""
        engine, rules = self.engine, self.engine.plan.race
        if rules is None or not engine.idle:
            return
        look = look_at(engine.history, rules)
        self.say(look.text)
        over = look.over or self._beyond_budget(look)
        if over:
            self.say(f"the race is over: {over}")
            return
        start, plan = len(engine.history.trials), engine.plan
        asked = [{"number": start + i, "of": of} for i, of in enumerate(look.again)]
        engine.write(
            "extend", plan={"trials": start + len(asked), "confirm": [*plan.confirm, *asked]}
        )
        self.say(
            f"look {look.ranking.look + 1}: {len(asked)} "
            f"{'trial' if len(asked) == 1 else 'trials'} on the next new seed, about "
            f"{self._expected_sec(look):.0f} s"
        )

    def _expected_sec(self, look: Look) -> float:
        """Wall seconds of the next trials, from the longest of the same entries."""
        trials = self.engine.history.trials
        entries = [trials[of].suggestion.entry_id for of in look.again]
        walls = [
            max(t.wall_sec for t in trials.values() if t.suggestion.entry_id == entry)
            for entry in entries
        ]
        return max(max(walls), sum(walls) / self.engine.concurrency)

    def _beyond_budget(self, look: Look) -> str:
        """Why the next look does not fit the budget; "" where it does."""
        left, need = self.engine.spent().wall_left, self._expected_sec(look)
        if left is None or need <= left - budget.CLOSING_SEC:
            return ""
        return (
            f"the next look needs about {need:.0f} s and {max(left, 0.0):.0f} s are left; "
            f"bench resume {self.engine.plan.sweep} --wall-clock gives it more"
        )
