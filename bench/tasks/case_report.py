"""What restoring leaves for people to read: each case's row, three cases as pictures, the spectrum.

cases.csv: hashed subject, PSNR, SSIM and the PSNR of the noisy picture. cases.png: the best, the
median and the worst case, each a row of noisy, answer, clean and error (grey is none).
spectrum.csv: radial power of the clean, the noisy and the restored pictures. The pictures are
private where the data are real, and so are the rows of single patients.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.files import ResultFile
from bench.metrics.psnr_metric import psnr
from bench.metrics.spectrum import power, radial
from bench.metrics.ssim_metric import ssim
from bench.pictures import captioned_rows

ERROR_SPAN = 0.5  # an error of this much is white, or black, on the range [-1, 1]
COLUMNS = ("noisy", "answer", "clean", f"error, -{ERROR_SPAN:g} to {ERROR_SPAN:g}")

Pictures = NDArray[np.float32]  # [N, C, *spatial] in [-1, 1]


def case_files(
    *, subjects: Sequence[str], noisy: Pictures, answers: Pictures, clean: Pictures, real: bool
) -> tuple[ResultFile, ...]:
    """The three files of the cases, all in one order."""
    noisy = noisy.clip(-1, 1)  # as it would be shown and stored
    scores, similar, before = psnr(answers, clean), ssim(answers, clean), psnr(noisy, clean)
    rows = [
        (place, subject, f"{scores[place]:.4f}", f"{similar[place]:.5f}", f"{before[place]:.4f}")
        for place, subject in enumerate(subjects)
    ]
    table = _csv(("case", "subject", "psnr_db", "ssim", "noisy_psnr_db"), rows)
    order = np.argsort(-scores, kind="stable").tolist()
    chosen = {"best": order[0], "median": order[len(order) // 2], "worst": order[-1]}
    page = captioned_rows(
        COLUMNS,
        [
            (
                f"{name}, case {k}: {scores[k]:.2f} dB, SSIM {similar[k]:.3f}, "
                f"noisy {before[k]:.2f} dB",
                [
                    _pixels(picture)
                    for picture in (
                        noisy[k],
                        answers[k],
                        clean[k],
                        (answers[k] - clean[k]) / ERROR_SPAN,
                    )
                ],
            )
            for name, k in chosen.items()
        ],
    )
    spectra = {
        "clean": radial(power(clean).mean(0)),
        "noisy": radial(power(noisy).mean(0)),
        "answer": radial(power(answers).mean(0)),
    }
    columns = [spectra["clean"][0], *(values for _, values in spectra.values())]
    lines = [[f"{value:.6g}" for value in line] for line in zip(*columns, strict=True)]
    return (
        ResultFile(name="cases.csv", content=table, real=real),
        ResultFile(name="cases.png", content=page, real=real),
        ResultFile(
            name="spectrum.csv",
            content=_csv(("cycles_per_pixel", *(f"{name}_power" for name in spectra)), lines),
            real=False,
        ),
    )


def _csv(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(head)
    writer.writerows(rows)
    return text.getvalue().encode()


def _pixels(picture: Pictures) -> NDArray[np.uint8]:
    return np.rint((picture.clip(-1, 1) + 1) * 127.5).astype(np.uint8)
