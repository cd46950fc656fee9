"""Where the candidates for a suggestion come from, in the order in which the search asks.

A source draws networks within the limits. The search takes the first one that is new, so a source
need not know what was trained before.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from itertools import islice

import numpy as np

from nni_blockqnn.blocks.block import Block
from nni_blockqnn.common.messages import shown
from nni_blockqnn.predictor.predictor import Network
from nni_blockqnn.q_learning._faults import faults_logged
from nni_blockqnn.q_learning.agent import Agent
from nni_blockqnn.q_learning.failures import Failures
from nni_blockqnn.q_learning.q_agent import QAgent
from nni_blockqnn.q_learning.settings import CandidateSettings
from nni_blockqnn.space.limits import CostLimits
from nni_blockqnn.space.mutation import mutate
from nni_blockqnn.space.search_space import SearchSpace


class NetworkChooser:
    """Chooses N for a block: the largest within the limits, or what the agent chooses of those."""

    def __init__(self, limits: CostLimits, agent: Agent, repeats_rule: str) -> None:
        self._limits = limits
        self._agent = agent
        self._agent_chooses = repeats_rule == "agent"

    def legal(self, block: Block) -> tuple[int, ...]:
        """The numbers of repeats that the block may have; none if it exceeds the limits."""
        fitting = self._limits.fitting_repeats(block)
        return fitting if self._agent_chooses else fitting[-1:]

    def networks(
        self, block: Block, epsilon: float, rng: np.random.Generator
    ) -> tuple[Network, ...]:
        """The block with one number of repeats; empty if it exceeds the limits with all of them."""
        legal = self.legal(block)
        if len(legal) > 1:
            legal = (self._chosen(legal, epsilon, rng),)
        return tuple((block, repeats) for repeats in legal)

    def candidates(
        self, block: Block, epsilon: float, rng: np.random.Generator
    ) -> tuple[Network, ...]:
        """What a predictor may choose from: as :meth:`networks`, but at equal cost with every N.

        Deep and narrow or shallow and wide is a choice then, and not one of how large.
        """
        if self._agent_chooses and self._limits.target is not None:
            return tuple((block, repeats) for repeats in self.legal(block))
        return self.networks(block, epsilon, rng)

    def _chosen(self, legal: tuple[int, ...], epsilon: float, rng: np.random.Generator) -> int:
        with faults_logged(self._agent, "N is drawn at random"):
            chosen = self._agent.choose_repeats(legal, epsilon, rng)
            if chosen in legal:
                return chosen
            raise ValueError(f"N must be one of {legal}, got {shown(chosen)}")
        return legal[rng.integers(len(legal))]


class CandidateSource(ABC):
    """Draws networks for one suggestion after another.

    Attributes:
        recalls: whether the agent learns from the known result of a candidate that was drawn again,
            as MetaQNN does: for candidates that are trajectories of the agent.
    """

    recalls = False

    @abstractmethod
    def draw(self, epsilon: float, rng: np.random.Generator) -> Iterator[Network]:
        """Networks within the limits, the best choice first; what is drawn may depend on
        ``rng`` and on past results alone."""


class RetrySource(CandidateSource):
    """Networks whose trial failed through no fault of theirs.

    A retry may come from before a change of the search space, and is left out if it is no network
    of this one.
    """

    def __init__(self, failures: Failures, space: SearchSpace, chooser: NetworkChooser) -> None:
        self._failures = failures
        self._space = space
        self._chooser = chooser

    def draw(self, epsilon: float, rng: np.random.Generator) -> Iterator[Network]:
        for block, repeats in self._failures.retries:
            if self._space.contains(block) and repeats in self._chooser.legal(block):
                yield block, repeats


class AgentSource(CandidateSource):
    """What the agent proposes, a bounded number of times."""

    recalls = True

    def __init__(
        self,
        space: SearchSpace,
        agent: Agent,
        chooser: NetworkChooser,
        limits: CostLimits,
        settings: CandidateSettings,
    ) -> None:
        self._space = space
        self._agent = agent
        self._chooser = chooser
        self._limits = limits
        self._settings = settings

    def draw(self, epsilon: float, rng: np.random.Generator) -> Iterator[Network]:
        for number in range(self._settings.agent_draws):
            block = self.proposal(epsilon, rng)
            if block is None:
                return
            if number >= self._settings.whole_draws:
                block = self._limits.shortened(block)
            yield from self._chooser.networks(block, epsilon, rng)

    def proposal(self, epsilon: float, rng: np.random.Generator) -> Block | None:
        """A block of the space; ``None``, with an error in the log, if the agent gives none."""
        with faults_logged(self._agent, "A random block takes its place"):
            block = self._agent.propose(epsilon, rng)
            # what the Q-agent draws is legal, and parsing 50 draws would double a suggestion's time
            return block if type(self._agent) is QAgent else self._space.parse(block)
        return None


class RandomSource(CandidateSource):
    """Random blocks and neighbours of known ones, in turn.

    In a small or nearly exhausted space it is often the neighbour that is new.
    """

    def __init__(
        self,
        space: SearchSpace,
        known: list[Block],
        chooser: NetworkChooser,
        limits: CostLimits,
        settings: CandidateSettings,
    ) -> None:
        """
        Args:
            known: trained blocks, to which the search adds.
        """
        self._space = space
        self._known = known
        self._chooser = chooser
        self._limits = limits
        self._draws = settings.random_draws

    def draw(self, epsilon: float, rng: np.random.Generator) -> Iterator[Network]:
        for _ in range(self._draws):
            block = self._limits.shortened(self._space.random_block(rng))
            yield from self._chooser.networks(block, epsilon, rng)
            if self._known:
                parent = self._known[rng.integers(len(self._known))]
                block = self._limits.shortened(mutate(parent, self._space, rng))
                yield from self._chooser.networks(block, epsilon, rng)


class EnumerationSource(CandidateSource):
    """All networks of the space, short blocks first, as far as ``enumerated`` goes."""

    def __init__(
        self, space: SearchSpace, chooser: NetworkChooser, settings: CandidateSettings
    ) -> None:
        self._seen: list[Network] = []  # kept, since computing 40,000 blocks anew takes seconds
        self._rest = (
            (block, repeats)
            for block in islice(space.blocks(), settings.enumerated)
            for repeats in chooser.legal(block)
        )

    def draw(self, epsilon: float, rng: np.random.Generator) -> Iterator[Network]:
        yield from self._seen
        for network in self._rest:
            self._seen.append(network)
            yield network
