"""Studies: one question of one workload, answered by trials of a plan of their own.

A new study is one file with a Study (bench.studies.study) and one line here.
"""

from bench.doors import Family

STUDIES = Family(
    kind="study",
    table={
        "augment": "bench.studies.augment_study:STUDY",
        "claims": "bench.studies.claims_study:STUDY",
        "coordinates": "bench.studies.patch_studies:COORDINATES",
        "dg-search": "bench.studies.guidance_study:SEARCH",
        "discriminator-guidance": "bench.studies.guidance_study:STUDY",
        "downstream": "bench.studies.downstream_study:STUDY",
        "ensemble": "bench.studies.sampling_studies:ENSEMBLE",
        "instability": "bench.studies.instability:STUDY",
        "memory": "bench.studies.memory_study:STUDY",
        "nfe-curve": "bench.studies.nfe_curve:STUDY",
        "noise": "bench.studies.noise_study:STUDY",
        "optimal": "bench.studies.optimal_study:STUDY",
        "patch-size": "bench.studies.patch_studies:PATCH_SIZE",
        "shift": "bench.studies.shift_study:STUDY",
        "skip": "bench.studies.skip_study:STUDY",
        "solver": "bench.studies.sampling_studies:SOLVER",
        "table1": "bench.studies.table1_study:STUDY",
        "table1-tuned": "bench.studies.table1_tuned:STUDY",
        "tiles": "bench.studies.tiles_study:STUDY",
    },
)
