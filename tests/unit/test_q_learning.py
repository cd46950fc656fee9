"""The agent's parts: Q-table, replay memory, updates by hand, and what it samples."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest

from nni_blockqnn.blocks.block import Block
from nni_blockqnn.blocks.layer import Layer
from nni_blockqnn.q_learning.q_agent import REPEATS_STATE, QAgent
from nni_blockqnn.q_learning.q_table import QTable
from nni_blockqnn.q_learning.replay import Experience, ReplayMemory
from nni_blockqnn.q_learning.search import BlockSearch, Suggestion
from nni_blockqnn.q_learning.settings import (
    TABLE_2,
    AgentSettings,
    EpsilonSchedule,
)
from nni_blockqnn.space.search_space import START, SearchSpace

TWO_CONVS = Block.parse([[1, 1, 3, 0, 0], [2, 1, 3, 1, 0]])
FIRST, SECOND, TERMINAL = TWO_CONVS.trajectory

TABLE_2_STARTS = {
    0: 1.0,
    95: 0.9,
    102: 0.8,
    109: 0.7,
    116: 0.6,
    126: 0.5,
    136: 0.4,
    146: 0.3,
    156: 0.2,
    166: 0.1,
}
"""The first iteration of each stage: 95, then three of 7, then five of 10; the last has 12."""


# --- epsilon


def test_epsilon_of_table_2_at_every_boundary() -> None:
    schedule = EpsilonSchedule(TABLE_2)
    assert sum(iterations for _, iterations in TABLE_2) == 178
    previous = 1.0
    for start, epsilon in TABLE_2_STARTS.items():
        assert schedule.epsilon(start) == epsilon
        if start:
            assert schedule.epsilon(start - 1) == previous
            assert schedule.epsilon(start - 0.001) == previous
        previous = epsilon
    assert schedule.epsilon(177) == 0.1
    assert schedule.epsilon(100_000) == 0.1, "it stays after the last stage"


def test_a_schedule_is_stretched_as_a_whole() -> None:
    schedule = EpsilonSchedule(((1.0, 3), (0.5, 1), (0.0, 4)), total_iterations=4)
    epsilons = [schedule.epsilon(iteration) for iteration in (0, 1.4, 1.5, 1.9, 2, 3.9, 9)]
    assert epsilons == [1.0, 1.0, 0.5, 0.5, 0.0, 0.0, 0.0]


@pytest.mark.parametrize(
    ("preset", "budget", "starts"),
    [
        ("paper", 178 * 64, {64 * start: e for start, e in TABLE_2_STARTS.items()}),
        ("paper", None, {64 * start: e for start, e in TABLE_2_STARTS.items()}),
        ("tuned", None, {0: 1.0, 8 * 25: 0.5, 8 * 50: 0.3, 8 * 75: 0.1}),
        ("tuned", 178, {0: 1.0, 45: 0.5, 89: 0.3, 134: 0.1}),
        # less than three iterations, and every stage has its share all the same
        ("paper", 178, TABLE_2_STARTS),
        ("tuned", 89, {0: 1.0, 23: 0.5, 45: 0.3, 67: 0.1}),
    ],
)
def test_epsilon_counts_the_blocks_handed_out(
    preset: str, budget: int | None, starts: dict[int, float]
) -> None:
    search = BlockSearch(SearchSpace(), preset=preset, budget=budget)
    changes = {}
    previous = None
    for episode in range(max(starts) + 20):
        if search.epsilon != previous:
            previous = changes[episode] = search.epsilon
        search.record_suggestion(Suggestion(episode, TWO_CONVS, 4, search.epsilon))
    assert changes == starts


# --- updates


def _agent(space: SearchSpace | None = None, **settings: object) -> QAgent:
    defaults = AgentSettings(initial_q=0.0)
    return QAgent(space or SearchSpace(), 0, defaults._replace(**settings))


def _values(agent: QAgent) -> tuple[float, ...]:
    """Q(s0, a1), Q(a1, a2), Q(a2, Terminal)."""
    pairs = [(START, FIRST), (FIRST, SECOND), (SECOND, TERMINAL)]
    return tuple(agent.table.value(*pair) for pair in pairs)


@pytest.mark.parametrize(
    ("settings", "first_reward", "after_one", "second_reward", "after_two"),
    [
        pytest.param(
            # alpha 0.01, r_t = 6/3 = 2, last action first:
            #   0.01 * 6 = 0.06; 0.01 (2 + 0.06) = 0.0206; 0.01 (2 + 0.0206) = 0.020206
            # again: 0.99 * 0.06 + 0.06 = 0.1194; 0.99 * 0.0206 + 0.01 (2 + 0.1194) = 0.041588;
            #   0.99 * 0.020206 + 0.01 (2 + 0.041588) = 0.04041982
            {},
            6.0,
            (0.020206, 0.0206, 0.06),
            6.0,
            (0.04041982, 0.041588, 0.1194),
            id="the paper's",
        ),
        pytest.param(
            # r_t = 0: 0.06; 0.01 * 0.06; 0.01 * 0.0006
            # again: 0.1194; 0.99 * 0.0006 + 0.01 * 0.1194 = 0.001788;
            #   0.99 * 0.000006 + 0.01 * 0.001788 = 0.00002382
            {"reward_shaping": False},
            6.0,
            (0.000006, 0.0006, 0.06),
            6.0,
            (0.00002382, 0.001788, 0.1194),
            id="unshaped",
        ),
        pytest.param(
            # step 1: 6; 2 + 6; 2 + 8. Then step 1/2 with reward 3, r_t = 1:
            #   (6 + 3) / 2; (8 + 1 + 4.5) / 2; (10 + 1 + 6.75) / 2
            {"step_size": "visits"},
            6.0,
            (10.0, 8.0, 6.0),
            3.0,
            (8.875, 6.75, 4.5),
            id="1/n",
        ),
        pytest.param(
            {"step_size": "visits", "reward_shaping": False},
            # 6, 6, 6; then (6 + 3) / 2, (6 + 4.5) / 2, (6 + 5.25) / 2
            6.0,
            (6.0, 6.0, 6.0),
            3.0,
            (5.625, 5.25, 4.5),
            id="1/n, unshaped",
        ),
        pytest.param(
            # the step is never below alpha: 3/4 instead of 1/2
            #   6/4 + 3 * 3/4 = 3.75; 8/4 + 3/4 (1 + 3.75) = 5.5625;
            #   10/4 + 3/4 (1 + 5.5625) = 7.421875
            {"step_size": "visits", "learning_rate": 0.75},
            6.0,
            (10.0, 8.0, 6.0),
            3.0,
            (7.421875, 5.5625, 3.75),
            id="1/n, but at least alpha",
        ),
        pytest.param(
            # 6; 2 + 6/2; 2 + 5/2. Then 4.5; (5 + 1 + 4.5/2) / 2 = 4.125;
            #   (4.5 + 1 + 4.125/2) / 2 = 3.78125
            {"step_size": "visits", "discount": 0.5},
            6.0,
            (4.5, 5.0, 6.0),
            3.0,
            (3.78125, 4.125, 4.5),
            id="discounted",
        ),
        pytest.param(
            # max over a includes the actions never tried, at 50:
            #   0.99 * 50 + 0.06; 0.99 * 50 + 0.01 (2 + 50); 0.99 * 50 + 0.01 (2 + 50.02)
            # again: 0.99 * 49.56 + 0.06 = 49.1244; 0.99 * 50.02 + 0.01 (2 + 50) = 50.0398;
            #   0.99 * 50.0202 + 0.01 (2 + 50.0398) = 50.040396
            {"initial_q": 50.0},
            6.0,
            (50.0202, 50.02, 49.56),
            6.0,
            (50.040396, 50.0398, 49.1244),
            id="initial Q of 50",
        ),
        pytest.param(
            # -6; -2 + max(-6, 0 of the others); -2 + max(-2, 0). Then -4.5, (-2 - 1) / 2 twice
            {"step_size": "visits"},
            -6.0,
            (-2.0, -2.0, -6.0),
            -3.0,
            (-1.5, -1.5, -4.5),
            id="negative",
        ),
    ],
)
def test_q_values_of_a_trajectory_by_hand(
    settings: dict[str, object],
    first_reward: float,
    after_one: tuple[float, ...],
    second_reward: float,
    after_two: tuple[float, ...],
) -> None:
    agent = _agent(**settings)
    start = float(settings.get("initial_q", 0.0))
    assert _values(agent) == (start, start, start)
    agent.learn(Experience(TWO_CONVS, 4, first_reward))
    assert _values(agent) == pytest.approx(after_one)
    agent.learn(Experience(TWO_CONVS, 4, second_reward))
    assert _values(agent) == pytest.approx(after_two)


def test_an_action_that_is_the_only_one_bounds_the_maximum() -> None:
    """With two layers at most, the Terminal is the only third action: max = -6, not 0."""
    agent = _agent(SearchSpace(max_layers=3), step_size="visits")
    agent.learn(Experience(TWO_CONVS, 4, -6.0))
    assert _values(agent) == (-2.0, -2.0 - 6.0, -6.0)


def test_the_number_of_repeats_is_learnt_like_an_action() -> None:
    agent = _agent(step_size="visits")
    for repeats, reward in ((2, 5.0), (4, 7.0), (4, 9.0)):
        agent.learn(Experience(TWO_CONVS, repeats, reward))
    assert agent.table.value(REPEATS_STATE, 2) == 5.0
    assert agent.table.value(REPEATS_STATE, 4) == 8.0
    rng = np.random.default_rng(0)
    assert {agent.choose_repeats((1, 2, 4), 0.0, rng) for _ in range(20)} == {4}
    # 4 is best but does not fit; 1 was never tried and has the initial 0
    assert {agent.choose_repeats((1, 2), 0.0, rng) for _ in range(20)} == {2}
    assert {agent.choose_repeats((1, 2, 4), 1.0, rng) for _ in range(100)} == {1, 2, 4}


# --- Q-table


def test_greedy_ties_are_broken_uniformly() -> None:
    table = QTable(initial_q=1.0)
    table.update("state", "low", target=0.0, step=1.0)
    table.update("state", "tie", target=1.0, step=1.0)
    rng = np.random.default_rng(3)
    actions = ["low", "tie", "new", "newer"]
    counts = Counter(table.greedy("state", actions, rng) for _ in range(3000))
    assert set(counts) == {"tie", "new", "newer"}
    assert all(abs(count - 1000) < 130 for count in counts.values()), counts  # 5 x 26


def test_greedy_takes_the_best_of_the_legal_actions_only() -> None:
    table = QTable(initial_q=0.0)
    for action, value in (("illegal", 9.0), ("good", 2.0), ("bad", -1.0)):
        table.update("state", action, value, step=1.0)
    rng = np.random.default_rng(0)
    assert {table.greedy("state", ["bad", "good", "new"], rng) for _ in range(50)} == {"good"}
    assert {table.greedy("state", ["bad", "new"], rng) for _ in range(50)} == {"new"}
    assert {table.greedy("state", ["bad"], rng) for _ in range(50)} == {"bad"}


def test_greedy_is_the_maximum_over_all_legal_actions() -> None:
    rng = np.random.default_rng(1)
    for _ in range(300):
        table = QTable(initial_q=float(rng.integers(-1, 2)))
        for action in rng.choice(8, size=rng.integers(9), replace=False).tolist():
            table.update("state", action, float(rng.integers(-2, 3)), step=1.0)
        legal = rng.choice(8, size=rng.integers(1, 9), replace=False).tolist()
        best = max(table.value("state", action) for action in legal)
        chosen = table.greedy("state", legal, rng)
        assert chosen in legal
        assert table.value("state", chosen) == best


def test_values_that_differ_by_rounding_tie() -> None:
    table = QTable(initial_q=0.0)
    table.update("state", "a", 0.1 + 0.2, step=1.0)
    table.update("state", "b", 0.3, step=1.0)
    table.update("state", "c", 0.3 - 1e-6, step=1.0)
    rng = np.random.default_rng(0)
    assert {table.greedy("state", ["a", "b", "c"], rng) for _ in range(50)} == {"a", "b"}


def test_the_table_counts_visits() -> None:
    table = QTable(initial_q=0.0)
    assert table.visits("state", "a") == 0
    table.update("state", "a", 1.0, 0.5)
    table.update("state", "a", 1.0, 0.5)
    assert table.visits("state", "a") == 2
    assert table.value("state", "a") == 0.75
    assert table.visits("state", "b") == 0


# --- replay memory


def _experience(reward: float) -> Experience:
    return Experience(TWO_CONVS, 4, reward)


def test_the_memory_forgets_the_oldest() -> None:
    memory = ReplayMemory(capacity=3)
    for reward in (1.0, 2.0, 3.0, 4.0, 5.0):
        memory.add(_experience(reward))
    assert len(memory) == 3
    drawn = memory.sample(200, np.random.default_rng(0))
    assert len(drawn) == 200, "with replacement"
    assert {experience.reward for experience in drawn} == {3.0, 4.0, 5.0}
    mean, deviation = memory.mean_and_deviation()
    assert mean == pytest.approx(4.0)
    assert deviation == pytest.approx(math.sqrt(2 / 3))


@pytest.mark.parametrize("reward", [0.0, 0.7, -5e4 + 0.7, 1e100])
def test_equal_rewards_are_all_average(reward: float) -> None:
    memory = ReplayMemory(capacity=100)
    for _ in range(37):
        memory.add(_experience(reward))
    mean, deviation = memory.mean_and_deviation()
    assert (reward - mean) / deviation == 0.0


def test_the_agent_learns_after_each_batch_and_not_before() -> None:
    agent = _agent(batch_size=4, replay_updates=10, step_size="visits")
    for _ in range(3):
        agent.observe(_experience(6.0))
    assert _values(agent) == (0.0, 0.0, 0.0)
    agent.observe(_experience(6.0))
    assert agent.table.visits(SECOND, TERMINAL) == 10
    assert agent.table.value(SECOND, TERMINAL) == pytest.approx(6.0)
    agent.recall(_experience(6.0))
    assert agent.table.visits(SECOND, TERMINAL) == 10, "a credit starts no replay"
    for _ in range(4):
        agent.observe(_experience(6.0))
    assert agent.table.visits(SECOND, TERMINAL) == 20


# --- sampling


def test_epsilon_0_follows_the_best_trajectory() -> None:
    agent = _agent(step_size="visits")
    agent.learn(Experience(TWO_CONVS, 4, 6.0))
    rng = np.random.default_rng(0)
    assert {agent.propose(0.0, rng) for _ in range(20)} == {TWO_CONVS}


@pytest.mark.slow
def test_epsilon_applies_to_each_action() -> None:
    """Greedy: two convolutions, by 3 actions. At epsilon 0.5 all three are greedy, or random and
    alike, in (1/2 + 1/2 p)^3 or so of the draws; the p of the random draws are 1/4 x 1/3 for the
    first, 1/5 x 1/3 for the second and 1/7 for the third."""
    agent = _agent(step_size="visits")
    agent.learn(Experience(TWO_CONVS, 4, 6.0))
    rng = np.random.default_rng(0)
    share = np.mean([agent.propose(0.5, rng) == TWO_CONVS for _ in range(4000)])
    expected = (0.5 + 0.5 / 12) * (0.5 + 0.5 / 15) * (0.5 + 0.5 / 7)
    assert share == pytest.approx(expected, abs=0.03)  # the standard error is 0.006


@pytest.mark.slow
@pytest.mark.parametrize(
    ("exploration", "terminals"),
    # type first: 1 of 7 types; with their kernels 1 of 11. Uniform: 1 of 8 * 4 + 2 * 6 + 1 rows
    [("type", 1 / 7), ("kernel", 1 / 11), ("uniform", 1 / 45)],
)
def test_exploration(exploration: str, terminals: float) -> None:
    agent = _agent(exploration=exploration)
    rng = np.random.default_rng(0)
    fifths = [
        block.trajectory[4]
        for block in (agent.propose(1.0, rng) for _ in range(3000))
        if len(block.trajectory) >= 5
    ]
    share = np.mean([layer == Layer.terminal(5) for layer in fifths])
    assert share == pytest.approx(terminals, abs=0.02)  # the standard error is 0.007
