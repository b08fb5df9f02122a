"""How a U-Net of volumes joins its skips: averaged, added or concatenated.

PatchDDM averages, says that it makes a network 1.61 times as wide in the same memory, and that
plain addition explodes. Here each way trains at the width of the preset, at as many parameters and
at as much training memory as concatenation has there; beside it stand the norms of activations and
gradients at every depth of a new network.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, cast

import torch

from backbones.backbone import Backbone
from backbones.depth_norms import DepthNorm, depth_norms
from bench.config import TrialConfig
from bench.errors import BenchError
from bench.methods import build_method
from bench.studies import segmentation_arms
from bench.studies.arm_means import arms, compared
from bench.studies.segmentation_arms import WORKLOADS
from bench.studies.study import (
    FAILS,
    HOLDS,
    OPEN,
    Answer,
    Claim,
    Findings,
    Picture,
    Setting,
    Study,
    Table,
)
from bench.sweep.cost.equal import MEMORY
from bench.sweep.cost.footprint import predict
from bench.sweep.cost.price import cost
from bench.sweep.cost.widest import WIDTH, widest, width_step
from bench.sweep.deciding.resolve import resolve
from bench.tasks import build_task

SKIPS = ("concatenate", "average", "add")
USUAL = SKIPS[0]  # what the others are made equal to
PAPERS_RATIO = 1.61
STEPS, CASES = 8, 2  # before the norms are taken, and of the batch
ADAM_LR = 1e-3  # of these steps, whatever optimizer the trials have
EXPLODES = 10.0  # times what concatenation has in the same block
PAPERS_LEVELS = 7
Size = Callable[[TrialConfig], float]


class Skip(Study):
    name: ClassVar[str] = "skip"
    title: ClassVar[str] = "how should skips be joined?"
    workloads: ClassVar[frozenset[str]] = WORKLOADS

    def answer(self, setting: Setting) -> Answer:
        if setting.frame.budget.kind == MEMORY:
            raise BenchError(
                "this study chooses widths itself, one of them for equal memory; leave out --equal"
            )
        base = segmentation_arms.base(setting, "skip", WIDTH)
        sized = {
            "as wide": None,
            "as many parameters": lambda c: float(cost(c.task, c.method).parameters),
            "as much memory": lambda c: predict(c).training_peak_gb,
        }
        variants: dict[str, dict[str, Any]] = {}
        same: list[str] = []  # arms that would be another's network
        ratio = 1.0  # of the width of averaging, in as much memory, to concatenation's
        usual = resolve(setting.frame, {**base, "skip": USUAL}, setting.seed)
        for skip in SKIPS:
            for how, size in sized.items():
                if skip == USUAL and size is not None:
                    continue
                name = skip if skip == USUAL else f"{skip}, {how}"
                width = usual.method.backbone_args[WIDTH]
                if size is not None:
                    width, exact = width_for(setting, {**base, "skip": skip}, size, size(usual))
                    if name == "average, as much memory":
                        ratio = exact / usual.method.backbone_args[WIDTH]
                arm = {**base, "skip": skip, WIDTH: width}
                twin = next((other for other, params in variants.items() if params == arm), None)
                if twin is None:
                    variants[name] = arm
                else:
                    same.append(f"{name} is {twin}: widths go in steps of the norms' groups")
        ran = yield arms(setting, variants, "skips joined another way")
        widths = {name: {WIDTH: params[WIDTH]} for name, params in variants.items()}
        found = compared(
            setting,
            list(variants),
            ran,
            name=self.name,
            title=self.title,
            beside=segmentation_arms.beside(build_task(ran[0].config)),
            more=widths,
            lines=(
                f"averaging is {ratio:.2f} times as wide in the memory of concatenation "
                f"(predicted, between two widths that can be); the paper: {PAPERS_RATIO}",
                *same,
            ),
        )
        return with_depths(found, setting, {s: variants[self._as_wide(s)] for s in SKIPS}, ratio)

    @staticmethod
    def _as_wide(skip: str) -> str:
        return skip if skip == USUAL else f"{skip}, as wide"


def width_for(
    setting: Setting, params: dict[str, Any], size: Size, wanted: float
) -> tuple[int, float]:
    """The width at which a network's size is nearest to `wanted`, and where it would be equal if
    there were networks of every width (a straight line between two that there are)."""

    def at(width: int) -> TrialConfig:
        return resolve(setting.frame, {**params, WIDTH: width}, setting.seed)

    step = width_step(resolve(setting.frame, params, setting.seed).method.backbone_args)
    below = widest(lambda width: size(at(width)) <= wanted, step)
    if below is None:
        return step, step * wanted / size(at(step))
    low, high = size(at(below)), size(at(below + step))
    exact = below + step * (wanted - low) / (high - low)
    return (below if exact - below < step / 2 else below + step), exact


def with_depths(
    found: Findings, setting: Setting, variants: Mapping[str, Mapping[str, Any]], ratio: float
) -> Findings:
    """The findings with the norms by depth of each skip, and the document's claims."""
    rows, norms = [], {}
    for skip, params in variants.items():
        config = resolve(setting.frame, params, setting.seed)
        norms[skip] = norms_of(config)
        rows += [(skip, n.name, n.activation_rms, n.gradient_rms) for n in norms[skip]]
    usual = {n.name: n for n in norms[USUAL]}
    grown = max(
        times(*pair)
        for n in norms["add"]
        for pair in (
            (n.activation_rms, usual[n.name].activation_rms),
            (n.gradient_rms, usual[n.name].gradient_rms),
        )
    )
    settings = resolve(setting.frame, variants["add"], setting.seed).method.backbone_args
    levels = len(settings["multipliers"])
    table = Table(
        name="depth_norms",
        title=f"root mean squares by depth after {STEPS} steps",
        columns=("skip", "block", "activation", "gradient"),
        rows=rows,
        shown=False,
    )
    picture = Picture(name="depth_norms", draw=partial(draw_depths, rows=rows, label=setting.label))
    claims = (
        Claim(
            text="skips that are plainly added make a network explode",
            verdict=HOLDS if grown > EXPLODES else FAILS if levels >= PAPERS_LEVELS else OPEN,
            evidence=f"after {STEPS} steps at {setting.scale.name} scale, in {levels} levels (the "
            f"paper: {PAPERS_LEVELS}), activations and gradients are at most {grown:.2g} times "
            "those with concatenation, block by block",
        ),
        Claim(
            text=f"averaging allows {PAPERS_RATIO} times the width in the same memory",
            verdict=HOLDS if ratio >= 0.9 * PAPERS_RATIO else FAILS,
            evidence=f"{ratio:.2f} times at this scale, by predicted training memory",
        ),
    )
    return Findings(
        lines=found.lines,
        tables=(*found.tables, table),
        pictures=(*found.pictures, picture),
        claims=claims,
        facts=found.facts,
    )


def times(value: float, usual: float) -> float:
    """How many times the usual norm a norm is; infinite where it alone is no finite number."""
    if not math.isfinite(usual):
        return 0.0  # concatenation explodes too: no claim about addition
    if not math.isfinite(value):
        return math.inf
    return value / usual if usual > 0 else (math.inf if value > 0 else 0.0)


def draw_depths(path: Path, *, rows: list[tuple[Any, ...]], label: str) -> None:
    """Activations and gradients by depth, a line each skip."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 4), layout="constrained")
    for axes, column, title in zip(
        figure.subplots(1, 2), (2, 3), ("activation", "gradient"), strict=True
    ):
        for skip in dict.fromkeys(row[0] for row in rows):
            axes.plot([row[column] for row in rows if row[0] == skip], ".-", label=skip)
        axes.set(yscale="log", xlabel="block, from input to output", title=f"{title}, rms")
    figure.axes[0].legend()
    figure.suptitle(f"after {STEPS} steps, by depth ({label})")
    figure.savefig(path, dpi=110, format="png")


def norms_of(config: TrialConfig) -> list[DepthNorm]:
    """Of a new network after a few steps on unit normal images and targets: before the first one
    its last layer is zero and passes no gradient back."""
    inputs, net = config.task.inputs, cast(Backbone, build_method(config).net)
    torch.manual_seed(config.seed)
    x = torch.randn(CASES, inputs.in_channels, *inputs.spatial)
    target = torch.randn(CASES, inputs.out_channels, *inputs.spatial)
    level = torch.full((CASES,), sum(net.c_noise_range) / 2)
    return depth_norms(net, x, level, target, steps=STEPS, lr=ADAM_LR)


STUDY = Skip()
