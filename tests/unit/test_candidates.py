"""Where candidates come from: each source by itself, and what their settings bound."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import numpy as np
import pytest
from playing import Experiment, layers_reward, space, tuner

from nni_blockqnn import Block, BlockSearch, SearchSpace
from nni_blockqnn.predictor.predictor import Network
from nni_blockqnn.q_learning._candidates import (
    AgentSource,
    EnumerationSource,
    NetworkChooser,
    RandomSource,
)
from nni_blockqnn.q_learning.agent import RandomAgent
from nni_blockqnn.q_learning.q_agent import QAgent
from nni_blockqnn.q_learning.replay import Experience
from nni_blockqnn.q_learning.settings import PRESETS, CandidateSettings
from nni_blockqnn.space.limits import CostLimits, Limits

CHAIN = Block.parse([[row, 1, 3, row - 1, 0] for row in range(1, 9)])
SPACE = SearchSpace(max_layers=10, network="digits", repeats=(1,))


class _OneBlock(RandomAgent):
    """Proposes the same block for ever."""

    def propose(self, epsilon: float, rng: np.random.Generator) -> Block:
        return CHAIN


def _limits(layers: int | None = None) -> CostLimits:
    """Limits that admit a chain of so many convolutions."""
    if layers is None:
        return CostLimits(SPACE, Limits())
    cost = CostLimits(SPACE, Limits()).cost(Block(CHAIN.layers[:layers]), 1)
    return CostLimits(SPACE, Limits(max_params=cost.params))


def _drawn(settings: CandidateSettings, layers: int | None) -> list[Network]:
    agent, limits = _OneBlock(SPACE, 0), _limits(layers)
    chooser = NetworkChooser(limits, agent, "largest")
    source = AgentSource(SPACE, agent, chooser, limits, settings)
    return list(source.draw(1.0, np.random.default_rng(0)))


def test_an_agents_block_over_the_limits_is_shortened_after_a_few_draws() -> None:
    """Three whole ones are passed over first: shortened ones are not what the agent learnt."""
    assert _drawn(CandidateSettings(), 5) == [(Block(CHAIN.layers[:5]), 1)] * 47
    assert _drawn(CandidateSettings(whole_draws=0), 5) == [(Block(CHAIN.layers[:5]), 1)] * 50
    assert _drawn(CandidateSettings(agent_draws=4), None) == [(CHAIN, 1)] * 4


def test_random_blocks_come_in_turn_with_neighbours_of_known_ones() -> None:
    agent, limits, known = RandomAgent(SPACE, 0), _limits(), list[Block]()
    chooser = NetworkChooser(limits, agent, "largest")
    source = RandomSource(SPACE, known, chooser, limits, CandidateSettings())
    assert len(list(source.draw(1.0, np.random.default_rng(0)))) == 500
    known.append(CHAIN)
    drawn = [block for block, _ in source.draw(1.0, np.random.default_rng(0))]
    assert len(drawn) == 1000
    assert np.mean([len(block.layers) for block in drawn[1::2]]) == pytest.approx(8, abs=0.5)
    assert np.mean([len(block.layers) for block in drawn[::2]]) < 6


def test_all_networks_are_enumerated_once_and_again_for_the_next_suggestion() -> None:
    computed = []

    class Counting(NetworkChooser):
        def legal(self, block: Block) -> tuple[int, ...]:
            computed.append(block)
            return super().legal(block)

    chooser = Counting(_limits(), RandomAgent(SPACE, 0), "largest")
    source = EnumerationSource(SPACE, chooser, CandidateSettings(enumerated=40))
    rng = np.random.default_rng(0)
    first = source.draw(1.0, rng)
    begun = [next(first), next(first)]
    assert len(computed) == 2
    everything = list(source.draw(1.0, rng))
    assert everything[:2] == begun
    assert everything == list(source.draw(1.0, rng)) == [(block, 1) for block in computed]
    assert len(set(everything)) == len(computed) == 40


def test_each_replay_draws_its_own_trajectories() -> None:
    """Seeded by the count of results, so that a resumed search replays the same ones."""
    settings = PRESETS["tuned"]._replace(batch_size=1, replay_updates=6, replay_capacity=20)

    def replayed(observed_before: int) -> list[list[int]]:
        agent, replays = QAgent(SPACE, 0, settings), list[list[int]]()
        agent._replay = lambda rng: replays.append(  # type: ignore[method-assign]
            [int(one.reward) for one in agent.memory.sample(6, rng)]
        )
        for number in range(observed_before, observed_before + 24):
            agent.observe(Experience(CHAIN, 1, float(number)))
        return replays

    replays = replayed(0)
    ages = [[number - reward for reward in one] for number, one in enumerate(replays)]
    assert ages[-1] != ages[-2] != ages[-3], "not the same positions each time"
    assert replayed(0) == replays
    assert replayed(100)[-1] == [reward + 100 for reward in replays[-1]]


def test_more_candidates_and_mutants_are_what_the_settings_say(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[int] = []

    def search(**candidates: float) -> BlockSearch:
        made = BlockSearch(SPACE, predictor="wl", candidates=candidates)
        assert made.predictor is not None
        rank = made.predictor.rank

        def counted(pool: Any, pending: Any) -> Any:
            asked.append(len(pool))
            return rank(pool, pending)

        monkeypatch.setattr(made.predictor, "rank", counted)
        for _ in range(14):
            suggestion = made.ask()
            assert suggestion is not None
            made.tell(suggestion.episode, layers_reward(suggestion.block))
        return made

    search(pool=7, first_results=12)
    assert asked == [7, 7]
    asked.clear()
    search(pool=30, mutant_share=1.0)
    assert asked == [30] * 4


@pytest.mark.slow
@pytest.mark.parametrize(
    ("preset", "digest"),
    [("paper", "f1bcfcdc915bcc35"), ("tuned", "9439332e5c221391")],
)
def test_a_seeds_trajectory_stays_as_it_is(preset: str, digest: str) -> None:
    """Whoever changes it on purpose says so in the changelog: old searches cannot be repeated."""
    played = Experiment(tuner(space(max_layers=12), preset=preset, budget=200), 4).run(200)
    sent = json.dumps([[one["episode"], one["block"], one["repeats"]] for one in played.sent])
    assert hashlib.sha256(sent.encode()).hexdigest()[:16] == digest
