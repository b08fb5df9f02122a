"""What a method makes before the trials: in the frame, in every trial's identity, said in the plan;
and guidance with its weight as parameters."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any

import pytest

from backbones.inputs import Inputs
from bench.config import DataConfig, TaskConfig, from_dict
from bench.errors import BenchError
from bench.sweep.cost import timing
from bench.sweep.cost.price import cost
from bench.sweep.deciding.resolve import Frame, resolve
from bench.sweep.planning.plan_making import load_space
from bench.sweep.planning.preparing import notes_of_methods, with_prepared
from bench.sweep.planning.wish import Wish
from bench.sweep.record.home import Home
from bench.sweep.record.plan import SharedFrame
from bench.sweep.running import session
from bench.tasks import build_task
from bench.tasks.generate import GenerateTask
from bench.workloads.chexpert_generate import SMOKE, WORKLOAD
from tests.fakes.trials import write_cache

QUICK = dataclasses.replace(
    SMOKE, methods={"latent": {"latent_channels": 2, "autoencoder_kimg": 0.1}}
)
LATENT = {"method": "latent", "architecture": "ddpmpp", "preconditioning": "edm"}
PIXELS = {**LATENT, "method": "diffusion"}


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_cache(tmp_path_factory.mktemp("data") / "cache", side=16, classes=2)


def frame(cache: Path, **fixed: Any) -> Frame:
    inputs = Inputs(spatial=(16, 16), channels=1, out_channels=1)
    task = TaskConfig(kind="generate", inputs=inputs, args={"n_labels": 2})
    given = {**WORKLOAD.fixed, **fixed}
    return Frame(
        workload=WORKLOAD.name,
        scale=QUICK,
        data=DataConfig(name="fake", digest="fake0", simulated=True, cache=str(cache)),
        task=GenerateTask.configure(task, {"condition": given["condition"]}),
        metrics=WORKLOAD.metrics,
        device="cpu",
        precision="float32",
        threads=1,
        fixed=given,
    )


def prepared(cache: Path, **fixed: Any) -> tuple[Frame, tuple[str, ...], list[str]]:
    said: list[str] = []
    space = load_space(WORKLOAD.space)
    made, notes = with_prepared(frame(cache, **fixed), space, WORKLOAD.space, said.append)
    return made, notes, said


def test_the_methods_of_a_space_are_prepared_once(cache: Path) -> None:
    first, notes, _ = prepared(cache)
    again, same, said = prepared(cache)
    assert list(first.prepared) == ["latent"]
    assert (again.prepared, same, said) == (first.prepared, notes, [])
    (note,) = notes
    assert "trained once on 0.1 kimg (0.0" in note  # TFLOP
    assert "which no trial's budget is charged with" in note
    assert "dB, a floor of what method latent can do" in note
    latent, pixels = (resolve(first, params, 0) for params in (LATENT, PIXELS))
    assert latent.method.settings == first.prepared["latent"]
    assert pixels.method.settings == {}
    shorter = latent.train.budget_nimg > pixels.train.budget_nimg
    assert shorter, "a step on latents is cheaper, so that as many FLOPs see more images"


def test_a_rehearsal_makes_nothing_and_its_trials_cost_as_much(tmp_path: Path) -> None:
    cache = write_cache(tmp_path / "cache", side=16, classes=2)
    before, said, space = set(cache.iterdir()), [], load_space(WORKLOAD.space)
    asked = (frame(cache), space, WORKLOAD.space, said.append)
    rehearsed, (note,) = with_prepared(*asked, rehearsed=True)
    assert (set(cache.iterdir()), said) == (before, [])
    assert "is not made in a dry run: the sweep trains it on 0.1 kimg (0.0" in note
    one = resolve(rehearsed, LATENT, 0)
    assert math.isfinite(timing.sec_per_image(one))
    made, _ = with_prepared(*asked)
    other = resolve(made, LATENT, 0)
    assert cost(one.task, one.method) == cost(other.task, other.method)
    assert one.train == other.train
    again, _ = with_prepared(*asked, rehearsed=True)
    assert again.prepared == made.prepared, "what is there already is taken as it is"


def test_nothing_is_made_where_a_setting_is_refused_or_in_a_dry_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def trained(*args: Any) -> None:
        raise AssertionError("an autoencoder was trained")

    monkeypatch.setattr("bench.methods.own_autoencoder.train", trained)
    home = Home(tmp_path)
    wish = Wish(workload=WORKLOAD.name, trials=2, scale="smoke", settings=("guidance_scale=2",))
    with pytest.raises(BenchError, match="did you mean 'guidance_weight'"):
        session.prepare(wish, home, None, print)
    dry = session.prepare(dataclasses.replace(wish, settings=()), home, None, print, dry=True)
    assert any("is not made in a dry run" in note for note in dry.plan.notes)
    with pytest.raises(AssertionError, match="was trained"):
        session.prepare(dataclasses.replace(wish, settings=()), home, None, print)


def test_other_settings_of_the_user_make_another_entry(cache: Path) -> None:
    one, other = (
        resolve(prepared(cache, **fixed)[0], LATENT, 0) for fixed in ({}, {"latent_channels": 3})
    )
    assert other.method.settings["latent_channels"] == 3
    assert one.entry_id != other.entry_id


def test_a_method_that_no_trial_has_is_not_prepared(cache: Path) -> None:
    made, notes, said = prepared(cache, method="diffusion")
    assert (made.prepared, notes, said) == ({}, (), [])


def test_what_was_prepared_is_in_the_plan_and_back(cache: Path) -> None:
    made, _, _ = prepared(cache)
    shared = SharedFrame(
        data=made.data,
        task=made.task,
        device="cpu",
        precision="float32",
        threads=1,
        prepared=dict(made.prepared),
    )
    assert from_dict(SharedFrame, dataclasses.asdict(shared), "frame") == shared


def test_a_space_cannot_draw_what_is_prepared(cache: Path) -> None:
    made, _, _ = prepared(cache)
    with pytest.raises(BenchError, match="latent_factor is prepared once, before the trials"):
        resolve(made, {**LATENT, "latent_factor": 4}, 0)


def test_measures_that_a_method_does_not_give_are_said(cache: Path) -> None:
    made, _, _ = prepared(cache)
    task = build_task(resolve(made, PIXELS, 0))
    assert notes_of_methods(["diffusion", "latent"], task) == [
        "reconstruction_psnr is not measured of method diffusion, which gives no reconstruct",
        "denoise_error is not measured of method latent, which gives no denoise",
    ]
    scored = dataclasses.replace(made, metrics=("denoise_error", "fd"))
    task = build_task(resolve(scored, PIXELS, 0))
    with pytest.raises(BenchError, match="denoise_error is the score and needs denoise, which"):
        notes_of_methods(["diffusion", "latent"], task)


def test_guidance_is_an_entrys_own_choice_and_its_weight_a_parameter(cache: Path) -> None:
    made = prepared(cache)[0]
    guided = {**LATENT, "guidance": "classifier_free", "guidance_weight": 2.5}
    config = resolve(made, guided, 0)
    assert config.sample.guidance == "none"
    assert config.own_sample is not None
    assert config.own_sample.guidance_args == {"weight": 2.5}
    assert config.task.inputs.n_classes == 2
    unguided = resolve(made, {**LATENT, "guidance": "none", "guidance_weight": 2.5}, 0)
    assert unguided.own_sample is None
    for_all = {"guidance": "classifier_free", "guidance_weight": 2.5}
    config = resolve(prepared(cache, **for_all)[0], LATENT, 0)
    assert (config.sample.guidance_args, config.own_sample) == ({"weight": 2.5}, None)


def test_settings_of_the_autoencoder_are_among_the_known_parameters(cache: Path) -> None:
    with pytest.raises(BenchError, match="did you mean 'autoencoder_kimg'") as refusal:
        resolve(frame(cache, autoencoder_king=2.0), PIXELS, 0)
    for key in ("autoencoder", "latent_factor", "latent_channels", "autoencoder_width"):
        assert f" {key}," in str(refusal.value)


def test_pictures_of_any_kind_cannot_be_guided_and_the_remedy_is_said(cache: Path) -> None:
    made = frame(cache, condition="none", method="diffusion")
    with pytest.raises(BenchError, match="condition=class gives them"):
        resolve(made, {**PIXELS, "guidance": "classifier_free"}, 0)
