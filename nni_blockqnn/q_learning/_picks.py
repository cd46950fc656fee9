"""Which results of a search are the best, as they should be picked."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nni_blockqnn.predictor.families import varied
from nni_blockqnn.q_learning._faults import faults_logged
from nni_blockqnn.q_learning._networks import NetworkKey
from nni_blockqnn.q_learning._predictor_source import PredictorSource
from nni_blockqnn.q_learning._suggestion import Result


def best_results(
    history: Sequence[Result], sign: float, source: PredictorSource | None
) -> list[Result]:
    """A result of each network, best first: by the predictor's mean, if it has one.

    Args:
        sign: -1 if smaller rewards are better, or else 1.
    """
    distinct: dict[NetworkKey, Result] = {}
    for result in sorted(history, key=lambda result: -sign * result.reward):
        distinct.setdefault(NetworkKey(result.block, result.repeats), result)
    results = list(distinct.values())
    if source is None:
        return results
    means = source.means([(result.block, result.repeats) for result in results])
    if means is None:
        return results
    return [results[at] for at in np.argsort(-means, kind="stable")]


def finalists(best: list[Result], k: int, source: PredictorSource | None) -> list[Result]:
    """The first of these of each family, then others, ``k`` in all."""
    if source is None or not source.ready:
        return best[:k]
    networks = [(result.block, result.repeats) for result in best]
    with faults_logged(source.predictor, "The best are taken"):
        return [best[at] for at in varied(networks, k, source.predictor)]
    return best[:k]
