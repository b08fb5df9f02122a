"""birds: DDPM and DDIM generation of bird photographs, cut to their boxes.

Tamasy, Takats and Hujbert, "Training Diffusion Models": CUB-200-2011 at 64x64, a U-Net with
self-attention in every block against a much smaller one, linear (beta 1e-4 to 0.02, T = 1000) and
cosine (s = 0.008) schedules, batches of 32, 200 epochs at 3e-4, DDIM in 5 steps. `paper` is that
setting, on 80 % of all photographs; the others are derived from it. Their question: how much
smaller a network is still as good.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from backbones.sizes import Size, widths
from bench.data.opening import Simulation
from bench.workloads.workload import Scale, Workload
from search_spaces import Choices

ARCHITECTURES = ("ddpm_unet", "small_unet", "ddpmpp", "ncsnpp", "adm")
# VP is the linear schedule in continuous time: too near to it for the short runs' few trials.
SHORT = ("ddpm", "ddpm_cosine", "edm")
PRECONDITIONINGS = (*SHORT, "vp")
PREDICTIONS = ("noise", "x0", "velocity")
# Parameters that only some choices have.
ONLY = {
    "edm": {"P_mean": (-1.8, -0.4), "P_std": (0.8, 1.6)},
    "adamw": {"weight_decay": (1e-3, 0.3)},
}
AMONG: Mapping[str, Mapping[str, tuple[Any, ...]]] = {
    "diffusion": {"augment": (0.0, 0.12)},
    "ddpm": {"predict": PREDICTIONS},
    "ddpm_cosine": {"predict": PREDICTIONS},
}
DEFAULTS = {
    "optimizer": "adam",
    "schedule": "constant",
    "batch_size": 32,
    "dropout": 0.0,
    "width": "default",
    "augment": 0.0,
    "predict": "noise",
    "P_mean": -1.2,
    "P_std": 1.2,
    "weight_decay": 0.01,
    "lr": 3e-4,  # of a setup that no size names
}
DDIM = {"sampler": "ddim", "grid": "own"}  # eta = 0; --set sampler=ddpm is ancestral


# The seed does not state its U-Net's widths; attention at every resolution below the picture's.
SEED_UNET = Size(
    args={"multipliers": (1, 2, 4, 4), "attention": (32, 16, 8), "blocks": 2},
    widths=widths(48, 64, 96),
    lr={"default": 3e-4},
)


def _choices(
    setups: tuple[str, ...], lr: tuple[float, float], batch_sizes: tuple[int, ...]
) -> Choices:
    return Choices(
        architectures=ARCHITECTURES,
        preconditionings=setups,
        optimizers=("adam", "adamw"),
        schedules=("constant", "cosine"),
        batch_sizes=batch_sizes,
        lr=lr,
        dropout=(0.0, 0.2),
        widths=("narrow", "default", "wide"),
        only=ONLY,
        among=AMONG,
    )


def _simulation(**size: Any) -> Simulation:
    from bench.data.simulate_birds import SimulationSize

    return SimulationSize(**size)


SMOKE = Scale(
    name="smoke",
    data={"size": (16, 16)},
    simulated={"species": 4, "photos": 32, "side": 48},
    budget_tflop=0.006,
    rungs=(0.25, 0.5, 1.0),
    keep=(0.5, 0.5),
    reports=4,
    warmup_fraction=0.05,
    ema_short_fraction=0.05,
    n_select=16,
    n_report=16,
    sample={**DDIM, "steps": 5},
    measure={"n_reference": 256, "n_denoise": 8},
    choices=_choices(SHORT, (2e-4, 2e-2), (8, 16)),
    defaults={**DEFAULTS, "batch_size": 8},
    notes=("smoke scale shows that the parts work together; its numbers mean nothing",),
)

LAPTOP = Scale(
    name="laptop",
    data={"size": (32, 32)},
    simulated={"species": 24, "photos": 80, "side": 96},
    budget_tflop=0.45,
    rungs=(0.25, 0.5, 1.0),
    keep=(0.25, 0.34),
    reports=10,
    warmup_fraction=0.05,
    ema_short_fraction=0.03,
    n_select=48,
    n_report=128,
    sample={**DDIM, "steps": 10},
    measure={"n_reference": 1024, "n_denoise": 32},
    choices=_choices(SHORT, (2e-4, 1e-2), (8, 16, 32)),
    defaults={**DEFAULTS, "batch_size": 8},
    notes=("laptop scale: small networks and short runs; verdicts need not transfer to larger",),
)

GPU = Scale(
    name="gpu",
    data={"size": (64, 64)},
    simulated={"species": 100, "photos": 60, "side": 192},
    budget_tflop=2.0e4,
    rungs=(0.125, 0.25, 0.5, 1.0),
    keep=(0.5, 0.5, 0.5),
    reports=200,
    warmup_fraction=0.02,
    ema_short_fraction=0.005,
    n_select=1024,
    n_report=2048,
    sample={**DDIM, "steps": 20},
    measure={"n_reference": 4096, "n_denoise": 256, "extractor": "randconv64"},
    choices=_choices(PRECONDITIONINGS, (5e-5, 2e-3), (32, 64, 128)),
    defaults={**DEFAULTS, "batch_size": 64},
    notes=("gpu scale: half-size networks; derived from the seed's setting, not tuned by it",),
)

PAPER = Scale(
    name="paper",
    data={"size": (64, 64), "parts": "dealt"},
    simulated={"species": 200, "photos": 59, "side": 192},
    budget_tflop=1.2e5,  # the self-attention U-Net sees 200 times 9,430 photographs
    rungs=(0.125, 0.25, 0.5, 1.0),
    keep=(0.5, 0.5, 0.5),
    reports=200,
    warmup_fraction=0.01,
    ema_short_fraction=0.005,
    n_select=2048,
    n_report=2350,
    sample={**DDIM, "steps": 5},
    measure={"n_reference": 9430, "n_denoise": 512, "extractor": "randconv64"},
    choices=_choices(PRECONDITIONINGS, (3e-5, 3e-3), (32,)),
    defaults=DEFAULTS,
    sizes={"ddpm_unet": SEED_UNET},
    notes=(
        "parts are dealt 60/20/20 from all photographs: report is the seed's held-back 20 %; of "
        "the 80 % it trained on (9,430 of CUB-200-2011's 11,788) a quarter is select here, so "
        "that its 200 passes' budget is 267 over the rest; --parts official is the authors' split",
        "the seed's FID and KID use Inception features; here the extractor named above is used",
    ),
)

WORKLOAD = Workload(
    name="birds",
    title="bird photograph generation",
    source="Tamasy, Takats and Hujbert",
    reader="cub",
    task="generate",
    metrics=("fd", "fd:drawn", "denoise_error", "kd", "copying", "box", "clipping"),
    space="birds",
    asks_of=(
        "size/params_m",
        "throughput/sample_img_per_sec",
        "eval/sharp_inside",
        "eval/sharp_outside",
    ),
    simulation=_simulation,
    scales={s.name: s for s in (SMOKE, LAPTOP, GPU, PAPER)},
)
