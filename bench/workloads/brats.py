"""brats: segmentation of brain tumours in volumes by diffusion, and by what it has to beat.

"Memory-Efficient 3D Denoising Diffusion Models for Medical Image Processing" (the seed document;
Bieder et al. 2023, PatchDDM): four MR modalities in, the tumour out, trained on patches with their
coordinates and asked for whole volumes, with skips that are averaged. `paper` is its setting (256
voxels a side, patches of 128, AdamW at 1e-5, DDIM in 20 steps); the others are derived from it.

How large a patch is, whether volumes are halved, and how skips are joined are the axes of the
document, and belong to the network's own choices. Every scheme samples in Euler steps (DDIM without
noise) on noise levels of its own; `--set sampler=heun` asks for the other solver. The rivals are
the same network trained directly by Dice and cross-entropy, thresholds, and "all background".

A label map shows through small noise, so little is learned there: what teaches to segment is high
noise and an estimate of the label map itself (docs/brats-learning.md). EDM's P_mean is therefore
searched far above the one for pictures, and DDPM may estimate the map (x0) instead of the noise.
"""

from __future__ import annotations

from typing import Any

from bench.data.opening import Simulation
from bench.workloads.workload import Scale, Workload
from search_spaces import Choices

METHODS = ("diffusion", "direct_segmentation", "classical")
ESTIMATORS = ("background", "otsu", "threshold")
SKIPS = ("average", "concatenate", "add")
SAMPLE = {"sampler": "euler", "grid": "own", "steps": 20, "clip": True}
ONLY = {
    "edm": {"P_mean": (-1.2, 3.0), "P_std": (0.8, 1.6)},
    "adamw": {"weight_decay": (1e-3, 0.3)},
    "threshold": {"share": (0.01, 0.4)},
}
PREDICT = {"predict": ("x0", "velocity", "noise")}  # what DDPM's network estimates
WEIGHTING = {"weighting": ("between", "authors")}  # of the loss of VP and VE
DEFAULTS = {
    "optimizer": "adamw",
    "schedule": "constant",
    "batch_size": 1,
    "dropout": 0.0,
    "width": "default",
    "P_mean": 2.0,
    "P_std": 1.2,
    "predict": "x0",
    "weighting": "between",
    "weight_decay": 0.01,
    "skip": "average",
    "lr": 1e-3,  # of a setup that no size names
}


def _choices(
    lr: tuple[float, float],
    batch_sizes: tuple[int, ...],
    patches: tuple[int, ...],
    *,
    optimizers: tuple[str, ...] = ("adam", "adamw"),
    preconditionings: tuple[str, ...] = ("edm", "ddpm", "vp", "ve"),
    widths: tuple[str, ...] = ("narrow", "default", "wide"),
    resolutions: tuple[str, ...] = ("full", "half"),
) -> Choices:
    """patches: voxels a side, 0 for the whole volume."""
    return Choices(
        methods=METHODS,
        architectures=("volume_unet",),
        preconditionings=preconditionings,
        estimators=ESTIMATORS,
        optimizers=optimizers,
        schedules=("constant", "cosine"),
        batch_sizes=batch_sizes,
        lr=lr,
        dropout=(0.0, 0.1),
        widths=widths,
        only=ONLY,
        among={
            "volume_unet": {"patch": patches, "skip": SKIPS, "resolution": resolutions},
            "ddpm": PREDICT,
            "vp": WEIGHTING,
            "ve": WEIGHTING,
        },
    )


def _simulation(**size: Any) -> Simulation:
    from bench.data.simulate_brain import SimulationSize

    return SimulationSize(**size)


SMOKE = Scale(
    name="smoke",
    data={"size": (16, 16, 16), "fit": "centre"},
    simulated={"patients": 20, "side": 16},
    budget_tflop=0.004,
    rungs=(0.25, 0.5, 1.0),
    keep=(0.5, 0.5),
    reports=4,
    warmup_fraction=0.05,
    ema_short_fraction=0.05,
    n_select=3,
    n_report=4,
    sample={**SAMPLE, "steps": 4},
    choices=_choices((2e-4, 2e-2), (1, 2), (8, 0), preconditionings=("edm", "ddpm")),
    defaults={**DEFAULTS, "patch": 8},
    notes=("smoke scale shows that the parts work together; its numbers mean nothing",),
)

LAPTOP = Scale(
    name="laptop",
    data={"size": (32, 40, 32), "fit": "centre"},
    simulated={"patients": 100, "side": 40},
    budget_tflop=0.5,
    # the first: 35 steps of the default network, at least one of the widest on whole volumes
    rungs=(1 / 16, 1 / 4, 1.0),
    keep=(0.25, 0.25),
    reports=10,
    warmup_fraction=0.05,
    ema_short_fraction=0.03,
    n_select=8,
    n_report=20,
    sample={**SAMPLE, "steps": 8, "batch_size": 4},
    # no batches of one and no narrow network: a FLOP takes a core several times the seconds there
    choices=_choices(
        (3e-4, 1e-2),
        (2, 4),
        (16, 24, 0),
        optimizers=("adam", "adamw", "muon"),
        widths=("default", "wide"),
    ),
    # what teaches most in a short training: docs/brats-learning.md
    defaults={**DEFAULTS, "optimizer": "muon", "batch_size": 2, "patch": 16},
    optimizer_lr={"muon": 4e-3},
    notes=(
        "laptop scale: small networks and short runs; verdicts need not transfer to larger",
        "defaults: Muon, patches of 16, EDM at high noise (P_mean 2), DDPM estimates the label map",
    ),
)

GPU = Scale(
    name="gpu",
    data={"size": (96, 112, 96), "fit": "centre"},
    simulated={"patients": 300, "side": 112},
    budget_tflop=2.0e5,
    rungs=(0.125, 0.25, 0.5, 1.0),
    keep=(0.5, 0.5, 0.5),
    reports=200,
    warmup_fraction=0.02,
    ema_short_fraction=0.005,
    n_select=16,
    n_report=48,
    sample={**SAMPLE, "batch_size": 4},
    choices=_choices((2e-5, 1e-3), (1, 2, 4), (32, 48, 64, 0)),
    defaults={**DEFAULTS, "batch_size": 2, "patch": 48},
    notes=("gpu scale: derived from the paper's setting, not tuned by it",),
)

PAPER = Scale(
    name="paper",
    data={"size": (256, 256, 256), "fit": "centre"},
    simulated={"patients": 369, "side": 240},
    budget_tflop=1.0e7,
    rungs=(0.125, 0.25, 0.5, 1.0),
    keep=(0.5, 0.5, 0.5),
    reports=1000,
    warmup_fraction=0.01,
    ema_short_fraction=0.001,
    n_select=16,
    n_report=37,  # a tenth of BraTS2020's 369 patients
    sample={**SAMPLE, "batch_size": 1},
    choices=_choices((1e-6, 1e-3), (1,), (128, 0)),  # half of 64 is too small for 7 levels
    defaults={
        **DEFAULTS,
        "patch": 128,
        "lr": 1e-5,
        "P_mean": -1.2,
        "predict": "noise",
        "weighting": "authors",
    },
)

WORKLOAD = Workload(
    name="brats",
    title="segmentation of brain tumours in volumes",
    source="PatchDDM (Bieder et al. 2023)",
    reader="brats",
    task="segment",
    metrics=("dice", "hd95", "calibration"),
    space="segment",
    simulation=_simulation,
    scales={s.name: s for s in (SMOKE, LAPTOP, GPU, PAPER)},
    cell_axes=("method", "architecture", "preconditioning", "estimator"),
    even_axes=("method",),
)
