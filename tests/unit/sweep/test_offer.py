"""What a search space offers, and how its mistakes are said."""

from __future__ import annotations

import itertools
import signal
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest

from bench.errors import BenchError
from bench.sweep.deciding import suggest as suggesting
from bench.sweep.deciding.suggest import Offer, suggest
from bench.sweep.planning.plan_making import check_space
from bench.sweep.record.history import History
from bench.sweep.record.trial import ABSENT
from bench.workloads.echo import SMOKE
from search_spaces.echo_space import space
from tests.unit.sweep.fakes import (
    frame,
    open_engine,
    plan,
)

CHOICES = SMOKE.choices
AXES = ("architecture", "preconditioning")


def offer(body: Callable[[Any, Any], object], name: str = "mine.py", **fixed: Any) -> Offer:
    return Offer(space=body, choices=CHOICES, name=name, fixed=fixed)


def cell(*names: str) -> dict[str, str]:
    return dict(zip(AXES, names, strict=True))


def run_space(body: Callable[[Any, Any], None]) -> dict[str, str]:
    return check_space(plan(space="mine.py"), frame(), body, CHOICES)


def test_a_space_that_suggests_an_unknown_key_is_told_the_nearest() -> None:
    def wrong(trial: optuna.Trial, choices: Any) -> None:
        space(trial, choices)
        trial.suggest_float("droput", 0.0, 0.1)

    with pytest.raises(BenchError, match=r"unknown parameter 'droput'; did you mean 'dropout'\?"):
        run_space(wrong)


def test_a_space_that_fails_is_said_in_one_line() -> None:
    def wrong(trial: optuna.Trial, choices: Any) -> None:
        raise KeyError("colour\nand more")

    with pytest.raises(BenchError, match=r"search space mine.py failed: KeyError: ") as refusal:
        run_space(wrong)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (lambda t, c: None, r"search space mine\.py suggests nothing"),
        (
            lambda t, c: t.suggest_float("lr", 1e-4, 1e-2),
            "suggests none of architecture, preconditioning by name",
        ),
        (lambda t, c: t.suggest_float("architecture", 0.0, 1.0), "must suggest 'architecture' by"),
    ],
)
def test_a_space_without_cells_is_refused(body: Any, message: str) -> None:
    with pytest.raises(BenchError, match=message):
        offer(body).cells(AXES)


def test_an_axis_that_a_space_leaves_out_is_absent() -> None:
    cells = offer(lambda t, c: t.suggest_categorical("architecture", ["adm", "dit"])).cells(AXES)
    assert cells == [{"architecture": a, "preconditioning": ABSENT} for a in ("adm", "dit")]


def test_cells_and_defaults_are_those_a_space_offers() -> None:
    assert offer(space, "echo").cells(AXES) == list(plan().cells)
    for default in plan().defaults:
        assert offer(space, "echo").offered(default) == default

    def plain(trial: optuna.Trial, choices: Any) -> None:
        trial.suggest_categorical("architecture", ["adm", "ncsnpp"])
        trial.suggest_categorical("preconditioning", ["vp"])
        trial.suggest_float("lr", 5e-3, 1e-2)  # the default, 2e-3, is not in it
        trial.suggest_categorical("batch_size", [8, 16])

    assert offer(plain).cells(AXES) == [cell("adm", "vp"), cell("ncsnpp", "vp")]
    kept = offer(plain).offered(plan().defaults[4])
    assert kept == {"architecture": "adm", "preconditioning": "vp", "batch_size": 8}
    params, _ = suggest(plan(), History(), 0, plain, CHOICES, kept)
    assert params.items() >= kept.items()
    assert 5e-3 <= params["lr"] <= 1e-2


def test_a_parameter_conditional_on_the_architecture_is_kept_where_it_exists() -> None:
    def branching(trial: optuna.Trial, choices: Any) -> None:
        architecture = trial.suggest_categorical("architecture", ["adm", "ddpmpp"])
        trial.suggest_categorical("preconditioning", ["edm"])
        if architecture == "adm":
            trial.suggest_int("channels_per_head", 4, 8)

    wanted = {"architecture": "adm", "preconditioning": "edm", "channels_per_head": 8}
    assert offer(branching).offered(wanted) == wanted
    assert set(offer(branching).offered({**wanted, "architecture": "ddpmpp"})) == {
        "architecture",
        "preconditioning",
    }


def test_a_fixed_value_that_the_space_does_not_offer_is_refused() -> None:
    def narrow(trial: optuna.Trial, choices: Any) -> None:
        trial.suggest_categorical("architecture", ["adm"])
        trial.suggest_categorical("preconditioning", ["edm"])

    with pytest.raises(BenchError, match=r"search space mine\.py "):
        suggest(plan(space="mine.py"), History(), 0, narrow, CHOICES, {"architecture": "ncsnpp"})


def endless(trial: Any, choices: Any) -> None:
    space(trial, choices)
    while True:
        pass


def too_many(trial: Any, choices: Any) -> None:
    for number in itertools.count():
        trial.suggest_float(f"x{number}", 0.0, 1.0)


def leaves(trial: Any, choices: Any) -> None:
    sys.exit(0)


@pytest.mark.parametrize(
    ("body", "seconds", "message"),
    [
        (endless, 0.2, r"search space mine\.py does not come to an end: stopped after 0\.2 s"),
        (too_many, 30.0, r"search space mine\.py failed: .*more than 1000 parameters a trial"),
        (leaves, 30.0, r"search space mine\.py failed: SystemExit: 0"),
    ],
)
@pytest.mark.timeout(120)  # an endless space would wait for ever
def test_a_space_that_does_not_return_is_to_blame(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, body: Any, seconds: float, message: str
) -> None:
    """When it is looked at, and when it ends so only later, in the middle of a sweep whose driver
    has its own handlers of signals."""
    monkeypatch.setattr(suggesting, "SPACE_SEC", seconds)
    before = signal.getsignal(signal.SIGALRM)
    limited = signal.getitimer(signal.ITIMER_REAL)[0] > 0  # by the test runner
    with pytest.raises(BenchError, match=message):
        offer(body).distributions()
    engine = open_engine(tmp_path, plan(space="mine.py", trials=30), space=body)
    with engine.interrupts.handled(), pytest.raises(BenchError, match=message):
        engine.next()
    assert not engine.interrupts.seen  # it was no Ctrl-C
    assert not engine.history.trials
    assert signal.getsignal(signal.SIGALRM) is before
    assert (signal.getitimer(signal.ITIMER_REAL)[0] > 0) is limited


def test_ctrl_c_in_a_space_is_no_mistake_of_it() -> None:
    def interrupted(trial: Any, choices: Any) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        offer(interrupted).distributions()


def by_method(trial: Any, choices: Any) -> None:
    """Networks with or without a preconditioning, and a method without a network."""
    method = trial.suggest_categorical("method", ["diffusion", "direct", "classical"])
    if method != "classical":
        trial.suggest_categorical("architecture", ["adm", "ddpmpp"])
    if method == "diffusion":
        trial.suggest_categorical("preconditioning", ["edm", "vp"])


def test_an_axis_that_a_cell_does_not_have_is_absent() -> None:
    """Of each method what it has, against the list written out by hand."""
    axes = ("architecture", "preconditioning", "method")
    assert [tuple(c.values()) for c in offer(by_method).cells(axes)] == [
        ("adm", "edm", "diffusion"),
        ("ddpmpp", "edm", "diffusion"),
        ("adm", "vp", "diffusion"),
        ("ddpmpp", "vp", "diffusion"),
        ("adm", "-", "direct"),
        ("ddpmpp", "-", "direct"),
        ("-", "-", "classical"),
    ]
    by_hand = offer(by_method, method="direct").cells(axes)
    assert by_hand == [dict(zip(axes, (a, "-", "direct"), strict=True)) for a in ("adm", "ddpmpp")]


def test_a_warning_about_old_code_is_no_failure_of_a_space() -> None:
    def old(trial: Any, choices: Any) -> None:
        warnings.warn("the old name goes", DeprecationWarning, stacklevel=1)
        trial.suggest_categorical("architecture", ["adm"])

    with warnings.catch_warnings(record=True):
        assert list(offer(old).distributions()) == ["architecture"]
