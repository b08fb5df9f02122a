"""Early stopping: when training no longer improves the score on `select`, and what is judged then.

A look is an evaluation on `select`, at the early rungs and so often over the budget. A look has
improved when it is better than the last that had, by more than its own standard error, where the
metric gives one and it is not that of choosing cases, which are the same at every look. After
`patience` looks in a row that have not, training ends, and the trial is judged with the weights
that its best look was scored with. Only `select` is ever looked at (contract 8).

All of it is a function of the looks, which are in every checkpoint: a run that goes on stops where
it would have. Which value is better is the score's to say.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from leaderboards.measures import Measure


@dataclass(kw_only=True)
class EarlyStopping:
    """The looks of one run. patience: 0 never stops it."""

    score: Measure
    patience: int
    looks: list[tuple[int, float, float]] = field(default_factory=list)  # nimg, value, its error

    def take(self, nimg: int, value: float, error: float | None) -> bool:
        """One more look; whether it is the best so far."""
        best = not self.looks or self.score.better(value, self._best[1])
        self.looks.append((nimg, value, error or 0.0))
        return best

    @property
    def over(self) -> bool:
        """Whether training is to end."""
        return 0 < self.patience <= self._waited

    @property
    def _waited(self) -> int:
        """Looks in a row, the last included, that have not improved."""
        waited, reference = 0, None
        for _, value, error in self.looks:
            better = reference is None or self.score.better(value, reference)
            if reference is None or (better and abs(value - reference) > error):
                waited, reference = 0, value
            else:
                waited += 1
        return waited

    @property
    def _best(self) -> tuple[int, float, float]:
        """The first of the best looks."""
        return min(self.looks, key=lambda look: self.score.sign * look[1])

    def note(self, budget_nimg: int) -> str:
        """What a stopped run says of itself."""
        last, (best, *_) = self.looks[-1][0], self._best
        looks = "look" if self.patience == 1 else "looks"
        return (
            f"stopped early at {last / 1000:g} of {budget_nimg / 1000:g} kimg: {self.score.key} on "
            f"select had not improved beyond its error for {self.patience} {looks}; judged with "
            f"the weights of {best / 1000:g} kimg, its best look"
        )
