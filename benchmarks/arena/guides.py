"""Predictors that look elsewhere than the built-in one, to see what that is worth in the end."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from nsc_bench.setups import SETUPS

from nni_blockqnn.predictor.families import MOST_ALIKE
from nni_blockqnn.predictor.guide import Guide
from nni_blockqnn.predictor.predictor import CostOf, Network

_POINTS_A_FOLD = 1.2
"""By how many points the final accuracy lies higher at equal early accuracies where a network is
e times as wide, with a standard error of 0.4: a linear fit to the 71 blocks of CIFAR-10 that were
trained long. Of weights, which differ by 9 % at one cost, it says nothing (0.0, error 2.0)."""


class Thompson(Guide):
    """Takes the best of one draw from the posterior of each candidate."""

    def __init__(self, cost: CostOf) -> None:
        super().__init__(cost)
        self._seen = 0

    def observe(self, network: Network, result: float) -> None:
        self._seen += 1
        super().observe(network, result)

    def rank(self, candidates: Sequence[Network], pending: Sequence[Network] = ()) -> list[Network]:
        if not candidates:
            return []
        draws = np.random.default_rng(self._seen).standard_normal(len(candidates))
        drawn = self.mean(candidates) + self.deviation(candidates, pending) * draws
        return [candidates[at] for at in np.argsort(-drawn, kind="stable")]


class Apart(Guide):
    """Prefers families that were tried least.

    Of the quarter of the candidates with the largest expected improvement, those come first that
    have the fewest known networks of their family; the improvement decides between equals.
    """

    def __init__(self, cost: CostOf) -> None:
        super().__init__(cost)
        self._known: list[Network] = []

    def observe(self, network: Network, result: float) -> None:
        self._known.append(network)
        super().observe(network, result)

    def rank(self, candidates: Sequence[Network], pending: Sequence[Network] = ()) -> list[Network]:
        ranked = super().rank(candidates, pending)
        first, rest = ranked[: len(ranked) // 4], ranked[len(ranked) // 4 :]
        if not first:
            return ranked
        alike = self.similarity([*first, *self._known])[: len(first), len(first) :]
        crowd = (alike >= MOST_ALIKE).sum(axis=1)
        return [*(first[at] for at in np.argsort(crowd, kind="stable")), *rest]


class Wide(Guide):
    """Values wide networks more, as :data:`_POINTS_A_FOLD` says."""

    def observe(self, network: Network, result: float) -> None:
        spec = SETUPS["cifar10"].network(network[0])
        assert spec is not None, "the search has sent it"
        super().observe(network, result + _POINTS_A_FOLD * math.log(spec.filters[0]))
