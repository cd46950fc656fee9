"""The agent learns in whole searches, whatever the unit of its rewards."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from nni_blockqnn.blocks.block import Block
from nni_blockqnn.q_learning.search import BlockSearch
from nni_blockqnn.q_learning.settings import (
    PRESETS,
    AgentSettings,
)
from nni_blockqnn.space.search_space import SearchSpace


def _convolutions(block: Block) -> float:
    """20 percent for each 3x3 convolution, up to 5."""
    return 20.0 * min(5, sum(layer.type == 1 and layer.kernel == 3 for layer in block.layers))


def _noisy(block: Block) -> float:
    noise = np.random.default_rng(sum(map(sum, block.codes))).normal()
    return _convolutions(block) + float(noise)


def _play(
    settings: AgentSettings,
    objective: Callable[[Block], float],
    budget: int,
    seed: int = 4,
    space: SearchSpace | None = None,
) -> list[tuple[float, Block, float]]:
    """(epsilon, block, reward) of each trial, one after the other."""
    search = BlockSearch(space or SearchSpace(), seed=seed, budget=budget, **settings._asdict())
    results = []
    for _ in range(budget):
        suggestion = search.ask()
        assert suggestion is not None
        reward = objective(suggestion.block)
        search.count(suggestion.episode, suggestion.block, reward, {})
        results.append((suggestion.epsilon, suggestion.block, reward))
    return results


@pytest.mark.slow
@pytest.mark.parametrize("preset", PRESETS)
def test_the_agent_learns(preset: str) -> None:
    results = _play(PRESETS[preset], _convolutions, budget=400)
    random_phase = np.mean([reward for epsilon, _, reward in results if epsilon == 1])
    last_tenth = np.mean([reward for _, _, reward in results[-40:]])
    assert random_phase < 25
    assert last_tenth > random_phase + 20


@pytest.mark.slow
@pytest.mark.parametrize("objective", [_convolutions, _noisy])
def test_standardised_rewards_know_neither_unit_nor_offset(
    objective: Callable[[Block], float],
) -> None:
    tuned = PRESETS["tuned"]
    plain = _play(tuned, objective, budget=300)
    other = _play(tuned, lambda block: 1000 * objective(block) - 5e4, budget=300)
    fraction = _play(tuned, lambda block: objective(block) / 100, budget=300)
    blocks = [block for _, block, _ in plain]
    assert [block for _, block, _ in other] == blocks
    assert [block for _, block, _ in fraction] == blocks


def _has_concat(block: Block) -> float:
    return 70.3 if any(layer.type == 6 for layer in block.layers) else 60.1


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(12))
def test_rounding_breaks_no_ties(seed: int) -> None:
    """Two rewards only, and greedy early: many values are equal but for rounding."""
    greedy = PRESETS["tuned"]._replace(epsilon_schedule=((1.0, 1), (0.0, 9)), reward_shaping=False)
    space = SearchSpace(max_layers=6)
    plain = _play(greedy, _has_concat, 40, seed, space)
    other = _play(greedy, lambda block: 1000 * _has_concat(block) - 5e4, 40, seed, space)
    assert [block for _, block, _ in other] == [block for _, block, _ in plain]
