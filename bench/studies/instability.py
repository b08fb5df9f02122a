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
from bench.metrics.stability import loss_stability
from bench.studies import instability_picture, log_verdict
from bench.studies.loss_series import LossSeries, linear_cost, series_of
from bench.studies.study import Answer, Arm, Findings, Picture, Ran, Setting, Study, Table
from bench.sweep.cost.equal import Equal
from bench.sweep.deciding.resolve import default_params
from bench.tasks import build_task
from bench.workloads.workload import Scale

SCHEME = "fast_ddpm"
BATCH = 6  # of the seed, as its log's levels say
KIMG = {"smoke": 3.0, "laptop": 3.0, "gpu": 60.0, "paper": 600.0}
SETTLED = 0.5  # the last share of a training, that costs, levels and verdicts are read from
# What is called unsteady, all with the noise level taken out of the last half: a loss that rose by
# more than a fifth, more than 5 spikes in 1000 windows of 64 samples, or one that wanders between
# windows more than 4 times as much as independent samples would. A network trained on 6 pictures a
# step wanders a little (1 to 2.5 is usual). A network that was thrown off early and lies still is
# steady too: so what noise costs where it is easily seen stands beside it, as a share of what
# predicting none of it costs.
RISE, SPIKES, WANDERS, LEARNED = 0.2, 5.0, 4.0, 0.5
STEADY, TOO_SHORT = "steady", "too short to tell"


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
            f"told the summed losses alone, the same fit says batch {ours.batch}, allows "
            f"{log_verdict.span(ours.likely)}, and knows the number of samples at t = 0 in "
            f"{agree:.1%} of {len(settled.sigma)} steps",
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
    row |= dict.fromkeys(("swing", "sd over mean", "noisy", "rise", "spread", "scatter", "spikes"))
    log = ran.log()
    if log is not None:
        loss = log["loss"][-int(len(log["loss"]) * SETTLED) :]
        raw = raw_stability(np.arange(len(loss)), loss)
        row |= {"swing": raw.swing, "sd over mean": raw.sd / raw.mean}
        settled = series_of(log, ran.config.train.batch_size, 1).last(SETTLED)
        binned = loss_stability(settled.sigma.ravel(), settled.error.ravel())
        row |= {
            "noisy": settled.noisy_cost,
            "rise": settled.rise(),
            "spread": binned.loss_rel_spread,
        }
        row |= {"scatter": binned.loss_window_scatter, "spikes": binned.spikes_per_1k}
    row["clipped"] = ran.metrics.get("stability/clipped_share")
    row["score"] = ran.metrics.get(f"eval/{build_task(ran.config).score.key}")
    row["verdict"] = _verdict(row)
    return row


def _verdict(row: dict[str, Any]) -> str:
    if row["outcome"] != "completed":
        return str(row["outcome"])
    if row["scatter"] is None or row["spikes"] is None:
        return TOO_SHORT
    found = {
        "learned nothing": row["noisy"] > LEARNED,
        "rises": row["rise"] > RISE,
        "spikes": row["spikes"] > SPIKES,
        "wanders": row["scatter"] > WANDERS,
    }
    return ", ".join(name for name, is_so in found.items() if is_so) or STEADY


def _arms_table(rows: Sequence[dict[str, Any]]) -> Table:
    shown = {
        "arm": "arm",
        "outcome": "outcome",
        "kimg": "kimg",
        "lr": "lr",
        "swing": "raw: largest / median",
        "sd over mean": "raw: sd / mean",
        "noisy": "cost of plain noise",
        "rise": "at equal noise: rise",
        "scatter": "scatter",
        "spikes": "spikes per 1k",
        "spread": "spread",
        "clipped": "clipped steps",
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
    by_name = {row["arm"]: row for row in rows}
    first, longer, control = rows[0], by_name["longer"], rows[-1]
    if first["verdict"] == TOO_SHORT:
        return ("the trials are too short for a verdict on stability; take a larger --scale",)
    said = [
        f"at equal noise {first['arm']!r} is {first['verdict']}: its loss rose by "
        f"{first['rise']:+.2f} (log), with {first['spikes']:.0f} spikes per 1k, and wanders "
        f"{first['scatter']:.1f} times as much as independent samples would; its raw loss reaches "
        f"{first['swing']:.0f} times its median"
    ]
    if longer["swing"] is not None and longer["score"] is not None:
        more = longer["swing"] > first["swing"]
        said.append(
            f"with three times the images the raw loss jumps {'more' if more else 'less'}: to "
            f"{longer['swing']:.0f} times its median, at a score of {longer['score']:.4g} against "
            f"{first['score']:.4g}"
            + ("; what can be learned shrinks, the least noise stays" if more else "")
        )
    others = [r["arm"] for r in rows[:-1] if r["verdict"] not in (STEADY, TOO_SHORT)]
    said.append(
        f"arms that are not steady: {', '.join(others) if others else 'none'}; the control, made "
        f"to be unstable: {control['verdict']}"
        + (
            f", whose raw loss stays within {control['swing']:.2f} times its median"
            if control["swing"]
            else ""
        )
    )
    return tuple(said)


STUDY = Instability()
