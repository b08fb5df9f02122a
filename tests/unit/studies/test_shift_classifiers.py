"""Classifiers tell apart what differs, and not what does not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.stats import beta

from bench.data.cache import load_cache
from bench.errors import BenchError
from bench.studies import shift_classifiers
from bench.studies.shift_classifiers import (
    CLASSIFIERS,
    Pictures,
    ShiftSettings,
    halves_by_subject,
    real_pictures,
    told_apart,
)
from bench.studies.small_turns import Turns, drawn_turns
from tests.fakes.trials import write_cache

SIDE = 8
FAST = ShiftSettings(epochs=30, lr=3e-3, batch_size=64, held_share=0.25)  # for the linear one
FEW = ShiftSettings(epochs=12, lr=2e-4, batch_size=32, held_share=0.25)  # for the ResNets


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def white(n: int, seed: int, mean: float = 128) -> NDArray[np.uint8]:
    noise = np.random.default_rng(seed).standard_normal((n, 1, SIDE, SIDE))
    return np.clip(np.rint(mean + 30 * noise), 0, 255).astype(np.uint8)


def of_subjects(subjects: int, each: int, seed: int) -> Pictures:
    """Pictures that are much alike within a subject, whose looks are drawn alike for all."""
    rng = np.random.default_rng(seed)
    looks = np.repeat(rng.standard_normal((subjects, 1, SIDE, SIDE)), each, 0)
    own = rng.standard_normal(looks.shape)
    values = np.clip(np.rint(128 + 30 * looks + 10 * own), 0, 255).astype(np.uint8)
    return Pictures(values=values, subjects=np.repeat(np.arange(subjects), each))


@pytest.mark.parametrize(
    ("classifier", "settings", "n"),
    [("linear", FAST, 400), ("resnet18", replace(FEW, epochs=4), 80)],
)
def test_equal_distributions_give_an_interval_that_holds_one_half(
    classifier: str, settings: ShiftSettings, n: int
) -> None:
    real, other = Pictures(values=white(n, 0)), Pictures(values=white(n, 1))
    found = told_apart(real, other, classifier, settings, seed=0)
    assert found.interval[0] < 0.5 < found.interval[1]
    assert (found.count, found.by_subject, found.held_subjects) == (n // 2, None, 0)


@pytest.mark.parametrize("classifier", sorted(CLASSIFIERS))
def test_a_shift_of_brightness_is_told(classifier: str) -> None:
    real, other = Pictures(values=white(80, 0)), Pictures(values=white(80, 1, mean=168))
    found = told_apart(real, other, classifier, FAST if classifier == "linear" else FEW, seed=0)
    assert found.interval[0] > 0.5
    assert found.accuracy == found.right / 40 > 0.8


def test_the_interval_is_clopper_and_pearsons() -> None:
    found = told_apart(
        Pictures(values=white(80, 0)), Pictures(values=white(80, 1)), "linear", FAST, seed=0
    )
    k, n = found.right, found.count
    exact = beta.ppf(0.025, k, n - k + 1), beta.ppf(0.975, k + 1, n - k)
    assert found.interval == pytest.approx(exact, abs=1e-9)


def test_subjects_are_not_recognised_in_the_part_held_out() -> None:
    """Two halves of the same subjects' pool: by picture the training subjects give themselves
    away; by subject nothing does."""
    first, second = halves_by_subject(of_subjects(80, 10, seed=3), seed=1)
    assert first.subjects is not None
    assert second.subjects is not None
    assert not np.isin(first.subjects, second.subjects).any()
    by_picture = told_apart(
        replace(first, subjects=None), replace(second, subjects=None), "linear", FAST, seed=0
    )
    assert by_picture.interval[0] > 0.7
    assert by_picture.by_subject is None
    by_subject = told_apart(first, second, "linear", FAST, seed=0)
    assert by_subject.by_subject is not None
    low, high = by_subject.by_subject
    assert low < 0.5 < high
    assert high - low > by_subject.interval[1] - by_subject.interval[0]  # frames are not alone
    assert by_subject.held_subjects == 20  # a quarter of 40 in each half
    assert by_subject.train_accuracy > 0.8


def test_both_kinds_are_equally_many() -> None:
    """Of 90 and 40, and where the subjects' sizes leave no exact quarter."""
    real = of_subjects(9, 10, seed=0)
    found = told_apart(real, Pictures(values=white(40, 1)), "linear", FAST, seed=0)
    assert found.count == 2 * 10  # a quarter of 40; the real part held out has 30
    assert found.held_subjects == 3
    half = halves_by_subject(real, seed=0)
    assert sorted(len(part.values) for part in half) == [40, 50]


def test_a_seed_decides_and_torchs_own_generator_does_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[NDArray[np.float64]] = []

    def recorded(draws: Any) -> Turns:
        turns = drawn_turns(draws)
        seen.append(turns.degrees)
        return turns

    monkeypatch.setattr(shift_classifiers, "drawn_turns", recorded)
    real, other = Pictures(values=white(60, 0)), Pictures(values=white(60, 1, mean=135))
    quick = replace(FEW, epochs=1)
    one = told_apart(real, other, "resnet18_augmented", quick, seed=4)
    torch.randn(5)
    before = torch.get_rng_state()
    assert told_apart(real, other, "resnet18_augmented", quick, seed=4) == one
    first, second = np.split(np.concatenate(seen), 2)
    assert np.array_equal(first, second)
    assert len(np.unique(first)) == 90  # a turn of its own for each picture that is not held out
    assert torch.equal(torch.get_rng_state(), before)
    linear = [told_apart(real, other, "linear", FAST, seed=seed) for seed in range(3)]
    assert len({found.train_accuracy for found in linear}) > 1


def test_real_pictures_are_of_one_part_of_the_data(tmp_path: Path) -> None:
    data = load_cache(write_cache(tmp_path / "cache"))
    found = real_pictures(data, "report", 10)
    assert found.subjects is not None
    assert len(found.values) == len(found.subjects) == 10
    assert set(found.subjects.tolist()) <= set(data.subject[data.parts["report"]].tolist())
    own = {picture.tobytes() for picture in data.images[data.parts["report"]]}
    assert {picture.tobytes() for picture in found.values} <= own
    assert real_pictures(data, "report", 10**6, by_subject=False).subjects is None


def test_what_cannot_be_is_refused() -> None:
    real = Pictures(values=white(20, 0))
    wrong: list[tuple[Any, str]] = [
        (Pictures(values=white(20, 0)[:, :, :4]), r"one shape, not \(1, 8, 8\) and \(1, 4, 8\)"),
        (Pictures(values=white(20, 0) / 255), "must be uint8"),  # type: ignore[arg-type]
        (Pictures(values=white(20, 0), subjects=np.zeros(3, int)), "20 pictures have subjects of"),
        (Pictures(values=white(20, 0), subjects=np.zeros(20, int)), "20 pictures are of 1"),
    ]
    for other, message in wrong:
        with pytest.raises(BenchError, match=message):
            told_apart(real, other, "linear", FAST, seed=0)
    with pytest.raises(BenchError, match="did you mean 'resnet18'"):
        told_apart(real, real, "resnet81", FAST, seed=0)
    with pytest.raises(BenchError, match="four subjects or more, not 3"):
        halves_by_subject(of_subjects(3, 2, seed=0), seed=0)
    with pytest.raises(BenchError, match="need pictures with subjects"):
        halves_by_subject(real, seed=0)
    with pytest.raises(BenchError, match="epochs >= 1"):
        ShiftSettings(epochs=0)
    with pytest.raises(BenchError, match="answers are not finite; lower lr"):
        told_apart(real, real, "linear", replace(FAST, lr=1e38, epochs=1), seed=0)
    with pytest.raises(BenchError, match="diverged in epoch 2; lower lr"):
        told_apart(real, real, "linear", replace(FAST, lr=1e38), seed=0)
