"""echo: image diffusion models for echocardiogram generation.

Reynaud and Kainz, "Exploring the Hyperparameter Space of Image Diffusion Models for Echocardiogram
Generation" (NeurIPS 2023 workshop): EchoNet-Dynamic, one frame in five, 64x64, ADM, DDPM++ and
NCSN++ in the EDM, VP and VE setups, 5 % dropout, no augmentation. `paper` is that setting; the
others are derived from it: smaller networks, learning rates tuned for their short budgets.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from bench.data.opening import Simulation
from bench.workloads.workload import QUARTERS, WIDE, Scale, Workload
from search_spaces import Choices

PRECONDITIONINGS = ("edm", "vp", "ve")
# Parameters that only some choices have; AdamW without weight decay would be Adam.
ONLY = {
    "edm": {"P_mean": (-1.8, -0.4), "P_std": (0.8, 1.6)},
    "adamw": {"weight_decay": (1e-3, 0.3)},
}
WEIGHTING = {"weighting": ("between", "authors")}  # of the loss of VP and VE
DEFAULTS = {
    "optimizer": "adam",
    "schedule": "constant",
    "batch_size": 32,
    "dropout": 0.05,
    "width": "default",
    "P_mean": -1.2,
    "P_std": 1.2,
    "weight_decay": 0.01,
    "lr": 1e-3,  # of a setup that no size names
}


def _choices(lr: tuple[float, float], batch_sizes: tuple[int, ...]) -> Choices:
    return Choices(
        architectures=("adm", "ddpmpp", "ncsnpp", "small_unet"),
        preconditionings=PRECONDITIONINGS,
        optimizers=("adam", "adamw"),
        schedules=("constant", "cosine", "step"),
        batch_sizes=batch_sizes,
        lr=lr,
        dropout=(0.0, 0.2),
        widths=("narrow", "default", "wide"),
        only=ONLY,
    )


def _simulation(**size: Any) -> Simulation:
    from bench.data.simulate_echo import SimulationSize

    return SimulationSize(**size)


SMOKE = Scale(
    name="smoke",
    data={"size": (16, 16), "every": 5},
    simulated={"patients": 24, "frames": 10},
    budget_tflop=0.006,
    rungs=(0.25, 0.5, 1.0),
    keep=(0.5, 0.5),
    reports=4,
    warmup_fraction=0.05,
    ema_short_fraction=0.05,
    n_select=16,
    n_report=16,
    sample={"steps": 4},
    measure={"n_reference": 256, "n_denoise": 8},
    choices=_choices((2e-4, 2e-2), (8, 16)),
    defaults={**DEFAULTS, "batch_size": 8},
    notes=("smoke scale shows that the parts work together; its numbers mean nothing",),
)

LAPTOP = Scale(
    name="laptop",
    data={"size": (32, 32), "every": 5},
    simulated={"patients": 160, "frames": 24},
    budget_tflop=6.0,
    rungs=WIDE,
    keep=QUARTERS,
    reports=10,
    warmup_fraction=0.01,
    ema_short_fraction=0.01,
    n_select=48,
    n_report=128,
    sample={"sampler": "dpmpp_2m", "steps": 15},
    measure={"n_reference": 1024, "n_denoise": 32},
    choices=dataclasses.replace(
        _choices((2e-4, 2e-2), (8, 16, 32)),
        optimizers=("adam", "adamw", "muon"),
        among={"vp": WEIGHTING, "ve": WEIGHTING},
    ),
    # what teaches most in a short training: docs/learning.md
    defaults={**DEFAULTS, "optimizer": "muon", "batch_size": 16, "weighting": "between"},
    optimizer_lr={"muon": 4e-3},
    notes=(
        "laptop scale: small networks and short runs; verdicts need not transfer to larger",
        "defaults: Muon, batches of 16, for VP and VE a loss weight between theirs and EDM's",
    ),
)

GPU = Scale(
    name="gpu",
    data={"size": (64, 64), "every": 5},
    simulated={"patients": 400, "frames": 120},
    budget_tflop=2.0e5,
    rungs=WIDE,
    keep=QUARTERS,
    reports=200,
    warmup_fraction=0.02,
    ema_short_fraction=0.005,
    n_select=2048,
    n_report=8192,
    sample={"steps": 18},
    measure={"n_reference": 8192, "n_denoise": 256, "extractor": "randconv64"},
    choices=_choices((5e-5, 2e-3), (64, 128, 256)),
    defaults={**DEFAULTS, "batch_size": 128},
    notes=("gpu scale: half-size networks; derived from the paper's setting, not tuned by it",),
)

PAPER = Scale(
    name="paper",
    data={"size": (64, 64), "every": 5},
    simulated={"patients": 400, "frames": 120},
    budget_tflop=2.8e7,  # 24 h on 8 A40 at a third of their 150 TFLOP/s in bfloat16
    rungs=WIDE,
    keep=QUARTERS,
    reports=1000,
    warmup_fraction=0.01,
    ema_short_fraction=0.001,
    n_select=10000,
    n_report=50000,
    sample={"steps": 30},
    measure={"n_reference": 50000, "n_denoise": 1024, "extractor": "randconv64"},
    choices=_choices((2e-5, 1e-3), (256, 512, 1024)),
    defaults={**DEFAULTS, "batch_size": 512},
    notes=("the paper's FID uses Inception features; here the extractor named above is used",),
)

WORKLOAD = Workload(
    name="echo",
    title="echocardiogram generation",
    source="Reynaud and Kainz 2023",
    reader="echonet",
    task="generate",
    metrics=("fd", "fd:drawn", "denoise_error", "kd", "copying", "clipping"),
    space="echo",
    simulation=_simulation,
    scales={s.name: s for s in (SMOKE, LAPTOP, GPU, PAPER)},
)
