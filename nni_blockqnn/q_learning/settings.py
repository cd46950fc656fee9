"""The agent's knobs and their presets (paper, Section 4.2)."""

from __future__ import annotations

from typing import NamedTuple

EpsilonStages = tuple[tuple[float, float], ...]
"""(epsilon, iterations) of each stage, in order."""

TABLE_2: EpsilonStages = (
    (1.0, 95),
    (0.9, 7),
    (0.8, 7),
    (0.7, 7),
    (0.6, 10),
    (0.5, 10),
    (0.4, 10),
    (0.3, 10),
    (0.2, 10),
    (0.1, 12),
)
"""The paper's epsilon schedule: 178 iterations."""

QUARTERS: EpsilonStages = ((1.0, 25), (0.5, 25), (0.3, 25), (0.1, 25))
"""With half of Table 2's random phase: better in the first half of a search and no worse at its end
(docs/search_quality.md)."""


class AgentSettings(NamedTuple):
    """What the Q-learning agent may be told.

    Attributes:
        epsilon_schedule: (epsilon, iterations) of each stage; a tuner's budget scales it.
        batch_size: blocks of an iteration: the agent learns after as many results.
        learning_rate: alpha, the step towards a new target.
        step_size: "constant" steps by alpha; "visits" by 1/n at the n-th update of a value, but at
            least alpha, so that a value is the mean of its targets as long as there are few. With
            constant small steps and few updates the greedy choice follows what was visited most
            rather than what paid most; then ``initial_q`` should be near a good return.
        discount: gamma.
        initial_q: value of an action that was never updated, in the reward's unit (in standard
            deviations if rewards are standardised).
        replay_updates: trajectories replayed from the memory after each iteration.
        replay_capacity: how many of the newest results the memory holds.
        reward_shaping: r_t = r_T / T for each action but the last; False gives them nothing.
        standardise: learn from (reward - mean) / standard deviation over the replay memory, so that
            units and offsets of the reward do not matter.
        exploration: "type" draws a random action's type first, then kernel and predecessors;
            "kernel" type and kernel together, then predecessors; "uniform" among all legal rows.
    """

    epsilon_schedule: EpsilonStages = TABLE_2
    batch_size: int = 64
    learning_rate: float = 0.01
    step_size: str = "constant"
    discount: float = 1.0
    initial_q: float = 50.0
    replay_updates: int = 64
    replay_capacity: int = 100_000
    reward_shaping: bool = True
    standardise: bool = False
    exploration: str = "type"


PRESETS: dict[str, AgentSettings] = {
    # Rewards are percent, so 50 is MetaQNN's initial Q of 0.5, which the paper's text leaves open.
    "paper": AgentSettings(),
    "tuned": AgentSettings(
        epsilon_schedule=QUARTERS,
        batch_size=8,
        learning_rate=0.1,
        step_size="visits",
        initial_q=0.0,
        standardise=True,
        exploration="kernel",
    ),
}
