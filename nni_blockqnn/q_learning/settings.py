"""The settings of a search and of its Q-learning agent, and their presets (paper, Section 4.2)."""

from __future__ import annotations

from bisect import bisect_right
from itertools import accumulate
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
    """Settings of the Q-learning agent.

    Attributes:
        epsilon_schedule: (epsilon, iterations) of each stage; a search's budget scales it.
        batch_size: blocks in an iteration; the agent learns after this many results.
        learning_rate: alpha, the step towards a new target, in (0, 1].
        step_size: "constant" steps by alpha. "visits" steps by 1/n at the n-th update of a value,
            but by alpha at least, so a value is the mean of its targets while there are few. With
            small constant steps and few updates the greedy choice follows what was visited most,
            not what paid most; ``initial_q`` should then be near a good return.
        discount: gamma, in [0, 1].
        initial_q: value of an action that was never updated, in the reward's unit (in standard
            deviations if rewards are standardised).
        replay_updates: trajectories replayed from the memory after each iteration.
        replay_capacity: number of newest results that the memory holds.
        reward_shaping: whether each action but the last is rewarded with r_t = r_T / T.
        standardise: learn from (reward - mean) / standard deviation over the replay memory, so that
            units and offsets of the reward do not matter.
        exploration: how a random action is drawn. "type": its type first, then kernel, then
            predecessors. "kernel": type and kernel together, then predecessors. "uniform": among
            all legal rows.
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


class CandidateSettings(NamedTuple):
    """How many candidates a search looks at before it suggests one.

    Attributes:
        agent_draws: draws of the agent for one suggestion (DESIGN.md, "Known blocks").
        whole_draws: from the next draw on, a block over the limits is shortened instead of drawn
            again. Tight limits would otherwise take hundreds of draws.
        random_draws: random blocks after that, and as many neighbours of known blocks.
        enumerated: blocks looked through in the end, short ones first, before the space counts as
            exhausted. There are 35,784 blocks of up to four layers.
        pool: candidates that the predictor ranks for one suggestion; ``None`` for as many as
            ``time_share`` pays for.
        time_share: of the trials' own time, the most that drawing and ranking may take.
        mutant_share: share of the pool that are mutants of the best blocks.
        splice_share: share that is spliced of two of them.
        fresh_share: share that is random, of uniform length; the rest of the pool is the agent's.
        first_results: results before the predictor is asked.
        incumbents: the best results, whose blocks are the parents of mutants.
    """

    agent_draws: int = 50
    whole_draws: int = 3
    random_draws: int = 500
    enumerated: int = 40_000
    pool: int | None = None
    time_share: float = 0.01
    mutant_share: float = 0.5
    splice_share: float = 0.1
    fresh_share: float = 0.2
    first_results: int = 10
    incumbents: int = 10


class EpsilonSchedule:
    """Epsilon falls from stage to stage; after the last stage it stays.

    >>> schedule = EpsilonSchedule(TABLE_2)
    >>> schedule.epsilon(94), schedule.epsilon(95), schedule.epsilon(177)
    (1.0, 0.9, 0.1)
    """

    def __init__(self, stages: EpsilonStages, total_iterations: float | None = None) -> None:
        """Stretch or shrink all stages alike to ``total_iterations``, if given."""
        ends = list(accumulate(iterations for _, iterations in stages))
        scale = 1.0 if total_iterations is None else total_iterations / ends[-1]
        self._epsilons = [epsilon for epsilon, _ in stages]
        self._ends = [end * scale for end in ends]

    def epsilon(self, iteration: float) -> float:
        """Epsilon of an iteration, counted from 0."""
        stage = bisect_right(self._ends, iteration)
        return self._epsilons[min(stage, len(self._epsilons) - 1)]
