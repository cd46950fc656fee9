"""Spearman's rank correlation, for many rows at once, and bootstrap intervals."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np


class Interval(NamedTuple):
    """An estimate with its 95 % bootstrap interval; all NaN where nothing can be said."""

    estimate: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.estimate:.2f} [{self.low:.2f}, {self.high:.2f}]"


def ranks(values: np.ndarray) -> np.ndarray:
    """Ranks along the last axis, from 1; equal values share the mean of their places.

    Args:
        values: (..., n), finite.

    >>> ranks(np.array([5.0, 7.0, 5.0, 9.0])).tolist()
    [1.5, 3.0, 1.5, 4.0]
    """
    rows = values.reshape(-1, values.shape[-1])
    order = np.argsort(rows, axis=1)
    in_order = np.take_along_axis(rows, order, axis=1)
    is_new = np.ones(rows.shape, dtype=bool)
    is_new[:, 1:] = in_order[:, 1:] != in_order[:, :-1]
    starts = np.flatnonzero(is_new)  # of runs of equal values, row after row
    lengths = np.diff(starts, append=rows.size)
    means = starts % rows.shape[1] + (lengths + 1) / 2
    result = np.empty(rows.shape)
    np.put_along_axis(result, order, np.repeat(means, lengths).reshape(rows.shape), axis=1)
    return result.reshape(values.shape)


def spearman(values: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Spearman's rank correlation along the last axis, NaN where one side is constant.

    Args:
        values: (..., n)
        others: (..., n), broadcast against the values.
    """
    first, second = ranks(values), ranks(others)
    middle = (values.shape[-1] + 1) / 2
    first, second = first - middle, second - middle
    spread = (first**2).sum(axis=-1) * (second**2).sum(axis=-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return (first * second).sum(axis=-1) / np.sqrt(spread)


def bootstrap(
    statistic: Callable[[np.ndarray], np.ndarray], count: int, drawn: np.ndarray
) -> Interval:
    """A statistic of all observations, with percentiles of those of resampled ones.

    Args:
        statistic: of positions (..., count), the values (...).
        count: of the observations.
        drawn: (resamples, count), positions drawn with replacement.
    """
    estimate = float(statistic(np.arange(count)))
    return percentiles(estimate, statistic(drawn))


def percentiles(estimate: float, resampled: np.ndarray) -> Interval:
    """Resamples that say nothing (NaN) are left out; if more than half do, there is no interval."""
    said = resampled[np.isfinite(resampled)]
    if not np.isfinite(estimate) or 2 * len(said) < len(resampled):
        return Interval(estimate, float("nan"), float("nan"))
    low, high = np.percentile(said, [2.5, 97.5])
    return Interval(estimate, float(low), float(high))
