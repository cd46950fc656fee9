"""A search by ask and tell: which block to train next, and what became of those handed out.

    search = BlockSearch(SearchSpace(), seed=0, budget=100)
    while suggestion := search.ask():
        search.tell(suggestion.episode, accuracy_of(suggestion.block, suggestion.repeats))
    print(search.best(5))

The caller owns the loop; the search needs neither NNI nor PyTorch. An episode's life:

    ask() -> under way -> tell()            the agent learns, the block is known from now on
                       -> tell_failure()    the training said why it failed
                       -> release()         the training said nothing; a late result still counts
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from nni_blockqnn.blocks.block import Block
from nni_blockqnn.common.checks import is_number
from nni_blockqnn.common.messages import shown
from nni_blockqnn.predictor.predictor import Network, Predictor
from nni_blockqnn.q_learning._candidates import (
    AgentSource,
    CandidateSource,
    EnumerationSource,
    NetworkChooser,
    RandomSource,
    RetrySource,
)
from nni_blockqnn.q_learning._episodes import Episodes, OtherCostError, UncountableError
from nni_blockqnn.q_learning._faults import faults_logged
from nni_blockqnn.q_learning._known import KnownResults, are_equivalent
from nni_blockqnn.q_learning._networks import NetworkKey
from nni_blockqnn.q_learning._picks import best_results, finalists
from nni_blockqnn.q_learning._pool import CandidatePool
from nni_blockqnn.q_learning._predictor_source import PredictorSource
from nni_blockqnn.q_learning._start_blocks import StartSource, start_networks
from nni_blockqnn.q_learning._suggestion import Result, Suggestion
from nni_blockqnn.q_learning.agent import Agent
from nni_blockqnn.q_learning.arguments import (
    NUMBER_LIMIT,
    SearchArguments,
    make_agent,
    make_predictor,
)
from nni_blockqnn.q_learning.failures import Failure, Failures
from nni_blockqnn.q_learning.replay import Experience
from nni_blockqnn.q_learning.settings import EpsilonSchedule
from nni_blockqnn.space.limits import CostLimits, check_limits
from nni_blockqnn.space.search_space import SearchSpace

__all__ = ["BlockSearch", "OtherCostError", "Result", "Suggestion", "UncountableError"]

EPISODE_LIMIT = 1_000_000_000
"""Imported episodes beyond it are numbered anew: JavaScript, through which they travel, is exact up
to 2**53."""

FAILURE_QUANTILE = 0.25
"""Of the rewards so far: what the agent learns of a network that failed or was lost. The lowest
reward itself loses fewer trials still, but the blocks around it, which may be good, with them
(docs/faults.md)."""


class BlockSearch:
    """Suggests blocks and counts their results.

    The same arguments and the same calls give the same blocks.

    Attributes:
        history: the counted results, oldest first.
        failures: trainings that failed, and when to give up.
    """

    def __init__(self, space: SearchSpace, *, seed: int = 0, **arguments: Any) -> None:
        """
        Args:
            seed: of all random numbers.
            arguments: :class:`nni_blockqnn.q_learning.arguments.SearchArguments` lists them.

        Raises:
            ValueError: naming the argument, its value and what is allowed.
        """
        self.arguments = SearchArguments.of(arguments)
        match = self.arguments.match
        target = match and match.target_in(space)
        check_limits(space, self.arguments.limits, target)
        self.space = space
        self.history: list[Result] = []
        self.failures = Failures()
        self.agent: Agent = make_agent(self.arguments, space, seed)
        self._seed = seed
        self._sign = -1.0 if self.arguments.optimize_mode == "minimize" else 1.0
        self._credits_known = self.arguments.known_blocks == "replay"
        budget, settings = self.arguments.budget, self.arguments.settings
        iterations = None if budget is None else budget / settings.batch_size
        self._schedule = EpsilonSchedule(settings.epsilon_schedule, iterations)
        self._episodes = Episodes()
        self._known = KnownResults()
        self._known_blocks: list[Block] = []
        self._trajectories: set[Network] = set()
        self._imported: set[tuple[Any, NetworkKey, float]] = set()
        self._limits = CostLimits(space, self.arguments.limits, target)
        starts = start_networks(self.arguments.start_blocks, space, self._limits)
        self._start_source = StartSource(starts)
        self._predictor_source: PredictorSource | None = None
        self._sources = self._make_sources()

    def _make_sources(self) -> list[CandidateSource]:
        """In the order in which :meth:`ask` goes through them."""
        space, limits, settings = self.space, self._limits, self.arguments.candidates
        chooser = NetworkChooser(limits, self.agent, self.arguments.repeats_rule)
        agent_source = AgentSource(space, self.agent, chooser, limits, settings)
        predictor = make_predictor(self.arguments, limits.cost)
        sources: list[CandidateSource] = [
            RetrySource(self.failures, space, chooser),
            self._start_source,
        ]
        if predictor is not None:
            pool = CandidatePool(space, agent_source, chooser, limits, settings, self._has_result)
            self._predictor_source = PredictorSource(predictor, pool, settings)
            sources.append(self._predictor_source)
        return [
            *sources,
            agent_source,
            RandomSource(space, self._known_blocks, chooser, limits, settings),
            EnumerationSource(space, chooser, settings),
        ]

    @property
    def predictor(self) -> Predictor | None:
        return None if self._predictor_source is None else self._predictor_source.predictor

    @property
    def epsilon(self) -> float:
        """Epsilon of the next suggestion.

        Its iteration is blocks handed out / batch size (DESIGN.md), not rounded down: a small
        budget would otherwise end before the last stages. Imported results do not count.
        """
        return self._schedule.epsilon(self._episodes.own / self.arguments.settings.batch_size)

    @property
    def next_episode(self) -> int:
        return self._episodes.next

    @property
    def under_way(self) -> list[int]:
        """Episodes that were handed out and neither counted nor released, the oldest first."""
        return self._episodes.under_way

    def ask(self) -> Suggestion | None:
        """A block that is neither known nor under way.

        A block of the same function as such a one is passed over too, but only so often: it comes
        late, not never. ``None`` if nothing is left, or if trial after trial failed
        (``failures.stop_reason``).
        """
        if self.failures.stop_reason is not None:
            return None
        # seeded by the episode, so that a resumed search asks for the same blocks
        rng = np.random.default_rng([self._seed, 0, self.next_episode])
        found = self._first_new(rng)
        if found is None:
            return None
        (block, repeats), recalled = found
        suggestion = Suggestion(
            self.next_episode,
            block,
            repeats,
            self.epsilon,
            tuple(recalled),
            self._limits.width(block, repeats),
            is_start=(block, repeats) in self._start_source,
            repetition=self._known.count(NetworkKey(block, repeats)),
        )
        self.record_suggestion(suggestion)
        return suggestion

    def _first_new(self, rng: np.random.Generator) -> tuple[Network, list[Experience]] | None:
        """The first new candidate of all sources, and the results recalled on the way to it."""
        recalled: list[Experience] = []
        equivalents: list[Network] = []
        if self._predictor_source is not None:
            self._predictor_source.pending = self._episodes.networks_under_way
        for source in self._sources:
            for network in source.draw(self.epsilon, rng):
                if not self._is_taken(NetworkKey(*network)):
                    most = self.arguments.candidates.agent_draws
                    if len(equivalents) == most or not self._is_equivalent(*network):
                        return network, recalled
                    equivalents.append(network)
                if source.recalls and (experience := self._recalled(*network)):
                    # the same draw twice teaches nothing more
                    recalled += [experience] if experience not in recalled else []
        # better a second training of a function than none
        return (equivalents[0], recalled) if equivalents else None

    def _is_taken(self, key: NetworkKey) -> bool:
        known = self._credits_known and key in self._known
        return known or self.failures.excludes(key) or self._episodes.is_under_way(key)

    def _is_equivalent(self, block: Block, repeats: int) -> bool:
        """Whether a block of the same function is known, with its reward, or under way."""
        if not self._credits_known or (block, repeats) in self.failures.retries:
            return False
        return self._known.has_equivalent(block, repeats) or any(
            repeats == others and are_equivalent(block, other)
            for other, others in self._episodes.networks_under_way
        )

    def _has_result(self, network: Network) -> bool:
        """Whether the network, or one of the same function, needs no training."""
        return network in self._trajectories or (
            NetworkKey(*network) in self._known or self._known.has_equivalent(*network)
        )

    def _recalled(self, block: Block, repeats: int) -> Experience | None:
        """The known result of a trajectory that the agent has not learnt from."""
        if not self._credits_known or (block, repeats) in self._trajectories:
            return None
        reward = self._known.reward(block, repeats)
        return None if reward is None else Experience(block, repeats, self._sign * reward)

    def tell(self, episode: int, value: float, metric: Mapping[str, Any] | None = None) -> Result:
        """Count the result of a training.

        Args:
            value: its reward, which the search maximizes, or minimizes if it was told so.
            metric: what else is known of it: "accuracy", "flops", "rho", ...

        Raises:
            UncountableError: if the episode was never handed out or has counted already.
            ValueError: if the value is not a finite number of at most 1e100.
        """
        block, _ = self._episodes.open_network(episode)
        if not is_number(value) or abs(float(value)) > NUMBER_LIMIT:
            raise ValueError(
                f"the value of episode {episode} must be a finite number of at most "
                f"{NUMBER_LIMIT:g}, got {shown(value)}; tell_failure() takes trainings without one"
            )
        return self.count(episode, block, float(value), metric or {})

    def tell_failure(self, episode: int, reason: str, *, of_block: bool = False) -> Failure:
        """Note that a training failed. The block is tried once more, unless the fault is its own.

        Args:
            of_block: whether the block is the cause, so that another attempt would fail too.

        Raises:
            UncountableError: if the episode was never handed out, has counted or failed already.
        """
        block, _ = self._episodes.open_network(episode)
        return self.fail(episode, block, reason, of_block)

    def best(self, k: int) -> list[Result]:
        """The best results of different networks, as they should be picked, best first.

        With a predictor that has a posterior mean, that decides and not the result itself, which of
        many noisy ones is the luckiest.
        """
        return best_results(self.history, self._sign, self._predictor_source)[:k]

    def finalists(self, k: int) -> list[Result]:
        """The same, but of several families, as far as there are any.

        Without a predictor that tells how alike networks are, they are the best.
        """
        best = self.best(len(self.history))
        return finalists(best, k, self._predictor_source)

    def record_suggestion(self, suggestion: Suggestion, *, imported: bool = False) -> None:
        """Take note of a suggestion, also of one that was made before a restart."""
        for experience in suggestion.recalled:
            self._trajectories.add((experience.block, experience.repeats))
            if self.space.contains(experience.block):
                with faults_logged(self.agent, "It has not learnt from this known result"):
                    self.agent.recall(experience)
        network = (suggestion.block, suggestion.repeats)
        self.failures.drop_retry(network)
        self._start_source.drop(network)
        self._episodes.start(suggestion.episode, network, imported=imported)

    def check_result(
        self, episode: int, block: Block, reward: float, metric: Mapping[str, Any]
    ) -> Result:
        """A result that may count, for :meth:`learn`; between the two, it can be written down.

        Args:
            block: as the trial names it.

        Raises:
            UncountableError: if the episode was never handed out, was handed out with another
                block, or has counted already.
        """
        block, repeats = self._episodes.open_network(episode, block)
        width = self._limits.width(block, repeats)
        return Result(episode, block, repeats, reward, dict(metric), width)

    def learn(self, result: Result) -> None:
        """Count the result: from now on its episode is over and its block known."""
        block, repeats = network = result.block, result.repeats
        if self._episodes.count(result.episode):
            self.failures.take_back_lost(network)
        self.failures.end_streak()
        self.history.append(result)
        self._known.add(block, repeats, result.reward, result.metric)
        self._known_blocks.append(block)
        self._trajectories.add(network)
        if self.space.contains(block):  # a result may be of an earlier, larger space
            self._observe(network, self._sign * result.reward, result.metric)

    def _observe(self, network: Network, reward: float, metric: Mapping[str, Any]) -> None:
        with faults_logged(self.agent, "It has not learnt from this result"):
            self.agent.observe(Experience(*network, reward))
        if self._predictor_source is not None:
            self._predictor_source.observe(network, reward, metric)

    def prepare(self) -> None:
        """Have the predictor learn now, so that the next :meth:`ask` need not wait for it."""
        if self._predictor_source is not None:
            self._predictor_source.prepare()

    def count(self, episode: int, block: Block, reward: float, metric: Mapping[str, Any]) -> Result:
        """:meth:`check_result` and :meth:`learn` in one."""
        result = self.check_result(episode, block, reward, metric)
        self.learn(result)
        return result

    def fail(self, episode: int, block: Block, reason: str, of_block: bool) -> Failure:
        """:meth:`tell_failure` for a trial that names its block.

        Raises:
            UncountableError: as :meth:`check_result`, and if the episode has failed already.
        """
        block, repeats = self._episodes.open_network(episode, block)
        if self._episodes.fail(episode):
            self.failures.take_back_lost((block, repeats))
        failure = Failure(episode, block, repeats, reason, of_block)
        self.failures.add(failure)
        if of_block:
            self._learn_failure((block, repeats))
        return failure

    def _learn_failure(self, network: Network) -> None:
        """Learn that the network is none of the better ones, since it gives no result."""
        if self.history and self.space.contains(network[0]):
            rewards = [self._sign * result.reward for result in self.history]
            self._observe(network, float(np.quantile(rewards, FAILURE_QUANTILE)), {})

    def import_result(
        self,
        episode: int,
        block: Block,
        repeats: int | None,
        reward: float,
        metric: Mapping[str, Any],
    ) -> Result:
        """Learn from a result that another search, or a lost past of this one, handed out.

        It keeps its episode's number if that is free here, and gets the next one otherwise.

        Args:
            repeats: if it is unknown, the episode's own, or else the largest of the space.

        Raises:
            UncountableError: if the result has counted already.
            OtherCostError: if it is of a network of another cost.
        """
        if handed_out := self._episodes.network(episode):
            network = NetworkKey(block, repeats or handed_out[1])
            if network == NetworkKey(*handed_out):
                return self.count(episode, block, reward, metric)
        repeats = repeats or max(self.space.repeats)
        self._check_width(block, repeats, metric)
        source = (metric.get("episode", episode), NetworkKey(block, repeats), reward)
        if source in self._imported:
            raise UncountableError(f"episode {shown(source[0])} of another search is known")
        self._imported.add(source)
        if handed_out or not 0 <= episode < EPISODE_LIMIT:
            episode = self.next_episode
        self.record_suggestion(Suggestion(episode, block, repeats, self.epsilon), imported=True)
        return self.count(episode, block, reward, metric)

    def _check_width(self, block: Block, repeats: int, metric: Mapping[str, Any]) -> None:
        """At equal cost, a result of another width says nothing of the network of this one."""
        stated = metric.get("width")
        width = self._limits.width(block, repeats)
        if self._limits.target is not None and is_number(stated) and stated != width:
            raise OtherCostError(
                f"a result of {block} at width {shown(stated)} is of another cost: this search "
                f"trains it at width {width} (match)"
            )

    def release(self, episode: int) -> None:
        """The episode's training ended without a word.

        Its network may be suggested again, but not after ``LOST_LIMIT`` such endings.
        """
        if (network := self._episodes.release(episode)) is not None:
            self.failures.add_lost(network)
            self._learn_failure(network)
