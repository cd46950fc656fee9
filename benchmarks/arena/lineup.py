"""The players of the arena by name."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from arena.objectives import Objective
from arena.peers import TUNERS, NniTuner
from arena.players import (
    Guided,
    LargestFirst,
    LocalSearch,
    Player,
    RandomSearch,
    RegularizedEvolution,
    Search,
)
from nni_blockqnn import Block
from nni_blockqnn.q_learning.settings import TABLE_2

Maker = Callable[[Objective, int, int, np.random.Generator], Player]
"""Makes a player from an objective, a seed, a budget and random numbers."""

RANDOM_ONLY = [[1.0, 1]]
"""An epsilon schedule: as the agent's random phase, for ever."""


def players(by_size: Sequence[Block]) -> dict[str, Maker]:
    """
    Args:
        by_size: the table's blocks, the largest first.
    """
    return {
        "random": lambda o, s, b, rng: RandomSearch(o, rng),
        "largest first": lambda o, s, b, rng: LargestFirst(o, rng, list(by_size)),
        "evolution": lambda o, s, b, rng: RegularizedEvolution(o, rng, population=25, sample=8),
        "local search": lambda o, s, b, rng: LocalSearch(o, rng),
        "Q, paper": lambda o, s, b, _: Search(o, s, b, preset="paper"),
        "Q, tuned": lambda o, s, b, _: Search(o, s, b, preset="tuned"),
        "predictor": lambda o, s, b, _: Search(o, s, b, predictor="wl"),
        **{f"NNI {name}": _peer(name) for name in TUNERS},
    }


ABLATIONS: dict[str, Maker] = {
    "Q, tuned, Table 2's epsilons": lambda o, s, b, _: Search(o, s, b, epsilon_schedule=TABLE_2),
    "Q, tuned, not shaped": lambda o, s, b, _: Search(o, s, b, reward_shaping=False),
    "Q, tuned, type exploration": lambda o, s, b, _: Search(o, s, b, exploration="type"),
    "Q, tuned, uniform exploration": lambda o, s, b, _: Search(o, s, b, exploration="uniform"),
    "Q, tuned, random only": lambda o, s, b, _: Search(o, s, b, epsilon_schedule=RANDOM_ONLY),
    "Q, tuned, constant steps": lambda o, s, b, _: Search(o, s, b, step_size="constant"),
    "Q, tuned, not standardised": lambda o, s, b, _: Search(o, s, b, standardise=False),
    "Q, tuned, updates per 64 results": lambda o, s, b, _: Search(o, s, b, batch_size=64),
    "Q, tuned, 16 replays": lambda o, s, b, _: Search(o, s, b, replay_updates=16),
    "predictor, mutants only": lambda o, s, b, _: Guided(o, s, b, mutants=1.0),
    "predictor, agent only": lambda o, s, b, _: Guided(o, s, b, mutants=0.0),
    "predictor, random only": lambda o, s, b, _: Guided(
        o, s, b, mutants=0.0, epsilon_schedule=RANDOM_ONLY
    ),
}
"""Our agents with one thing changed."""


def _peer(name: str) -> Maker:
    return lambda objective, seed, budget, rng: NniTuner(objective, rng, name)


BUDGET_FREE = (
    *("random", "largest first", "evolution", "local search"),
    *(f"NNI {name}" for name in TUNERS),
)
"""Players that do not ask how long the search is: shorter searches are beginnings of longer."""
