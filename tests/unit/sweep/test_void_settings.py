"""What no trial reads is refused, with what makes it void; what some trial reads is not."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from bench.config import TrialConfig
from bench.errors import BenchError
from bench.sweep.deciding.resolve import resolve
from bench.sweep.deciding.void_settings import looks_before_the_end, refuse_void
from bench.train.early_stopping import EarlyStopping
from leaderboards.measures import Measure
from tests.fakes.trials import tiny
from tests.unit.sweep.fakes import frame, plan

EDM, *_ = [p for p in plan().defaults if p["preconditioning"] == "edm"]
CLASSICAL = {
    "method.kind": "classical",
    "method.backbone": "nlm",
    "method.backbone_args": {"noise": 0.1, "strength": 1.0},
    "method.preconditioning": "",
    "method.preconditioning_args": {},
}
REGRESSION = {
    "method.kind": "direct",
    "method.preconditioning": "",
    "method.preconditioning_args": {},
}


def trial(**changed: Any) -> TrialConfig:
    return tiny(Path("nowhere"), **changed)


@pytest.mark.parametrize(
    ("given", "changes", "said"),
    [
        (
            {"guidance": "none", "guidance_weight": 0.5},
            {},
            "--set guidance_weight=0.5 changes nothing: no trial with guidance none reads "
            "guidance_weight; leave it out",
        ),
        (
            {"method": "classical", "sampler": "ddim"},
            CLASSICAL,
            "--set sampler=ddim changes nothing: no trial with method classical reads sampler",
        ),
        ({"method": "classical", "lr": 0.1}, CLASSICAL, "--set lr=0.1 changes nothing"),
        ({"method": "classical", "patience": 3}, CLASSICAL, "--early-stop 3 changes nothing"),
        ({"method": "classical", "width": "wide"}, CLASSICAL, "--set width=wide changes nothing"),
        ({"method": "direct", "steps": 5}, REGRESSION, "no trial with method direct reads steps"),
        ({"estimator": "nlm"}, {}, "no trial of this sweep reads estimator"),
        ({"P_mean": -1.0}, REGRESSION, "--set P_mean=-1.0 changes nothing"),
    ],
)
def test_what_no_trial_reads_is_refused(
    given: dict[str, Any], changes: dict[str, Any], said: str
) -> None:
    with pytest.raises(BenchError) as refusal:
        refuse_void(given, [trial(**changes)])
    assert said in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_what_one_of_the_trials_reads_is_taken() -> None:
    diffusion, classical, direct = trial(), trial(**CLASSICAL), trial(**REGRESSION)
    given = {"sampler": "ddim", "strength": 0.5, "lr": 0.1, "extractor": "randconv", "method": "x"}
    refuse_void(given, [classical, diffusion])
    refuse_void({"ema": 0.1, "lr": 0.1, "looks": 4}, [direct])
    own = dataclasses.replace(diffusion.sample, guidance="classifier_free")
    refuse_void({"guidance_weight": 2.0}, [dataclasses.replace(diffusion, own_sample=own)])


def looked(looks: int) -> TrialConfig:
    return resolve(frame(), {**EDM, "looks": looks}, 0)


def test_a_patience_that_cannot_end_is_refused_and_one_that_can_is_not() -> None:
    for looks in (0, 1, 5, 10):
        config = looked(looks)
        count = looks_before_the_end(config.train)
        with pytest.raises(BenchError, match=f"at most {count} looks before its end"):
            refuse_void({"patience": count}, [config])
        refuse_void({"patience": count - 1, "looks": looks}, [config, looked(0)])


def test_looks_are_counted_as_training_takes_them() -> None:
    """At every rung but the last and at every multiple of look_nimg, each place once; a score that
    never improves stops one look after its patience."""
    score = Measure(key="fd", title="FD", meaning="", direction="lower")
    for looks in (0, 1, 3, 4, 5, 10):
        train = looked(looks).train
        beside = range(
            train.look_nimg or train.budget_nimg, train.budget_nimg, train.look_nimg or 1
        )
        places = sorted({*train.rungs_nimg[:-1], *beside})
        assert looks_before_the_end(train) == len(places)
        for patience, stops in ((len(places) - 1, True), (len(places), False)):
            early = EarlyStopping(score=score, patience=patience)
            for nimg in places:
                early.take(nimg, 1.0, None)
            assert early.over == stops
