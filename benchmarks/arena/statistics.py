"""Means over seeds with bootstrap intervals, paired by seed."""

from __future__ import annotations

import numpy as np

from nni_blockqnn.calibration.rank_statistics import Interval

_RESAMPLES = 2_000


def mean(values: np.ndarray) -> Interval:
    """
    Args:
        values: (seeds,)
    """
    return _interval(float(values.mean()), values[_resamples(len(values))].mean(axis=1))


def ratio_of_means(values: np.ndarray, reference: np.ndarray) -> Interval:
    """Of searches that share their seeds.

    Args:
        values: (seeds,)
        reference: (seeds,); where its mean is 0, the ratio is infinite, or 1 if both are 0.
    """
    drawn = _resamples(len(values))
    return _interval(
        _ratio(values.mean(), reference.mean()),
        _ratio(values[drawn].mean(axis=1), reference[drawn].mean(axis=1)),
    )


def _ratio(values: np.ndarray, reference: np.ndarray) -> np.ndarray:
    values, reference = np.asarray(values), np.asarray(reference)
    both_zero = (values == 0) & (reference == 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(both_zero, 1.0, values / reference)


def _interval(estimate: float | np.ndarray, resampled: np.ndarray) -> Interval:
    low, high = np.percentile(resampled, [2.5, 97.5], method="nearest")
    return Interval(float(estimate), float(low), float(high))


def _resamples(seeds: int) -> np.ndarray:
    return np.random.default_rng(0).integers(seeds, size=(_RESAMPLES, seeds))
