"""Ways to draw from a trained model: a quasi-random design over what costs no retraining.

Sampler, steps, grid, rho, churn or a stochastic sampler's own noise, process, clipping, guidance
weight where the trial is guided, and the length of the weights' average. Points are of a scrambled
Halton sequence (Owen 2017, arXiv 1706.02808), so that a few cover every axis. Candidate 0 is the
trial as it was judged. What a configuration cannot have (churn of a multistep sampler, the process
of one that it does not change, more steps than a scheme has levels) is not drawn.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import qmc

from bench.config import Args, SampleConfig, TrialConfig
from bench.diffusion import guidance, preconditioning, samplers
from bench.diffusion.grids import EDM_RHO, sigma_grid
from bench.diffusion.preconditioning.scheme import Preconditioning, process_of
from bench.diffusion.process import SigmaProcess
from bench.errors import BenchError
from bench.methods import load_method
from bench.streams import derive_seed

# name -> share of the candidates; eta > 0 tells ddim from euler, which it is without noise
SAMPLERS = {"dpmpp_2m": 0.35, "heun": 0.25, "euler": 0.15, "ddim": 0.25}
STEPS_IN_SIGMA = ("dpmpp_2m", "ddim")  # the same in every process: see their files
NFE = (1 / 3, 2.0)  # times the trial's own
FEWEST_NFE = 4
RHO = (3.0, 12.0)
ETA = (0.2, 1.0)
GAMMA = (0.03, 0.41)  # churn's rise of sigma in a step; the largest is sqrt(2) - 1
CHURN = {"S_tmin": 0.05, "S_tmax": 50.0, "S_noise": 1.003}  # as Karras et al. set them, table 5
GUIDANCE_WEIGHT = (1.0, 4.0)
EMA = (0.0, 0.03, 0.05, 0.07, 0.1, 0.14, 0.2, 0.25)  # relative widths; 0: the network itself
AXES = ("sampler", "nfe", "grid", "rho", "noise", "process", "clip", "weight", "ema")
TRIES = 20  # points looked at for each candidate that is wanted, at most


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """One way to draw: its place in the design, its settings and its network evaluations a
    prediction."""

    number: int
    sample: SampleConfig
    nfe: int

    @property
    def text(self) -> str:
        """In a few words: 'dpmpp_2m 15, edm 7, ema 0.1'."""
        sample, usual = self.sample, SampleConfig()
        grid = f"edm {sample.rho:.3g}" if sample.grid == "edm" else sample.grid
        parts = [f"{sample.sampler} {sample.steps}", grid]
        parts += ["own process"] if sample.process != usual.process else []
        parts += [f"churn {sample.S_churn:.3g}"] if sample.S_churn else []
        parts += [f"eta {sample.eta:.2g}"] if sample.eta else []
        parts += ["clip"] if sample.clip else []
        weight = sample.guidance_args.get("weight")
        parts += [f"weight {weight:.3g}"] if weight is not None else []
        return ", ".join([*parts, f"ema {sample.ema:g}" if sample.ema else "no ema"])


def design(config: TrialConfig, count: int, seed: int, *, any_ema: bool) -> list[Candidate]:
    """`count` different candidates, the trial's own setting first; fewer where there are no more.

    any_ema: whether averages of other lengths than the judged one can be made.

    Raises:
        BenchError: the method draws nothing, so that there is nothing to choose.
    """
    method = load_method(config.method.kind)
    if not (method.trains and method.samples):
        raise BenchError(f"method {config.method.kind} draws no samples: there is nothing to tune")
    own = Candidate(number=0, sample=config.sample, nfe=method.passes(config))
    found, seen = [own], {_key(own.sample)}
    points = qmc.Halton(d=len(AXES), scramble=True, seed=derive_seed(seed, "tune") % 2**32)
    for point in points.random(count * TRIES):
        if len(found) >= count:
            break
        sample = _sample(config, own.nfe, dict(zip(AXES, point.tolist(), strict=True)), any_ema)
        nfe = _passes(config, sample)
        if nfe is not None and _key(sample) not in seen:
            seen.add(_key(sample))
            found.append(Candidate(number=len(found), sample=sample, nfe=nfe))
    return found


def _sample(config: TrialConfig, own_nfe: int, at: dict[str, float], any_ema: bool) -> SampleConfig:
    """The settings at a point of the unit cube."""
    precond = preconditioning.build(
        config.method.preconditioning,
        sigma_data=config.task.sigma_data,
        **config.method.preconditioning_args,
    )
    name = _share_of(SAMPLERS, at["sampler"])
    solver = samplers.load(name)
    passes = max(_log_between(NFE, at["nfe"]) * own_nfe, FEWEST_NFE)
    guided, weight = _guided(config.sample, at["weight"])
    steps = max(round(passes / guided / (solver.nfe(100) / 100)), 2)
    grid = "own" if _has_own_grid(precond) and at["grid"] < 0.4 else "edm"
    has_own_process = not isinstance(process_of(precond, "own"), SigmaProcess)
    in_own = has_own_process and name not in STEPS_IN_SIGMA and at["process"] < 0.3
    noise: Args = {}
    if "eta" in solver.settings:
        noise = {"eta": round(_between(ETA, at["noise"]), 2)}
    elif not solver.multistep and at["noise"] > 0.5:
        gamma = _log_between(GAMMA, 2 * at["noise"] - 1)
        noise = {"S_churn": round(gamma * steps, 2), **CHURN}
    of_pictures = "denoise" in load_method(config.method.kind).gives  # a latent has no range
    return dataclasses.replace(
        config.sample,
        sampler=name,
        steps=steps,
        grid=grid,
        rho=round(_log_between(RHO, at["rho"]), 2) if grid == "edm" else EDM_RHO,
        process="own" if in_own else "sigma",
        **{"eta": 0.0, "S_churn": 0.0, **noise},
        clip=of_pictures and at["clip"] < 0.4,
        guidance_args=weight,
        ema=_one_of(EMA, at["ema"]) if any_ema else config.sample.ema,
    )


def _has_own_grid(precond: Preconditioning) -> bool:
    own, common = precond.own_grid(5), sigma_grid(precond, 5)
    return not np.allclose(precond.round_sigma(own), common)


def _guided(sample: SampleConfig, at: float) -> tuple[float, Args]:
    """Evaluations of an estimate, about, and the guidance's settings."""
    built = guidance.build(sample.guidance, **sample.guidance_args)
    if not hasattr(built, "weight"):
        return 1.0, sample.guidance_args
    weight = round(_log_between(GUIDANCE_WEIGHT, at), 2)
    return (1.0 if weight == 1 else 2.0), {**sample.guidance_args, "weight": weight}


def _passes(config: TrialConfig, sample: SampleConfig) -> int | None:
    """Evaluations a prediction; None where the settings do not go with the scheme."""
    tracked = dataclasses.replace(sample, ema=config.sample.ema)
    try:
        return load_method(config.method.kind).passes(dataclasses.replace(config, sample=tracked))
    except BenchError:
        return None


def _key(sample: SampleConfig) -> str:
    return repr(dataclasses.astuple(sample))


def _share_of(shares: dict[str, float], at: float) -> str:
    edges = np.cumsum(list(shares.values()))
    return list(shares)[min(int(np.searchsorted(edges, at, side="right")), len(shares) - 1)]


def _one_of(values: Sequence[float], at: float) -> float:
    return values[min(int(at * len(values)), len(values) - 1)]


def _between(ends: tuple[float, float], at: float) -> float:
    return ends[0] + at * (ends[1] - ends[0])


def _log_between(ends: tuple[float, float], at: float) -> float:
    return float(ends[0] * (ends[1] / ends[0]) ** at)
