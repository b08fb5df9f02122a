"""chexpert: denoising chest x-rays by conditional diffusion, and by what it has to beat.

"Applying Fast-DDPM to CheXpert: A Study in Medical Image Denoising" (the seed document), after
Jiang et al., "Fast-DDPM" (arXiv 2405.14802): 256 px, ten noise levels in training and in sampling,
batches of a few pictures. `paper` is that setting; the others are derived from it. The noisy
picture is joined to the state; its x-ray noise is that of bench.tasks.xray_noise.

Every scheme samples in ten Euler steps (DDIM without noise) on the noise levels of its own, so that
Fast-DDPM is sampled where it was trained, and each estimate on the way is clipped to the pictures'
range: a network that predicts noise errs by sigma times its error. That is a sample of the
posterior: see bench.tasks.restore for `--set samples=8`, which averages several.
"""

from __future__ import annotations

from typing import Any

from bench.data.opening import Simulation
from bench.workloads.workload import Scale, Workload
from search_spaces import Choices

METHODS = ("diffusion", "direct", "classical")
PRECONDITIONINGS = ("fast_ddpm", "fast_ddpm_uniform", "ddpm", "edm", "vp", "ve")
ESTIMATORS = ("identity", "nlm", "wavelet", "total_variation", "block_matching")
SAMPLE = {"sampler": "euler", "grid": "own", "steps": 10, "clip": True}
# Parameters that only some choices have; AdamW without weight decay would be Adam. `noise` is on
# the range [-1, 1]; the default dose gives about .19 on an average radiograph.
ONLY = {
    "edm": {"P_mean": (-1.8, -0.4), "P_std": (0.8, 1.6)},
    "adamw": {"weight_decay": (1e-3, 0.3)},
    "nlm": {"noise": (0.05, 0.4), "strength": (0.3, 1.5)},
    "wavelet": {"noise": (0.05, 0.4)},
    "total_variation": {"weight": (0.02, 0.6)},
    "block_matching": {"noise": (0.05, 0.4)},
}
AMONG: dict[str, dict[str, tuple[Any, ...]]] = {
    "direct": {"augment": (0.0, 0.5)},
    "wavelet": {"shrink": ("bayes", "visu")},
}
DEFAULTS = {
    "optimizer": "adam",
    "schedule": "constant",
    "batch_size": 16,
    "dropout": 0.0,
    "width": "default",
    "P_mean": -1.2,
    "P_std": 1.2,
    "weight_decay": 0.01,
    "augment": 0.0,
    "lr": 2e-4,  # of a setup that no size names
}


def _choices(
    lr: tuple[float, float],
    batch_sizes: tuple[int, ...],
    *,
    architectures: tuple[str, ...] = ("ddpm_unet",),
    preconditionings: tuple[str, ...] = PRECONDITIONINGS,
    estimators: tuple[str, ...] = ESTIMATORS,
) -> Choices:
    return Choices(
        methods=METHODS,
        architectures=architectures,
        preconditionings=preconditionings,
        estimators=estimators,
        optimizers=("adam", "adamw"),
        schedules=("constant", "cosine"),
        batch_sizes=batch_sizes,
        lr=lr,
        dropout=(0.0, 0.1),
        widths=("narrow", "default", "wide"),
        only=ONLY,
        among=AMONG,
    )


def _simulation(**size: Any) -> Simulation:
    from bench.data.simulate_chest import SimulationSize

    return SimulationSize(**size)


SMOKE = Scale(
    name="smoke",
    data={"size": (16, 16)},
    simulated={"patients": 30, "views": 1, "side": 32},
    budget_tflop=0.004,
    rungs=(0.25, 0.5, 1.0),
    keep=(0.5, 0.5),
    reports=4,
    warmup_fraction=0.05,
    ema_short_fraction=0.05,
    n_select=6,
    n_report=8,
    sample=SAMPLE,
    choices=_choices(
        (2e-4, 2e-2),
        (8, 16),
        architectures=("small_unet",),
        preconditionings=("fast_ddpm", "edm"),
        estimators=("total_variation", "block_matching"),
    ),
    defaults={**DEFAULTS, "batch_size": 8},
    notes=("smoke scale shows that the parts work together; its numbers mean nothing",),
)

LAPTOP = Scale(
    name="laptop",
    data={"size": (32, 32)},
    simulated={"patients": 300, "views": 2, "side": 64},
    budget_tflop=0.6,
    rungs=(0.25, 0.5, 1.0),
    keep=(0.34, 0.5),
    reports=10,
    warmup_fraction=0.05,
    ema_short_fraction=0.03,
    n_select=32,
    n_report=96,
    sample=SAMPLE,
    choices=_choices((2e-4, 1e-2), (8, 16, 32)),
    defaults={**DEFAULTS, "batch_size": 8},
    notes=("laptop scale: small networks and short runs; verdicts need not transfer to larger",),
)

GPU = Scale(
    name="gpu",
    data={"size": (128, 128)},
    simulated={"patients": 1500, "views": 2, "side": 160},
    budget_tflop=2.0e5,
    rungs=(0.125, 0.25, 0.5, 1.0),
    keep=(0.5, 0.5, 0.5),
    reports=200,
    warmup_fraction=0.02,
    ema_short_fraction=0.005,
    n_select=64,
    n_report=256,
    sample={**SAMPLE, "batch_size": 32},
    choices=_choices((2e-5, 1e-3), (16, 32, 64)),
    defaults={**DEFAULTS, "batch_size": 32},
    notes=("gpu scale: half-size networks; derived from the paper's setting, not tuned by it",),
)

PAPER = Scale(
    name="paper",
    data={"size": (256, 256)},
    simulated={"patients": 1500, "views": 2, "side": 320},
    budget_tflop=6.0e6,  # four hours on four A100 at a third of their 312 TFLOP/s in bfloat16
    rungs=(0.125, 0.25, 0.5, 1.0),
    keep=(0.5, 0.5, 0.5),
    reports=1000,
    warmup_fraction=0.01,
    ema_short_fraction=0.001,
    n_select=64,
    n_report=200,  # the seed document's validation set
    sample={**SAMPLE, "batch_size": 16},
    choices=_choices((1e-5, 5e-4), (16, 32)),
    defaults={**DEFAULTS, "batch_size": 16},
    notes=(
        "the seed document gives no dose: the x-ray noise is bench's own; its scores are another "
        "protocol's than the document's 28.2 dB",
    ),
)

WORKLOAD = Workload(
    name="chexpert",
    title="chest x-ray denoising",
    source="Fast-DDPM (Jiang et al. 2024) applied to CheXpert",
    reader="chexpert",
    task="restore",
    metrics=("psnr", "ssim", "band_psnr", "clipping"),
    space="denoise",
    simulation=_simulation,
    scales={s.name: s for s in (SMOKE, LAPTOP, GPU, PAPER)},
    cell_axes=("method", "architecture", "preconditioning", "estimator"),
    even_axes=("method",),
    tasks={"generate": "chexpert_generate"},
)
