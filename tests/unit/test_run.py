"""A trial from its first report to its end, and every way it can end."""

from __future__ import annotations

import json
import math
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from bench import run
from bench.methods import build_method
from bench.methods.diffusion import Sampling
from bench.predictions import Cases, Predictions
from bench.run import Report, run_trial, steps
from bench.tasks.generate import GenerateTask
from bench.train import checkpoint
from bench.train.loop import Training
from tests.fakes.trials import NETS, SIDE, net_of, timeless, tiny, write_cache


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_cache(tmp_path_factory.mktemp("fake") / "cache")


@pytest.fixture(scope="module")
def completed(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Report], Path]:
    """A trial long enough for every measured quantity: stability wants 20 windows of 64."""
    folder = tmp_path_factory.mktemp("trial")
    shape = {"budget_nimg": 1536, "rungs_nimg": (384, 768, 1536), "report_nimg": 384}
    shape |= {"batch_size": 32, "micro_batch": 32}
    shape |= {"snapshots": 4}
    config = tiny(cache, **{f"train.{k}": v for k, v in shape.items()})
    return list(steps(config, folder)), folder


def names(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.glob("[!.]*"))


def test_sequence_of_reports(cache: Path, tmp_path: Path) -> None:
    said = list(steps(tiny(cache), tmp_path))
    assert [(r.phase, r.nimg, r.rung) for r in said] == [
        ("progress", 8, None),
        ("rung", 16, 0),
        ("progress", 24, None),
        ("rung", 32, 1),
        ("progress", 40, None),
        ("progress", 48, None),
        ("progress", 56, None),
        ("rung", 64, 2),
        ("end", 64, None),
    ]
    assert [r.outcome for r in said] == [None] * 8 + ["completed"]
    assert all((r.value is not None) == (r.phase == "rung") for r in said)


def test_reports_lie_on_a_grid_whatever_the_batch(cache: Path, tmp_path: Path) -> None:
    config = tiny(cache, **{"train.report_nimg": 20})
    assert [r.nimg for r in steps(config, tmp_path)] == [16, 24, 32, 40, 64, 64]


def test_each_metric_is_said_once_where_it_belongs(completed: tuple[list[Report], Path]) -> None:
    said, _ = completed
    families = [{key.split("/")[0] for key in r.metrics} for r in said]
    for report, groups in zip(said, families, strict=True):
        if report.phase == "progress":
            assert groups == {"train", "throughput"}
        elif report.phase == "rung":
            assert groups == {"train", "throughput", "rung", "stability"}
            assert report.metrics["rung/fd_randconv"] == report.value
        else:
            assert groups == {"eval", "throughput"}


def test_a_completed_trial_measured_all_there_is(completed: tuple[list[Report], Path]) -> None:
    """The issue's list: quality, denoising error, stability, throughput, memory."""
    said, _ = completed
    assert said[-1].outcome == "completed"
    metrics: dict[str, float] = {}
    for report in said:
        metrics |= report.metrics
    quality = ("fd_randconv", "fd_randconv_se", "denoise_error", "denoise_error_se", "nfe")
    expected = {f"{when}/{name}" for when in ("rung", "eval") for name in quality}
    expected |= {"eval/fd_randconv_train"}
    stability = ("loss_rel_spread", "loss_window_scatter", "spikes_per_1k", "clipped_share")
    expected |= {f"stability/{name}" for name in (*stability, "nonfinite_share")}
    expected |= {f"throughput/{name}" for name in ("train_img_per_sec", "sample_img_per_sec")}
    expected |= {f"throughput/{name}" for name in ("sample_sec_per_img", "peak_mem_gb")}
    expected |= {"throughput/training_mem_gb", "train/loss", "train/lr"}
    assert expected <= set(metrics)
    assert all(math.isfinite(value) for value in metrics.values())
    assert metrics["eval/nfe"] == 3
    rate, per_image = (metrics[f"throughput/sample_{n}"] for n in ("img_per_sec", "sec_per_img"))
    assert rate * per_image == pytest.approx(1)
    assert 0.05 < metrics["throughput/peak_mem_gb"] < 16
    assert 0 < metrics["throughput/training_mem_gb"] < metrics["throughput/peak_mem_gb"]
    assert set(said[-1].seconds) == {"train", "sample", "measure", "save"}
    assert all(value > 0 for value in said[-1].seconds.values())


def test_a_trial_that_answers_in_tiles_says_so(cache: Path, tmp_path: Path) -> None:
    last = run_trial(tiny(cache, **{"sample.tile": (SIDE // 2, SIDE)}), tmp_path)
    assert last.outcome == "completed", last.cause
    assert last.notes == [f"answered in overlapping tiles of {SIDE // 2} x {SIDE}, blended"]


def test_reports_are_plain_json(completed: tuple[list[Report], Path]) -> None:
    said, _ = completed
    for report in said:
        assert Report(**json.loads(json.dumps(asdict(report), allow_nan=False))) == report


def test_what_a_completed_trial_leaves(completed: tuple[list[Report], Path]) -> None:
    said, folder = completed
    assert names(folder) == [
        "checkpoint-000000000768.safetensors",
        "checkpoint-000000001536.safetensors",
        *(f"denoising-{n:012d}.png" for n in (384, 768)),
        "denoising.png",
        *(f"samples-{n:012d}.png" for n in (384, 768)),
        "samples.png",
        *(f"snapshot-{n:012d}.safetensors" for n in (192, 544, 992, 1536)),
        "stability_log.npz",
        "weights.safetensors",
    ]
    assert said[-1].artifacts == [
        {"name": name, "path": name, "real": False} for name in ("samples.png", "denoising.png")
    ]
    with Image.open(folder / "samples.png") as picture:
        assert len(np.unique(np.asarray(picture))) > 3  # more than black, white and the frame
    with np.load(folder / "stability_log.npz") as log:
        assert log["sigma"].shape == log["sq_error"].shape == (1536,)
        assert log["loss"].shape == log["clipped"].shape == (48,)


@pytest.mark.parametrize(("count", "moments"), [(0, []), (1, [64]), (3, [16, 32, 64])])
def test_snapshots_as_configured(
    cache: Path, tmp_path: Path, count: int, moments: list[int]
) -> None:
    """At (k/n)^1.5 of the budget, in whole batches; both long averages, in half precision, and
    the network itself at the end."""
    config = tiny(cache, **{"train.snapshots": count})
    list(steps(config, tmp_path))
    snapshots = sorted(tmp_path.glob("snapshot-*"))
    assert [int(p.name[9:21]) for p in snapshots] == moments
    ema, _ = checkpoint.read(tmp_path / "weights.safetensors")
    for path in snapshots:
        tensors, _ = checkpoint.read(path)
        assert {t.dtype for t in tensors.values()} == {torch.float16}
        at_end = {"network"} if "64" in path.name else set()
        assert {key.split("/")[0] for key in tensors} == {"power0.05", "power0.1"} | at_end
        if at_end:
            for name, value in ema.items():
                assert torch.equal(tensors[f"power0.1/{name}"], value.half())


@pytest.mark.parametrize("backbone", NETS)
def test_kept_weights_load_into_a_net_of_another_seed(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, backbone: str
) -> None:
    """NCSN++ draws its Fourier frequencies at initialisation: without them the rest is useless."""
    judged: list[Any] = []
    evaluate = GenerateTask.evaluate

    def evaluated(self: GenerateTask, predictor: Any, part: str, clock: Any) -> Any:
        judged.append(predictor.nets[0])
        return evaluate(self, predictor, part, clock)

    monkeypatch.setattr(GenerateTask, "evaluate", evaluated)
    config = tiny(cache, method=net_of(backbone))
    list(steps(config, tmp_path))
    x = torch.linspace(-1, 1, 2 * SIDE * SIDE).view(2, 1, SIDE, SIDE)
    noise = torch.tensor([-0.3, 0.4])
    with torch.no_grad():
        expected = judged[-1](x, noise, None)
        assert expected.abs().max() > 0.01

        def loaded(tensors: dict[str, torch.Tensor]) -> torch.Tensor:
            other = build_method(tiny(cache, method=config.method, seed=99)).net.eval()
            other.load_state_dict(tensors)
            out: torch.Tensor = other(x, noise, None)
            return out

        ema, _ = checkpoint.read(tmp_path / "weights.safetensors")
        assert torch.equal(loaded(ema), expected)
        snapshot, _ = checkpoint.read(tmp_path / "snapshot-000000000064.safetensors")
        long = {k[9:]: v for k, v in snapshot.items() if k.startswith("power0.1/")}
        # weights of 11 bits, a dozen layers deep
        assert (loaded(long) - expected).abs().max() < 0.01 * expected.abs().max()


def test_never_more_checkpoints_than_stated(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "CHECKPOINT_SEC", -1.0)
    counts = [len(checkpoint.existing(tmp_path)) for _ in steps(tiny(cache), tmp_path)]
    assert counts == [1, *[checkpoint.KEEP] * 8]


def test_stopping_closes_the_trial_and_keeps_its_checkpoint(cache: Path, tmp_path: Path) -> None:
    last = run_trial(tiny(cache), tmp_path, lambda report: report.rung == 0)
    assert (last.phase, last.nimg, last.outcome) == ("rung", 16, None)
    assert names(tmp_path) == [
        "checkpoint-000000000016.safetensors",
        "denoising-000000000016.png",
        "samples-000000000016.png",
    ]


def test_report_is_looked_at_once_with_pictures_of_its_own(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts: list[str] = []
    drawn: dict[str, np.ndarray[Any, Any]] = {}
    evaluate, predict = GenerateTask.evaluate, Sampling.predict

    def evaluated(self: GenerateTask, predictor: Any, part: str, clock: Any) -> Any:
        parts.append(part)
        return evaluate(self, predictor, part, clock)

    def predicted(self: Sampling, cases: Cases) -> Predictions:
        made = predict(self, cases)
        drawn[f"{parts[-1]} {cases.purpose}"] = made.values
        return made

    monkeypatch.setattr(GenerateTask, "evaluate", evaluated)
    monkeypatch.setattr(Sampling, "predict", predicted)
    said = list(steps(tiny(cache), tmp_path))
    assert parts == ["select", "select", "select", "report"]
    assert set(drawn) == {"select sample/select", "report sample/report"}
    select, report = drawn.values()
    flat = {picture.tobytes() for picture in select}
    assert not flat & {picture.tobytes() for picture in report}
    assert said[-1].metrics["eval/fd_randconv"] != said[-2].metrics["rung/fd_randconv"]


def test_early_rungs_judge_the_short_average_and_the_last_the_long(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    judged: list[str] = []
    evaluate = GenerateTask.evaluate

    def evaluated(self: GenerateTask, predictor: Any, part: str, clock: Any) -> Any:
        weight = next(iter(predictor.nets[0].parameters()))
        averages = holder[-1].averages
        same = [k for k in averages.weights if torch.equal(averages.weights[k][0], weight)]
        judged.extend(same)
        assert not predictor.nets[0].training
        assert not any(p.requires_grad for p in predictor.nets[0].parameters())
        assert predictor.nets[0] is not holder[-1].objective.net
        return evaluate(self, predictor, part, clock)

    holder: list[Training] = []
    create = Training.__init__

    def kept(self: Training, *args: Any) -> None:
        create(self, *args)
        holder.append(self)

    monkeypatch.setattr(Training, "__init__", kept)
    monkeypatch.setattr(GenerateTask, "evaluate", evaluated)
    list(steps(tiny(cache), tmp_path))
    assert judged == ["short", "short", "power0.1", "power0.1"]


def test_evaluating_leaves_training_as_it_was(cache: Path, tmp_path: Path) -> None:
    """The same weights with three rungs and with one."""
    one = tiny(cache, **{"train.rungs_nimg": (64,)})
    list(steps(tiny(cache), tmp_path / "three"))
    list(steps(one, tmp_path / "one"))
    a, _ = checkpoint.read(tmp_path / "three" / "weights.safetensors")
    b, _ = checkpoint.read(tmp_path / "one" / "weights.safetensors")
    assert all(torch.equal(a[key], b[key]) for key in a)


def test_pictures_hardly_depend_on_the_sampling_batch(cache: Path, tmp_path: Path) -> None:
    """Other batch sizes may round convolutions otherwise: single pixels move by one grey level,
    which moves features, of order 1 in units of their spread, by about 1e-4."""
    by_size = [
        run_trial(tiny(cache, **{"sample.batch_size": size}), tmp_path / str(size)).metrics
        for size in (1, 5, 64)
    ]
    for other in by_size[1:]:
        assert other["eval/fd_randconv"] == pytest.approx(by_size[0]["eval/fd_randconv"], rel=1e-3)
        assert other["eval/denoise_error"] == by_size[0]["eval/denoise_error"]


def test_net_weights_can_be_judged_instead(cache: Path, tmp_path: Path) -> None:
    ema = run_trial(tiny(cache), tmp_path / "ema").metrics["eval/denoise_error"]
    config = tiny(cache, **{"sample.ema": 0.0})
    assert run_trial(config, tmp_path / "net").metrics["eval/denoise_error"] != ema


def test_same_trial_twice_in_one_process(cache: Path, tmp_path: Path) -> None:
    said = [[timeless(r) for r in steps(tiny(cache), tmp_path / str(i))] for i in range(2)]
    assert said[0] == said[1]


def test_training_speed_is_of_training(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Building a trial (in a fresh process: importing libraries) is not on the clock."""
    order: list[str] = []
    original, phase = run.build_method, run.Stopwatch.phase

    def built(config: Any) -> Any:
        order.append("build")
        return original(config)

    def timed(self: Any, name: Any) -> Any:
        order.append(name)
        return phase(self, name)

    monkeypatch.setattr(run, "build_method", built)
    monkeypatch.setattr(run.Stopwatch, "phase", timed)
    next(steps(tiny(cache), tmp_path))
    assert order == ["build", "train"]


def test_training_speed_is_not_of_the_disk(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A slow disk costs seconds of its own and no images per second."""
    save = Training.save

    def slow(self: Training, *args: Any) -> Path:
        time.sleep(0.5)
        return save(self, *args)

    monkeypatch.setattr(Training, "save", slow)
    end = list(steps(tiny(cache), tmp_path))[-1]
    assert end.seconds["save"] > 1.5
    rate = end.metrics["throughput/train_img_per_sec"]
    assert rate == pytest.approx(64 / end.seconds["train"])
    assert end.seconds["train"] < 1.5  # 8 steps of a tiny network
