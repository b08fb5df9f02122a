"""What every trial is and costs, whatever its task: its size and what was spent on it.

What a task measures is declared by its metrics, stability and speed by theirs (bench.metrics).
"""

from __future__ import annotations

from leaderboards.measures import Measure

TUNED = "tune/score"  # key of the score as bench tune chose to sample
PREDICTED_GB, PREDICTED_TRAINING_GB = "size/predicted_gb", "size/predicted_training_gb"
MEASURES = (
    Measure(key="size/params_m", title="params M", direction="lower", drop=10),
    Measure(key="size/gflops_per_img", title="GFLOPs per img", direction="lower", drop=11),
    Measure(key=PREDICTED_GB, title="predicted peak GB", direction="lower", digits=2, drop=14),
    Measure(
        key=PREDICTED_TRAINING_GB,
        title="predicted training GB",
        direction="lower",
        digits=2,
        drop=15,
        meaning="what training GB should have been, before launch",
    ),
    Measure(key="cost/kimg", title="kimg", drop=10),
    Measure(
        key="cost/stopped_kimg",
        title="stopped early, kimg",
        drop=6,
        meaning="images that training had seen when it stopped early, of trials that did",
    ),
    Measure(
        key="cost/busy_sec",
        title="busy s",
        direction="lower",
        unit="s",
        drop=4,
        meaning="training, sampling and measuring of one trial",
    ),
)
