"""An agent of one's own: regularized evolution (Real et al., arXiv 1802.01548).

In a configuration, with this folder as ``codeDirectory`` of the tuner (or on PYTHONPATH):

    tuner:
      className: nni_blockqnn.tuner.BlockQNNTuner
      codeDirectory: examples/own_agent
      classArgs: {agent: "evolution:Evolution", budget: 200}

From Python: ``BlockSearch(space, agent=Evolution, seed=0)``.
"""

from __future__ import annotations

from collections import deque

import numpy as np

from nni_blockqnn import Block, SearchSpace
from nni_blockqnn.q_learning.agent import Agent
from nni_blockqnn.q_learning.replay import Experience
from nni_blockqnn.space.mutation import mutate

POPULATION, SAMPLE = 25, 8


class Evolution(Agent):
    """Mutates the best of a random sample of the newest results."""

    def __init__(self, space: SearchSpace, seed: int) -> None:
        super().__init__(space, seed)
        self._population: deque[Experience] = deque(maxlen=POPULATION)  # the oldest die

    def propose(self, epsilon: float, rng: np.random.Generator) -> Block:
        if len(self._population) < POPULATION:
            return self.space.random_block(rng)
        drawn = rng.integers(POPULATION, size=SAMPLE)
        parent = max((self._population[at] for at in drawn), key=lambda member: member.reward)
        return mutate(parent.block, self.space, rng)

    def observe(self, experience: Experience) -> None:
        self._population.append(experience)
