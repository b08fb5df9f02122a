"""Pairs of pictures of different subjects that are nearly the same picture.

Two pictures (or volumes) are near copies when their thumbnails, grey, of at most 32 x 32 pixels (16
x 16 x 16), each less its mean, correlate at .99 or more: the same frame stored twice, trimmed,
re-encoded, brightened. Two stages lose no pair. Every thumbnail, as a unit vector u, is written as
w = (its lowest cosine terms, 8 or 4 along each axis, and the length of what they leave); by Cauchy
and Schwarz w1 . w2 >= u1 . u2, so blocked matrix products of the short w name the candidates, and
only those are compared in full.

Cost: N^2 / 2 products of 64 terms; 100,000 pictures take 6e11 operations and 26 MB beside the
mapped images. Nearly constant pictures correlate by chance and are left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

NEAR = 0.99  # correlation of two near copies
FLAT_SD = 4 / 255  # of the value range: a thumbnail that varies less is not compared
_SIDE = {2: 32, 3: 16}  # pixels of a thumbnail along an axis, by the number of axes
_TERMS = {2: 8, 3: 4}  # cosine terms kept along an axis
_BLOCK = 2048  # pictures on each side of a matrix product
_READ_VALUES = 1 << 24  # pixels in memory at a time
_ROUNDING = 1e-5  # float32 products of unit vectors

Array = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class ShortVectors:
    """w of the pictures that are not flat (float32 [M, 64]), and the places of these pictures."""

    w: Array
    compared: NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Pairs:
    """Near copies: places of two pictures, first < second, and their correlation."""

    first: NDArray[np.int64]
    second: NDArray[np.int64]
    correlation: Array


def short_vectors(images: NDArray[Any], value_range: Sequence[float] = (0, 255)) -> ShortVectors:
    """The short vectors of images ([N, C, *spatial], a memory map will do), read in portions.

    value_range: lowest and highest value, against which flatness is measured.
    """
    low_terms = _cosines(_thumbnail_shape(images))
    flat_sd = FLAT_SD * (value_range[1] - value_range[0])
    vectors, compared = [], []
    for start in range(0, len(images), _BLOCK):
        places = np.arange(start, min(start + _BLOCK, len(images)))
        unit, sd = _thumbnails(images, places)
        kept = sd >= flat_sd
        low = unit[kept] @ low_terms.T
        left_over = np.sqrt(np.maximum(0, 1 - np.square(low).sum(1, keepdims=True)))
        vectors.append(np.concatenate([low, left_over], 1).astype(np.float32))
        compared.append(places[kept])
    return ShortVectors(w=np.concatenate(vectors), compared=np.concatenate(compared))


def near_pairs(
    images: NDArray[Any], subject: NDArray[np.int64], short: ShortVectors
) -> Iterator[Pairs]:
    """All near copies between different subjects, in portions of one block each.

    images: [N, C, *spatial], a memory map will do. subject: one number a picture.
    """
    w, compared = short.w, short.compared
    for top in range(0, len(compared), _BLOCK):
        for left in range(top, len(compared), _BLOCK):
            product = w[top : top + _BLOCK] @ w[left : left + _BLOCK].T
            candidates = np.flatnonzero(product >= NEAR - _ROUNDING)
            if not len(candidates):
                continue
            rows, columns = np.divmod(candidates, product.shape[1])
            first, second = compared[top + rows], compared[left + columns]
            wanted = (subject[first] != subject[second]) & (first < second)
            if wanted.any():
                yield _compare(images, first[wanted], second[wanted])


def _compare(images: NDArray[Any], first: NDArray[np.int64], second: NDArray[np.int64]) -> Pairs:
    """The full comparison of candidate pairs: one matrix product of the pictures in them."""
    rows, row = np.unique(first, return_inverse=True)
    columns, column = np.unique(second, return_inverse=True)
    product = _thumbnails(images, rows)[0] @ _thumbnails(images, columns)[0].T
    correlation = product[row, column]
    near = correlation >= NEAR
    return Pairs(first=first[near], second=second[near], correlation=correlation[near])


def _thumbnails(images: NDArray[Any], places: NDArray[np.int64]) -> tuple[Array, Array]:
    """Thumbnails of images[places], less their mean, as unit vectors [n, pixels]; and their sd."""
    shape = _thumbnail_shape(images)
    values = np.empty((len(places), int(np.prod(shape))), np.float32)
    portion = max(1, _READ_VALUES // int(np.prod(images.shape[1:])))
    for start in range(0, len(places), portion):
        grey = images[places[start : start + portion]].mean(axis=1, dtype=np.float32)
        for axis, (small, large) in enumerate(zip(shape, images.shape[2:], strict=True), start=1):
            if small != large:
                averaged = np.tensordot(grey, _averages(small, large), axes=(axis, 1))
                grey = np.moveaxis(averaged, -1, axis)
        values[start : start + portion] = grey.reshape(len(grey), -1)
    values -= values.mean(axis=1, keepdims=True)
    sd = values.std(axis=1)
    values /= np.maximum(np.linalg.norm(values, axis=1, keepdims=True), np.finfo(np.float32).tiny)
    return values, sd


def _thumbnail_shape(images: NDArray[Any]) -> tuple[int, ...]:
    return tuple(min(_SIDE[images.ndim - 2], length) for length in images.shape[2:])


@cache
def _averages(small: int, large: int) -> Array:
    """[small, large]: each row averages its share of `large` pixels, fractions of pixels too."""
    edges = np.arange(small + 1) * (large / small)
    pixel = np.arange(large)
    overlap = np.minimum(edges[1:, None], pixel + 1) - np.maximum(edges[:-1, None], pixel)
    return np.asarray(np.maximum(overlap, 0) * (small / large), np.float32)


@cache
def _cosines(shape: tuple[int, ...]) -> Array:
    """[K, pixels]: orthonormal cosines over `shape`, the lowest of each axis, without the mean."""

    def axis(n: int) -> NDArray[np.float64]:
        order = np.arange(min(_TERMS[len(shape)], n))[:, None]
        waves = np.cos(np.pi * order * (2 * np.arange(n) + 1) / (2 * n)) * np.sqrt(2 / n)
        waves[0] = np.sqrt(1 / n)
        return np.asarray(waves)

    terms: NDArray[Any] = np.ones((1, 1))
    for n in shape:
        terms = np.kron(terms, axis(n))
    return np.asarray(terms[1:], np.float32)
