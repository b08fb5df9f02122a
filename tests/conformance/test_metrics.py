"""Every metric in the table passes the suite a user's has to pass; a broken one does not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench import doors
from bench.data.practice_data import write_practice_data
from bench.errors import BenchError
from bench.metrics import METRICS
from bench.metrics import metric_conformance as suite
from bench.metrics.metric import Evidence, Metric
from bench.metrics.metric_conformance import Practice
from bench.metrics.real import RealData
from leaderboards.measures import Measure

VOLUMES = Path(__file__).parents[1] / "fakes" / "volumes.py"


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> RealData:
    folder = tmp_path_factory.mktemp("practice") / "cache"
    return RealData(str(write_practice_data(folder, (suite.SIDE, suite.SIDE)).path))


@pytest.mark.parametrize("name", sorted(METRICS.table))
def test_the_tables_metrics_pass(name: str) -> None:
    assert suite.check(METRICS.load(name), name) == len(suite.CHECKS)


def test_practice_data_are_whole_and_the_same_every_time(tmp_path: Path) -> None:
    one, other = (write_practice_data(tmp_path / name, (4, 6, 8)) for name in "ab")
    assert one.images.shape == (60, 1, 4, 6, 8)
    assert np.array_equal(one.images, other.images)
    assert np.array_equal(one.masks, one.images > 127)
    flat = one.images.reshape(60, -1)
    assert len(np.unique(flat, axis=0)) == 60
    subjects = [set(one.subject[rows].tolist()) for rows in one.parts.values()]
    assert not subjects[0] & subjects[1]
    assert not subjects[1] & subjects[2]
    train = one.images[one.parts["train"]] / 127.5 - 1
    assert one.sigma_data == pytest.approx(train.std(), rel=1e-5)
    assert one.labels is not None
    assert set(one.labels.tolist()) == {0, 1}


class Brightness(Metric):
    """A metric that keeps the contract, for floats."""

    measured: tuple[Measure, ...] = (Measure(key="bright", title="bright", direction="lower"),)

    @property
    def measures(self) -> tuple[Measure, ...]:
        return self.measured

    def estimate(self, evidence: Evidence) -> dict[str, float]:
        return {"bright": float(evidence.predictions.values.mean())}


class Undeclared(Brightness):
    def estimate(self, evidence: Evidence) -> dict[str, float]:
        return {**super().estimate(evidence), "dark": 1.0}


class Phased(Brightness):
    measured = (Measure(key="eval/bright", title="bright", direction="lower"),)


class Twice(Brightness):
    measured = Brightness.measured * 2


class Directionless(Brightness):
    measured = (
        Measure(key="bright", title="bright"),
        Measure(key="dark", title="dark", direction="lower"),
    )


class Nothing(Brightness):
    measured = ()


class AtTheEndAlone(Brightness):
    def estimate(self, evidence: Evidence) -> dict[str, float]:
        return super().estimate(evidence) if evidence.final else {}


class Infinite(Brightness):
    def estimate(self, evidence: Evidence) -> dict[str, float]:
        return {"bright": float("inf")}


class NegativeError(Brightness):
    def estimate(self, evidence: Evidence) -> dict[str, float]:
        return {**super().estimate(evidence), "bright_se": -0.1}


class Remembers(Brightness):
    calls = 0

    def estimate(self, evidence: Evidence) -> dict[str, float]:
        self.calls += 1
        return {"bright": float(self.calls)}


class Draws(Brightness):
    def estimate(self, evidence: Evidence) -> dict[str, float]:
        np.random.random()
        return super().estimate(evidence)


class Overwrites(Brightness):
    def estimate(self, evidence: Evidence) -> dict[str, float]:
        estimates = super().estimate(evidence)
        evidence.predictions.values[:] = 0
        return estimates


class First(Brightness):
    def estimate(self, evidence: Evidence) -> dict[str, float]:
        return {"bright": float(evidence.predictions.values[0].mean())}


class TakesWhatItDoesNotNeed(Brightness):
    def estimate(self, evidence: Evidence) -> dict[str, float]:
        return {"bright": float(evidence.targets.mean())}  # type: ignore[union-attr]


class NeedsMagic(Brightness):
    needs = frozenset({"magic"})


class Array(Brightness):
    @classmethod
    def settings_taken(cls) -> dict[str, Any]:
        return {"levels": np.arange(3)}


class Costless(Brightness):
    def seconds(self, shape: tuple[int, ...]) -> float:
        return -1.0


BROKEN: list[tuple[str, Any, str]] = [
    ("is a metric", 3, "must be a subclass"),
    ("is a metric", Metric, "abstract"),
    ("is a metric", NeedsMagic, r"needs \['magic'\] are none of"),
    ("is a metric", Array, "plain finite values"),
    ("declares its measures", Nothing, "declares no measure"),
    ("declares its measures", Twice, "share a key"),
    ("declares its measures", Phased, "without a phase"),
    ("declares its measures", Directionless, "'bright' must say whether"),
    ("gives what it declares", Undeclared, r"\['dark'\] are no measure's key"),
    ("gives what it declares", AtTheEndAlone, "'bright' is not measured on select"),
    ("gives what it declares", Infinite, "bright is inf on select"),
    ("gives what it declares", NegativeError, "below 0"),
    ("gives what it declares", TakesWhatItDoesNotNeed, "NoneType"),
    ("says the same again", Remembers, "two calls differ"),
    ("says the same again", Draws, "global generator"),
    ("says the same again", Overwrites, "(two calls differ|changes the predictions)"),
    ("does not depend on order", First, "in another order"),
    ("says what it costs", Costless, r"seconds\(\) is -1.0"),
]


@pytest.mark.parametrize(("rule", "broken", "verdict"), BROKEN)
def test_each_rule_catches_a_metric_that_breaks_it(
    real: RealData, rule: str, broken: Any, verdict: str
) -> None:
    with pytest.raises(Exception, match=verdict):
        suite.CHECKS[rule](Practice(broken, real, suite.IMAGES))
    with pytest.raises(BenchError, match=f"breaks its contract.*{verdict}") as caught:
        suite.check(broken, "broken")
    assert "\n" not in str(caught.value)


def test_a_good_one_passes_and_so_does_one_of_masks() -> None:
    class Dice(Brightness):
        needs = frozenset({"targets"})

        def estimate(self, evidence: Evidence) -> dict[str, float]:
            assert evidence.targets is not None
            masks, truths = evidence.predictions.values, evidence.targets
            if masks.dtype.kind == "f":
                raise TypeError("masks are whole numbers")
            return {"bright": float(2 * (masks & truths).sum() / (masks.sum() + truths.sum()))}

    assert suite.check(Brightness, "bright") == suite.check(Dice, "dice") == len(suite.CHECKS)


MINE = """
import numpy as np
from bench.metrics.metric import Metric
from leaderboards.measures import Measure

class Contrast(Metric):
    @property
    def measures(self):
        return (Measure(key="contrast", title="contrast", direction="higher"),)

    def estimate(self, evidence):
        return {"contrast": float(evidence.predictions.values.std())}
"""


@pytest.fixture(autouse=True)
def _verdicts() -> Iterator[None]:
    before = dict(doors.VERDICTS)
    yield
    doors.VERDICTS.clear()
    doors.VERDICTS.update(before)


def test_a_users_metric_comes_as_a_file(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(MINE)
    name = f"{file}:Contrast"
    assert METRICS.load(name)({}).measures[0].key == "contrast"
    assert doors.VERDICTS[name] == "metric mine.py:Contrast passes 6 conformance checks"
    assert METRICS.load(f"{VOLUMES}:PSNR").needs == {"targets"}  # of the tests' own workload


@pytest.mark.parametrize(
    ("good", "bad", "verdict"),
    [
        ('"contrast": f', '"kontrast": f', r"estimates \['kontrast'\] are no measure's key"),
        (".std())", ".std() + np.random.random())", "two calls differ"),
        ("class Contrast(Metric)", "class Contrast", "must be a subclass"),
    ],
)
def test_a_wrong_one_is_refused_at_the_door(
    tmp_path: Path, good: str, bad: str, verdict: str
) -> None:
    file = tmp_path / "mine.py"
    file.write_text(MINE.replace(good, bad))
    with pytest.raises(BenchError, match=rf"Contrast breaks its contract \(.*{verdict}"):
        METRICS.load(f"{file}:Contrast")
