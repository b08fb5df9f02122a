"""The generation task: which pictures make a batch, and what an evaluation looks at."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from bench.conditions import Condition
from bench.config import TrialConfig
from bench.data.cache import load_cache
from bench.data.value_range import BYTE_RANGE, as_float
from bench.errors import BenchError
from bench.methods.diffusion import Diffusion
from bench.metrics import denoising_metric, feature_metric, frechet_metric, real
from bench.metrics.extractors import extract, load_extractor
from bench.metrics.frechet import FrechetReference, frechet_distance
from bench.metrics.metric import Evidence
from bench.metrics.real import RealData
from bench.metrics.throughput import Stopwatch
from bench.predictions import Cases, Predictions
from bench.run import run_trial
from bench.streams import permutation
from bench.tasks.augment import LABELS, augmented
from bench.tasks.generate import GenerateTask
from bench.workloads.workload import load as load_workload
from tests.fakes.trials import SIDE, tiny, write_cache

TRAIN = 24
OWN = """
import torch
from bench.metrics.extractors import Extractor

class Mine(Extractor):
    name, num_features, input_size, resizer = "mine", 2, 0, "none"

    def forward(self, images):
        x = images.float()
        return torch.stack([x.mean((1, 2, 3)), x.std((1, 2, 3))], 1)

build = Mine
"""


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_cache(tmp_path_factory.mktemp("fake") / "cache", per_part=TRAIN)


class Known:
    """A predictor whose pictures are given, and whose D is x."""

    nets: tuple[Any, ...] = ()

    def __init__(self, pictures: np.ndarray[Any, Any]) -> None:
        self.pictures = pictures
        self.asked: list[Cases] = []
        self.denoise: Any = lambda x, sigma, condition: x

    def predict(self, cases: Cases) -> Predictions:
        self.asked.append(cases)
        values = self.pictures[: cases.count]
        return Predictions(values=values, passes=3, outside_share=0.25)

    def predict_some(self, cases: Cases, places: range) -> Predictions:
        raise NotImplementedError


def measure_args(**changes: Any) -> dict[str, Any]:
    return {"measure.args": {**tiny().measure.args, **changes}}


def rows(cache: Path, part: str) -> np.ndarray[Any, Any]:
    data = load_cache(cache)
    return np.asarray(data.images[data.parts[part]])


def floats(pictures: np.ndarray[Any, Any]) -> Tensor:
    return torch.from_numpy(as_float(pictures, BYTE_RANGE))


def which(task: GenerateTask, samples: Sequence[int], seed: int = 0) -> list[int]:
    """The places in the train part of the pictures of a batch."""
    train = floats(rows(task.real.folder, "train"))
    batch = task.batch(samples, seed).target
    return [int((train == picture).flatten(1).all(1).nonzero()[0, 0]) for picture in batch]


def test_an_epoch_is_every_training_picture_once(cache: Path) -> None:
    task = GenerateTask(tiny(cache))
    first, second = which(task, range(TRAIN)), which(task, range(TRAIN, 2 * TRAIN))
    assert sorted(first) == sorted(second) == list(range(TRAIN))
    assert first != second
    assert which(task, range(TRAIN), seed=1) != first


def test_a_batch_is_its_samples_however_cut(cache: Path) -> None:
    task = GenerateTask(tiny(cache))
    whole = task.batch(range(18, 30), 0).target  # over the edge of an epoch
    parts = [task.batch([k], 0).target for k in range(18, 30)]
    assert torch.equal(whole, torch.cat(parts))
    shuffled = task.batch(range(29, 17, -1), 0).target
    assert torch.equal(whole, shuffled.flip(0))


def test_pictures_in_the_data_range() -> None:
    x = floats(np.array([[[[0, 255, 51]]]], np.uint8))
    assert x.dtype == torch.float32
    torch.testing.assert_close(x.flatten(), torch.tensor([-1.0, 1.0, -0.6]))


def test_shape_of_a_batch(cache: Path) -> None:
    assert GenerateTask(tiny(cache)).batch(range(5), 0).target.shape == (5, 1, SIDE, SIDE)


@pytest.mark.parametrize(("part", "count"), [("select", 10), ("report", 12)])
def test_the_distance_is_to_that_part(cache: Path, part: str, count: int) -> None:
    """Against the Fréchet distance made by hand from the part's own pictures."""
    config = tiny(cache, **measure_args(n_reference=TRAIN))
    known = Known(rows(cache, "train")[::-1])
    evaluation = GenerateTask(config).evaluate(known, part, Stopwatch())
    assert [(c.count, c.purpose) for c in known.asked] == [(count, f"sample/{part}")]
    extractor = load_extractor("randconv")
    reference = FrechetReference.of_images(extractor, rows(cache, part))
    by_hand = frechet_distance(reference, extract(extractor, known.pictures[:count]))
    metrics = evaluation.metrics
    assert evaluation.value == metrics["fd_randconv"] == pytest.approx(by_hand.value, rel=1e-9)
    assert metrics["fd_randconv_se"] == pytest.approx(by_hand.se, rel=1e-6)
    assert metrics["nfe"] == 3
    assert metrics["clipped_pixels"] == 0.25
    train = metrics.get("fd_randconv_train")
    assert (train is not None) == (part == "report")
    if train is not None:  # the pictures are training pictures: it shows
        assert train < evaluation.value


@pytest.mark.parametrize("where", [feature_metric, real])
def test_both_sides_are_judged_on_the_cpu(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: Any
) -> None:
    """Wherever the network trains: a GPU's convolutions in TF32 would not be the reference's."""
    folder = write_cache(tmp_path / "cache", per_part=TRAIN)
    devices: list[str] = []

    def seen(*args: Any, device: str = "cuda") -> np.ndarray[Any, Any]:
        devices.append(device)
        return extract(*args)

    monkeypatch.setattr(where, "extract", seen)
    config = tiny(folder, **{"train.device": "cuda", "measure.metrics": ("fd", "kd")})
    config = dataclasses.replace(
        config, measure=dataclasses.replace(config.measure, args={"n_reference": 16})
    )
    GenerateTask(config).evaluate(Known(rows(folder, "train")), "select", Stopwatch())
    assert devices == ["cpu"]  # once for both metrics


def test_a_users_own_extractor_judges(cache: Path, tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(OWN)
    config = tiny(cache, **measure_args(extractor=f"{file}:build"))
    task = GenerateTask(config)
    task.prepare()
    metrics = task.evaluate(Known(rows(cache, "train")), "report", Stopwatch()).metrics
    assert {"fd_mine", "fd_mine_se", "fd_mine_train"} <= set(metrics)
    assert task.score.key == "fd_mine"


def test_training_pictures_all_of_them_are_at_no_distance_from_train(cache: Path) -> None:
    config = tiny(cache, **{"measure.n_report": TRAIN, **measure_args(n_reference=TRAIN)})
    known = Known(rows(cache, "train"))
    evaluation = GenerateTask(config).evaluate(known, "report", Stopwatch())
    limit = 1e-3 * evaluation.value
    assert evaluation.metrics["fd_randconv_train"] == pytest.approx(0, abs=limit)


def test_a_setting_that_no_metric_takes_is_refused(cache: Path) -> None:
    with pytest.raises(BenchError, match="unknown setting of the metrics 'n_refrence'; did you m"):
        GenerateTask(tiny(cache, **measure_args(n_refrence=3)))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"denoise_sigmas": ()}, "sigmas must be a list of positive numbers"),
        ({"denoise_sigmas": (0.1, -1.0)}, "sigmas must be a list of positive numbers"),
        ({"n_denoise": 0}, "n_denoise must be at least 1, got 0"),
        ({"n_reference": 1}, "n_reference must be at least 2, got 1"),
        ({"extractor": "randcon"}, "unknown extractor 'randcon'; did you mean 'randconv'"),
    ],
)
def test_settings_that_cannot_be_are_refused_before_any_trial(
    cache: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(BenchError) as caught:
        GenerateTask(tiny(cache, **measure_args(**changes))).prepare()
    assert message in str(caught.value)


@pytest.mark.parametrize("metric", ["fd", "kd"])
def test_a_distance_of_one_picture_is_refused_before_any_trial(cache: Path, metric: str) -> None:
    config = tiny(cache, **{"measure.metrics": (metric,), "measure.n_select": 1})
    config = dataclasses.replace(config, measure=dataclasses.replace(config.measure, args={}))
    with pytest.raises(BenchError, match=rf"{metric}_randconv needs 2 pictures.*n_select is 1"):
        GenerateTask(config).prepare()


@pytest.mark.parametrize("part", ["select", "report"])
def test_denoising_error_is_against_the_gaussian_optimum(cache: Path, part: str) -> None:
    """D = x has the error sigma^2; the optimum on common noise is below that at every sigma."""
    config = tiny(cache, **measure_args(denoise_sigmas=(0.1, 1.0)))
    known = Known(rows(cache, "train"))
    metrics = GenerateTask(config).evaluate(known, part, Stopwatch()).metrics
    count = config.measure.args["n_denoise"]
    best = denoising_metric._optimal(str(cache), part, count, (0.1, 1.0))
    # 4 pictures of 64 pixels: the mean of 256 squared normals is 1 to 9 %
    by_hand = float(np.sqrt(np.prod(np.array([0.01, 1.0]) / best)))
    assert metrics["denoise_error"] == pytest.approx(by_hand, rel=0.2)
    assert metrics["denoise_error"] > 1


def test_references_are_stored_once_and_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_cache(tmp_path / "cache", per_part=TRAIN)
    config = tiny(folder, **{"measure.metrics": ("fd", "kd", "denoise_error", "clipping")})
    GenerateTask(config).prepare()
    stored = sorted(p.name for p in folder.glob("*-*-*"))
    kinds = [name.split("-")[0] for name in stored]
    assert kinds == ["features"] * 2 + ["reference"] * 3  # of train only what is like report
    assert (folder / real.GAUSSIAN).exists()
    before = GenerateTask(config).evaluate(Known(rows(folder, "train")), "report", Stopwatch())
    cached: list[Any] = [
        frechet_metric._reference_in,
        frechet_metric._train_reference_in,
        denoising_metric._optimal,
    ]
    for memory in (*cached, real._features, real._gaussian):
        memory.cache_clear()

    def no(*_: Any, **__: Any) -> None:
        raise AssertionError("computed again")

    of_features = FrechetReference.of_features

    def of_predictions(features: Any, *, digest: str) -> FrechetReference:
        """What is of the real pictures has a digest; the predictions are new each time."""
        return no() if digest else of_features(features, digest=digest)

    monkeypatch.setattr(FrechetReference, "of_features", of_predictions)
    monkeypatch.setattr(real.GaussianDenoiser, "fit", no)
    monkeypatch.setattr(real, "extract", no)
    again = GenerateTask(config).evaluate(Known(rows(folder, "train")), "report", Stopwatch())
    assert again.metrics == before.metrics
    assert sorted(p.name for p in folder.glob("*-*-*")) == stored


def test_time_is_booked_where_it_goes(cache: Path) -> None:
    clock = Stopwatch()
    GenerateTask(tiny(cache)).evaluate(Known(rows(cache, "train")), "select", clock)
    seen = clock.read()
    assert seen.sample_images == 10
    assert seen.train_sec == 0
    assert seen.measure_sec > 0


# Classes


@pytest.fixture(scope="module")
def classed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("classed") / "cache"
    return write_cache(folder, per_part=TRAIN, classes=3)


def described(cache: Path, **given: Any) -> TrialConfig:
    """A tiny trial of the task that a cache and these parameters make."""
    task = GenerateTask.configure(GenerateTask.describe(load_cache(cache)), given)
    return tiny(cache, task=task)


def test_a_batch_has_the_classes_of_its_pictures(classed: Path) -> None:
    config = described(classed, condition="class", class_dropout=0.0)
    assert config.task.inputs.n_classes == 3
    task, samples = GenerateTask(config), range(18, 30)  # over the edge of an epoch
    batch = task.batch(samples, 0)
    data = load_cache(classed)
    assert data.labels is not None
    train_labels = data.labels[data.parts["train"]]
    assert batch.condition.classes is not None
    assert batch.condition.classes.dtype == torch.int64
    assert batch.condition.classes.tolist() == train_labels[which(task, samples)].tolist()
    assert len(set(batch.condition.classes.tolist())) == 3


def test_a_number_that_data_have_is_given_in_standard_deviations(tmp_path: Path) -> None:
    echo = load_workload("echo")
    data = echo.open_data(None, echo.scale("smoke"), tmp_path, {})
    assert data.vector is not None
    train = data.parts["train"]
    known = data.vector[train, data.vector_names.index("EF")]
    config = described(data.path, condition="ef", class_dropout=0.0, augment=0.5)
    task, samples = GenerateTask(config), range(40)
    assert config.task.inputs.vector_dim == len(LABELS) + 1
    vector = task.batch(samples, 0).condition.vector
    assert vector is not None
    still = GenerateTask(described(data.path, condition="ef", class_dropout=0.0))
    wanted = (known[which(still, samples)] - known.mean()) / known.std()
    assert vector[:, -1].numpy() == pytest.approx(wanted, abs=1e-5)
    cases = task.cases("report").condition([0, 1])
    assert cases.vector is not None
    assert cases.vector[:, :-1].abs().max() == 0  # of no augmentation
    shown = data.vector[task.real.rows("report", task.measure.n_report)[:2], 0]
    assert cases.vector[:, -1].numpy() == pytest.approx(
        (shown - known.mean()) / known.std(), abs=1e-5
    )
    dropped = GenerateTask(described(data.path, condition="ef", class_dropout=1.0))
    unknown = dropped.batch(samples, 0).condition.vector
    assert unknown is not None
    assert unknown.abs().max() == 0
    plain = described(data.path)
    assert "values" not in plain.task.args  # entries of before are the same
    assert GenerateTask(plain).batch(samples, 0).condition.vector is None


def test_the_share_of_dropped_classes_is_the_stated_one(classed: Path) -> None:
    config = described(classed, condition="class", class_dropout=0.3)
    whole = GenerateTask(described(classed, condition="class", class_dropout=0.0))
    task, count = GenerateTask(config), 3000
    dropped, kept = (one.batch(range(count), 0).condition.classes for one in (task, whole))
    assert dropped is not None
    assert kept is not None
    gone = dropped == -1
    # sd of a share of 3000 is .0084; three of them
    assert float(gone.float().mean()) == pytest.approx(0.3, abs=0.025)
    assert torch.equal(dropped[~gone], kept[~gone])
    again = torch.cat([task.batch([k], 0).condition.classes for k in range(40)])  # type: ignore[misc]
    assert torch.equal(again, dropped[:40])  # keyed by the sample
    other = task.batch(range(count), 1).condition.classes
    assert other is not None
    assert not torch.equal(other == -1, gone)


@pytest.mark.parametrize(("part", "count"), [("select", 10), ("report", 50)])
def test_cases_have_the_classes_of_the_parts_own_pictures(
    classed: Path, part: str, count: int
) -> None:
    """Of those pictures that stand for the part where it is compared, so that a part in the order
    of its classes is not cut off; over again where there are more cases; none is dropped."""
    config = described(classed, condition="class", class_dropout=1.0)
    config = dataclasses.replace(
        config, measure=dataclasses.replace(config.measure, n_report=50, n_select=10)
    )
    cases = GenerateTask(config).cases(part)
    assert cases.count == count
    data = load_cache(classed)
    assert data.labels is not None
    compared = RealData(str(classed)).rows(part, count)  # no more than the part has
    assert set(compared) <= set(data.parts[part])
    expected = data.labels[compared].tolist() * 3
    classes = cases.condition(range(count)).classes
    assert classes is not None
    assert classes.tolist() == expected[:count]
    some = cases.condition([5, 2, 9]).classes
    assert some is not None
    assert some.tolist() == [expected[5], expected[2], expected[9]]


def test_scores_of_given_classes_are_not_ranked_with_others(classed: Path) -> None:
    assert GenerateTask(described(classed, condition="class")).protocol()["condition"] == "class"
    assert "condition" not in GenerateTask(described(classed, condition="none")).protocol()


def test_the_denoising_error_is_measured_under_the_pictures_classes(classed: Path) -> None:
    config = described(classed, condition="class")
    known = Known(rows(classed, "train"))
    seen: list[Condition] = []

    def denoise(x: Tensor, sigma: Tensor, condition: Condition) -> Tensor:
        seen.append(condition)
        return x

    known.denoise = denoise
    GenerateTask(config).evaluate(known, "report", Stopwatch())
    data = load_cache(classed)
    assert data.labels is not None
    count = config.measure.args["n_denoise"]
    part = data.parts["report"]
    order = permutation(0, "train reference", 0, len(part))[:count]  # those that stand for it
    for condition in seen:
        assert condition.classes is not None
        assert condition.classes.tolist() == data.labels[np.sort(part[order])].tolist()


def test_a_conditional_trial_runs_and_its_pictures_depend_on_the_class(
    classed: Path, tmp_path: Path
) -> None:
    """Through run.steps with guidance, which asks for the unconditional too."""
    config = described(classed, condition="class", class_dropout=0.5, augment=0.5)
    changes = {"guidance": "classifier_free", "guidance_args": {"weight": 2.0}}
    config = dataclasses.replace(config, sample=dataclasses.replace(config.sample, **changes))
    end = run_trial(config, tmp_path)
    assert (end.outcome, end.cause) == ("completed", "")
    assert end.metrics["eval/nfe"] == 2 * 3  # Heun's three evaluations, each with and without
    method = Diffusion(config)
    torch.nn.init.normal_(list(method.net.parameters())[-2], std=0.1)  # starts at zero
    task = GenerateTask(config)
    predictor = method.predictor([method.net.eval()], config.seed, config.sample)
    plain = task.cases("select")
    fixed = [
        dataclasses.replace(plain, condition=classes_of(k), keep=lambda x: x.numpy())
        for k in range(2)
    ]
    one, other = (predictor.predict(cases).values for cases in fixed)
    assert not np.allclose(one, other)


def classes_of(one: int) -> Callable[[Sequence[int]], Condition]:
    return lambda places: Condition(
        classes=torch.full((len(places),), one), vector=torch.zeros(len(places), len(LABELS))
    )


# Augmentation


def test_labels_are_fed_and_of_no_augmentation_in_sampling(cache: Path) -> None:
    config = described(cache, augment=0.7)
    assert config.task.inputs.vector_dim == len(LABELS)
    task = GenerateTask(config)
    batch = task.batch(range(40), 0)
    assert batch.condition.vector is not None
    assert batch.condition.vector.shape == (40, len(LABELS))
    assert batch.condition.vector.dtype == torch.float32
    plain = GenerateTask(described(cache)).batch(range(40), 0)
    assert plain.condition.vector is None
    touched = (batch.target != plain.target).flatten(1).any(1)
    labelled = (batch.condition.vector != 0).any(1)
    assert torch.equal(touched, labelled)  # what was done is told, what was not is not
    assert 0 < int(labelled.sum()) < 41
    for part in ("select", "report"):
        vector = task.cases(part).condition(range(7)).vector
        assert vector is not None
        assert vector.shape == (7, len(LABELS))
        assert not vector.any()
    real_condition = task.evidence(Known(rows(cache, "train")), "report", none_made())
    assert real_condition.real_condition is not None
    assert not real_condition.real_condition(np.arange(3)).vector.any()  # type: ignore[union-attr]


def none_made() -> Predictions:
    return Predictions(values=np.zeros((0, 1, SIDE, SIDE), np.uint8), passes=1, outside_share=0.0)


def some_pictures(*spatial: int, count: int = 64) -> Tensor:
    return torch.rand(count, 1, *spatial, generator=torch.Generator().manual_seed(0)) * 2 - 1


@pytest.mark.parametrize("spatial", [(8, 8), (6, 10), (4, 6, 8)])
def test_no_probability_is_no_augmentation_to_the_bit(spatial: tuple[int, ...]) -> None:
    x = some_pictures(*spatial)
    same, labels = augmented(x, 0.0, range(64), 3)
    assert torch.equal(same, x)
    assert not labels.any()


@pytest.mark.parametrize("spatial", [(8, 8), (6, 10), (4, 6, 8)])
def test_flips_are_exact(spatial: tuple[int, ...]) -> None:
    """Of samples whose other labels are zero the picture is the flipped one to the bit."""
    x = some_pictures(*spatial)
    changed, labels = augmented(x, 0.4, range(64), 3)
    seen = set()
    for before, after, label in zip(x, changed, labels, strict=True):
        if label[2:].any():
            assert len(spatial) == 2  # volumes are flipped alone
            continue
        flip_x, flip_y = bool(label[0]), bool(label[1])
        expected = before.numpy()
        expected = expected[..., ::-1] if flip_x else expected
        expected = expected[..., ::-1, :] if flip_y else expected
        assert np.array_equal(after.numpy(), expected)
        seen.add((flip_x, flip_y))
    assert len(seen) == 4 or len(spatial) == 2


@pytest.mark.parametrize("p", [0.2, 1.0])
def test_each_augmentation_has_the_stated_probability(p: float) -> None:
    count = 2000
    _, labels = augmented(torch.zeros(count, 1, 2, 2), p, range(count), 3)
    done = [labels[:, k] != 0 for k in (0, 1, 2, 4, 5)]
    for one in done:  # sd of a share of 2000 at most .0112; three and a half of them
        assert float(one.float().mean()) == pytest.approx(p, abs=0.04)


def test_augmentation_is_keyed_by_the_sample(cache: Path) -> None:
    """A micro-batch, or another worker, makes of a sample what the whole batch makes of it."""
    task = GenerateTask(described(cache, augment=0.7))
    whole = task.batch(range(18, 30), 0)
    parts = [task.batch(range(k, k + 3), 0) for k in range(18, 30, 3)]
    assert torch.equal(whole.target, torch.cat([part.target for part in parts]))
    vectors = torch.cat([part.condition.vector for part in parts])  # type: ignore[misc]
    assert whole.condition.vector is not None
    assert torch.equal(whole.condition.vector, vectors)
    assert not torch.equal(whole.condition.vector, task.batch(range(18, 30), 1).condition.vector)


def rotated(angle: float, **other: float) -> np.ndarray[Any, Any]:
    label = dict.fromkeys(LABELS, 0.0)
    label |= {"cos rotation - 1": np.cos(angle) - 1, "sin rotation": np.sin(angle), **other}
    return np.array([label[name] for name in LABELS])


def test_a_quarter_turn_and_a_shift_by_whole_pixels_are_numpys() -> None:
    from bench.tasks.augment import _one

    x = some_pictures(8, 8, count=1)
    turned = _one(x, rotated(np.pi / 2))
    quarters = [np.rot90(x.numpy(), k, axes=(2, 3)) for k in (1, 3)]
    assert any(np.allclose(turned.numpy(), quarter, atol=1e-5) for quarter in quarters)
    moved = _one(x, rotated(0.0, **{"shift x": 2 / 8})).numpy()
    assert np.allclose(moved[..., 2:], x.numpy()[..., :-2], atol=1e-5)
    down = _one(x, rotated(0.0, **{"shift y": 1 / 8})).numpy()
    assert np.allclose(down[..., 1:, :], x.numpy()[..., :-1, :], atol=1e-5)


@pytest.mark.parametrize("sides", [(16, 16), (12, 24)])
def test_a_scale_of_two_is_a_picture_twice_as_large(sides: tuple[int, int]) -> None:
    """A plane x -> a u + b v in pixels from the centre: slopes halve, and a turn of 30 degrees
    turns them, whatever the aspect."""
    from bench.tasks.augment import _one

    v, u = np.meshgrid(*(np.arange(side) - (side - 1) / 2 for side in sides), indexing="ij")
    x = torch.from_numpy((0.03 * u + 0.01 * v)[None, None].astype(np.float32))
    changed = _one(x, rotated(np.pi / 6, scale=1.0))[0, 0].numpy()
    middle = tuple(slice(side // 2 - 2, side // 2 + 2) for side in sides)
    slopes = [np.diff(changed[middle], axis=axis).mean() for axis in (1, 0)]
    assert np.hypot(*slopes) == pytest.approx(np.hypot(0.03, 0.01) / 2, rel=1e-4)
    turn = np.arctan2(slopes[1], slopes[0]) - np.arctan2(0.01, 0.03)
    assert abs(turn) == pytest.approx(np.pi / 6, rel=1e-4)


# What is refused


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"condition": "clas"}, "unknown condition 'clas'; did you mean 'class'?"),
        ({"condition": "class"}, "the data have no labels of at least two classes"),
        ({"class_dropout": 1.5}, "class_dropout is a probability, 0 to 1, got 1.5"),
        ({"augment": -0.1}, "augment is a probability, 0 to 1, got -0.1"),
        ({"augment": float("nan")}, "augment is a probability, 0 to 1, got nan"),
        ({"augment": "much"}, "augment is a probability, 0 to 1, got 'much'"),
        ({"augment": True}, "augment is a probability, 0 to 1, got True"),
        ({"augmnet": 0.1}, "unknown parameter of task generate 'augmnet'; did you mean 'augment'"),
    ],
)
def test_configure_refuses_nonsense(cache: Path, given: dict[str, Any], message: str) -> None:
    with pytest.raises(BenchError) as caught:
        described(cache, **given)
    assert message in str(caught.value)


def test_pictures_metrics_are_refused_by_a_task_that_gives_no_pictures(cache: Path) -> None:
    class Floats(GenerateTask):
        gives = frozenset()

    with pytest.raises(BenchError, match="metric fd needs pictures, which task generate by diff"):
        Floats(tiny(cache))


def test_real_pictures_never_leave_with_an_evaluation(cache: Path) -> None:
    """What is shown is what was predicted."""
    known = Known(rows(cache, "train")[::-1])
    shown = GenerateTask(tiny(cache)).evaluate(known, "report", Stopwatch()).pictures
    assert np.array_equal(shown, known.pictures[:12])


def test_evidence_is_shared_by_all_metrics(cache: Path) -> None:
    made = []
    evidence = Evidence(part="select", real=GenerateTask(tiny(cache)).real, predictions=none_made())
    for _ in range(2):
        assert evidence.once("features", lambda: made.append(1) or len(made)) == 1
    assert made == [1]
