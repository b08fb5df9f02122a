"""The birds workload: the seed's setting, what its space draws, and that it runs on boxes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from optuna.trial import FixedTrial

from backbones.counting import training_flops
from backbones.inputs import Inputs
from bench import networks
from bench.config import DataConfig
from bench.data.parts import assign
from bench.sweep.deciding.resolve import Frame, default_params, resolve
from bench.sweep.planning.measuring import kept_on_screen, measures_of
from bench.tasks.generate import GenerateTask
from bench.tasks.task import build_metrics
from bench.workloads.birds import ARCHITECTURES, PRECONDITIONINGS, WORKLOAD
from leaderboards.measures import Measure
from search_spaces.birds_space import space

DRAWN = {
    "optimizer": "adam", "lr": 1e-3, "schedule": "constant", "batch_size": 8, "dropout": 0.1,
    "width": "narrow", "augment": 0.0, "predict": "x0", "P_mean": -1.0, "P_std": 1.0,
}  # fmt: skip


@pytest.fixture(scope="module")
def frame(tmp_path_factory: pytest.TempPathFactory) -> Frame:
    scale, home = WORKLOAD.scale("smoke"), tmp_path_factory.mktemp("home")
    data = WORKLOAD.open_data(None, scale, home, {})
    assert data.masks is not None
    assert data.images.shape[1:] == (3, 16, 16)
    return Frame(
        workload="birds", scale=scale, metrics=WORKLOAD.metrics, device="cpu",
        precision="float32", threads=1, task=GenerateTask.describe(data),
        data=DataConfig(
            name=data.name, digest=data.digest, simulated=True, cache=str(data.path)
        ),
    )  # fmt: skip


def test_dealt_parts_are_the_seeds_split() -> None:
    """9,430 photographs to learn from, of 200 species with 41 to 60 each; 2,358 held back."""
    per_species = [60] * 144 + [59] * 44 + [46] * 12
    assert sum(per_species) == 11_788
    labels = np.repeat(np.arange(200), per_species).tolist()
    names = [f"photo {place}" for place in range(11_788)]
    codes, _ = assign(names, [None] * 11_788, labels)
    assert np.count_nonzero(codes < 2) == 9_430
    assert np.count_nonzero(codes == 2) == 2_358
    assert WORKLOAD.scale("paper").data["parts"] == "dealt"


def test_the_papers_preset_is_the_seeds_table() -> None:
    paper = WORKLOAD.scale("paper")
    assert paper.data["size"] == (64, 64)
    assert paper.defaults["batch_size"] == 32
    assert default_params(paper, {"architecture": "small_unet", "preconditioning": "ddpm"})[
        "lr"
    ] == pytest.approx(3e-4)
    assert paper.size("ddpm_unet").learning_rate("ddpm", 1.0) == pytest.approx(3e-4)
    assert paper.sample["sampler"] == "ddim"
    assert paper.sample["steps"] == 5


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("setup", PRECONDITIONINGS)
def test_every_cell_resolves_at_its_defaults_and_as_drawn(
    frame: Frame, architecture: str, setup: str
) -> None:
    cell = {"architecture": architecture, "preconditioning": setup}
    usual = resolve(frame, default_params(frame.scale, cell), 0)
    trial = FixedTrial({**cell, **DRAWN})
    space(trial, replace(frame.scale.choices, preconditionings=PRECONDITIONINGS))
    drawn = resolve(frame, trial.params, 0)
    discrete = setup in ("ddpm", "ddpm_cosine")
    assert ("predict" in trial.params) is discrete
    for config, wanted in ((usual, "noise"), (drawn, "x0")):
        found = config.method.preconditioning_args.get("predict")
        assert found == (wanted if discrete else None)
    assert usual.entry_id != drawn.entry_id
    assert usual.sample.sampler == "ddim"


def test_the_papers_budget_is_200_epochs_of_the_seeds_network() -> None:
    paper = WORKLOAD.scale("paper")
    inputs = Inputs(spatial=(64, 64), channels=3, out_channels=3)
    with torch.device("meta"):
        net = networks.build("ddpm_unet", inputs, **paper.size("ddpm_unet").arguments())
    epochs = paper.budget_tflop * 1e12 / training_flops(net) / 9_430
    assert epochs == pytest.approx(200, rel=0.02)  # two digits are written


def test_standardised_pictures_have_unit_deviation_in_every_scheme(frame: Frame) -> None:
    fixed: dict[str, Any] = {"standardise": "set"}
    task = GenerateTask.configure(frame.task, fixed)
    params = default_params(frame.scale, {"architecture": "small_unet", "preconditioning": "ddpm"})
    config = resolve(replace(frame, task=task, fixed=fixed), params, 0)
    assert config.task.sigma_data == 1.0
    assert config.task.args["pixels"][1] == pytest.approx(frame.task.sigma_data)


def test_the_seeds_question_stays_on_a_narrow_board(frame: Frame) -> None:
    measures = measures_of(measured(frame), own=False)
    keys = {measure.key for measure in measures}
    assert set(WORKLOAD.asks_of) <= keys
    kept = kept_on_screen(measures, WORKLOAD.asks_of)
    assert {m.key for m in kept} == keys
    assert all(m.drop <= 2 for m in kept if m.key in WORKLOAD.asks_of)
    assert [m for m in kept if m.key not in WORKLOAD.asks_of] == [
        m for m in measures if m.key not in WORKLOAD.asks_of
    ]


def measured(frame: Frame) -> list[Measure]:
    return [measure for metric in build_metrics(frame.measure) for measure in metric.measures]
