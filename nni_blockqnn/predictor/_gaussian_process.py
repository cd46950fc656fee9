"""A Gaussian process over networks: Weisfeiler-Lehman kernel plus one on a few numbers.

The kernel on labels is NAS-BOWL's (arXiv 2006.07556), the normalised dot product of label counts.
The squared exponential of costs and sizes beside it carries what labels tell only slowly.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import product
from typing import NamedTuple

import numpy as np
from scipy.linalg import solve_triangular

from nni_blockqnn.predictor._features import DEPTHS, LEAST_SPREADS, Features


class Kernel(NamedTuple):
    """How alike two networks are, as a correlation.

    Attributes:
        depths: labels of so many depths count alike.
        label_share: weight of the labels; the rest is the numbers'.
        length_scale: of the numbers, in standard deviations.
        noise: variance of a result that its network does not explain, in variances of the signal.
    """

    depths: int
    label_share: float
    length_scale: float
    noise: float


KERNELS = tuple(
    Kernel(*values)
    for values in product(range(1, DEPTHS + 1), (0.3, 0.7), (1.0, 2.0, 4.0), (0.03, 0.1, 0.3, 1.0))
)


class _Inputs(NamedTuple):
    """Features of n networks.

    Attributes:
        labels: (n, depths * BUCKETS)
        numbers: (n, numbers), standardised.
    """

    labels: np.ndarray
    numbers: np.ndarray


class _Scale(NamedTuple):
    """Mean and standard deviation of a quantity over the trained networks."""

    centre: np.ndarray
    spread: np.ndarray

    @classmethod
    def fit(cls, values: np.ndarray, least: Sequence[float] = (0.0,)) -> _Scale:
        """
        Args:
            least: spreads, smaller ones of which are raised to these; one for all, or one each.
        """
        spread = np.maximum(values.std(axis=0), least)
        return cls(values.mean(axis=0), np.where(spread > 0, spread, 1.0))

    def standardised(self, values: np.ndarray) -> np.ndarray:
        return (values - self.centre) / self.spread


class GaussianProcess:
    """Predicts the results of networks from those of others."""

    def __init__(self, kernel: Kernel, trained: Sequence[Features], results: np.ndarray) -> None:
        """
        Args:
            results: (n,) of the trained networks.
        """
        self._kernel = kernel
        self._numbers = _Scale.fit(_numbers(trained), LEAST_SPREADS)
        self._results = _Scale.fit(results)
        self._trained = self._inputs(trained)
        correlation = self._correlation(self._trained, self._trained)
        self._root = _cholesky(correlation, kernel.noise)
        self._whitened = _solve(self._root, self._results.standardised(results))
        # the scale that maximises the likelihood, in closed form
        self._variance = max(float(np.mean(self._whitened**2)), 1e-12)

    def predict(
        self, networks: Sequence[Features], pending: Sequence[Features] = ()
    ) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation of each network's result without its noise.

        Args:
            pending: networks whose results are awaited: they do not move the mean, but what is like
                them becomes less uncertain.
        """
        inputs = self._inputs(networks)
        # with K = L L', mean = k' K^-1 y and variance = 1 - k' K^-1 k, both through L^-1 k
        cross = _solve(self._root, self._correlation(self._trained, inputs))
        variance = 1 - np.square(cross).sum(axis=0)
        if pending:
            # the same once more on what the trained networks leave unexplained
            awaited = self._inputs(pending)
            awaited_cross = _solve(self._root, self._correlation(self._trained, awaited))
            covariance = self._correlation(awaited, awaited) - awaited_cross.T @ awaited_cross
            root = _cholesky(covariance, self._kernel.noise)
            between = self._correlation(awaited, inputs) - awaited_cross.T @ cross
            variance -= np.square(_solve(root, between)).sum(axis=0)
        centre, spread = self._results
        deviation = np.sqrt(self._variance * np.maximum(variance, 1e-12))
        return centre + spread * (cross.T @ self._whitened), spread * deviation

    def correlation(self, networks: Sequence[Features]) -> np.ndarray:
        """(n, n) between the results of the networks, without their noise, before any is known."""
        inputs = self._inputs(networks)
        return self._correlation(inputs, inputs)

    def _inputs(self, networks: Sequence[Features]) -> _Inputs:
        labels = _labels(networks)[:, : self._kernel.depths].reshape(len(networks), -1)
        return _Inputs(labels, self._numbers.standardised(_numbers(networks)))

    def _correlation(self, some: _Inputs, others: _Inputs) -> np.ndarray:
        alike = some.labels @ others.labels.T / self._kernel.depths
        distances = _squared_distances(some.numbers, others.numbers)
        return _correlation(self._kernel, alike, distances)


def likeliest_kernel(trained: Sequence[Features], results: np.ndarray) -> Kernel:
    """The kernel of ``KERNELS`` that explains the results best (marginal likelihood)."""
    labels = _labels(trained).swapaxes(0, 1)
    by_depth = np.cumsum(labels @ labels.swapaxes(1, 2), axis=0)
    scale = _Scale.fit(_numbers(trained), LEAST_SPREADS)
    numbers = scale.standardised(_numbers(trained))
    distances = _squared_distances(numbers, numbers)
    targets = _Scale.fit(results).standardised(results)

    def log_likelihood(kernel: Kernel) -> float:
        # up to a constant, with the best scale put in: -n/2 ln(scale) - ln det L
        alike = by_depth[kernel.depths - 1] / kernel.depths
        root = _cholesky(_correlation(kernel, alike, distances), kernel.noise)
        whitened = _solve(root, targets)
        variance = max(float(np.mean(whitened**2)), 1e-12)
        return -0.5 * len(targets) * math.log(variance) - float(np.log(np.diag(root)).sum())

    return max(KERNELS, key=log_likelihood)


def _correlation(kernel: Kernel, labels: np.ndarray, distances: np.ndarray) -> np.ndarray:
    numbers = np.exp(-0.5 * distances / kernel.length_scale**2)
    return kernel.label_share * labels + (1 - kernel.label_share) * numbers


def _squared_distances(some: np.ndarray, others: np.ndarray) -> np.ndarray:
    squares = np.square(some).sum(axis=1)[:, None] + np.square(others).sum(axis=1)
    return np.maximum(squares - 2 * some @ others.T, 0.0)


def _labels(networks: Sequence[Features]) -> np.ndarray:
    return np.stack([network.labels for network in networks])


def _numbers(networks: Sequence[Features]) -> np.ndarray:
    return np.array([network.numbers for network in networks])


def _solve(root: np.ndarray, values: np.ndarray) -> np.ndarray:
    """root^-1 values, for a lower triangular root."""
    return solve_triangular(root, values, lower=True, check_finite=False)


def _cholesky(correlation: np.ndarray, noise: float) -> np.ndarray:
    return np.linalg.cholesky(correlation + (noise + 1e-8) * np.eye(len(correlation)))
