"""The built-in predictor ("wl"): a Gaussian process and expected improvement.

As in NAS-BOWL (arXiv 2006.07556), a Gaussian process on Weisfeiler-Lehman labels predicts each
candidate's result, and the candidate with the largest expected improvement is trained next.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.special import ndtr

from nni_blockqnn.predictor._features import Features, features
from nni_blockqnn.predictor._gaussian_process import GaussianProcess, Kernel, likeliest_kernel
from nni_blockqnn.predictor.predictor import CostOf, Network, Predictor


class GuideSettings(NamedTuple):
    """How much a guide takes into account.

    Attributes:
        trained_limit: results that the Gaussian process is fitted to. A fit costs their third
            power. Of more results it takes the best half of the limit and the newest.
        kernel_trained_limit: results that the kernel is chosen by, which fits many processes.
        kernel_growth: the kernel is chosen anew when the results have grown by this factor.
        first_kernel: results at which the kernel is chosen for the first time.
        incumbents: best results, of which the highest posterior mean is the mark to improve on.
    """

    trained_limit: int = 1_000
    kernel_trained_limit: int = 200
    kernel_growth: float = 1.25
    first_kernel: int = 10
    incumbents: int = 10


class Guide(Predictor):
    """Ranks candidates by expected improvement over the best results (larger is better)."""

    def __init__(self, cost: CostOf, settings: GuideSettings = GuideSettings()) -> None:  # noqa: B008
        super().__init__(cost)
        self._settings = settings
        self._networks: list[Network] = []
        self._results: list[float] = []
        self._features: dict[Network, Features] = {}
        self._process: GaussianProcess | None = None
        self._best = -math.inf  # posterior mean of the best incumbent
        self._kernel: Kernel | None = None
        self._kernel_results = 0

    def observe(self, network: Network, result: float) -> None:
        self._networks.append(network)
        self._results.append(result)
        self._process = None

    def prepare(self) -> None:
        """Fit the process to all results, unless it is; :meth:`rank` does it too."""
        if self._process is not None or not self._results:
            return
        limit = self._settings.trained_limit
        known = self._selected(len(self._results), limit)
        trained = [self._features_of(self._networks[at]) for at in known]
        self._process = GaussianProcess(self._current_kernel(), trained, self._targets(known))
        # the mark is a mean, not the best result itself, whose luck no candidate would repeat
        self._best = float(self.mean(self._incumbents()).max())
        if len(self._features) > 2 * limit:
            self._features = {
                self._networks[at]: self._features[self._networks[at]] for at in known
            }

    def rank(self, candidates: Sequence[Network], pending: Sequence[Network] = ()) -> list[Network]:
        """The candidates, those of the largest expected improvement first.

        Networks in training count as known but for their value, so trials side by side differ.
        """
        self.prepare()
        if self._process is None or not candidates:
            return list(candidates)
        mean, deviation = self._process.predict(
            [self._features_of(network) for network in candidates],
            [self._features_of(network) for network in pending],
        )
        improvement = expected_improvement(mean, deviation, self._best)
        return [candidates[at] for at in np.argsort(-improvement, kind="stable")]

    def deviation(self, networks: Sequence[Network], pending: Sequence[Network] = ()) -> np.ndarray:
        """The posterior standard deviation of each network's result without its noise, (n,)."""
        process = self._fitted()
        return process.predict(
            [self._features_of(network) for network in networks],
            [self._features_of(network) for network in pending],
        )[1]

    def mean(self, networks: Sequence[Network]) -> np.ndarray:
        """The posterior mean of each network, (n,)."""
        return self._fitted().predict([self._features_of(network) for network in networks])[0]

    def _fitted(self) -> GaussianProcess:
        self.prepare()
        if self._process is None:
            raise ValueError("there are no results yet to predict from")
        return self._process

    def similarity(self, networks: Sequence[Network]) -> np.ndarray:
        """The process's correlation of the networks' results, noise apart, (n, n)."""
        return self._fitted().correlation([self._features_of(network) for network in networks])

    def _incumbents(self) -> list[Network]:
        """The networks of the best results, the best first."""
        order = np.argsort(self._results, kind="stable")[::-1][: self._settings.incumbents]
        return [self._networks[at] for at in order]

    def _current_kernel(self) -> Kernel:
        """Chosen at fixed numbers of results, so that a resumed search chooses the same one."""
        results = min(self._settings.first_kernel, len(self._results))
        while (after := math.ceil(results * self._settings.kernel_growth)) <= len(self._results):
            results = after
        if self._kernel is None or results != self._kernel_results:
            known = self._selected(results, self._settings.kernel_trained_limit)
            trained = [self._features_of(self._networks[at]) for at in known]
            self._kernel = likeliest_kernel(trained, self._targets(known))
            self._kernel_results = results
        return self._kernel

    def _selected(self, results: int, limit: int) -> np.ndarray:
        """Positions among the first ``results``: the best half of the limit, and the newest."""
        if results <= limit:
            return np.arange(results)
        best = np.argsort(self._results[:results], kind="stable")[::-1][: limit // 2]
        others = np.setdiff1d(np.arange(results), best)
        return np.sort(np.concatenate([best, others[len(best) - limit :]]))

    def _targets(self, known: np.ndarray) -> np.ndarray:
        return np.array(self._results)[known]

    def _features_of(self, network: Network) -> Features:
        if network not in self._features:
            block, repeats = network
            self._features[network] = features(block, self.cost(block, repeats))
        return self._features[network]


def expected_improvement(mean: np.ndarray, deviation: np.ndarray, best: float) -> np.ndarray:
    """E[max(0, f - best)] of f ~ N(mean, deviation^2): deviation (z Phi(z) + phi(z))."""
    z = (mean - best) / deviation
    density = np.exp(-0.5 * z * z) / math.sqrt(2 * math.pi)
    return deviation * (z * ndtr(z) + density)
