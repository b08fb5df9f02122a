"""What a network of volumes sees: how large a patch (open question 1 of PatchDDM), and whether it
is told where the patch lies. Every arm trains for equal FLOPs, so that small patches are seen more
often; all are judged on whole volumes at full resolution.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from bench.studies import segmentation_arms
from bench.studies.arm_means import arms, compared
from bench.studies.segmentation_arms import WHOLE, WORKLOADS
from bench.studies.study import Answer, Setting, Study
from bench.tasks import build_task

Variants = Mapping[str, Mapping[str, Any]]


class PatchSize(Study):
    name: ClassVar[str] = "patch-size"
    title: ClassVar[str] = "how large must a training patch be?"
    workloads: ClassVar[frozenset[str]] = WORKLOADS

    def answer(self, setting: Setting) -> Answer:
        base = segmentation_arms.base(setting, "patch", "resolution")
        variants = {
            "whole volume" if patch == WHOLE else f"{patch} voxels": {**base, "patch": patch}
            for patch in segmentation_arms.patches(setting)
        }
        half = {"patch": WHOLE, "resolution": "half"}
        variants["whole, half resolution"] = {**base, **half}
        return (yield from answered(self, setting, variants, "another patch size"))


class Coordinates(Study):
    name: ClassVar[str] = "coordinates"
    title: ClassVar[str] = "does it help to tell where a patch lies?"
    workloads: ClassVar[frozenset[str]] = WORKLOADS

    def answer(self, setting: Setting) -> Answer:
        base = segmentation_arms.base(setting, "coordinates")
        variants = {
            "with coordinates": {**base, "coordinates": True},
            "without": {**base, "coordinates": False},
        }
        return (yield from answered(self, setting, variants, "with and without"))


def answered(study: Study, setting: Setting, variants: Variants, why: str) -> Answer:
    """Arms of one axis, compared."""
    ran = yield arms(setting, variants, why)
    configs = {one.arm.name.rpartition(", ")[0]: one.config for one in ran}
    steps = {
        name: {"steps": c.train.budget_nimg // c.train.batch_size} for name, c in configs.items()
    }
    usual = setting.scale.defaults.get("patch")
    return compared(
        setting,
        list(variants),
        ran,
        name=study.name.replace("-", "_"),
        title=study.title,
        beside=segmentation_arms.beside(build_task(ran[0].config)),
        more=steps,
        lines=(
            f"every arm has the settings of scale {setting.scale.name}, which suit patches of "
            f"{usual or 'the whole volume'}; no arm was tuned by itself",
        ),
    )


PATCH_SIZE, COORDINATES = PatchSize(), Coordinates()
