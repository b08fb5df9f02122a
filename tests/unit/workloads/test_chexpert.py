"""chexpert: its sizes, what its space offers at every scale, and that rivals are resolved."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from PIL import Image

from backbones.inputs import Inputs
from bench.config import DataConfig, TaskConfig
from bench.data.opening import open_data
from bench.data.reading import Reading
from bench.errors import BenchError
from bench.sweep.cost.price import cost
from bench.sweep.deciding.resolve import Frame, default_params, resolve
from bench.sweep.deciding.suggest import Offer
from bench.tasks.restore import RestoreTask
from bench.workloads.chexpert import SAMPLE, WORKLOAD
from search_spaces.denoise_space import space


def frame(scale: str, **fixed: Any) -> Frame:
    preset = WORKLOAD.scale(scale)
    inputs = Inputs(spatial=preset.data["size"], channels=1, out_channels=1, condition_channels=1)
    task = TaskConfig(kind="restore", inputs=inputs, args=dict(RestoreTask.parameters))
    return Frame(
        workload="chexpert",
        scale=preset,
        data=DataConfig(name="none", digest="0" * 16, simulated=True),
        task=task,
        metrics=WORKLOAD.metrics,
        device="cpu",
        precision="float32",
        threads=1,
        fixed=fixed,
    )


def offer(scale: str) -> Offer:
    choices = WORKLOAD.scale(scale).choices
    return Offer(space=space, choices=choices, name="denoise", fixed={})


@pytest.mark.parametrize("scale", sorted(WORKLOAD.scales))
def test_every_method_has_its_cells_and_each_default_is_whole(scale: str) -> None:
    choices, shared = WORKLOAD.scale(scale).choices, frame(scale)
    cells = offer(scale).cells(WORKLOAD.cell_axes)
    nets = len(choices.architectures)
    counts = {m: sum(cell["method"] == m for cell in cells) for m in choices.methods}
    assert counts == {
        "diffusion": nets * len(choices.preconditionings),
        "direct": nets,
        "classical": len(choices.estimators),
    }
    for cell in cells:
        present = {axis: value for axis, value in cell.items() if value != "-"}
        defaults = offer(scale).offered(default_params(shared.scale, present))
        trial = resolve(shared, defaults, 0)
        assert trial.sample.steps == SAMPLE["steps"]
        # nothing of a default trial is left to chance
        assert suggested(scale, defaults) == set(defaults)


def suggested(scale: str, given: dict[str, Any]) -> set[str]:
    """The parameters that the space suggests where these are given."""
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    study.enqueue_trial(given)
    asked = study.ask()
    offer(scale).run(asked)
    return set(asked.params)


def test_the_papers_network_is_the_published_one() -> None:
    cell = {"method": "diffusion", "architecture": "ddpm_unet", "preconditioning": "fast_ddpm"}
    shared = frame("paper")
    trial = resolve(shared, default_params(shared.scale, cell), 0)
    # the published figure, of 256 pixels, two inputs and one output
    assert cost(trial.task, trial.method).parameters == 113_669_761


def test_augmentation_is_drawn_for_the_direct_method_alone() -> None:
    shared = frame("laptop")
    direct = {"method": "direct", "architecture": "ddpm_unet"}
    assert resolve(shared, {**direct, "augment": 0.5}, 0).task.args["augment"] == 0.5
    assert "augment" not in default_params(
        shared.scale, {**direct, "method": "diffusion", "preconditioning": "edm"}
    )


@pytest.mark.parametrize("key", ["dose", "attenuation", "read_noise", "samples"])
def test_what_is_judged_by_is_not_drawn(key: str) -> None:
    shared = frame("smoke")
    params = {"method": "classical", "estimator": "block_matching", key: 2}
    with pytest.raises(BenchError, match=f"{key} is part of how trials are judged"):
        resolve(shared, params, 0)


def test_a_colour_picture_has_noise_in_each_channel(tmp_path: Path) -> None:
    """RGBA files of photographs: their alpha is left out, and each channel is a noisy one."""
    folder = tmp_path / "photos"
    draw = np.random.default_rng(0)
    for number in range(12):
        (folder / f"p{number}").mkdir(parents=True)
        pixels = draw.integers(0, 255, (20, 20, 4), np.uint8)
        Image.fromarray(pixels).save(folder / f"p{number}" / "a.png")
    reading = Reading(size=(16, 16))
    data = open_data(folder, reading, workload_reader="chexpert", home=tmp_path, simulated=None)
    described = RestoreTask.describe(data)
    assert described.inputs.channels == described.inputs.condition_channels == 3
    clean = np.zeros((1, 3, 16, 16), np.float32)
    noisy = RestoreTask.noise_of(described).held_out(clean, "report", [0])
    assert not np.array_equal(noisy[0, 0], noisy[0, 1])


def test_a_folder_of_one_image_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "one"
    folder.mkdir()
    Image.fromarray(np.arange(400, dtype=np.uint8).reshape(20, 20)).save(folder / "a.png")
    with pytest.raises(BenchError, match="1 readable image cannot make three parts") as caught:
        open_data(
            folder,
            Reading(size=(16, 16)),
            workload_reader="chexpert",
            home=tmp_path,
            simulated=None,
        )
    assert str(caught.value).endswith("give more files")  # and nothing of --every
