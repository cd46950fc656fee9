"""The replay memory: blocks with their rewards (paper, Section 4.2)."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from nni_blockqnn.blocks.block import Block


class Experience(NamedTuple):
    """A trained network and its reward, the larger the better.

    Attributes:
        repeats: N, blocks in a stage.
    """

    block: Block
    repeats: int
    reward: float


class ReplayMemory:
    """Holds the newest ``capacity`` experiences."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._experiences: list[Experience] = []
        self._rewards = np.zeros(0)
        self._oldest = 0

    def __len__(self) -> int:
        return len(self._experiences)

    def add(self, experience: Experience) -> None:
        if len(self) < self._capacity:
            if len(self) == len(self._rewards):
                self._rewards = np.resize(self._rewards, max(64, 2 * len(self)))
            self._rewards[len(self)] = experience.reward
            self._experiences.append(experience)
        else:
            self._rewards[self._oldest] = experience.reward
            self._experiences[self._oldest] = experience
            self._oldest = (self._oldest + 1) % self._capacity

    def sample(self, size: int, rng: np.random.Generator) -> list[Experience]:
        """Experiences drawn uniformly, with replacement."""
        positions = (self._oldest + rng.integers(len(self), size=size)) % len(self)
        return [self._experiences[position] for position in positions]

    def mean_and_deviation(self) -> tuple[float, float]:
        """Mean and standard deviation of the rewards.

        The deviation is infinite while the rewards differ by rounding alone, so a standardised
        reward is 0 until there is something to tell apart.
        """
        rewards = self._rewards[: len(self)]
        deviation = float(rewards.std())
        negligible = 1e-9 * max(1e-300, float(np.abs(rewards).max()))
        return float(rewards.mean()), deviation if deviation > negligible else math.inf
