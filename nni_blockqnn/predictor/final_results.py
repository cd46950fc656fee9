"""What networks reach in long trainings, from many early results and a few long ones.

The model is autoregressive co-kriging (Kennedy and O'Hagan, Biometrika 2000): the long result of a
network is a straight line in what its early stop is expected to be, plus what its family gains
more or less than others, plus noise. The line and the gains of families are learnt from the long
trainings that there are.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from nni_blockqnn.predictor.guide import Guide, expected_improvement
from nni_blockqnn.predictor.predictor import Network

_SLOPE_DEVIATION = 0.5
"""Of the line's slope around 1."""
_GAIN_DEVIATION = 0.55
_NOISE_DEVIATION = 0.35
"""Of families' gains and of a long training, in standard deviations of the early results, as
measured on blocks of one cost on CIFAR-10 (docs/search_quality.md). Few long trainings could not
tell."""
_OFFSET_DEVIATION = 100.0
"""In the same unit: as good as unknown."""


class FinalPrediction(NamedTuple):
    """Of each network's long result, without its noise: both (n,)."""

    mean: np.ndarray
    deviation: np.ndarray


class FinalResults:
    """Predicts long results; larger is better."""

    def __init__(self, early: Guide, spread: float) -> None:
        """
        Args:
            early: has learnt from all early results.
            spread: standard deviation of these.
        """
        self._early = early
        self._spread = spread if spread > 0 else 1.0
        self._networks: list[Network] = []
        self._results: list[float] = []

    def observe(self, network: Network, result: float) -> None:
        """Learn from a long training."""
        self._networks.append(network)
        self._results.append(result)

    def believe(self, pending: Sequence[Network]) -> None:
        """Take networks in training as known, with what is expected of them."""
        if not pending:
            return
        known = bool(self._results)
        means = self.predict(pending).mean if known else self._early.mean(pending)
        for network, mean in zip(pending, means, strict=True):
            self.observe(network, float(mean))

    def without_results(self) -> FinalResults:
        """Another one of the same early results."""
        return FinalResults(self._early, self._spread)

    def predict(self, networks: Sequence[Network]) -> FinalPrediction:
        """
        Raises:
            ValueError: if there are no long results yet.
        """
        if not self._results:
            raise ValueError("there are no long results yet to predict from")
        every = [*self._networks, *networks]
        known = len(self._networks)
        early = self._early.mean(every) / self._spread
        line = early - early[:known].mean()
        results = np.array(self._results) / self._spread
        offset = np.mean(results - line[:known])
        covariance = (
            _OFFSET_DEVIATION**2
            + _SLOPE_DEVIATION**2 * np.outer(line, line)
            + _GAIN_DEVIATION**2 * self._early.similarity(every)
        )
        noise = _NOISE_DEVIATION**2 * np.eye(known)
        factor = cho_factor(covariance[:known, :known] + noise, lower=True)
        between = covariance[:known, known:]
        left = results - line[:known] - offset
        mean = line[known:] + offset + between.T @ cho_solve(factor, left)
        explained = np.einsum("ij,ij->j", between, cho_solve(factor, between))
        variance = np.maximum(np.diag(covariance)[known:] - explained, 1e-12)
        return FinalPrediction(mean * self._spread, np.sqrt(variance) * self._spread)

    def rank(self, networks: Sequence[Network]) -> list[Network]:
        """By the improvement that a long training of each may be expected to bring, most first."""
        mean, deviation = self.predict(networks)
        best = float(self.predict(self._networks).mean.max())
        improvement = expected_improvement(mean, deviation, best)
        return [networks[at] for at in np.argsort(-improvement, kind="stable")]
