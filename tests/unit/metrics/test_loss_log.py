"""A bare loss log: some lines of the one in the Fast-DDPM report, read and described raw."""

from __future__ import annotations

import statistics

import numpy as np
import pytest

from bench.errors import BenchError
from bench.metrics.loss_log import parse_loss_log, raw_stability

LOG = """The last lines of the log, step: by step:

INFO - diffusion.py\t_\t2024-12-08\t13:55:17,910\t_\tstep:\t6784,\tloss:\t577.8223876953125
INFO - diffusion.py\t\t\t\t\t\t\t\t
INFO - diffusion.py\t_\t2024-12-08\t13:55:21,965\t_\tstep:\t6786,\tloss:\t59.16618347167969
INFO - diffusion.py\t-\t2024-12-08\t13:55:23,901\t-\tstep:\t6787,\tloss:\t11340.7978515625
INFO - diffusion.py\t_\t2024-12-08\t13:55:29,862\t\tstep:\t6790,\tloss:\t84.0157470703125
INFO - diffusion.py\t\t\t\t\t\t\t\t
INFO - diffusion.py\t-\t2024-12-08\t13:55:35,763\t-\tstep:\t6793,\tloss:\t21243.203125

5. Team Contributions
"""
LOSSES = [577.8223876953125, 59.16618347167969, 11340.7978515625, 84.0157470703125, 21243.203125]


def test_reads_the_reports_log() -> None:
    log = parse_loss_log(LOG)
    assert log.steps.tolist() == [6784, 6786, 6787, 6790, 6793]
    assert log.losses.tolist() == LOSSES
    assert log.skipped == 3  # two empty records and the line that says "step:" without a number


def test_raw_statistics_are_marked() -> None:
    log = parse_loss_log(LOG)
    raw = raw_stability(log.steps, log.losses)
    assert raw.note == "sigma unknown"
    assert (raw.n, raw.missing, raw.nonfinite) == (5, 5, 0)
    assert (raw.first_step, raw.last_step) == (6784, 6793)
    assert raw.median == statistics.median(LOSSES)
    assert raw.mean == pytest.approx(statistics.fmean(LOSSES))
    assert raw.sd == pytest.approx(statistics.stdev(LOSSES))
    deviation = statistics.median(abs(v - raw.median) for v in LOSSES)
    assert raw.rel_spread == pytest.approx(1.4826 * deviation / raw.median)
    assert raw.swing == pytest.approx(21243.203125 / raw.median)


def test_forms_of_numbers_and_broken_lines() -> None:
    log = parse_loss_log(
        "step: 1, loss: 1e-3\n"
        "step: 2, loss: nan\n"
        "step: 3, loss:\n"
        "step: , loss: 4.0\n"
        "\n"
        "step: 5 loss: .5\n"
        "Step: 6, Loss: 7.\n"
        "step: 7, loss: inf\n"
        "step: 8, loss: 3.4.5\n"
    )
    assert log.steps.tolist() == [1, 2, 5, 6, 7]
    np.testing.assert_array_equal(log.losses, [1e-3, np.nan, 0.5, 7.0, np.inf])
    assert log.skipped == 3
    raw = raw_stability(log.steps, log.losses)
    assert (raw.n, raw.nonfinite, raw.missing) == (3, 2, 2)


def test_a_text_without_records() -> None:
    with pytest.raises(BenchError, match="no line of the log"):
        parse_loss_log("nothing\nhere")


def test_no_finite_loss() -> None:
    with pytest.raises(BenchError, match="no finite loss"):
        raw_stability([1, 2], [np.nan, np.inf])
