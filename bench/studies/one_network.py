"""The trained network that some studies are about: trained for them, or one that a sweep left."""

from __future__ import annotations

import dataclasses
from collections.abc import Generator
from typing import TYPE_CHECKING

from bench.config import SOLVER_SETTINGS, SampleConfig
from bench.errors import BenchError
from bench.studies.study import Arm, Ran, Setting
from bench.studies.table1_study import arm, cell_of
from bench.studies.trained import Trained
from bench.sweep.deciding.parameters import SAMPLE_KEYS
from bench.sweep.planning.settings import given_parameters
from bench.sweep.record import finished

if TYPE_CHECKING:
    from bench.studies.study import Study
    from bench.sweep.record.home import Home


def one_network(
    setting: Setting, own: Arm | None = None
) -> Generator[tuple[Arm, ...], tuple[Ran, ...], Trained]:
    """The network of the trial that was named with --of, else of the study's own arm, by default
    with the authors' settings."""
    if setting.of is not None:
        yield ()
        return Trained.of(setting.of)
    (ran,) = yield (own or arm(setting, cell_of(setting), setting.seed),)
    return Trained.of(ran)


def ran_before(study: Study, home: Home, sweep: str, number: int | None) -> Ran:
    """A completed trial of a sweep as one of the study's own; it is sampled as the study says.

    Raises:
        BenchError: there is none, its weights or data are gone, or it was trained otherwise than
            the study asks for.
    """
    trial = finished.find(home, sweep, number)
    config, needed = trial.config, given_parameters(study.settings)
    for key, value in needed.items():
        if key not in SAMPLE_KEYS and config.task.args.get(key) != value:
            raise BenchError(
                f"trial {trial.number} of {sweep} was trained without {key}={value}, which study "
                f"{study.name} needs; leave out --of and it trains one"
            )
    usual = SampleConfig()
    sampling = {key: value for key, value in needed.items() if key in SAMPLE_KEYS}
    if "sampler" in sampling:  # what the trial's own sampler alone read
        sampling |= {key: getattr(usual, key) for key in SOLVER_SETTINGS}
    named = f"trial {trial.number} of {sweep}, {trial.label}"
    if config.sample.guidance != usual.guidance:
        sampling |= {"guidance": usual.guidance, "guidance_args": {}}
        named += ", without its guidance"
    config = dataclasses.replace(config, sample=dataclasses.replace(config.sample, **sampling))
    return Ran(
        arm=Arm(name=named, why="trained before", params={}, seed=config.seed),
        config=config,
        outcome="completed",
        cause="",
        metrics={},
        folder=trial.folder,
        nimg=trial.nimg,
    )
