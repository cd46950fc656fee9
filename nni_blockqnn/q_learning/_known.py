"""What is known of trained networks, also under other forms of their blocks.

Blocks with equal ``function_key`` compute the same function. They reach the same accuracy, so one
training serves all of them, but their densities differ, and the paper's reward depends on density:
reward = accuracy - mu ln(FLOPs) - rho ln(density). With rho known, the reward of one follows from
the reward of another.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from nni_blockqnn.blocks.block import Block
from nni_blockqnn.common.checks import is_number
from nni_blockqnn.q_learning._networks import NetworkKey

_Signature = tuple[tuple[tuple[int, int], ...], int]


class KnownResults:
    """Rewards of trained networks."""

    def __init__(self) -> None:
        self._rewards: dict[NetworkKey, list[float]] = {}
        self._by_layers: dict[_Signature, list[tuple[Block, float]]] = {}
        self._weight = DensityWeight()

    def add(self, block: Block, repeats: int, reward: float, metric: Mapping[str, Any]) -> None:
        """Note a result.

        Args:
            metric: the trial's, which may say ``rho``.
        """
        self._rewards.setdefault(NetworkKey(block, repeats), []).append(reward)
        self._by_layers.setdefault((block.computing_layers, repeats), []).append((block, reward))
        self._weight.observe(reward, metric)

    def __contains__(self, key: NetworkKey) -> bool:
        return key in self._rewards

    def count(self, key: NetworkKey) -> int:
        """How many results of the network there are."""
        return len(self._rewards.get(key, ()))

    def has_equivalent(self, block: Block, repeats: int) -> bool:
        """Whether the reward follows from a result of another block of the same function."""
        return bool(self._equivalent_rewards(block, repeats))

    def reward(self, block: Block, repeats: int) -> float | None:
        """The network's mean reward, its own or one that follows from equivalent blocks."""
        rewards = self._rewards.get(NetworkKey(block, repeats))
        rewards = rewards or self._equivalent_rewards(block, repeats)
        return float(np.mean(rewards)) if rewards else None

    def _equivalent_rewards(self, block: Block, repeats: int) -> list[float]:
        rho = self._weight.rho
        if rho is None:
            return []
        return [
            reward + rho * math.log(other.density / block.density)
            for other, reward in self._by_layers.get((block.computing_layers, repeats), ())
            if are_equivalent(other, block)
        ]


class DensityWeight:
    """rho, the weight of ln(density) in the rewards of a search, as the trials' metrics say it.

    Where they do not say it and the reward is the accuracy, time after time, rho is 0.
    """

    ENOUGH = 4
    """Rewards that equal the accuracy, before that is no coincidence."""

    def __init__(self) -> None:
        self._stated: set[float] = set()
        self._equal = 0
        self._unexplained = False

    @property
    def rho(self) -> float | None:
        """``None`` while it is unknown, or if the metrics disagree."""
        values = self._stated | ({0.0} if self._equal else set())
        is_sure = bool(self._stated) or self._equal >= self.ENOUGH
        return values.pop() if is_sure and len(values) == 1 and not self._unexplained else None

    def observe(self, reward: float, metric: Mapping[str, Any]) -> None:
        rho, accuracy = metric.get("rho"), metric.get("accuracy")
        if is_number(rho):
            self._stated.add(float(rho))
        elif is_number(accuracy) and accuracy == reward:  # of a trial of one's own, for example
            self._equal += 1
        else:
            self._unexplained = True


def are_equivalent(block: Block, other: Block) -> bool:
    """Whether the blocks compute the same function; the quickest test comes first."""
    return (
        block.computing_layers == other.computing_layers
        and block.function_fingerprint == other.function_fingerprint
        and block.function_key == other.function_key
    )
