"""What a search asks of an agent. Subclass :class:`Agent` to bring one of your own."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np

from nni_blockqnn.blocks.block import Block
from nni_blockqnn.q_learning.replay import Experience
from nni_blockqnn.space.search_space import SearchSpace


class Agent(ABC):
    """Proposes blocks and learns from their rewards; a larger reward is better.

    All its random numbers must come from the generators that it is given, and its state from what
    it observed, so that a resumed search goes on as it would have. ``agent: "module:Class"`` makes
    one as ``Class(space, seed)``.
    """

    def __init__(self, space: SearchSpace, seed: int) -> None:
        """
        Args:
            seed: of the search, for agents that learn at random.
        """
        self.space = space
        self.seed = seed

    @abstractmethod
    def propose(self, epsilon: float, rng: np.random.Generator) -> Block:
        """A block of the space. The search asks again where it is known or over the limits.

        Args:
            epsilon: how much to explore now, from 1 to 0; an agent may have its own way.
        """

    @abstractmethod
    def observe(self, experience: Experience) -> None:
        """Learn from the result of a training."""

    def recall(self, experience: Experience) -> None:  # noqa: B027 (optional)
        """Learn from a known result under another numbering of its block; by default nothing."""

    def choose_repeats(
        self, choices: tuple[int, ...], epsilon: float, rng: np.random.Generator
    ) -> int:
        """N for a block where ``repeats_rule`` is "agent"; by default at random."""
        return choices[rng.integers(len(choices))]


class RandomAgent(Agent):
    """Random search: blocks drawn type first, as in the Q-agent's first phase (Appendix A)."""

    def propose(self, epsilon: float, rng: np.random.Generator) -> Block:
        return self.space.random_block(rng)

    def observe(self, experience: Experience) -> None:
        """Random search learns nothing."""
