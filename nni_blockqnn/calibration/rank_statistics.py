"""Spearman's rank correlation, for many rows at once, and bootstrap intervals."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np


class Interval(NamedTuple):
    """An estimate with its 95 % bootstrap interval; all NaN where there is none."""

    estimate: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.estimate:.2f} [{self.low:.2f}, {self.high:.2f}]"


def spearman(values: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Spearman's rank correlation along the last axis; NaN where one side is constant.

    Equal values share the mean of their ranks. SciPy's own ``spearmanr`` does not broadcast: it
    would correlate every row with every other one.

    Args:
        values: (..., n), finite.
        others: (..., n), finite, broadcast against the values.

    >>> float(spearman(np.array([1.0, 10.0, 100.0]), np.array([3.0, 2.0, 1.0])))
    -1.0
    """
    from scipy.stats import rankdata  # takes a second to import, so only where it is needed

    # Pearson's correlation of the ranks, whose mean is (n + 1) / 2 whatever the ties
    middle = (values.shape[-1] + 1) / 2
    first, second = rankdata(values, axis=-1) - middle, rankdata(others, axis=-1) - middle
    spread = (first**2).sum(axis=-1) * (second**2).sum(axis=-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return (first * second).sum(axis=-1) / np.sqrt(spread)


def bootstrap(
    statistic: Callable[[np.ndarray], np.ndarray], count: int, drawn: np.ndarray
) -> Interval:
    """A statistic of all observations, with the 95 % percentile interval of resampled ones.

    Not ``scipy.stats.bootstrap``: a resample of equal values has no rank correlation, and one such
    NaN among thousands of resamples would leave no interval.

    Args:
        statistic: maps positions (..., count) to values (...).
        count: how many observations there are.
        drawn: (resamples, count), positions drawn with replacement.
    """
    estimate = float(statistic(np.arange(count)))
    return percentiles(estimate, statistic(drawn))


def percentiles(estimate: float, resampled: np.ndarray) -> Interval:
    """The estimate with the 2.5 and 97.5 percentiles of its resamples.

    Resamples without a value (NaN) are left out; if more than half are, there is no interval.
    """
    finite = resampled[np.isfinite(resampled)]
    if not np.isfinite(estimate) or 2 * len(finite) < len(resampled):
        return Interval(estimate, float("nan"), float("nan"))
    low, high = np.percentile(finite, [2.5, 97.5])
    return Interval(estimate, float(low), float(high))
