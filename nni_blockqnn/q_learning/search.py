"""The search: which block to train next, and what became of those that were sent.

It is the bookkeeping around the agent: episodes, blocks whose result is known, blocks under way,
limits on the cost. An episode's life:

    suggest() -> under way -> result(), learn()   the agent learns, the block is known from now on
                           -> fail()              the trial said why it failed
                           -> release()           the trial said nothing; a late result counts

A result is counted for the episode that it names, whether or not that is still under way, and once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import numpy as np

from nni_blockqnn.blocks.block import Block
from nni_blockqnn.common.messages import shown
from nni_blockqnn.predictor.guide import Guide
from nni_blockqnn.q_learning._network_key import NetworkKey
from nni_blockqnn.q_learning._remembered import Remembered
from nni_blockqnn.q_learning._schedule import EpsilonSchedule
from nni_blockqnn.q_learning._twins import Twins, are_twins
from nni_blockqnn.q_learning.agent import Agent
from nni_blockqnn.q_learning.failures import Failure, Failures
from nni_blockqnn.q_learning.replay import Experience
from nni_blockqnn.q_learning.settings import AgentSettings
from nni_blockqnn.space.limits import CostLimits, Limits, check_limits
from nni_blockqnn.space.mutation import mutate
from nni_blockqnn.space.search_space import SearchSpace

AGENT_DRAWS = 50
"""Draws of the agent for one suggestion (DESIGN.md, "Known blocks")."""
FREE_DRAWS = 3
"""From the next draw on, a block over the limits is shortened instead of drawn again, since tight
limits would take hundreds of draws."""
RANDOM_DRAWS = 500
"""Draws after that, type first, and then of neighbours of known blocks."""
CANDIDATES = 40
"""Candidates that the predictor ranks for one suggestion; more would take more than 50 ms."""
MUTANT_SHARE = 0.5
"""Of the candidates, mutants of the best blocks; the others are the agent's."""
ENUMERATED = 40_000
"""Blocks looked through, short ones first, before the space counts as exhausted. All of those of up
to four layers are 35,784."""

EPISODE_LIMIT = 1_000_000_000
"""Imported episodes beyond are numbered anew: JavaScript, through which they travel, is exact up to
2**53."""


class UncountableError(ValueError):
    """A result that must not count; the message says why."""


@dataclass(frozen=True)
class Suggestion:
    """A block to train; ``recalled`` are known blocks that were drawn before."""

    episode: int
    block: Block
    repeats: int
    epsilon: float
    recalled: tuple[Experience, ...] = ()


@dataclass(frozen=True)
class Result:
    """A counted result. Rewards are as the trial reported them."""

    episode: int
    block: Block
    repeats: int
    reward: float
    metric: Mapping[str, Any] = field(default_factory=dict, compare=False)


class BlockSearch:
    """Suggests blocks and counts their results; the same seed and results give the same blocks."""

    def __init__(
        self,
        space: SearchSpace,
        settings: AgentSettings,
        *,
        seed: int,
        budget: int | None = None,
        limits: Limits = Limits(),  # noqa: B008 (immutable)
        repeats_rule: str = "largest",
        credit_known: bool = True,
        minimize: bool = False,
        predictor: str | None = None,
    ) -> None:
        check_limits(space, limits)
        self.space = space
        self.agent = Agent(space, settings, seed)
        self.history: list[Result] = []
        self.failures = Failures()
        self._limits = CostLimits(space, limits)
        self.guide = Guide(self._limits.cost) if predictor == "wl" else None
        self.next_episode = 0
        self._seed = seed
        iterations = None if budget is None else budget / settings.batch_size
        self._schedule = EpsilonSchedule(settings.epsilon_schedule, iterations)
        self._repeats_rule = repeats_rule
        self._credit_known = credit_known
        self._sign = -1.0 if minimize else 1.0
        self._short_networks = Remembered(
            (block, repeats)
            for block in islice(space.blocks(), ENUMERATED)
            for repeats in self._legal_repeats(block)
        )
        self._known: dict[NetworkKey, list[float]] = {}
        self._twins = Twins()
        self._trajectories: set[tuple[Block, int]] = set()
        self._handed_out: dict[int, tuple[Block, int]] = {}
        self._under_way: dict[int, NetworkKey] = {}
        self._counted: set[int] = set()
        self._failed: set[int] = set()
        self._adopted: set[tuple[Any, NetworkKey, float]] = set()

    @property
    def epsilon(self) -> float:
        """Of the next suggestion; iterations are the blocks handed out / batch size (DESIGN.md).

        Not rounded down: a small budget would end before the last stages otherwise.
        """
        return self._schedule.epsilon(len(self._handed_out) / self.agent.settings.batch_size)

    @property
    def under_way(self) -> list[int]:
        """Episodes that were suggested and neither counted nor released, the oldest first."""
        return sorted(self._under_way)

    def suggest(self) -> Suggestion | None:
        """A block that is neither known nor under way.

        A twin of such a block is drawn again, too, but only so often: it comes late, not never.
        ``None`` if there is none left, or if trial after trial failed (``failures.stop_reason``).
        """
        if self.failures.stop_reason is not None:
            return None
        rng = np.random.default_rng([self._seed, 0, self.next_episode])
        recalled: list[Experience] = []
        network = self._first_new(self._candidates(rng, recalled))
        if network is None:
            return None
        suggestion = Suggestion(self.next_episode, *network, self.epsilon, tuple(recalled))
        self.hand_out(suggestion)
        return suggestion

    def _first_new(self, candidates: Iterator[tuple[Block, int]]) -> tuple[Block, int] | None:
        twins: list[tuple[Block, int]] = []
        for block, repeats in candidates:
            if self._is_taken(NetworkKey(block, repeats)):
                continue
            if len(twins) == AGENT_DRAWS or not self._is_twin(block, repeats):
                return block, repeats
            twins.append((block, repeats))
        return twins[0] if twins else None

    def hand_out(self, suggestion: Suggestion) -> None:
        """Take note of a suggestion; also of one that was made before a restart."""
        for experience in suggestion.recalled:
            self._trajectories.add((experience.block, experience.repeats))
            if self.space.contains(experience.block):
                self.agent.credit(experience)
        self.failures.retried(suggestion.block, suggestion.repeats)
        self._handed_out[suggestion.episode] = (suggestion.block, suggestion.repeats)
        self._under_way[suggestion.episode] = NetworkKey(suggestion.block, suggestion.repeats)
        self.next_episode = max(self.next_episode, suggestion.episode + 1)

    def result(
        self, episode: int, block: Block, reward: float, metric: Mapping[str, Any]
    ) -> Result:
        """The result of an episode, for :meth:`learn`.

        Raises:
            UncountableError: if the episode was never handed out, was handed out with another
                block, or has counted already.
        """
        block, repeats = self._open_network(episode, block)
        return Result(episode, block, repeats, reward, dict(metric))

    def learn(self, result: Result) -> None:
        """Count the result: from now on its episode is over and its block known."""
        self._counted.add(result.episode)
        self.failures.end_streak()
        self.release(result.episode)
        self.history.append(result)
        reward = self._sign * result.reward
        network = NetworkKey(result.block, result.repeats)
        self._known.setdefault(network, []).append(reward)
        self._twins.add(result.block, result.repeats, result.reward, result.metric)
        self._trajectories.add((result.block, result.repeats))
        if self.space.contains(result.block):
            self.agent.observe(Experience(result.block, result.repeats, reward))
            if self.guide:
                self.guide.observe((result.block, result.repeats), reward)

    def count(self, episode: int, block: Block, reward: float, metric: Mapping[str, Any]) -> Result:
        """:meth:`result` and :meth:`learn` in one."""
        result = self.result(episode, block, reward, metric)
        self.learn(result)
        return result

    def fail(self, episode: int, block: Block, reason: str, of_block: bool) -> Failure:
        """The episode's trial failed and said why; of_block: another attempt would fail, too.

        Raises:
            UncountableError: as :meth:`result`.
        """
        block, repeats = self._open_network(episode, block)
        failure = Failure(episode, block, repeats, reason, of_block)
        if episode in self._failed:
            raise UncountableError(f"episode {episode} has failed already")
        self._failed.add(episode)
        self.release(episode)
        self.failures.add(failure)
        return failure

    def adopt(
        self,
        episode: int,
        block: Block,
        repeats: int | None,
        reward: float,
        metric: Mapping[str, Any],
    ) -> Result:
        """Learn from a result that another search, or a lost past of this one, handed out.

        It keeps its episode's number if that is free here, and gets the next one otherwise. Without
        ``repeats`` it has the episode's own, or else the largest of the space.

        Raises:
            UncountableError: if it is a result that has counted already.
        """
        if handed_out := self._handed_out.get(episode):
            network = NetworkKey(block, repeats or handed_out[1])
            if network == NetworkKey(*handed_out):
                return self.count(episode, block, reward, metric)
        repeats = repeats or max(self.space.repeats)
        source = (metric.get("episode", episode), NetworkKey(block, repeats), reward)
        if source in self._adopted:
            raise UncountableError(f"episode {shown(source[0])} of another search is known")
        self._adopted.add(source)
        if episode in self._handed_out or not 0 <= episode < EPISODE_LIMIT:
            episode = self.next_episode
        self.hand_out(Suggestion(episode, block, repeats, self.epsilon))
        return self.count(episode, block, reward, metric)

    def release(self, episode: int) -> None:
        """The episode's trial ended without a result."""
        self._under_way.pop(episode, None)

    def _is_taken(self, key: NetworkKey) -> bool:
        known = self._credit_known and key in self._known
        return known or self.failures.bars(key) or key in self._under_way.values()

    def _is_twin(self, block: Block, repeats: int) -> bool:
        """Whether a block of the same function is known, with its reward, or under way."""
        if not self._credit_known or (block, repeats) in self.failures.due():
            return False
        sent = (self._handed_out[episode] for episode in self._under_way)
        return bool(self._twins.rewards(block, repeats)) or any(
            repeats == others and are_twins(block, other) for other, others in sent
        )

    def _open_network(self, episode: int, block: Block) -> tuple[Block, int]:
        """Block and repeats of an episode that was handed out with them and has not counted."""
        if episode not in self._handed_out:
            raise UncountableError(f"episode {shown(episode)} was never handed out")
        sent, repeats = self._handed_out[episode]
        if sent == block:
            block = sent  # it has its fingerprint worked out already
        elif NetworkKey(sent, repeats) != NetworkKey(block, repeats):
            raise UncountableError(f"episode {episode} was handed out with another block")
        if episode in self._counted:
            raise UncountableError(f"episode {episode} has counted already")
        return block, repeats

    def _candidates(
        self, rng: np.random.Generator, recalled: list[Experience]
    ) -> Iterator[tuple[Block, int]]:
        """Blocks within the limits: those to be tried again, the predictor's, the agent's, then
        random ones, neighbours of known ones, then all from short to long."""
        yield from self.failures.due()
        if self.guide and self.guide.ready:
            pending = [self._handed_out[episode] for episode in self._under_way]
            yield from self.guide.ranked(self._pool(self.guide, rng), pending)
        for draw in range(AGENT_DRAWS):
            block = self.agent.sample(self.epsilon, rng)
            if draw >= FREE_DRAWS:
                block = self._limits.shortened(block)
            for repeats in self._choose_repeats(block, rng):
                yield block, repeats
                self._recall(block, repeats, recalled)
        for _ in range(RANDOM_DRAWS):
            for block in self._any_blocks(rng):
                for repeats in self._choose_repeats(block, rng):
                    yield block, repeats
        yield from self._short_networks

    def _pool(self, guide: Guide, rng: np.random.Generator) -> list[tuple[Block, int]]:
        """Candidates for the predictor, new ones and within the limits."""
        parents = guide.incumbents()
        pool: dict[tuple[Block, int], None] = {}
        for _ in range(2 * CANDIDATES):
            if rng.random() < MUTANT_SHARE:
                parent, _ = parents[rng.integers(len(parents))]
                block = mutate(parent, self.space, rng)
            else:
                block = self._limits.shortened(self.agent.sample(self.epsilon, rng))
            pool.update(
                ((block, repeats), None)
                for repeats in self._choose_repeats(block, rng)
                if (block, repeats) not in self._trajectories
            )
            if len(pool) == CANDIDATES:
                break
        return list(pool)

    def _any_blocks(self, rng: np.random.Generator) -> Iterator[Block]:
        """A random block and a neighbour of a known one: in small or nearly exhausted spaces it is
        often the neighbour that is new."""
        yield self._limits.shortened(self.space.random_block(rng))
        if self.history:
            known = self.history[rng.integers(len(self.history))].block
            yield self._limits.shortened(mutate(known, self.space, rng))

    def _choose_repeats(self, block: Block, rng: np.random.Generator) -> tuple[int, ...]:
        """At most one number of repeats; none if the block exceeds the limits with all of them."""
        legal = self._legal_repeats(block)
        return (self.agent.sample_repeats(legal, self.epsilon, rng),) if len(legal) > 1 else legal

    def _legal_repeats(self, block: Block) -> tuple[int, ...]:
        """Within the limits, and if the agent does not choose, the largest alone."""
        fitting = self._limits.fitting_repeats(block)
        return fitting if self._repeats_rule == "agent" else fitting[-1:]

    def _recall(self, block: Block, repeats: int, recalled: list[Experience]) -> None:
        """A known block's trajectory that is new to the memory is remembered with its reward."""
        if not self._credit_known or (block, repeats) in self._trajectories:
            return
        rewards = self._known.get(NetworkKey(block, repeats)) or [
            self._sign * reward for reward in self._twins.rewards(block, repeats)
        ]
        if rewards:
            experience = Experience(block, repeats, float(np.mean(rewards)))
            if experience not in recalled:
                recalled.append(experience)
