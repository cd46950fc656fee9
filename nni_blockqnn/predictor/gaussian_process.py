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

from nni_blockqnn.predictor.features import DEPTHS, Features


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
    """Features of several networks, numbers standardised."""

    labels: np.ndarray
    numbers: np.ndarray


class GaussianProcess:
    """Predicts the results of networks from those of others."""

    def __init__(self, kernel: Kernel, trained: Sequence[Features], results: np.ndarray) -> None:
        """
        Args:
            results: (n,) of the trained networks.
        """
        self._kernel = kernel
        numbers = np.array([f.numbers for f in trained])
        self._centre, self._spread = numbers.mean(axis=0), numbers.std(axis=0) + 1e-9
        self._mean = float(results.mean())
        self._deviation = float(results.std()) or 1.0
        self._trained = self._inputs(trained)
        targets = (results - self._mean) / self._deviation
        root = _cholesky(self._correlation(self._trained, self._trained), kernel.noise)
        self._whitening = np.linalg.inv(root)  # numpy has no solver for triangular matrices
        self._whitened = self._whitening @ targets
        n = len(results)
        self._scale = max(float(self._whitened @ self._whitened) / n, 1e-12)
        self.log_likelihood = -0.5 * n * math.log(self._scale) - float(np.log(np.diag(root)).sum())

    def predict(
        self, networks: Sequence[Features], pending: Sequence[Features] = ()
    ) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation of each network's result without its noise.

        Args:
            pending: networks whose results are awaited: they do not move the mean, but what is like
                them becomes less uncertain.
        """
        inputs = self._inputs(networks)
        cross = self._whitening @ self._correlation(self._trained, inputs)
        mean = self._mean + self._deviation * (cross.T @ self._whitened)
        variance = 1 - np.square(cross).sum(axis=0)
        if pending:
            awaited = self._inputs(pending)
            awaited_cross = self._whitening @ self._correlation(self._trained, awaited)
            covariance = self._correlation(awaited, awaited) - awaited_cross.T @ awaited_cross
            root = _cholesky(covariance, self._kernel.noise)
            between = self._correlation(awaited, inputs) - awaited_cross.T @ cross
            variance -= np.square(np.linalg.inv(root) @ between).sum(axis=0)
        deviation = self._deviation * np.sqrt(self._scale * np.maximum(variance, 1e-12))
        return mean, deviation

    def _inputs(self, networks: Sequence[Features]) -> _Inputs:
        labels = np.stack([f.labels[: self._kernel.depths] for f in networks])
        numbers = (np.array([f.numbers for f in networks]) - self._centre) / self._spread
        return _Inputs(labels.reshape(len(networks), -1), numbers)

    def _correlation(self, some: _Inputs, others: _Inputs) -> np.ndarray:
        depths, share, length_scale, _ = self._kernel
        labels = (some.labels @ others.labels.T).astype(np.float64) / depths
        squares = np.square(some.numbers).sum(axis=1)[:, None] + np.square(others.numbers).sum(
            axis=1
        )
        distances = np.maximum(squares - 2 * some.numbers @ others.numbers.T, 0.0)
        return share * labels + (1 - share) * np.exp(-0.5 * distances / length_scale**2)


def likeliest_kernel(trained: Sequence[Features], results: np.ndarray) -> Kernel:
    """The kernel of ``KERNELS`` that explains the results best (marginal likelihood)."""
    return max(KERNELS, key=lambda kernel: GaussianProcess(kernel, trained, results).log_likelihood)


def _cholesky(correlation: np.ndarray, noise: float) -> np.ndarray:
    return np.linalg.cholesky(correlation + (noise + 1e-8) * np.eye(len(correlation)))
