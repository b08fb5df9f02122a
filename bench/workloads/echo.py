"""echo: image diffusion models for echocardiogram generation.

Reynaud and Kainz, "Exploring the Hyperparameter Space of Image Diffusion Models for Echocardiogram
Generation" (NeurIPS 2023 workshop): EchoNet-Dynamic, one frame in five, 64x64, ADM, DDPM++ and
NCSN++ in the EDM, VP and VE setups, 5 % dropout, no augmentation. `paper` is that setting; the
others are derived from it: smaller networks, learning rates tuned for their short budgets.
"""

from __future__ import annotations

from typing import Any

from bench.workloads.workload import Scale, SeedSpread, Size, Workload
from search_spaces import Choices

PRECONDITIONINGS = ("edm", "vp", "ve")
# Parameters that only some choices have; AdamW without weight decay would be Adam.
ONLY = {
    "edm": {"P_mean": (-1.8, -0.4), "P_std": (0.8, 1.6)},
    "adamw": {"weight_decay": (1e-3, 0.3)},
}
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


def _widths(narrow: int, default: int, wide: int) -> dict[str, int]:
    return {"narrow": narrow, "default": default, "wide": wide}


def _lr(edm: float, others: float | None = None) -> dict[str, float]:
    """Of the setups; without a difference known, the same for all."""
    return {"edm": edm, "vp": others or edm, "ve": others or edm}


def _small(unet: dict[str, Any], width: int, lr: dict[str, float]) -> dict[str, Size]:
    """The four architectures at one default width; the small U-Net keeps its own four levels."""
    widths = _widths(width - width // 4, width, width + width // 2)
    deep = {**unet, "blocks": 1}
    return {
        "adm": Size(args={**deep, "channels_per_head": 16}, widths=widths, lr=lr),
        "ddpmpp": Size(args=deep, widths=widths, lr=lr),
        "ncsnpp": Size(args=deep, widths=widths, lr=lr),
        "small_unet": Size(args={"blocks": 1}, widths=widths, lr=lr),
    }


SMOKE = Scale(
    name="smoke",
    resolution=16,
    every=5,
    patients=24,
    frames=10,
    budget_tflop=0.006,
    rungs=(0.25, 0.5, 1.0),
    keep=(0.5, 0.5),
    reports=4,
    warmup_fraction=0.05,
    ema_short_fraction=0.05,
    sample_steps=4,
    n_select=16,
    n_report=16,
    n_reference=256,
    n_denoise=8,
    sizes=_small({"multipliers": (1, 2), "attention": (8,)}, 8, _lr(2e-3)),
    choices=_choices((2e-4, 2e-2), (8, 16)),
    defaults={**DEFAULTS, "batch_size": 8},
    notes=("smoke scale shows that the parts work together; its numbers mean nothing",),
)

LAPTOP = Scale(
    name="laptop",
    resolution=32,
    every=5,
    patients=160,
    frames=24,
    budget_tflop=0.6,
    rungs=(0.25, 0.5, 1.0),
    # Seen to agree with the final order (Spearman) by 0.82 at 25 % and 0.93 at 50 % of the budget:
    # 42 completed trials of `bench sweep echo --trials 64`, as its board says.
    keep=(0.25, 0.34),
    reports=10,
    warmup_fraction=0.05,
    ema_short_fraction=0.03,
    sample_steps=8,
    n_select=48,
    n_report=128,
    n_reference=1024,
    n_denoise=32,
    sizes=_small({"multipliers": (1, 2, 2), "attention": (8,)}, 16, _lr(1e-3, 3e-3)),
    choices=_choices((2e-4, 1e-2), (8, 16, 32)),
    defaults={**DEFAULTS, "batch_size": 8},
    seed_spread=SeedSpread(
        rel_sd=0.034,
        df=12,
        source="3 new seeds of each of the 6 best on simulated data, all ddpmpp edm, sampling "
        "included (tests.measure.seed_spread)",
    ),
    notes=("laptop scale: small networks and short runs; verdicts need not transfer to larger",),
)

GPU = Scale(
    name="gpu",
    resolution=64,
    every=5,
    patients=400,
    frames=120,
    budget_tflop=2.0e5,
    rungs=(0.125, 0.25, 0.5, 1.0),
    keep=(0.5, 0.5, 0.5),
    reports=200,
    warmup_fraction=0.02,
    ema_short_fraction=0.005,
    sample_steps=18,
    n_select=2048,
    n_report=8192,
    n_reference=8192,
    n_denoise=256,
    extractor="randconv64",
    sizes={
        "adm": Size(
            args={"multipliers": (1, 2, 3, 4), "blocks": 2, "attention": (32, 16, 8)},
            widths=_widths(64, 96, 128),
            lr=_lr(2e-4),
        ),
        "ddpmpp": Size(
            args={"multipliers": (1, 2, 2, 2), "blocks": 3, "attention": (16,)},
            widths=_widths(64, 96, 128),
            lr=_lr(4e-4),
        ),
        "ncsnpp": Size(
            args={"multipliers": (1, 2, 2, 2), "blocks": 3, "attention": (16,)},
            widths=_widths(64, 96, 128),
            lr=_lr(4e-4),
        ),
        "small_unet": Size(args={}, widths=_widths(32, 64, 96), lr=_lr(5e-4)),
    },
    choices=_choices((5e-5, 2e-3), (64, 128, 256)),
    defaults={**DEFAULTS, "batch_size": 128},
    notes=("gpu scale: half-size networks; derived from the paper's setting, not tuned by it",),
)

PAPER = Scale(
    name="paper",
    resolution=64,
    every=5,
    patients=400,
    frames=120,
    budget_tflop=2.8e7,  # 24 h on 8 A40 at a third of their 150 TFLOP/s in bfloat16
    rungs=(0.125, 0.25, 0.5, 1.0),
    keep=(0.5, 0.5, 0.5),
    reports=1000,
    warmup_fraction=0.01,
    ema_short_fraction=0.001,
    sample_steps=30,
    n_select=10000,
    n_report=50000,
    n_reference=50000,
    n_denoise=1024,
    extractor="randconv64",
    sizes={
        "adm": Size(
            args={"multipliers": (1, 2, 3, 4)}, widths=_widths(128, 192, 256), lr=_lr(1e-4)
        ),
        "ddpmpp": Size(
            args={"multipliers": (1, 2, 2, 2)}, widths=_widths(96, 128, 192), lr=_lr(2e-4)
        ),
        "ncsnpp": Size(
            args={"multipliers": (1, 2, 2, 2)}, widths=_widths(96, 128, 192), lr=_lr(2e-4)
        ),
        "small_unet": Size(args={}, widths=_widths(32, 64, 96), lr=_lr(3e-4)),
    },
    choices=_choices((2e-5, 1e-3), (256, 512, 1024)),
    defaults={**DEFAULTS, "batch_size": 512},
    notes=("the paper's FID uses Inception features; here the extractor named above is used",),
)

WORKLOAD = Workload(
    name="echo",
    title="echocardiogram generation",
    source="Reynaud and Kainz 2023",
    reader="echonet",
    task="bench.workloads.generate:GenerateTask",
    space="echo",
    scales={s.name: s for s in (SMOKE, LAPTOP, GPU, PAPER)},
)
