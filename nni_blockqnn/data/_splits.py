"""Stratified samples: every class in proportion, and none left out."""

from __future__ import annotations

import numpy as np

TEST_FRACTION = 0.2
"""Of a data set that has no test set of its own."""
_TEST_SEED = 0  # of its own: whatever seed a search has, the test set stays the same


def separate_test(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows to train on, and a fixed stratified fifth as the test set; each class has one of both.

    Args:
        labels: (N,) int64, of each class two at least.
    """
    classes = int((np.bincount(labels) > 0).sum())
    total = min(max(round(TEST_FRACTION * len(labels)), classes), len(labels) - classes)
    test = stratified_sample(labels, total, np.random.default_rng(_TEST_SEED), leave=1)
    return np.setdiff1d(np.arange(len(labels)), test), test


def stratified_sample(
    labels: np.ndarray, total: int, rng: np.random.Generator, *, leave: int = 0
) -> np.ndarray:
    """Sorted positions of `total` labels drawn at random, each class in proportion.

    Args:
        labels: (N,) int64.
        total: size of the sample.
        leave: at least this many of each class stay outside the sample.

    Raises:
        ValueError: if not every class that occurs can have one inside and `leave` outside, or
            `total` does not fit.
    """
    counts = stratified_counts(np.bincount(labels), total, leave)
    chosen = [
        rng.permutation(np.flatnonzero(labels == label))[:count]
        for label, count in enumerate(counts)
        if count
    ]
    return np.sort(np.concatenate(chosen))


def stratified_counts(available: np.ndarray, total: int, leave: int = 0) -> np.ndarray:
    """How many of each class: the proportional share, rounded by largest remainder, one at least.

    Args:
        available: how many labels each class has; a class with none gets none.
        total: the sum of the result.
        leave: how many of each class must be left.

    Raises:
        ValueError: as `stratified_sample`.
    """
    occurs = available > 0
    lowest = occurs.astype(np.int64)
    highest = np.where(occurs, available - leave, 0)
    if (highest < lowest).any() or not lowest.sum() <= total <= highest.sum():
        raise ValueError(
            f"cannot draw {total} of {available.tolist()}, one of each at least, leaving {leave}"
        )
    share = total * available / available.sum()
    counts = np.clip(np.floor(share).astype(np.int64), lowest, highest)
    while counts.sum() < total:
        counts[np.argmax(np.where(counts < highest, share - counts, -np.inf))] += 1
    while counts.sum() > total:
        counts[np.argmin(np.where(counts > lowest, share - counts, np.inf))] -= 1
    return counts
