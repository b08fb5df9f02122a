"""Copies are caught, honest samples are not, and the p-value is what it says."""

from __future__ import annotations

import dataclasses
import itertools
from pathlib import Path

import numpy as np
import pytest

from bench.data.practice_data import write_practice_data
from bench.metrics import copying, copying_metric
from bench.metrics.copying_metric import LEVEL, CopyingMetric, searched_rows
from bench.metrics.metric import Evidence
from bench.metrics.real import RealData
from bench.predictions import Predictions

TRAIN, HELD, SAMPLES, WIDTH = 60, 20, 40, 6


def people(n: int, seed: int, frames: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Frames of n subjects: near each other, far from others'."""
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((n, 1, WIDTH)).repeat(frames, axis=1)
    features = centres + 0.02 * rng.standard_normal(centres.shape)
    return features.reshape(-1, WIDTH), np.arange(n).repeat(frames) + 1000 * seed


def near(log_ratios: np.ndarray, pictures: np.ndarray | None = None) -> copying.Nearness:
    """Samples of which only that much matters, each near to a picture of its own."""
    own = np.arange(len(log_ratios)) if pictures is None else pictures
    return copying.Nearness(distance=np.ones(len(own)), log_ratio=log_ratios, picture=own)


class World:
    """Training and held-out subjects, and what real pictures say of nearness."""

    def __init__(self, seed: int = 0) -> None:
        self.features, owners = people(TRAIN, 3 * seed + 1)
        held, held_owners = people(HELD, 3 * seed + 2)
        mirror = np.r_[-np.ones(1), np.ones(WIDTH - 1)]
        self.train = copying.Known.of(self.features, self.features * mirror, owners)
        self.held = copying.Known.of(held, held * mirror, held_owners)
        own = copying.nearness(self.features, owners, self.train, self.held)
        theirs = copying.nearness(held, held_owners, self.train, self.held)
        ratios = np.concatenate([own.log_ratio, theirs.log_ratio])
        self.null = copying.nearest_by_subject(ratios, np.concatenate([owners, held_owners]))
        self.others, self.mirror = own.distance, mirror
        self.honest = people(SAMPLES, 3 * seed + 3, frames=1)[0]

    def near(self, features: np.ndarray) -> copying.Nearness:
        nobody = np.full(len(features), copying.NOBODY)
        return copying.nearness(features, nobody, self.train, self.held)

    def p(self, features: np.ndarray) -> float:
        return copying.copied_p(self.near(features), self.null)


def test_p_is_the_share_of_orders() -> None:
    """Three samples among four subjects: every order is equally likely; counted one by one."""
    null = np.array([1.0, 3.0, 5.0, 7.0])
    samples = np.array([0.5, 0.7, 4.0])
    orders = list(itertools.combinations(range(7), 3))  # places of the samples
    before_first = np.array([sum(place == k for k, place in enumerate(o)) for o in orders])
    before_third = np.array([sum(p - k < 3 for k, p in enumerate(o)) for o in orders])
    tails = [(before_first >= 2).mean(), (before_third >= 3).mean()]
    assert copying.copied_p(near(samples), null) == pytest.approx(2 * min(tails))
    assert copying.copied_p(near(np.array([8.0, 9.0])), null) == 1.0


def test_copies_are_caught_as_they_are_mirrored_and_changed() -> None:
    world, rng = World(), np.random.default_rng(5)
    copies = world.features[rng.choice(len(world.features), SAMPLES // 4, replace=False)]
    assert world.p(world.honest) > LEVEL
    for changed in (copies, copies * world.mirror, copies + 0.02 * rng.standard_normal(WIDTH)):
        mixed = np.concatenate([changed, world.honest[len(copies) :]])
        assert world.p(mixed) < LEVEL / 10
        near = world.near(mixed)
        share = copying.copied_share(near, world.null)
        assert 0.2 <= share <= 0.35
        found = world.features[near.picture[: len(copies)]]
        assert np.abs(found - copies).max() < 0.2  # a frame of the subject that was copied


def test_honest_samples_alarm_no_more_often_than_said() -> None:
    alarms = [World(seed).p(World(seed).honest) < 0.05 for seed in range(60)]
    assert np.mean(alarms) <= 0.05


def test_smooth_and_collapsed_samples_are_no_copies() -> None:
    """Near the mean of all a sample is near to everybody; where the mean happens to be next to
    somebody, all samples are: that is one accident and not many copies."""
    worlds = [World(seed) for seed in range(12)]
    seen = [
        [world.near(towards * world.honest) for towards in (0.5, 0.1, 0.03)] for world in worlds
    ]
    ps = [
        copying.copied_p(one, w.null) for w, each in zip(worlds, seen, strict=True) for one in each
    ]
    assert sum(p < LEVEL for p in ps) <= 1
    counted_each = [
        copying.copied_p(near(one.log_ratio), world.null)
        for world, each in zip(worlds, seen, strict=True)
        for one in each
    ]
    assert sum(p < LEVEL for p in counted_each) > 1


def test_twins_in_the_data_neither_alarm_nor_hide_copies() -> None:
    """One picture under two names: samples may be such twins too, and copies are still found."""
    world = World()
    null = np.sort(np.r_[-6.0, -6.0, world.null[2:]])
    copies = world.near(world.features[:60:3]).log_ratio
    honest = world.near(world.honest[:20]).log_ratio
    assert copying.copied_p(near(np.concatenate([copies, honest])), null) < LEVEL
    assert copying.copied_p(near(np.r_[-6.0, honest]), null) > LEVEL


def test_authentic_samples_are_further_than_training_pictures_are_from_each_other() -> None:
    world = World()
    copies, honest = world.near(world.features[:20]), world.near(world.honest)
    assert copying.authentic_share(copies, world.others) == 0
    assert copying.authentic_share(honest, world.others) > 0.3


def test_distances_are_those_to_other_subjects() -> None:
    """Against a slow loop over pictures and mirror images."""
    world = World()
    sample = world.honest[:3]
    both = np.concatenate([world.features, world.features * world.mirror])
    owners = np.tile(np.arange(TRAIN).repeat(3) + 1000, 2)
    first, second, picture = world.train.nearest(sample, owners[:3])
    for k in range(3):
        distances = np.linalg.norm(both - sample[k], axis=1)
        by = sorted((distances[owners == o].min(), o) for o in set(owners) - {owners[k]})
        assert (first[k], second[k]) == pytest.approx((by[0][0], by[1][0]))
        assert owners[picture[k]] == by[0][1]


def test_the_metric_tells_training_pictures_from_others(tmp_path: Path) -> None:
    """Of a part at a rung it does not see `report`; of one subject there is no p-value."""
    real = RealData(str(write_practice_data(tmp_path / "cache", (8, 8)).path))
    metric = CopyingMetric(dict(CopyingMetric.settings_taken()))
    copies = real.pictures_at(searched_rows(real)[:14])
    values = {}
    for name, pictures in (("copies", copies), ("real", real.pictures("report", 14))):
        predictions = Predictions(values=pictures, passes=1, outside_share=0.0)
        values[name] = metric.estimate(Evidence(part="select", real=real, predictions=predictions))
    assert values["copies"]["authentic"] == 0
    assert values["copies"]["copied"] > values["real"]["copied"]
    assert values["copies"].get("copied_p", 0.0) < values["real"].get("copied_p", 1.0)


def test_what_it_cannot_see_is_said_at_planning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = RealData(str(write_practice_data(tmp_path / "cache", (8, 8)).path))
    metric = CopyingMetric(dict(CopyingMetric.settings_taken()))
    assert metric.notes(real) == ()
    data = real.data
    four = dataclasses.replace(data, subject=data.subject % 4)
    monkeypatch.setattr(RealData, "data", four)
    monkeypatch.setattr(copying_metric, "MOST_TRAIN", 7)
    assert metric.notes(real) == (
        "copies of training pictures cannot be told, so no entry is barred: the data have 4 "
        "subjects and the test needs 5",
        f"copies are searched for among 7 of {len(data.parts['train'])} training pictures, drawn "
        "once; those of others are not seen",
    )
