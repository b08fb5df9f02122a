"""What is given for all trials: --set, --backbone and --extractor, from the text to every trial."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import optuna
import pytest

from bench.config import SampleConfig, TaskConfig, TrialConfig
from bench.errors import BenchError
from bench.sweep.deciding.resolve import Frame, resolve
from bench.sweep.planning.plan_making import check_space, with_budget
from bench.sweep.planning.settings import given_parameters
from bench.sweep.planning.wish import Wish
from bench.tasks.augment import LABELS
from bench.workloads.echo import SMOKE
from search_spaces.echo_space import space
from tests.unit.sweep.fakes import TASK, World, drive, frame, open_engine, plan, smooth

DEFAULT = plan().defaults[1]  # ddpmpp edm


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("lr=1e-3", 1e-3),
        ("steps=7", 7),
        ("ema=0.05", 0.05),
        ("sampler=euler", "euler"),
        ("sampler=my_sampler.py:Mine", "my_sampler.py:Mine"),
        ("attention=[16,8]", [16, 8]),
        ('guidance_args={"scale": 2.0}', {"scale": 2.0}),
        ('scheme="1"', "1"),
        ("flag=true", True),
        ("name=a=b", "a=b"),
    ],
)
def test_a_setting_is_a_name_and_a_plain_value(text: str, value: Any) -> None:
    (name, given), *others = given_parameters([text]).items()
    assert (name, given, type(given)) == (text.partition("=")[0], value, type(value))
    assert not others


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (["lr"], "--set 'lr' is not KEY=VALUE, as in --set sampler=euler"),
        (["=3"], "is not KEY=VALUE"),
        (["sample.steps=3"], "is not KEY=VALUE"),
        (["lr="], "'' is no number, word or list"),
        (["lr=[1"], r"'\[1' is no number, word or list"),
        (["lr=1e400"], "a value must be finite"),
        (["lr=NaN"], "a value must be finite"),
        (["lr=1", "lr=2"], "--set lr is given twice"),
    ],
)
def test_what_is_no_setting_is_refused(texts: list[str], message: str) -> None:
    for ask in (given_parameters, lambda given: Wish(workload="echo", trials=1, settings=given)):
        with pytest.raises(BenchError, match=message) as refusal:
            ask(tuple(texts))
        assert "\n" not in str(refusal.value)


def at(config: TrialConfig, place: str) -> Any:
    """What stands at "train.lr" of a configuration; None where nothing does."""
    value: Any = config.to_dict()
    for key in place.split("."):
        value = value.get(key)
    return value


PLACES: dict[str, dict[str, Any]] = {  # one setting -> all that it changes in a trial
    "lr=3e-4": {"train.lr": 3e-4},
    "schedule=cosine": {"train.schedule": "cosine"},
    "grad_clip=0": {"train.grad_clip": 0.0},
    "warmup_fraction=0.2": {"train.warmup_fraction": 0.2},
    "dropout=0.15": {"method.backbone_args.dropout": 0.15},
    "attention=[4]": {"method.backbone_args.attention": (4,)},
    "P_mean=-1.0": {"method.preconditioning_args.P_mean": -1.0},
    "sampler=euler": {"sample.sampler": "euler"},
    "steps=7": {"sample.steps": 7},
    "process=own": {"sample.process": "own"},
    "ema=0.2": {"sample.ema": 0.2, "train.ema_sigma_rel": (0.05, 0.1, 0.2)},
    'guidance_args={"weight": 2.0}': {"sample.guidance_args": {"weight": 2.0}},
    "augment=0.1": {"task.args.augment": 0.1, "task.inputs.vector_dim": len(LABELS)},
    "extractor=randconv64": {"measure.args.extractor": "randconv64"},
    "n_reference=64": {"measure.args.n_reference": 64},
    "denoise_sigmas=[0.5, 1.0]": {"measure.args.denoise_sigmas": [0.5, 1.0]},
}
# settings that can only be asked for together with others
ALONGSIDE = {'guidance_args={"weight": 2.0}': ["guidance=classifier_free", "condition=class"]}
LABELLED = dataclasses.replace(TASK, args={**TASK.args, "n_labels": 3})


def fixed_frame(*texts: str, task: TaskConfig = LABELLED) -> Frame:
    return frame(task=task, fixed=given_parameters(texts))


def test_a_space_cannot_draw_what_is_judged() -> None:
    with pytest.raises(BenchError, match="condition is part of how trials are judged"):
        resolve(fixed_frame(), {**DEFAULT, "condition": "class"}, 0)


@pytest.mark.parametrize("text", PLACES)
def test_a_setting_reaches_its_part_of_a_trial(text: str) -> None:
    together = ALONGSIDE.get(text, [])
    before = resolve(fixed_frame(*together), DEFAULT, 0)
    after = resolve(fixed_frame(text, *together), DEFAULT, 0)
    for place, value in PLACES[text].items():
        assert at(after, place) == value
        assert at(before, place) != value
    assert after.own_sample is None  # what is the same for all is no entry's own choice
    assert after.entry_id != before.entry_id


EVERYTHING = [
    "schedule=cosine",
    "batch_size=16",
    "dropout=0.15",
    "P_mean=-1.0",
    "sampler=euler",
    "steps=7",
    "augment=0.1",
    "extractor=randconv64",
]


def test_all_trials_of_a_sweep_have_what_was_set(tmp_path: Path) -> None:
    """Defaults, others of a cell whose default diverges, and what TPE suggests; the space would
    draw some of them."""

    def one_diverges(config: TrialConfig, rung: int) -> float | str:
        first = plan().defaults[0]
        cell = (config.method.backbone, config.method.preconditioning)
        lost = cell == (first["architecture"], first["preconditioning"])
        return "diverged" if lost and config.train.lr == first["lr"] else smooth(config, rung)

    fixed = given_parameters(EVERYTHING)
    body = plan(trials=10, fixed=fixed, cells=plan().cells[:2], defaults=plan().defaults[:2])
    engine = open_engine(tmp_path, body, frame=frame(fixed=fixed))
    drive(engine, World(one_diverges))
    configs = [TrialConfig.from_dict(t.suggestion.config) for t in engine.history.trials.values()]
    origins = {t.suggestion.origin for t in engine.history.trials.values()}
    assert origins == {"default", "cell", "tpe"}
    assert len({c.train.lr for c in configs}) > 5  # what was not set varies
    expected = SampleConfig(**{**SMOKE.sample, "sampler": "euler", "steps": 7})
    for config, trial in zip(configs, engine.history.trials.values(), strict=True):
        assert (config.train.schedule, config.train.batch_size) == ("cosine", 16)
        assert config.method.backbone_args["dropout"] == 0.15
        assert config.sample == expected
        assert config.own_sample is None
        assert config.task.args["augment"] == 0.1
        assert config.measure.args["extractor"] == "randconv64"
        edm = config.method.preconditioning == "edm"
        assert config.method.preconditioning_args.get("P_mean") == (-1.0 if edm else None)
        assert trial.suggestion.params.items() >= fixed.items()
        assert not set(trial.suggestion.distributions) & set(fixed)  # nothing of it is drawn
    assert len({str(c.sample) for c in configs}) == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("colour=red", "unknown parameter 'colour'"),
        ("samplr=euler", "unknown parameter 'samplr'; did you mean 'sampler'?"),
        ("seed=3", "unknown parameter 'seed'"),
        ("sampler=huen", "unknown sampler 'huen'; did you mean 'heun'?"),
        ("steps=2.5", "sampling.steps must be int, got 2.5"),
        ("ema=2", "sample.ema must be in 0..0.28"),
        ("lr=fast", "train.lr must be float, got 'fast'"),
        ("lr=[1]", r"train.lr must be float, got \[1\]"),
        ("schedule=3", "train.schedule must be str, got 3"),
        ("batch_size=true", "batch_size must be a whole number"),
        ("augment=2", "augment is a probability, 0 to 1, got 2"),
        ("condition=class", "the data have no labels of at least two classes"),
        ("guidance=nope", "unknown guidance 'nope'"),
        ("method=nope", "unknown method 'nope'"),
        ("method=direct", "maps condition images to an answer"),
        ("preconditioning=emd", "unknown preconditioning 'emd'; did you mean 'edm'?"),
    ],
)
def test_a_setting_that_cannot_be_is_said(text: str, message: str) -> None:
    with pytest.raises(BenchError, match=message) as refusal:
        resolve(fixed_frame(text, task=TASK), DEFAULT, 0)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("key", ["guidance_scale", "scale", "cfg_scale", "weight"])
def test_the_scale_of_guidance_is_called_its_weight(key: str) -> None:
    with pytest.raises(BenchError, match="did you mean 'guidance_weight'") as refusal:
        resolve(fixed_frame(f"{key}=2"), DEFAULT, 0)
    known = str(refusal.value).partition("(")[2].rstrip(")").split(", ")
    assert {"guidance_weight", "guidance_interval", "width", "P_mean", "extractor"} <= {*known}
    assert "guidance_args" not in known


def test_a_field_of_a_guidance_without_it_is_said() -> None:
    with pytest.raises(BenchError, match="give --set guidance=classifier_free as well"):
        resolve(fixed_frame("guidance_weight=2"), DEFAULT, 0)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("extractor=nope", "unknown extractor 'nope'"),
        ("extractor=3", "extractor must be str, got 3"),
        ("n_reference=abc", "n_reference must be int, got 'abc'"),
        ("n_reference=1", "n_reference must be at least 2, got 1"),
        ("n_denoise=0", "n_denoise must be at least 1, got 0"),
        ("n_denoise=true", "n_denoise must be int, got True"),
        ("denoise_sigmas=3", "denoise_sigmas must be a list, got 3"),
        ("denoise_sigmas=[]", "must be a list of positive numbers"),
        ("denoise_sigmas=[0]", "must be a list of positive numbers"),
        ('denoise_sigmas=["a"]', "denoise_sigmas must be float, got 'a'"),
    ],
)
def test_a_metrics_setting_that_cannot_be_is_said(text: str, message: str) -> None:
    from bench.tasks import build_task

    config = resolve(fixed_frame(text), DEFAULT, 0)
    with pytest.raises(BenchError, match=message) as refusal:
        build_task(config).protocol()
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("key", ["extractor", "n_reference", "n_denoise"])
def test_how_trials_are_judged_is_in_no_space(key: str) -> None:
    def judging(trial: optuna.Trial, choices: Any) -> None:
        space(trial, choices)
        trial.suggest_categorical(key, [64])

    hint = f"{key} is part of how trials are judged.*give it with --set {key}=..., not in a space"
    with pytest.raises(BenchError, match=hint):
        check_space(plan(space="mine.py"), frame(), judging, SMOKE.choices)


def test_sampling_that_a_space_draws_is_the_entrys_own_beside_the_fixed(tmp_path: Path) -> None:
    """The verdict rests on one sampling for all (contract 7)."""

    def sampled(trial: optuna.Trial, choices: Any) -> None:
        space(trial, choices)
        trial.suggest_categorical("sampler", ["heun", "euler", "dpmpp_2m"])
        trial.suggest_int("steps", 3, 6)

    body = plan(trials=12, cells=plan().cells[:2], defaults=plan().defaults[:2], startup_trials=12)
    engine = open_engine(tmp_path, body, space=sampled)
    drive(engine, World(smooth))
    verdict, chosen_ones = SampleConfig(**SMOKE.sample), set()
    for trial in engine.history.trials.values():
        config, params = TrialConfig.from_dict(trial.suggestion.config), trial.suggestion.params
        assert config.sample == verdict
        chosen = dataclasses.replace(verdict, sampler=params["sampler"], steps=params["steps"])
        assert config.own_sample == (None if chosen == verdict else chosen)
        chosen_ones.add((params["sampler"], params["steps"]))
    assert len(chosen_ones) > 3
    set_by_user = frame(fixed={"sampler": "euler"})
    config = resolve(set_by_user, {**DEFAULT, "sampler": "heun", "steps": 5}, 0)
    assert config.sample == dataclasses.replace(verdict, sampler="euler")
    assert config.own_sample == dataclasses.replace(verdict, sampler="euler", steps=5)


def test_another_average_of_an_entry_is_kept_for_it() -> None:
    config = resolve(frame(), {**DEFAULT, "ema": 0.2}, 0)
    assert config.sample.ema == SampleConfig().ema
    assert config.own_sample is not None
    assert config.own_sample.ema == 0.2
    assert 0.2 in config.train.ema_sigma_rel


def test_backbones_stand_in_place_of_the_workloads() -> None:
    scale = with_budget(SMOKE, 0.5, ("dit", "adm"))
    assert scale.choices.architectures == ("dit", "adm")
    assert scale.budget_tflop == 0.5
    assert dataclasses.replace(scale, choices=SMOKE.choices, budget_tflop=SMOKE.budget_tflop) == (
        SMOKE
    )
    assert with_budget(SMOKE, None, ()) == SMOKE


def test_a_users_file_is_remembered_by_its_whole_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    wish = Wish(workload="echo", trials=1, space="mine.py:wide", backbones=("net.py:build", "dit"))
    assert wish.space == f"{tmp_path}/mine.py:wide"
    assert wish.backbones == (f"{tmp_path}/net.py:build", "dit")


def test_eta_is_a_choice_of_the_samplers_that_read_it() -> None:
    with pytest.raises(BenchError, match=r"'heun' does not read eta=0\.5; leave eta out, or take"):
        resolve(frame(fixed={"eta": 0.5}), DEFAULT, 0)
    with pytest.raises(BenchError, match=r"sample.eta must be in 0..1, got 1\.5"):
        resolve(frame(fixed={"eta": 1.5, "sampler": "ddim"}), DEFAULT, 0)
    ddim = frame(fixed={"sampler": "ddim", "eta": 0.5})
    config = resolve(ddim, DEFAULT, 0)
    assert (config.sample.eta, config.own_sample) == (0.5, None)
    # drawn beside a sampler that does not read it: a parameter of another choice
    own = resolve(frame(), {**DEFAULT, "sampler": "euler", "eta": 0.5}, 0).own_sample
    assert own is not None
    assert (own.sampler, own.eta) == ("euler", 0.0)
    own = resolve(frame(), {**DEFAULT, "sampler": "ddim", "eta": 0.5}, 0).own_sample
    assert own is not None
    assert (own.sampler, own.eta) == ("ddim", 0.5)
    # a preset's eta goes with its sampler
    preset = dataclasses.replace(SMOKE, sample={**SMOKE.sample, "sampler": "ddim", "eta": 1.0})
    config = resolve(frame(scale=preset, fixed={"sampler": "euler"}), DEFAULT, 0)
    assert (config.sample.sampler, config.sample.eta) == ("euler", 0.0)
    assert resolve(frame(scale=preset), DEFAULT, 0).sample.eta == 1.0


def test_a_late_field_at_its_default_is_no_part_of_an_identity() -> None:
    config = resolve(frame(), DEFAULT, 0)
    body = config.to_dict()
    del body["sample"]["eta"]  # as recorded before there was one
    assert TrialConfig.from_dict(body).entry_id == config.entry_id
    other = resolve(frame(fixed={"sampler": "ddim", "eta": 0.5}), DEFAULT, 0)
    usual = resolve(frame(fixed={"sampler": "ddim"}), DEFAULT, 0)
    assert other.entry_id != usual.entry_id
