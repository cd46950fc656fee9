"""How much density weighs in the rewards of a search: the trial sets it, the tuner finds it out.

A twin of a trained block (equal ``function_key``) would reach the same accuracy at another density,
so its reward is known once rho is: reward = accuracy - mu ln(FLOPs) - rho ln(density) + constant.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from nni_blockqnn.blocks.block import Block

_TOLERANCE = 3e-4
"""Of the rewards' span: trials may round what they report."""
_COEFFICIENTS = 3


class RewardModel:
    """Finds mu, rho and the constant from metrics that carry ``accuracy`` and ``flops``."""

    def __init__(self) -> None:
        self._terms: list[tuple[float, float, float]] = []
        self._penalties: list[float] = []
        self._span = (math.inf, -math.inf)  # of the rewards
        self._coefficients: np.ndarray | None = None
        self._refuted = False
        self._next_fit = _COEFFICIENTS + 1

    @property
    def rho(self) -> float | None:
        """``None`` as long as it is unknown, or if the rewards are made otherwise."""
        if self._refuted or self._coefficients is None:
            return None
        return float(self._coefficients[1])

    def observe(self, block: Block, reward: float, metric: Mapping[str, Any]) -> None:
        accuracy, flops = _finite(metric.get("accuracy")), _finite(metric.get("flops"))
        if self._refuted or accuracy is None or flops is None or flops <= 0:
            self._refuted = True
            return
        self._terms.append((math.log(flops), math.log(block.density), 1.0))
        self._penalties.append(accuracy - reward)
        self._span = (min(reward, self._span[0]), max(reward, self._span[1]))
        if self._coefficients is not None:
            if not self._explains(slice(-1, None)):
                self._fit()
        elif len(self._terms) >= self._next_fit:
            self._next_fit = 2 * len(self._terms)
            self._fit()

    def _fit(self) -> None:
        if not any(self._penalties):  # the reward is the accuracy
            self._coefficients = np.zeros(_COEFFICIENTS)
            return
        terms = np.array(self._terms)
        self._coefficients, _, rank, _ = np.linalg.lstsq(terms, self._penalties, rcond=None)
        if rank < _COEFFICIENTS:  # too alike to tell
            self._coefficients = None
        elif not self._explains(slice(None)):
            self._refuted = True

    def _explains(self, results: slice) -> bool:
        predicted = np.array(self._terms[results]) @ self._coefficients
        allowed = _TOLERANCE * max(self._span[1] - self._span[0], 1e-9)
        return bool(np.abs(predicted - self._penalties[results]).max() <= allowed)


def _finite(value: Any) -> float | None:
    """``None`` for what is no finite number."""
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None
