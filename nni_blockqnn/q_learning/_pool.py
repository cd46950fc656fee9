"""The candidates that a predictor ranks for one suggestion."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from nni_blockqnn.blocks.block import Block
from nni_blockqnn.predictor.predictor import Network
from nni_blockqnn.q_learning._candidates import AgentSource, NetworkChooser
from nni_blockqnn.q_learning.settings import CandidateSettings
from nni_blockqnn.space.limits import CostLimits
from nni_blockqnn.space.mutation import mutate, splice
from nni_blockqnn.space.search_space import SearchSpace

_MOST_EDITS = 3
_DRAWS_A_CANDIDATE = 2
"""Some draws are known, equal to others, or over the limits."""


class CandidatePool:
    """Draws new networks within the limits: from good blocks, from the agent, and fresh ones."""

    def __init__(
        self,
        space: SearchSpace,
        agent_source: AgentSource,
        chooser: NetworkChooser,
        limits: CostLimits,
        settings: CandidateSettings,
        is_known: Callable[[Network], bool],
    ) -> None:
        """
        Args:
            is_known: whether a network, or another one of the same function, has a result.
        """
        self._space = space
        self._agent_source = agent_source
        self._chooser = chooser
        self._limits = limits
        self._settings = settings
        self._is_known = is_known

    def draw(
        self, size: int, parents: Sequence[Block], epsilon: float, rng: np.random.Generator
    ) -> list[Network]:
        """At most ``size`` networks of different functions.

        Args:
            parents: good blocks, which mutants and splices are made of.
        """
        pool: dict[tuple[object, ...], Network] = {}  # in the order of drawing, which decides ties
        for _ in range(_DRAWS_A_CANDIDATE * size):
            block = self._block(parents, epsilon, rng)
            for network in self._chooser.candidates(block, epsilon, rng):
                if not self._is_known(network):
                    pool.setdefault(_function_of(network), network)
            if len(pool) >= size:
                break
        return list(pool.values())

    def _block(self, parents: Sequence[Block], epsilon: float, rng: np.random.Generator) -> Block:
        settings = self._settings
        share = rng.random()
        parent = parents[int(rng.integers(len(parents)))]
        if share < settings.mutant_share:
            return self._mutant(parent, rng)
        share -= settings.mutant_share
        if share < settings.splice_share:
            other = parents[int(rng.integers(len(parents)))]
            return self._limits.shortened(splice(parent, other, self._space, rng))
        share -= settings.splice_share
        proposal = None
        if share >= settings.fresh_share:
            proposal = self._agent_source.proposal(epsilon, rng)
        return self._limits.shortened(proposal or self._fresh(rng))

    def _mutant(self, parent: Block, rng: np.random.Generator) -> Block:
        """One edit away from the parent, two half as often, three a quarter as often."""
        weights = 0.5 ** np.arange(_MOST_EDITS)
        block = parent
        for _ in range(1 + rng.choice(_MOST_EDITS, p=weights / weights.sum())):
            block = mutate(block, self._space, rng)
        return block

    def _fresh(self, rng: np.random.Generator) -> Block:
        """A random block of any length; drawn as exploration draws them, half have up to five
        layers."""
        return self._space.random_block(rng, int(rng.integers(1, self._space.max_layers)))


def _function_of(network: Network) -> tuple[object, ...]:
    """Equal for networks of one function, rarely for others."""
    block, repeats = network
    return block.computing_layers, block.function_fingerprint, repeats
