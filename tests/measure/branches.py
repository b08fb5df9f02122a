"""Does one multivariate TPE lose to one model a branch, on a space with conditional parameters?

`python -m tests.measure.branches [--seeds 24] [--trials 64]` tunes a synthetic objective shaped
like the echo space: the best learning rate depends on the architecture and the setup, batch size
moves it, and edm alone has P_mean. Compared are the sampler as the sweep has it (multivariate, no
groups), `group=True`, one study a branch (trials dealt out in turn), and random search. Regret is
the best value found less the optimum; the spread is the standard error over seeds.
"""

from __future__ import annotations

import argparse
import math
import time
import warnings
from collections.abc import Callable

import numpy as np
import optuna

ARCHITECTURES = {"adm": 5e-4, "ddpmpp": 2e-3, "ncsnpp": 1e-3, "small_unet": 5e-3}  # best lr
LEVELS = {"adm": 0.0, "ddpmpp": -0.3, "ncsnpp": -0.25, "small_unet": 0.4}
SETUPS = {"edm": (0.0, 1.0), "vp": (0.2, 0.6), "ve": (0.35, 0.3)}  # level, factor on the best lr
NOISE = 0.05  # standard deviation of a trial's value, as sampling gives
STARTUP = 12  # random trials first, the sweep's number of cells

Objective = Callable[[optuna.Trial], float]


def value(trial: optuna.Trial, fixed: str | None = None) -> float:
    """The noiseless objective: 2 (decades from the best lr)^2, the levels, and smaller parts."""
    names = (fixed,) if fixed else tuple(ARCHITECTURES)
    architecture = trial.suggest_categorical("architecture", names)
    setup = trial.suggest_categorical("preconditioning", tuple(SETUPS))
    lr = trial.suggest_float("lr", 2e-4, 2e-2, log=True)
    batch = trial.suggest_categorical("batch_size", (16, 32, 64))
    dropout = trial.suggest_float("dropout", 0.0, 0.2)
    trial.suggest_categorical("optimizer", ("adam", "adamw"))  # moves nothing
    level, factor = SETUPS[setup]
    best = ARCHITECTURES[architecture] * factor * math.sqrt(batch / 32)
    found = LEVELS[architecture] + level + 2.0 * math.log10(lr / best) ** 2
    found += 0.5 * dropout + 0.05 * abs(math.log2(batch / 32))
    if setup == "edm":
        found += 0.3 * (trial.suggest_float("P_mean", -1.8, -0.4) + 1.0) ** 2
    if architecture == "adm":
        found += 0.1 * abs(trial.suggest_int("channels_per_head", 8, 32, step=8) - 16) / 8
    return found


OPTIMUM = LEVELS["ddpmpp"]  # edm at its best lr, batch 32, no dropout


def noisy(seed: int, fixed: str | None, kept: list[float]) -> Objective:
    draw = np.random.default_rng(seed)

    def objective(trial: optuna.Trial) -> float:
        clean = value(trial, fixed)
        seen = clean + NOISE * draw.standard_normal()
        if not kept or seen < kept[0]:  # the winner is chosen by what is seen
            kept[:] = [seen, clean]
        return float(seen)

    return objective


def tpe(seed: int, *, group: bool = False, startup: int = STARTUP) -> optuna.samplers.TPESampler:
    return optuna.samplers.TPESampler(
        seed=seed, multivariate=True, group=group, constant_liar=True, n_startup_trials=startup
    )


def regret(way: str, seed: int, trials: int) -> float:
    """Regret of the configuration a way of searching would pick."""
    kept: list[float] = []
    if way == "one study a branch":
        share = trials // len(ARCHITECTURES)
        for i, name in enumerate(ARCHITECTURES):
            sampler = tpe(seed * 10 + i, startup=STARTUP // len(ARCHITECTURES))
            study = optuna.create_study(sampler=sampler)
            study.optimize(noisy(seed * 10 + i, name, kept), n_trials=share)
        return kept[1] - OPTIMUM
    samplers: dict[str, optuna.samplers.BaseSampler] = {
        "multivariate (ours)": tpe(seed),
        "group=True": tpe(seed, group=True),
        "random": optuna.samplers.RandomSampler(seed=seed),
    }
    study = optuna.create_study(sampler=samplers[way])
    study.optimize(noisy(seed, None, kept), n_trials=trials)
    return kept[1] - OPTIMUM


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=24)
    parser.add_argument("--trials", type=int, default=64)
    asked = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
    print(f"{asked.trials} trials, {asked.seeds} seeds; regret of the configuration picked")
    print(f"{'way':22} {'mean':>7} {'s.e.':>7} {'median':>7} {'worse than ours':>16} {'sec':>6}")
    ours: np.ndarray | None = None
    for way in ("multivariate (ours)", "group=True", "one study a branch", "random"):
        begin = time.monotonic()
        found = np.array([regret(way, seed, asked.trials) for seed in range(asked.seeds)])
        took = (time.monotonic() - begin) / asked.seeds
        se = found.std(ddof=1) / math.sqrt(len(found))
        against = ""
        if ours is None:
            ours = found
        else:
            gap = found - ours  # paired by seed
            spread = gap.std(ddof=1) / math.sqrt(len(gap))
            against = f"{gap.mean():+.3f} ± {spread:.3f}"
        row = f"{found.mean():7.3f} {se:7.3f} {np.median(found):7.3f} {against:>16} {took:6.1f}"
        print(f"{way:22} {row}", flush=True)


if __name__ == "__main__":
    main()
