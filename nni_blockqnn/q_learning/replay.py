"""The replay memory: blocks with their rewards (paper, Section 4.2)."""

from __future__ import annotations

import math
from collections import deque
from typing import NamedTuple

import numpy as np

from nni_blockqnn.nsc import Block


class Experience(NamedTuple):
    """A trained block, with its number of repeats, and its reward."""

    block: Block
    repeats: int
    reward: float


class ReplayMemory:
    """Holds the newest ``capacity`` experiences."""

    def __init__(self, capacity: int) -> None:
        self._experiences: deque[Experience] = deque(maxlen=capacity)

    def __len__(self) -> int:
        return len(self._experiences)

    def add(self, experience: Experience) -> None:
        self._experiences.append(experience)

    def sample(self, size: int, rng: np.random.Generator) -> list[Experience]:
        """Experiences drawn uniformly, with replacement."""
        experiences = list(self._experiences)
        return [experiences[i] for i in rng.integers(len(experiences), size=size)]

    def mean_and_deviation(self) -> tuple[float, float]:
        """Of the rewards; the deviation is infinite as long as they differ by rounding alone.

        So a reward standardised with them is 0 until there is something to tell apart.
        """
        rewards = np.array([experience.reward for experience in self._experiences])
        deviation = float(rewards.std())
        negligible = 1e-9 * max(1e-300, float(np.abs(rewards).max()))
        return float(rewards.mean()), deviation if deviation > negligible else math.inf
