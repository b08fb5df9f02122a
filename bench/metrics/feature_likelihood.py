"""How much likelier a model's samples make training pictures than held-out ones.

After the feature likelihood of Jiralerspong et al. 2023 (arXiv 2302.04440), with one width for all
samples: a Gaussian of one width around the features of each sample is a density; the width is the
one under which training pictures are likeliest. A model that generalises makes other subjects'
pictures as likely; one that copies draws the width, and with it the held-out pictures, down.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.spatial.distance import cdist
from scipy.special import logsumexp

Float64 = NDArray[np.float64]
MOST_SAMPLES, MOST_PICTURES = 4000, 2000  # so that distances fit into memory
NARROWEST = 1e-3  # width, of the typical distance between pictures and samples


def likelihood_gap(samples: Float64, train: Float64, held_out: Float64) -> float:
    """Mean log-likelihood of training pictures less that of held-out ones, in nats a feature.

    All are features [n, D]; of very many every so-manieth is taken. 0: no difference.
    """
    centres = _thinned(samples, MOST_SAMPLES)
    squares = [cdist(_thinned(p, MOST_PICTURES), centres, "sqeuclidean") for p in (train, held_out)]
    features = samples.shape[1]
    typical = float(np.sqrt(np.median(squares[0])))
    if typical == 0.0:
        return 0.0

    def mean_log(of: Float64, log_width: float) -> float:
        inside = logsumexp(-of / (2 * np.exp(2 * log_width)), axis=1)
        return float(inside.mean()) - features * log_width  # but for what both have alike

    bounds = (np.log(NARROWEST * typical), np.log(2 * typical))
    best = minimize_scalar(
        lambda log_width: -mean_log(squares[0], log_width), bounds=bounds, method="bounded"
    )
    return (mean_log(squares[0], best.x) - mean_log(squares[1], best.x)) / features


def _thinned(rows: Float64, most: int) -> Float64:
    return rows[:: -(-len(rows) // most)]
