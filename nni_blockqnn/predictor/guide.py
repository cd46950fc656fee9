"""Which of several networks to train next, judged by the results so far.

A surrogate as in NAS-BOWL (arXiv 2006.07556): a Gaussian process predicts each candidate's result,
and the candidate is taken whose improvement over the best is expected to be largest. Networks whose
results are awaited count as known but for their value, so that trials side by side differ.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from nni_blockqnn.blocks.block import Block
from nni_blockqnn.network.cost import Cost
from nni_blockqnn.predictor._features import Features, features
from nni_blockqnn.predictor._gaussian_process import GaussianProcess, Kernel, likeliest_kernel

Network = tuple[Block, int]
"""A block and its number of repeats."""

FIRST_RESULTS = 10
"""Before there are so many, nothing is predicted."""
TRAINED_LIMIT = 1_000
"""Results that the Gaussian process knows: its fit costs their third power. Of more, it knows the
best half and the newest."""
KERNEL_TRAINED_LIMIT = 200
"""Results that the kernel is chosen by, which fits many processes."""
KERNEL_GROWTH = 1.25
"""The kernel is chosen anew when the results have grown by this factor."""
INCUMBENTS = 10
"""The best results are the parents of mutants, and the mark to be improved on."""


class Guide:
    """Remembers results (larger is better) and ranks candidates by expected improvement.

    What it says depends on the results and their order alone, not on when it was asked.
    """

    def __init__(self, cost: Callable[[Block, int], Cost]) -> None:
        """
        Args:
            cost: of the network of a block and its number of repeats.
        """
        self._cost = cost
        self._networks: list[Network] = []
        self._results: list[float] = []
        self._features: dict[Network, Features] = {}
        self._process: GaussianProcess | None = None
        self._best = -math.inf  # of the incumbents' results without their noise
        self._kernel: Kernel | None = None
        self._kernel_results = 0

    @property
    def ready(self) -> bool:
        return len(self._results) >= FIRST_RESULTS

    def observe(self, network: Network, result: float) -> None:
        self._networks.append(network)
        self._results.append(result)
        self._process = None

    def incumbents(self) -> list[Network]:
        """The networks of the best results, the best first."""
        order = np.argsort(self._results, kind="stable")[::-1][:INCUMBENTS]
        return [self._networks[at] for at in order]

    def prepare(self) -> None:
        """Fit the process to all results, if it is not yet; :meth:`ranked` does it too."""
        if self._process is not None or not self.ready:
            return
        known = self._selected(len(self._results), TRAINED_LIMIT)
        kernel = self._current_kernel()
        trained = [self._features_of(self._networks[at]) for at in known]
        self._process = GaussianProcess(kernel, trained, self._targets(known))
        incumbents = [self._features_of(network) for network in self.incumbents()]
        self._best = float(self._process.predict(incumbents)[0].max())
        if len(self._features) > 2 * TRAINED_LIMIT:
            self._features = {
                self._networks[at]: self._features[self._networks[at]] for at in known
            }

    def ranked(
        self, candidates: Sequence[Network], pending: Sequence[Network] = ()
    ) -> list[Network]:
        """The candidates, the most promising first.

        Args:
            pending: networks in training.
        """
        self.prepare()
        if self._process is None or not candidates:
            return list(candidates)
        mean, deviation = self._process.predict(
            [self._features_of(network) for network in candidates],
            [self._features_of(network) for network in pending],
        )
        improvement = _expected_improvement(mean, deviation, self._best)
        return [candidates[at] for at in np.argsort(-improvement, kind="stable")]

    def _current_kernel(self) -> Kernel:
        """Chosen at certain numbers of results, so that a resumed search chooses the same."""
        results = FIRST_RESULTS
        while (after := math.ceil(results * KERNEL_GROWTH)) <= len(self._results):
            results = after
        if self._kernel is None or results != self._kernel_results:
            known = self._selected(results, KERNEL_TRAINED_LIMIT)
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
            self._features[network] = features(block, self._cost(block, repeats))
        return self._features[network]


def _expected_improvement(mean: np.ndarray, deviation: np.ndarray, best: float) -> np.ndarray:
    """E[max(0, f - best)] of f ~ N(mean, deviation^2)."""
    z = (mean - best) / deviation
    below = 0.5 * (1 + np.array([math.erf(value / math.sqrt(2)) for value in z]))
    return deviation * (z * below + np.exp(-0.5 * z * z) / math.sqrt(2 * math.pi))
