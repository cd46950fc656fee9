"""Regularized evolution (Real et al., arXiv 1802.01548)."""

from __future__ import annotations

from collections import deque

import numpy as np

from nni_blockqnn.blocks.block import Block
from nni_blockqnn.q_learning.agent import Agent
from nni_blockqnn.q_learning.replay import Experience
from nni_blockqnn.space.mutation import mutate
from nni_blockqnn.space.search_space import SearchSpace


class EvolutionAgent(Agent):
    """Mutates the best of a random sample of the newest results; the oldest die (ageing)."""

    def __init__(
        self, space: SearchSpace, seed: int, population: int = 25, sample: int = 8
    ) -> None:
        """
        Args:
            population: newest results that are kept; before there are as many, blocks are random.
            sample: results drawn, with replacement, of which the best is the parent.
        """
        super().__init__(space, seed)
        self._population: deque[Experience] = deque(maxlen=population)
        self._sample = sample

    def propose(self, epsilon: float, rng: np.random.Generator) -> Block:
        if len(self._population) < (self._population.maxlen or 0):
            return self.space.random_block(rng)
        drawn = rng.integers(len(self._population), size=self._sample)
        parent = max((self._population[at] for at in drawn), key=lambda member: member.reward)
        return mutate(parent.block, self.space, rng)

    def observe(self, experience: Experience) -> None:
        self._population.append(experience)
