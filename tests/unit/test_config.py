"""The typed description of a trial: what it refuses, and what its identity is made of."""

from __future__ import annotations

import copy
import dataclasses
import json
from collections.abc import Iterator
from typing import Any

import pytest

from bench.config import TrainConfig, TrialConfig, canonical, digest
from bench.errors import BenchError
from tests.fakes.trials import tiny

# A valid other value of every field; a new field without one here fails `test_every_field_is_here`.
OTHER: dict[str, Any] = {
    "workload": "other",
    "scale": "laptop",
    "seed": 4,
    "data.name": "real",
    "data.digest": "fake1",
    "data.simulated": False,
    "data.cache": "/elsewhere",
    "task.kind": "restore",
    "task.inputs.spatial": [8, 16],
    "task.inputs.channels": 3,
    "task.inputs.out_channels": 2,
    "task.inputs.condition_channels": 1,
    "task.inputs.n_classes": 2,
    "task.inputs.vector_dim": 7,
    "task.data_range": [0.0, 1.0],
    "task.sigma_data": 0.5,
    "task.args": {"augment": 0.1},
    "task.whole": [16, 32],
    "method.kind": "direct",
    "method.backbone": "adm",
    "method.backbone_args": {"width": 16},
    "method.preconditioning": "vp",
    "method.preconditioning_args": {"P_mean": -1.0},
    "method.settings": {"digest": "1"},
    "train.budget_nimg": 72,
    "train.rungs_nimg": [8, 32, 64],
    "train.report_nimg": 16,
    "train.batch_size": 16,
    "train.micro_batch": 4,
    "train.optimizer": "adamw",
    "train.lr": 2.1e-3,
    "train.weight_decay": 0.01,
    "train.schedule": "cosine",
    "train.warmup_fraction": 0.1,
    "train.grad_clip": 0.0,
    "train.ema_sigma_rel": [0.1, 0.05],
    "train.ema_short_nimg": 17,
    "train.snapshots": 2,
    "train.precision": "bfloat16",
    "train.device": "cuda",
    "train.threads": 2,
    "train.workers": 2,
    "train.patience": 3,
    "train.look_nimg": 8,
    "sample.sampler": "euler",
    "sample.steps": 3,
    "sample.grid": "own",
    "sample.process": "own",
    "sample.rho": 6.0,
    "sample.S_churn": 1.0,
    "sample.S_tmin": 0.1,
    "sample.S_tmax": 10.0,
    "sample.S_noise": 1.01,
    "sample.eta": 0.5,
    "sample.clip": True,
    "sample.tile": [8, 8],
    "sample.batch_size": 7,
    "sample.guidance": "cfg",
    "sample.guidance_args": {"scale": 2.0},
    "sample.ema": 0.0,
    "measure.metrics": ["fd", "denoise_error"],
    "measure.n_select": 11,
    "measure.n_report": 13,
    "measure.args": {"n_reference": 17},
    "own_sample": {"sampler": "euler"},
}
TOGETHER = {
    "train.budget_nimg": {"train.rungs_nimg": [16, 32, 72]},  # the last rung is the budget
    "train.workers": {"train.micro_batch": 4},  # of a worker's share
}


def leaves(config: Any, before: str = "") -> Iterator[str]:
    """The dotted names of all fields below a dataclass."""
    for f in dataclasses.fields(config):
        value = getattr(config, f.name)
        if dataclasses.is_dataclass(value):
            yield from leaves(value, f"{before}{f.name}.")
        else:
            yield before + f.name


def changed(name: str, value: Any) -> dict[str, Any]:
    body = copy.deepcopy(tiny().to_dict())
    for path, other in {name: value, **TOGETHER.get(name, {})}.items():
        *sections, last = path.split(".")
        place = body
        for section in sections:
            place = place[section]
        place[last] = other
    return body


def test_every_field_is_here() -> None:
    assert set(leaves(tiny())) == set(OTHER)


@pytest.mark.parametrize("name", OTHER)
def test_identity_is_every_field_but_seed_and_place(name: str) -> None:
    before = tiny(**({"train.micro_batch": 4} if name == "train.workers" else {}))
    after = TrialConfig.from_dict(changed(name, OTHER[name]))
    assert after != before
    assert (after.entry_id != before.entry_id) == (name not in ("seed", "data.cache"))
    assert (after.trial_id != before.trial_id) == (name != "data.cache")


def test_trial_id_names_entry_and_seed() -> None:
    assert tiny(seed=7).trial_id == f"{tiny().entry_id}-s7"


def test_whole_numbers_and_lists_do_not_make_another_entry() -> None:
    """What a space suggests (1, a tuple) and what comes back from JSON (1.0, a list) are one."""
    plain = tiny(**{"train.grad_clip": 1, "train.weight_decay": 0})
    assert plain.entry_id == tiny().entry_id
    back = TrialConfig.from_dict(json.loads(json.dumps(plain.to_dict())))
    assert back.entry_id == plain.entry_id


def test_round_trip_through_json() -> None:
    args = {"n_reference": 16, "denoise_sigmas": [0.1, 1.0]}  # plain values, as JSON has them
    network = {"width": 8, "multipliers": [1, 2]}
    config = tiny(**{"method.backbone_args": network, "measure.args": args})
    assert TrialConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


def test_entry_id_golden() -> None:
    """The identity written into journals; a change here orphans every stored sweep."""
    assert canonical({"b": (1, 2.5), "a": "x"}) == '{"a":"x","b":[1,2.5]}'
    # printf '{"a":"x","b":[1,2.5]}' | sha256sum
    assert digest({"b": (1, 2.5), "a": "x"}) == "66efddae6a975003"


@pytest.mark.parametrize("value", [float("nan"), float("inf"), object()])
def test_a_value_without_json_is_refused(value: object) -> None:
    with pytest.raises(BenchError, match="plain finite values"):
        canonical({"a": value})


def test_frozen() -> None:
    config = tiny()
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.seed = 1  # type: ignore[misc]  # that is what is tested
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.train.lr = 1.0  # type: ignore[misc]  # that is what is tested
    with pytest.raises(TypeError):
        TrainConfig(64)  # type: ignore[call-arg, misc]  # keyword-only


@pytest.mark.parametrize(
    ("name", "value", "rule"),
    [
        ("sead", 1, "unknown key of trial 'sead'; did you mean 'seed'"),
        ("train.learning_rate", 1.0, "unknown key of trial.train 'learning_rate'"),
        ("train.optimiser", "adam", "did you mean 'optimizer'"),
        ("seed", "3", "trial.seed must be int, got '3'"),
        ("seed", True, "trial.seed must be int, got True"),
        ("seed", 1.0, "trial.seed must be int"),
        ("train.lr", "fast", "trial.train.lr must be float"),
        ("train.lr", True, "trial.train.lr must be float"),
        ("train.lr", float("nan"), "trial.train.lr must be finite"),
        ("train.lr", float("inf"), "trial.train.lr must be finite"),
        ("train.lr", 0.0, "train.lr must be positive"),
        ("train.grad_clip", -1.0, "train.grad_clip must not be negative"),
        ("train.weight_decay", -0.1, "train.weight_decay must not be negative"),
        ("train.warmup_fraction", 1.5, "train.warmup_fraction must be in 0..1"),
        ("train.ema_short_nimg", 0, "train.ema_short_nimg must be positive"),
        ("train.ema_sigma_rel", [], "train.ema_sigma_rel"),
        ("train.ema_sigma_rel", [0.5], "train.ema_sigma_rel"),
        ("train.ema_sigma_rel", [0.1, 0.1], "repeats"),
        ("train.threads", 0, "train.threads must be positive"),
        ("train.report_nimg", 0, "train.report_nimg must be positive"),
        ("train.batch_size", 0, "train.batch_size must be positive"),
        ("train.micro_batch", 3, "must divide batch_size 8"),
        ("train.micro_batch", 16, "must divide batch_size 8"),
        ("train.rungs_nimg", [], "must rise strictly"),
        ("train.rungs_nimg", [32, 16, 64], "must rise strictly"),
        ("train.rungs_nimg", [16, 32], "must rise strictly to budget_nimg 64"),
        ("train.rungs_nimg", [0, 64], "too small for a step"),
        ("train.rungs_nimg", [12, 64], "rung 12 is not a whole number of batches of 8"),
        ("train.rungs_nimg", 64, "trial.train.rungs_nimg must be a list, got 64"),
        ("train.rungs_nimg", ["16", 64], "trial.train.rungs_nimg must be int"),
        ("train.schedule", "cosin", "did you mean 'cosine'"),
        ("train.precision", "float16", "unknown precision 'float16'"),
        ("task.inputs.spatial", [8], "spatial must be (H, W) or (D, H, W), all positive"),
        ("task.inputs.spatial", [8, 0], "spatial must be (H, W) or (D, H, W), all positive"),
        ("task.inputs.channels", -1, "channels must not be negative"),
        ("task.inputs.channels", 0, "a network needs a channel to read"),
        ("task.inputs.chanels", 1, "did you mean 'channels'"),
        ("task.inputs", None, "trial.task.inputs must be a mapping, got None"),
        ("task.sigma_data", 0.0, "task.sigma_data must be positive"),
        ("task.data_range", [0.0], "trial.task.data_range must have 2 values"),
        ("method.backbone_args", [1], "trial.method.backbone_args must be a mapping"),
        ("data", "here", "trial.data must be a mapping, got 'here'"),
        ("sample.steps", 1, "sample.steps must be at least 2"),
        ("sample.grid", "edn", "did you mean 'edm'"),
        ("sample.process", "sigmma", "did you mean 'sigma'"),
        ("sample.ema", 0.5, "sample.ema must be in 0..0.28"),
        ("sample.ema", -0.1, "sample.ema must be in 0..0.28"),
        ("own_sample", {"steps": 1}, "sample.steps must be at least 2"),
        ("own_sample", 3, "trial.own_sample must be a mapping, got 3"),
        ("sample.batch_size", 0, "sample.batch_size must be positive"),
        ("measure.n_select", 0, "measure.n_select must be at least 1"),
        ("measure.n_report", 0, "measure.n_report must be at least 1"),
        ("measure.metrics", [], "measure.metrics must name a metric"),
        ("measure.metrics", "fd", "trial.measure.metrics must be a list, got 'fd'"),
    ],
)
def test_refused(name: str, value: Any, rule: str) -> None:
    with pytest.raises(BenchError) as caught:
        TrialConfig.from_dict(changed(name, value))
    assert rule in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["seed", "train.lr", "data.digest", "measure.n_report"])
def test_missing(name: str) -> None:
    body = tiny().to_dict()
    *section, last = name.split(".")
    del (body[section[0]] if section else body)[last]
    with pytest.raises(BenchError, match=rf"^trial\.{name} is missing$"):
        TrialConfig.from_dict(body)


def test_defaults_may_be_left_out() -> None:
    body = tiny().to_dict()
    del body["train"]["grad_clip"], body["sample"]["rho"]
    assert TrialConfig.from_dict(body) == tiny()
