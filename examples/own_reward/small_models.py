"""A reward of one's own: accuracy, minus a price for each weight beyond a budget.

In this folder, one trial with it:

    python -m nni_blockqnn.trial --block residual --dataset digits --limit 300 --epochs 1 \
        --reward small_models:within_budget

For a search, put `--reward small_models:within_budget` into `trialCommand` and this folder's path
into `trialCodeDirectory`; NNI starts trials there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

BUDGET = 20_000
"""Weights that cost nothing."""
PRICE = 10.0
"""Points of accuracy for each further budget."""


def within_budget(accuracy: float, flops: int, density: float, metric: Mapping[str, Any]) -> float:
    """Points that the tuner maximises.

    Args:
        accuracy: of the last epoch on the validation set, in percent.
        flops: multiply-accumulates of the network for one image.
        density: edges per node of the block.
        metric: the rest of the final metric (docs/metrics.md), such as ``params``.
    """
    excess = max(metric["params"] - BUDGET, 0) / BUDGET
    return accuracy - PRICE * excess
