"""The direct method for label maps: a network of scores by Dice and cross-entropy.

What diffusion has to beat where something is segmented: the same network, without a state and at
one fixed noise level, trained by the sum of cross-entropy and 1 - soft Dice (of the foreground
classes, a sample at a time), as nnU-Net is (Isensee et al. 2021). Targets are label maps in
[-1, 1]: one channel for one class, else one a class with the background first; answers are
probabilities on the same scale.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from bench.config import SampleConfig
from bench.methods.direct import Direct, Regression, evaluate
from bench.train.objective import Batch, Terms

EMPTY = 1.0  # voxels added to both sides of a Dice, so that two empty masks have one


class DirectSegmentation(Direct):
    """See Direct; its network's answers are scores."""

    def terms(self, batch: Batch, samples: Sequence[int], seed: int) -> Terms:
        scores = evaluate(self.net, batch.condition.to(self.device))
        wanted = (batch.target.to(self.device) + 1) / 2
        return Terms(loss=cross_entropy(scores, wanted) + 1 - soft_dice(scores, wanted))

    def predictor(self, nets: Sequence[nn.Module], seed: int, sample: SampleConfig) -> Regression:
        return Probabilities(self.config, nets, sample)


class Probabilities(Regression):
    """Probabilities as images in [-1, 1]; of several networks their mean."""

    def answered(self, raw: Tensor) -> Tensor:
        return 2 * probabilities(raw) - 1


def probabilities(scores: Tensor) -> Tensor:
    """[N, K, *spatial] -> the same: of one class by itself, of several together."""
    return scores.sigmoid() if scores.shape[1] == 1 else scores.softmax(1)


def cross_entropy(scores: Tensor, wanted: Tensor) -> Tensor:
    """[N]: mean over voxels, in nats; `wanted` 0..1 [N, K, *spatial]."""
    if scores.shape[1] == 1:
        loss = F.binary_cross_entropy_with_logits(scores, wanted, reduction="none")
    else:
        loss = -(wanted * scores.log_softmax(1)).sum(1)
    return loss.flatten(1).mean(1)


def soft_dice(scores: Tensor, wanted: Tensor) -> Tensor:
    """[N]: mean over the foreground classes of 2 |p y| / (|p| + |y|)."""
    first = 0 if scores.shape[1] == 1 else 1
    p, y = probabilities(scores)[:, first:].flatten(2), wanted[:, first:].flatten(2)
    shares: Tensor = (2 * (p * y).sum(2) + EMPTY) / (p.sum(2) + y.sum(2) + EMPTY)
    return shares.mean(1)
