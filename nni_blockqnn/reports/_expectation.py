"""What random search would have found by now, from the results of random blocks (Fig. 10)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.special import bdtr

BEST_OF = 5


class Expectation(NamedTuple):
    """Of random search at some numbers of trials, each (n,).

    Attributes:
        best: the expected best result.
        low, high: between them the best result lies in 80 % of random searches.
        five: the expected mean of the best five.
    """

    trials: np.ndarray
    best: np.ndarray
    low: np.ndarray
    high: np.ndarray
    five: np.ndarray


def random_expectation(sample: Sequence[float], trials: Sequence[int]) -> Expectation:
    """What random searches of these lengths find if every trial draws from the sample.

    The j-th best of n draws is at most x if at most j - 1 of them are above x, which is binomial.
    No draw is above the sample's best: searches much longer than the sample find more than this.

    Args:
        sample: results of random blocks; larger is better.
    """
    values = np.sort(np.asarray(sample, dtype=float))
    numbers = np.asarray(trials, dtype=int)[:, None]
    above = 1 - np.arange(1, len(values) + 1) / len(values)  # (m,), of a draw and each value
    # (n, m): the chance that so many draws at most are above each value
    below = [bdtr(np.minimum(place, numbers), numbers, above[None, :]) for place in range(BEST_OF)]
    means = []
    for place, at_most in enumerate(below):
        # fewer draws than places: the worst value stands for what is missing
        chance = np.diff(np.where(numbers > place, at_most, 1.0), prepend=0.0, axis=1)
        means.append(chance @ values)
    counts = np.minimum(numbers[:, 0], BEST_OF)
    stacked = np.stack(means)
    five = np.array([stacked[:count, at].mean() for at, count in enumerate(counts)])
    low, high = (
        values[np.minimum((below[0] < share).sum(axis=1), len(values) - 1)] for share in (0.1, 0.9)
    )
    return Expectation(numbers[:, 0], means[0], low, high, five)


def best_five_so_far(values: Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
    """The best so far and the mean of the best five so far, each (n,); larger is better."""
    best, five = [], []
    kept: list[float] = []
    for value in values:
        kept = sorted([*kept, value], reverse=True)[:BEST_OF]
        best.append(kept[0])
        five.append(sum(kept) / len(kept))
    return np.array(best), np.array(five)
