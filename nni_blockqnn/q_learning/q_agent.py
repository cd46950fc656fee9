"""The Q-learning agent with shaped rewards and experience replay (paper, Section 3.2).

A block is a trajectory: from the start state s0 the actions a_1 .. a_T lead through the layers to
the Terminal, and the state after an action is the layer that it added. Replaying a trajectory of
reward r_T updates its values, last action first:

    Q(s_{T-1}, a_T)     <- (1 - alpha) Q(s_{T-1}, a_T)     + alpha r_T
    Q(s_{t-1}, a_t)     <- (1 - alpha) Q(s_{t-1}, a_t)     + alpha [r_t + gamma max_a Q(s_t, a)]

with the shaped reward r_t = r_T / T of each action but the last.
"""

from __future__ import annotations

import numpy as np

from nni_blockqnn.blocks.block import Block
from nni_blockqnn.blocks.layer import Layer, LayerType
from nni_blockqnn.q_learning.agent import Agent
from nni_blockqnn.q_learning.q_table import QTable
from nni_blockqnn.q_learning.replay import Experience, ReplayMemory
from nni_blockqnn.q_learning.settings import AgentSettings
from nni_blockqnn.space.search_space import START, SearchSpace

REPEATS_STATE = "repeats"
"""The state in which the agent chooses N, where it may (``repeats_rule="agent"``)."""


class QAgent(Agent):
    """Samples blocks layer by layer, epsilon-greedily, and learns Q-values by experience replay.

    Attributes:
        observed: results observed so far.
    """

    def __init__(self, space: SearchSpace, seed: int, settings: AgentSettings) -> None:
        super().__init__(space, seed)
        self.settings = settings
        self.table = QTable(settings.initial_q)
        self.memory = ReplayMemory(settings.replay_capacity)
        self.observed = 0
        self._learnt = 0  # results that the table holds already, from a snapshot

    def propose(self, epsilon: float, rng: np.random.Generator) -> Block:
        """A block, each of its layers drawn at random with probability epsilon, else greedily."""
        layers: list[Layer] = []
        layer = self._next_layer(START, epsilon, rng)
        while layer.type != LayerType.TERMINAL:
            layers.append(layer)
            layer = self._next_layer(layer, epsilon, rng)
        return Block(tuple(layers), self.space.encoding)

    def choose_repeats(
        self, choices: tuple[int, ...], epsilon: float, rng: np.random.Generator
    ) -> int:
        """N, learnt as the action of a state of its own."""
        if rng.random() < epsilon:
            return choices[rng.integers(len(choices))]
        return self.table.greedy(REPEATS_STATE, choices, rng)

    def restore(self, table: QTable, observed: int) -> None:
        """Continue with a table that was learnt from the first ``observed`` results.

        Those results are still to be observed, to fill the memory, but they are not learnt again.
        """
        self.table = table
        self._learnt = observed

    def observe(self, experience: Experience) -> None:
        """Remember a result; every ``batch_size`` results, learn from the memory."""
        self.memory.add(experience)
        self.observed += 1
        if self.observed % self.settings.batch_size == 0 and self.observed > self._learnt:
            # seeded by the count, so that a resumed search replays the same trajectories
            self._replay(np.random.default_rng([self.seed, 1, self.observed]))

    def recall(self, experience: Experience) -> None:
        """Remember a known result under another numbering of its layers, that is, a trajectory."""
        self.memory.add(experience)

    def learn(self, experience: Experience) -> None:
        """Update the values along one trajectory (the equations above)."""
        trajectory = experience.block.trajectory
        states = (START, *trajectory[:-1])
        final = experience.reward
        # T is the block's own length: divided by the longest one's, long blocks would gain
        shaped = final / len(trajectory) if self.settings.reward_shaping else 0.0
        # last action first, so that one pass carries the final reward to the first state
        self._step(states[-1], trajectory[-1], final)
        for state, action in zip(states[-2::-1], trajectory[-2::-1], strict=True):
            best = self.table.maximum(action, len(self.space.successors(action)))
            self._step(state, action, shaped + self.settings.discount * best)
        self._step(REPEATS_STATE, experience.repeats, final)

    def _replay(self, rng: np.random.Generator) -> None:
        mean, deviation = (
            self.memory.mean_and_deviation() if self.settings.standardise else (0.0, 1.0)
        )
        for experience in self.memory.sample(self.settings.replay_updates, rng):
            standardised = (experience.reward - mean) / deviation
            self.learn(experience._replace(reward=standardised))

    def _step(self, state: Layer | str, action: Layer | int, target: float) -> None:
        step = self.settings.learning_rate
        # 1/n makes the value the mean of its targets; alpha keeps it moving after many updates
        if self.settings.step_size == "visits":
            step = max(step, 1 / (self.table.visits(state, action) + 1))
        self.table.update(state, action, target, step)

    def _next_layer(self, state: Layer, epsilon: float, rng: np.random.Generator) -> Layer:
        if rng.random() >= epsilon:
            return self.table.greedy(state, self.space.successors(state), rng)
        if self.settings.exploration == "uniform":
            successors = self.space.successors(state)
            return successors[rng.integers(len(successors))]
        by_kernel = self.settings.exploration == "kernel"
        return self.space.random_successor(state, rng, by_kernel=by_kernel)
