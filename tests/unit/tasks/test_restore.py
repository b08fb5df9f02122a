"""The restoration task: its batches, its held-out noise, what it refuses, what it averages."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from bench.config import MethodConfig, TrialConfig
from bench.data.cache import CachedImages
from bench.data.practice_data import practice_trial, write_practice_data
from bench.errors import BenchError
from bench.metrics.psnr_metric import psnr
from bench.metrics.throughput import Stopwatch
from bench.predictions import Cases, Predictions, conditions_of, in_batches
from bench.tasks.picture_augment import augmented_pictures
from bench.tasks.restore import RestoreTask

DIFFUSION = MethodConfig(backbone="small_unet", preconditioning="edm")
DIRECT = MethodConfig(kind="direct", backbone="small_unet")


@pytest.fixture(scope="module", params=[(8, 8), (6, 7, 8)], ids=["2d", "3d"])
def data(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> CachedImages:
    return write_practice_data(tmp_path_factory.mktemp("practice") / "cache", request.param)


def trial(data: CachedImages, method: MethodConfig = DIRECT, **given: Any) -> TrialConfig:
    config = practice_trial(
        RestoreTask.configure(RestoreTask.describe(data), given), method, str(data.path)
    )
    measure = dataclasses.replace(config.measure, metrics=("psnr", "ssim", "clipping"))
    return dataclasses.replace(config, measure=measure)


class Answering:
    """A predictor that gives, of each prediction number, what it is told to."""

    nets: tuple[Any, ...] = ()
    denoise: Any = None

    def __init__(self, answer: Any) -> None:
        self.answer = answer

    def predict(self, cases: Cases) -> Predictions:
        return self.predict_some(cases, range(cases.count))

    def predict_some(self, cases: Cases, places: range) -> Predictions:
        def answer(numbers: Sequence[int]) -> Tensor:
            images = conditions_of(cases, numbers).images
            assert images is not None
            result: Tensor = self.answer(images, numbers)
            return result

        return in_batches(cases, places, 4, answer, (-1.0, 1.0), lambda: 1)


def test_a_network_gets_the_noisy_picture_and_gives_the_clean_one(data: CachedImages) -> None:
    inputs = RestoreTask.describe(data).inputs
    assert (inputs.channels, inputs.condition_channels, inputs.out_channels) == (1, 1, 1)
    task = RestoreTask(trial(data))
    batch = task.batch(range(40), 0)
    train = task.real.images_at(data.parts["train"]).numpy()
    clean = batch.target.numpy()
    for epoch in (clean[:20], clean[20:]):  # of 20 training pictures each is seen once an epoch
        assert sorted(x.tobytes() for x in epoch) == sorted(x.tobytes() for x in train)
    again = task.batch(range(40), 0).condition.images
    other = task.batch(range(40), 1).condition.images
    assert torch.equal(batch.condition.images, again)
    assert not torch.equal(batch.condition.images, other)


def test_held_out_noise_is_the_pictures_own_whatever_the_method_and_seed(
    data: CachedImages,
) -> None:
    configs = [trial(data), trial(data, DIFFUSION), dataclasses.replace(trial(data), seed=9)]
    seen = [RestoreTask(config).cases("report").condition([3, 1]).images for config in configs]
    assert torch.equal(seen[0], seen[1])
    assert torch.equal(seen[0], seen[2])
    more = dataclasses.replace(configs[0].measure, n_report=20)  # other cases, the same pictures
    whole = RestoreTask(dataclasses.replace(configs[0], measure=more))
    task = RestoreTask(configs[0])
    places = np.searchsorted(whole.rows("report"), task.rows("report"))
    few = task.cases("report").condition(range(7)).images
    assert torch.equal(whole.cases("report").condition(places.tolist()).images, few)


def test_the_noisy_picture_itself_has_the_noisy_pictures_psnr(data: CachedImages) -> None:
    task = RestoreTask(trial(data))
    found = task.evaluate(Answering(lambda x, numbers: x), "report", Stopwatch()).metrics
    expected = psnr(task.noisy("report").clip(-1, 1), task.targets("report"))
    assert found["psnr"] == pytest.approx(expected.mean(), rel=1e-12)
    assert found["psnr_gain"] == 0.0  # to the bit: else doing nothing would be marked as worse
    assert found["floored_pixels"] == task.noise.floored_share(task.noisy("report"))
    assert {m.key for m in task.measures} >= set(found) - {"psnr_se", "ssim_se"}
    assert task.score.key == "psnr"


@pytest.mark.parametrize("part", ["select", "report"])
def test_the_gain_tells_better_and_worse_than_doing_nothing(data: CachedImages, part: str) -> None:
    task = RestoreTask(trial(data))
    (gain,) = [measure for measure in task.measures if measure.key == "psnr_gain"]
    clean = torch.from_numpy(task.targets(part))
    noise = torch.from_numpy(task.noisy(part)).clamp(-1, 1) - clean
    for share, is_worse in ((0.5, False), (1.2, True)):
        answers = Answering(lambda x, numbers, share=share: (clean + share * noise)[list(numbers)])
        found = task.evaluate(answers, part, Stopwatch()).metrics
        before = psnr((clean + noise).numpy(), clean.numpy()).mean()
        assert found["psnr_gain"] == pytest.approx(found["psnr"] - before, abs=1e-6)  # float32
        assert gain.misses_reference(found["psnr_gain"]) is is_worse
    # half the noise is a quarter of its power; only answers beyond the range are changed
    answers = Answering(lambda x, numbers: (clean + 0.5 * noise)[list(numbers)])
    found = task.evaluate(answers, part, Stopwatch()).metrics["psnr_gain"]
    assert found == pytest.approx(20 * np.log10(2), abs=1e-4)


def test_without_psnr_there_is_no_gain(data: CachedImages) -> None:
    config = trial(data)
    measure = dataclasses.replace(config.measure, metrics=("ssim",))
    task = RestoreTask(dataclasses.replace(config, measure=measure))
    assert "psnr_gain" not in {measure.key for measure in task.measures}
    found = task.evaluate(Answering(lambda x, numbers: x), "report", Stopwatch()).metrics
    assert "psnr_gain" not in found


def test_how_many_cases_are_scored_is_said_where_it_is_not_all(data: CachedImages) -> None:
    config = trial(data)
    there = len(data.parts["report"])
    line = f"the score is measured on 7 of {there} cases of the report part"
    assert RestoreTask(config).notes() == (line,)
    whole = dataclasses.replace(config.measure, n_report=there)
    assert RestoreTask(dataclasses.replace(config, measure=whole)).notes() == ()


def test_pictures_of_several_channels_are_said_to_be_no_radiographs(data: CachedImages) -> None:
    config = trial(data)
    colour = dataclasses.replace(config.task.inputs, channels=3, out_channels=3)
    of_colour = dataclasses.replace(config.task, inputs=colour)
    notes = RestoreTask(dataclasses.replace(config, task=of_colour)).notes()
    assert notes[-1] == (
        "the x-ray noise is a model of radiographs, which have one channel; these pictures have "
        "3, each made noisy by itself"
    )


def test_samples_of_a_case_are_averaged_for_a_method_that_draws(data: CachedImages) -> None:
    """Errors of +-.1 on the samples of a case cancel."""
    task = RestoreTask(trial(data, DIFFUSION, samples=2))
    assert task.protocol()["samples"] == 2
    targets = torch.from_numpy(task.targets("report")) * 0.5

    def answer(images: Tensor, numbers: Sequence[int]) -> Tensor:
        sign = torch.tensor([0.1 if number % 2 else -0.1 for number in numbers])
        cases = [number // 2 for number in numbers]
        return targets[cases] + sign.view(-1, *(1,) * (targets.ndim - 1))

    predictor = Answering(answer)
    assert len(predictor.predict(task.cases("report")).values) == 14
    found = task.evaluate(predictor, "report", Stopwatch())
    expected = psnr(targets.numpy(), task.targets("report"))
    assert found.metrics["psnr"] == pytest.approx(expected.mean(), rel=1e-6)  # float32 sums
    assert found.pictures is not None
    assert len(found.pictures) == 7
    assert RestoreTask(trial(data, DIRECT, samples=2)).cases("report").samples == 1


def test_a_clipped_answer_is_what_is_judged(data: CachedImages) -> None:
    task = RestoreTask(trial(data))
    loud = Answering(lambda x, numbers: torch.full_like(x, 3.0))
    assert loud.predict(task.cases("report")).values.max() == 1.0
    assert task.evaluate(loud, "report", Stopwatch()).metrics["clipped_pixels"] == 1.0


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"dose": 0}, "dose is photons"),
        ({"attenuation": -2.0}, "attenuation is the dynamic range"),
        ({"augment": 1.5}, "augment is a probability"),
        ({"samples": 0}, "samples must be at least 1"),
        ({"samples": 1.5}, "samples must be int"),
        ({"dose": "high"}, "dose must be float"),
        ({"doze": 3.0}, "unknown parameter of task restore 'doze'; did you mean 'dose'"),
    ],
)
def test_settings_that_cannot_be_are_refused(
    data: CachedImages, given: dict[str, Any], words: str
) -> None:
    with pytest.raises(BenchError, match=words):
        trial(data, **given)


def test_augmentation_is_keyed_and_stays_in_range(data: CachedImages) -> None:
    task = RestoreTask(trial(data))
    clean = task.targets("report")
    assert augmented_pictures(clean, 0.0, range(7), 0) is clean
    changed = augmented_pictures(clean, 1.0, range(7), 0)
    assert changed.shape == clean.shape
    assert changed.dtype == np.float32
    assert np.abs(changed).max() <= 1
    assert np.array_equal(augmented_pictures(clean[2:3], 1.0, [2], 0)[0], changed[2])
    assert all(not np.array_equal(a, b) for a, b in zip(changed, clean, strict=True))
    in_training = RestoreTask(trial(data, augment=1.0)).batch([0, 1], 0)
    assert not torch.equal(in_training.target, task.batch([0, 1], 0).target)
    # what is judged is never augmented
    assert np.array_equal(RestoreTask(trial(data, augment=1.0)).targets("report"), clean)


def test_flips_shifts_and_brightness_are_what_they_say() -> None:
    """Of a ramp: a flip turns its slope, brightness changes its mean, a shift moves it."""
    ramp = np.linspace(-0.5, 0.5, 40, dtype=np.float32)
    clean = np.broadcast_to(ramp, (1, 1, 40, 40)).copy()
    flipped = shifted = 0
    for sample in range(64):
        one = augmented_pictures(clean, 0.5, [sample], 0)[0, 0]
        slope = np.sign(one[20, 30] - one[20, 10])
        flipped += slope < 0
        middle = one[20, 20] * slope
        shifted += bool(abs(middle - clean[0, 0, 20, 20]) > 1e-3)
    # 64 tosses of a fair coin: within four standard deviations of 32
    assert abs(flipped - 32) <= 16
    assert shifted > 16
