"""The instability puzzle: was the seed's jumping loss an unstable training?

The seed saw losses jump between about 60 and 22,000 and named instability, the learning rate and
too few epochs. The explanation under test: the loss is summed over 256 x 256 pixels and averaged
over a small batch, and a sample at t = 0, whose noise of SD .01 is nearly invisible, costs about 1
a pixel: so the loss counts the samples of a batch that drew t = 0. The study asks the seed's own
log, then trains the same scheme with t recorded, then changes what the seed blamed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import Any, ClassVar

import numpy as np

from bench.errors import BenchError
from bench.metrics.loss_log import raw_stability
from bench.studies import instability_picture, log_verdict
from bench.studies.loss_series import LossSeries, linear_cost, series_of
from bench.studies.study import Answer, Arm, Findings, Picture, Ran, Setting, Study, Table
from bench.sweep.cost.equal import Equal
from bench.sweep.deciding.resolve import default_params
from bench.workloads.workload import Scale

SCHEME = "fast_ddpm"
BATCH = 6  # of the seed, as its log's levels say
KIMG = {"smoke": 1.8, "laptop": 6.0, "gpu": 60.0, "paper": 600.0}
SETTLED = 0.5  # the last share of a training, that costs and levels are read from
# A loss that wanders, once noise level and trend are out, more than twice as much between windows
# of 64 samples as independent samples would, or spikes more than 5 times in 1000 windows. At a
# training known to be sound both are far off: see the table's first rows and its control.
UNSTEADY_SCATTER, UNSTEADY_SPIKES = 2.0, 5.0


class Instability(Study):
    name: ClassVar[str] = "instability"
    title: ClassVar[str] = "was the loss that jumped by 10,000 an unstable training?"
    workloads: ClassVar[frozenset[str]] = frozenset({"chexpert"})

    def budget(self, scale: Scale) -> Equal:
        return Equal(kind="nimg", amount=KIMG.get(scale.name, KIMG["laptop"]))

    def answer(self, setting: Setting) -> Answer:
        log = log_verdict.judge()
        ran = yield arms(setting)
        base = ran[0]
        recorded = base.log()
        if recorded is None:
            raise BenchError(f"trial {base.arm.name} {base.outcome}: {base.cause}")
        pixels = math.prod(setting.data.images.shape[1:])
        series = series_of(recorded, base.config.train.batch_size, pixels)
        settled = series.last(SETTLED)
        ours = log_verdict.judge(settled.summed, settled.batch, pixels, "paired")
        agree = float((ours.best.counts == settled.least_noise).mean())
        costs = _costs(settled, setting)
        rows = [_arm_row(trial) for trial in ran]
        first = costs.rows[0]
        lines = (
            *log.lines,
            f"trained here with t recorded ({setting.label}, {pixels} pixels, batch "
            f"{settled.batch}): a sample at the least noise (SD {first[1]:.3g}) costs "
            f"{first[3]:.2f} a pixel, {first[5]:.0%} of all loss from {first[2]:.0%} of the draws; "
            f"the best linear denoiser of these pictures would pay {first[6]:.2f}",
            f"told the summed losses alone, the same fit says batch {ours.batch} and knows the "
            f"number of samples at t = 0 in {agree:.1%} of {len(settled.sigma)} steps",
            *_arms_verdict(rows),
        )
        return Findings(
            lines=lines,
            tables=(
                log.models_table("log_models", "models of the log"),
                log.batches_table("log_batches", "batch sizes the log allows"),
                costs,
                _arms_table(rows),
                _series_table(series),
            ),
            pictures=(
                Picture(
                    name="instability",
                    draw=partial(
                        instability_picture.draw,
                        log=log,
                        series=settled,
                        rows=rows,
                        label=setting.label,
                    ),
                ),
            ),
            facts={
                "seed_log": log.facts,
                "recorded": {**ours.facts, "counts_agree": agree},
                "cost_at_least_noise": first[3],
            },
        )


def arms(setting: Setting) -> tuple[Arm, ...]:
    """The seed's setting, what it blamed, the other preconditionings, and a control."""
    architecture = setting.scale.choices.architectures[0]
    pixels = math.prod(setting.data.images.shape[1:])

    def arm(name: str, why: str, scheme: str = SCHEME, budget: float = 1.0, **given: Any) -> Arm:
        cell = {"architecture": architecture, "preconditioning": scheme}
        params = {**cell, "batch_size": BATCH, "schedule": "constant", **given}
        usual = float(default_params(setting.scale, cell)["lr"])
        params["lr"] = usual * params.pop("lr_times", 1.0)
        return Arm(name=name, why=why, params=params, seed=setting.seed, budget=budget)

    return (
        arm("as the seed", f"{SCHEME}, batch {BATCH}, the preset's learning rate"),
        arm("lr / 10", "a tenth of the learning rate", lr_times=0.1),
        arm("lr x 10", "ten times the learning rate", lr_times=10.0),
        arm("longer", "three times the images", budget=3.0),
        arm("no clipping", "gradients as they come", grad_clip=0.0),
        arm("clip the sum", "clipped as 1 of the summed loss would", grad_clip=1 / pixels),
        arm("edm", "EDM preconditioning and weights", "edm"),
        arm("vp", "VP preconditioning", "vp"),
        arm("ddpm", "1000 steps in place of 10", "ddpm"),
        arm("control", "unstable on purpose: 100 x the rate, no clipping", lr_times=100.0,
            grad_clip=0.0),
    )  # fmt: skip


def _costs(settled: LossSeries, setting: Setting) -> Table:
    rows = [
        (place, sigma, share, cost, sd, of_loss, linear_cost(setting.data, sigma))
        for place, (sigma, share, cost, sd, of_loss) in enumerate(settled.by_level())
    ]
    return Table(
        name="cost_by_noise",
        title="what a sample costs by its noise level (last half of the training)",
        columns=(
            *("step of 10", "sigma", "share of draws", "cost a pixel", "sd"),
            *("share of loss", "best linear"),
        ),
        rows=rows,
    )


def _arm_row(ran: Ran) -> dict[str, Any]:
    """What one arm shows: its raw loss, and the loss with noise level and trend taken out."""
    row: dict[str, Any] = {"arm": ran.arm.name, "outcome": ran.outcome}
    row["kimg"] = ran.config.train.budget_nimg / 1000
    row["lr"] = ran.config.train.lr
    log = ran.log()
    if log is not None:
        loss = log["loss"][-int(len(log["loss"]) * SETTLED) :]
        raw = raw_stability(np.arange(len(loss)), loss)
        row["swing"] = raw.swing
        row["sd over mean"] = raw.sd / raw.mean
    for key in ("loss_rel_spread", "loss_window_scatter", "spikes_per_1k", "clipped_share"):
        row[key] = ran.metrics.get(f"stability/{key}")
    scores = [v for k, v in ran.metrics.items() if k.startswith("eval/")]
    row["score"] = scores[0] if scores else None
    row["verdict"] = _verdict(row)
    return row


def _verdict(row: dict[str, Any]) -> str:
    scatter, spikes = row["loss_window_scatter"], row["spikes_per_1k"]
    if row["outcome"] != "completed":
        return str(row["outcome"])
    if scatter is None or spikes is None:
        return "too short to tell"
    return "unsteady" if scatter > UNSTEADY_SCATTER or spikes > UNSTEADY_SPIKES else "steady"


def _arms_table(rows: Sequence[dict[str, Any]]) -> Table:
    shown = {
        "arm": "arm",
        "outcome": "outcome",
        "kimg": "kimg",
        "lr": "lr",
        "swing": "raw: largest / median",
        "sd over mean": "raw: sd / mean",
        "loss_rel_spread": "binned: spread",
        "loss_window_scatter": "binned: scatter",
        "spikes_per_1k": "binned: spikes per 1k",
        "clipped_share": "clipped steps",
        "score": "score",
        "verdict": "verdict",
    }
    return Table(
        name="arms",
        title="raw loss against the loss with noise level and trend taken out",
        columns=tuple(shown.values()),
        rows=[[row.get(key) for key in shown] for row in rows],
    )


def _series_table(series: LossSeries) -> Table:
    counts, summed = series.least_noise, series.summed
    return Table(
        name="series",
        title="the recorded series",
        columns=("step", "summed loss", "samples at t = 0", "sigmas"),
        rows=[
            (i, float(summed[i]), int(counts[i]), " ".join(f"{s:.4g}" for s in series.sigma[i]))
            for i in range(len(summed))
        ],
        shown=False,
    )


def _arms_verdict(rows: Sequence[dict[str, Any]]) -> tuple[str, ...]:
    first, control = rows[0], rows[-1]
    said = []
    if first["verdict"] == "too short to tell":
        said.append("the trials are too short for a verdict on stability; take a larger --scale")
    else:
        said.append(
            f"with noise level and trend taken out, {first['arm']!r} is {first['verdict']} "
            f"(scatter between windows {first['loss_window_scatter']:.2f}, 1 is sampling alone; "
            f"{first['spikes_per_1k']:.1f} spikes per 1k), while its raw loss reaches "
            f"{first['swing']:.0f} times its median"
        )
    unsteady = [
        row["arm"] for row in rows[:-1] if row["verdict"] not in ("steady", "too short to tell")
    ]
    said.append(
        f"arms that are not steady: {', '.join(unsteady) if unsteady else 'none'}; the control, "
        f"made to be unstable, is {control['verdict']}"
    )
    return tuple(said)


STUDY = Instability()
