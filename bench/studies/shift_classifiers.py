"""How well classifiers tell generated pictures from real ones: the distribution shift.

Reynaud and Kainz 2023, "Exploring the Hyperparameter Space of Image Diffusion Models for
Echocardiogram Generation", section "Distribution Shifts" and table 2: a linear classifier of the
pixels, and a ResNet-18 without and with augmentation; 50 epochs, Adam at 1e-4, binary cross
entropy, a tenth held out. Ours: real pictures are held out by subject (the paper splits pictures,
so that a network may recognise its training subjects in the part held out), both kinds are equally
many in both parts, and it is the last epoch that is judged: none is chosen on the part held out.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import stats
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits as cross_entropy

from bench.data.cache import CachedImages
from bench.data.value_range import BYTE_RANGE, as_float, to_uint8
from bench.errors import BenchError, unknown
from bench.metrics.memorisation import matched_indices
from bench.streams import derive_seed, permutation, stream
from bench.studies.small_turns import drawn_turns, turned

Interval = tuple[float, float]
JUDGED_AT_ONCE = 256


@dataclass(frozen=True, kw_only=True)
class Pictures:
    """Pictures of one kind: values uint8 [n, C, H, W]. subjects int [n]: whose each is, and such
    pictures are held out by subject; None: each picture stands for itself."""

    values: NDArray[np.uint8]
    subjects: NDArray[np.integer[Any]] | None = None


@dataclass(frozen=True, kw_only=True)
class ShiftClassifier:
    """`build` makes a network of shape [C, H, W] -> logits [N, 1] of float32 in [-1, 1]."""

    title: str
    build: Callable[[Sequence[int]], nn.Module]
    augmented: bool = False


def _linear(shape: Sequence[int]) -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(math.prod(shape), 1))


def _resnet18(shape: Sequence[int]) -> nn.Module:
    import timm

    net: nn.Module = timm.create_model(
        "resnet18", pretrained=False, in_chans=shape[0], num_classes=1
    )
    return net


CLASSIFIERS = {
    "linear": ShiftClassifier(title="Linear", build=_linear),
    "resnet18": ShiftClassifier(title="ResNet-18", build=_resnet18),
    "resnet18_augmented": ShiftClassifier(title="Aug. ResNet-18", build=_resnet18, augmented=True),
}


@dataclass(frozen=True, kw_only=True)
class ShiftSettings:
    """The paper's, but for batch_size, which it does not give; held_share: the part held out."""

    epochs: int = 50
    lr: float = 1e-4
    batch_size: int = 128
    held_share: float = 0.1

    def __post_init__(self) -> None:
        if self.epochs < 1 or self.batch_size < 2:
            raise BenchError(
                f"a classifier needs epochs >= 1 and batch_size >= 2, got {self.epochs} and "
                f"{self.batch_size}"
            )
        if not 0 < self.lr < math.inf or not 0 < self.held_share < 1:
            raise BenchError(
                f"a classifier needs lr > 0 and 0 < held_share < 1, got {self.lr} and "
                f"{self.held_share}"
            )


@dataclass(frozen=True, kw_only=True)
class ToldApart:
    """What a classifier came to on the part held out.

    right of count pictures, half of them of each kind. interval: Clopper and Pearson's of 95 %,
    which takes pictures for independent. Pictures of one subject are not: by_subject is the 95 %
    percentile bootstrap over subjects, held_subjects of them; None where no picture has a subject.
    Measured on 40 pairs of equal halves, 20 subjects of ten pictures held out: the first interval
    held one half in 48 %, the second in 85 %. train_accuracy: of the pictures it was trained on.
    """

    classifier: str
    right: int
    count: int
    interval: Interval
    by_subject: Interval | None
    held_subjects: int
    train_accuracy: float

    @property
    def accuracy(self) -> float:
        return self.right / self.count


def real_pictures(
    data: CachedImages, part: str, count: int, *, by_subject: bool = True
) -> Pictures:
    """`count` pictures of a part (all, where it has fewer), the same every time; by_subject=False
    to hold them out by picture, as the paper does."""
    rows = matched_indices(data.parts[part], count)
    return Pictures(
        values=to_uint8(data.images[rows], data.value_range),
        subjects=data.subject[rows] if by_subject else None,
    )


def halves_by_subject(pictures: Pictures, *, seed: int) -> tuple[Pictures, Pictures]:
    """Two sets of other subjects, of about as many pictures each: what cannot be told apart.

    Raises:
        BenchError: fewer than four subjects, so that neither half could hold one out.
    """
    names = np.unique(_subjects(pictures))
    if len(names) < 4:
        raise BenchError(
            f"two halves, each with subjects held out, need four subjects or more, not {len(names)}"
        )
    second, first = _held_out(pictures, 0.5, seed, "shift/halves")
    return _some(pictures, first), _some(pictures, second)


def told_apart(
    real: Pictures,
    other: Pictures,
    classifier: str,
    settings: ShiftSettings | None = None,
    *,
    seed: int,
    device: str = "cpu",
) -> ToldApart:
    """Train a classifier of CLASSIFIERS on both kinds, and judge it on pictures held out of both.

    Of the kind with more pictures some are left out at random. Deterministic by `seed`.

    Raises:
        BenchError: an unknown classifier, pictures of two shapes, too few, or a loss that is not
            finite.
    """
    settings = settings or ShiftSettings()
    if classifier not in CLASSIFIERS:
        raise unknown("shift classifier", classifier, CLASSIFIERS)
    chosen = CLASSIFIERS[classifier]
    _check_pictures(real, other)
    parts = [
        _held_out(pictures, settings.held_share, seed, f"shift/{kind}")
        for kind, pictures in (("real", real), ("other", other))
    ]
    held_count, train_count = (min(len(p[k]) for p in parts) for k in (0, 1))
    held = [_some(p, rows[0][:held_count]) for p, rows in zip((real, other), parts, strict=True)]
    train = [_some(p, rows[1][:train_count]) for p, rows in zip((real, other), parts, strict=True)]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(seed, "shift/init"))
        net = chosen.build(real.values.shape[1:]).to(device)
    _train(net, train, settings, seed, device, augmented=chosen.augmented)
    right = [_right(net, pictures, k == 0, device) for k, pictures in enumerate(held)]
    learned = [_right(net, pictures, k == 0, device) for k, pictures in enumerate(train)]
    total, count = int(np.concatenate(right).sum()), 2 * held_count
    exact = stats.binomtest(total, count).proportion_ci(0.95, method="exact")
    clustered = any(pictures.subjects is not None for pictures in held)
    return ToldApart(
        classifier=classifier,
        right=total,
        count=count,
        interval=(float(exact.low), float(exact.high)),
        by_subject=_over_subjects(held, right, seed) if clustered else None,
        held_subjects=sum(len(np.unique(p.subjects)) for p in held if p.subjects is not None),
        train_accuracy=float(np.concatenate(learned).mean()),
    )


def _held_out(
    pictures: Pictures, share: float, seed: int, purpose: str
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows held out and rows left, each in random order: whole subjects, drawn until their
    pictures are the share; at least one stays on either side."""
    n = len(pictures.values)
    owners = np.arange(n) if pictures.subjects is None else pictures.subjects
    names, place, sizes = np.unique(owners, return_inverse=True, return_counts=True)
    if len(names) < 2:
        raise BenchError(
            f"a part held out needs two subjects or more; the {n} pictures are of {len(names)}"
        )
    drawn = permutation(seed, f"{purpose}/subjects", 0, len(names))
    needed = 1 + int(np.searchsorted(np.cumsum(sizes[drawn]), share * n - 1e-9))
    out = np.isin(place, drawn[: min(needed, len(names) - 1)])
    order = permutation(seed, f"{purpose}/pictures", 0, n)
    return order[out[order]], order[~out[order]]


def _train(
    net: nn.Module,
    kinds: Sequence[Pictures],
    settings: ShiftSettings,
    seed: int,
    device: str,
    *,
    augmented: bool,
) -> None:
    values = np.concatenate([pictures.values for pictures in kinds])
    truth = torch.arange(len(values)) < len(kinds[0].values)
    optimizer = torch.optim.Adam(net.parameters(), lr=settings.lr, fused=True)
    net.train()
    batches = math.ceil(len(values) / settings.batch_size)
    for epoch in range(settings.epochs):
        order = permutation(seed, "shift/order", epoch, len(values))
        for rows in np.array_split(order, batches):  # of nearly one size: norms need two pictures
            x = torch.from_numpy(as_float(values[rows], BYTE_RANGE)).to(device)
            if augmented:
                numbers = epoch * len(values) + rows
                draws = [stream(seed, "shift/augment", int(k)) for k in numbers]
                x = turned(x, drawn_turns(draws))
            logits = net(x).squeeze(1)
            loss = cross_entropy(logits, truth[rows].to(logits))
            optimizer.zero_grad(set_to_none=True)
            torch.autograd.backward(loss)
            optimizer.step()
        if not math.isfinite(float(loss.detach())):
            raise BenchError(f"a classifier diverged in epoch {epoch + 1}; lower lr={settings.lr}")


@torch.no_grad()
def _right(net: nn.Module, pictures: Pictures, is_real: bool, device: str) -> NDArray[np.bool_]:
    """Whether each picture is taken for what it is, bool [n]."""
    net.eval()
    found: list[Tensor] = []
    for first in range(0, len(pictures.values), JUDGED_AT_ONCE):
        block = as_float(pictures.values[first : first + JUDGED_AT_ONCE], BYTE_RANGE)
        found.append(net(torch.from_numpy(block).to(device)).squeeze(1).cpu())
    logits = torch.cat(found)
    if not bool(logits.isfinite().all()):
        raise BenchError("a classifier's answers are not finite; lower lr")
    said_real = logits > 0
    return np.asarray(said_real.numpy() == is_real, np.bool_)


def _over_subjects(
    held: Sequence[Pictures], right: Sequence[NDArray[np.bool_]], seed: int
) -> Interval:
    """The share right, its subjects drawn again within each kind: SciPy's percentile bootstrap."""
    tallies = []  # of each kind: right and all pictures of each subject
    for pictures, told in zip(held, right, strict=True):
        owners = np.arange(len(told)) if pictures.subjects is None else pictures.subjects
        _, place = np.unique(owners, return_inverse=True)
        tallies.append((np.bincount(place, weights=told), np.bincount(place)))

    def share(*drawn: NDArray[np.int64], axis: int = -1) -> NDArray[np.float64]:
        sums = [
            (told[rows].sum(axis), all_of[rows].sum(axis))
            for (told, all_of), rows in zip(tallies, drawn, strict=True)
        ]
        return np.asarray(sum(told for told, _ in sums) / sum(count for _, count in sums))

    if any(len(told) < 2 for told, _ in tallies):
        return 0.0, 1.0  # one subject says nothing of the next
    found = stats.bootstrap(
        [np.arange(len(told)) for told, _ in tallies],
        share,
        vectorized=True,
        confidence_level=0.95,
        method="percentile",
        n_resamples=1999,
        batch=100,
        rng=stream(seed, "shift/bootstrap"),
    ).confidence_interval
    return float(found.low), float(found.high)


def _subjects(pictures: Pictures) -> NDArray[np.integer[Any]]:
    if pictures.subjects is None:
        raise BenchError("halves by subject need pictures with subjects")
    return pictures.subjects


def _some(pictures: Pictures, rows: NDArray[np.int64]) -> Pictures:
    owners = None if pictures.subjects is None else pictures.subjects[rows]
    return Pictures(values=pictures.values[rows], subjects=owners)


def _check_pictures(real: Pictures, other: Pictures) -> None:
    for pictures in (real, other):
        values, owners = pictures.values, pictures.subjects
        if values.dtype != np.uint8 or values.ndim != 4:
            raise BenchError(
                f"pictures must be uint8 [n, C, H, W], got {values.dtype} {tuple(values.shape)}"
            )
        if owners is not None and owners.shape != (len(values),):
            raise BenchError(f"{len(values)} pictures have subjects of shape {owners.shape}")
    if real.values.shape[1:] != other.values.shape[1:]:
        raise BenchError(
            f"both kinds must be of one shape, not {tuple(real.values.shape[1:])} and "
            f"{tuple(other.values.shape[1:])}"
        )
