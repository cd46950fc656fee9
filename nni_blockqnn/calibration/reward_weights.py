"""The mu and rho with which early-stop results would have ranked blocks as final ones do.

Spearman's correlation of accuracy - mu ln(FLOPs) - rho ln(density) with the final accuracy has no
gradient, but there are two unknowns only: a grid finds them, and finer grids around the best.
Whatever is fitted to 30 pairs fits their noise too, so :func:`left_out_places` says how each pair
fares under weights that were fitted without it.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from nni_blockqnn.calibration.rank_statistics import spearman

_STEPS = (0.1, 0.2, 0.35, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0)
_GRID = np.stack(
    np.meshgrid(*[[*(-step for step in reversed(_STEPS)), 0.0, *_STEPS]] * 2), axis=-1
).reshape(-1, 2)
"""Pairs of weights, each times the deviation of its logarithm over that of the accuracy: at 10 the
accuracy hardly counts any more."""
_AROUND = np.stack(np.meshgrid(*[np.linspace(-1, 1, 7)] * 2), axis=-1).reshape(-1, 2)
_REFINEMENTS = 4
_AT_ONCE = 2_000_000
"""Numbers that are ranked at a time: some 100 MB."""
_MOST_FOLDS = 30


class Pairs(NamedTuple):
    """Networks that were trained both ways; all arrays have the shape (n,).

    Attributes:
        early: accuracy in percent after the early stop.
        flops: multiply-accumulates of the network for one image.
        density: edges over dots of the block's graph.
        final: accuracy in percent after the final training.
    """

    early: np.ndarray
    flops: np.ndarray
    density: np.ndarray
    final: np.ndarray

    def taken(self, positions: np.ndarray) -> Pairs:
        return Pairs(*(values[positions] for values in self))

    def rewards(self, mu: float | np.ndarray, rho: float | np.ndarray) -> np.ndarray:
        """The reward of each pair (paper, Section 3.3), (n,), up to a constant; for weights of the
        shape (m, 1) of each pair under each of them, (m, n)."""
        return self.early - mu * np.log(self.flops) - rho * np.log(self.density)


class Weights(NamedTuple):
    """Those of the reward."""

    mu: float
    rho: float


def best_weights(pairs: Pairs) -> Weights:
    """The weights, negative ones too, whose reward correlates best with the final accuracy.

    Of equally good ones the nearest to zero count. Zero, if the final accuracies are all the same.
    """
    units = _units(pairs)
    best = _best_of(pairs, _GRID, units)
    spacing = np.maximum(_STEPS[0], np.abs(best) / 2)
    for _ in range(_REFINEMENTS):
        best = _best_of(pairs, best + spacing * _AROUND, units)
        spacing /= 3  # to that of the points which were tried
    return Weights(*(best * units).tolist())


def left_out_places(pairs: Pairs, rng: np.random.Generator) -> np.ndarray:
    """The place that each pair takes, worst first, under weights that were fitted without it.

    Places and not rewards, which under different weights are not comparable. From 0 to 1, (n,).

    Args:
        rng: deals more than 30 pairs into 30 groups, each of which is left out at once.
    """
    count = len(pairs.final)
    places = np.empty(count)
    for left_out in np.array_split(rng.permutation(count), min(count, _MOST_FOLDS)):
        kept = np.setdiff1d(np.arange(count), left_out)
        rewards = pairs.rewards(*best_weights(pairs.taken(kept)))
        below = (rewards[left_out, None] > rewards[kept]).mean(axis=1)
        equal = (rewards[left_out, None] == rewards[kept]).mean(axis=1)
        places[left_out] = below + equal / 2
    return places


def _units(pairs: Pairs) -> np.ndarray:
    """What a weight is measured in: (2,), zero for a logarithm that does not vary."""
    spreads = np.array([np.log(pairs.flops).std(), np.log(pairs.density).std()])
    varies = spreads > 1e-9
    return np.where(varies, pairs.early.std() / np.where(varies, spreads, 1.0), 0.0)


def _best_of(pairs: Pairs, candidates: np.ndarray, units: np.ndarray) -> np.ndarray:
    """Of (m, 2) weights in their units the best, (2,)."""
    rows = max(1, _AT_ONCE // len(pairs.final))
    correlations = np.concatenate(
        [
            spearman(pairs.rewards(*(chunk * units).T[:, :, None]), pairs.final)
            for chunk in np.split(candidates, range(rows, len(candidates), rows))
        ]
    )
    correlations = np.nan_to_num(correlations.round(12), nan=-2.0)
    distances = (candidates**2).sum(axis=1).round(12)
    return candidates[np.lexsort((distances, -correlations))[0]]
