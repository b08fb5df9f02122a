"""Studies: one question of one workload, answered by trials of a plan of their own.

A new study is one file with a Study (bench.studies.study) and one line here.
"""

from bench.doors import Family

STUDIES = Family(
    kind="study",
    table={
        "instability": "bench.studies.instability:STUDY",
        "augment": "bench.studies.augment_study:STUDY",
    },
)
