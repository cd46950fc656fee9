"""A predictor of one's own: the mean result of the networks that are nearest in cost and size.

In a configuration, with this folder as ``codeDirectory`` of the tuner (or on PYTHONPATH):

    tuner:
      className: nni_blockqnn.tuner.BlockQNNTuner
      codeDirectory: examples/own_predictor
      classArgs: {predictor: "nearest:Nearest", budget: 200}

From Python: ``BlockSearch(space, predictor=Nearest, seed=0)``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from nni_blockqnn.predictor.predictor import CostOf, Network, Predictor

NEIGHBOURS = 5


class Nearest(Predictor):
    """k-nearest neighbours on ln FLOPs, ln parameters and the number of layers."""

    def __init__(self, cost: CostOf) -> None:
        super().__init__(cost)
        self._points: list[tuple[float, ...]] = []
        self._results: list[float] = []

    def observe(self, network: Network, result: float) -> None:
        self._points.append(self._point(network))
        self._results.append(result)

    def rank(self, candidates: Sequence[Network], pending: Sequence[Network]) -> list[Network]:
        if not candidates:
            return []
        order = np.argsort(-self.mean(candidates), kind="stable")
        return [candidates[at] for at in order]

    def mean(self, networks: Sequence[Network]) -> np.ndarray:
        points = np.array([self._point(network) for network in networks])
        distances = np.linalg.norm(points[:, None] - np.array(self._points), axis=-1)
        nearest = np.argsort(distances, axis=1, kind="stable")[:, :NEIGHBOURS]
        return np.array(self._results)[nearest].mean(axis=1)

    def _point(self, network: Network) -> tuple[float, ...]:
        cost = self.cost(*network)
        return math.log(cost.flops), math.log(cost.params), len(network[0].layers) / 5
