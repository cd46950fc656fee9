"""NNI's own tuners as players, over the same blocks as ordinary choices.

The choices are those of nni_blockqnn.space.choices. The tuners run with NNI's defaults, through the
methods that NNI calls. They know neither which choices are one block nor what is illegal. So a
block that was trained before is trained again, as NNI would, and costs a trial; an illegal one
costs a trial too and brings the worst value seen so far, as a user would report it, since a failed
trial teaches these tuners nothing.
"""

from __future__ import annotations

import logging
import random
from collections import defaultdict, deque
from collections.abc import Callable
from typing import Any
from unittest.mock import patch

import nni
import numpy as np
from nni.algorithms.hpo import evolution_tuner
from nni.algorithms.hpo.random_tuner import RandomTuner
from nni.algorithms.hpo.tpe_tuner import TpeTuner
from nni.tuner import Tuner

from arena.objectives import Objective
from nni_blockqnn import Block
from nni_blockqnn.space.choices import block_of, choices_space


class SeededEvolution(evolution_tuner.EvolutionTuner):
    """NNI's Evolution, which takes no seed, as it is but for where its random numbers come from.

    NNI draws choices from a state of its own that it seeds from the system, and parents from
    Python's global ``random``.
    """

    def __init__(self, seed: int, **class_args: Any) -> None:
        super().__init__(**class_args)
        self._seed = seed
        self._parents = random.Random(seed)

    def update_search_space(self, search_space: dict[str, Any]) -> None:
        super().update_search_space(search_space)
        self.random_state = np.random.RandomState(self._seed)
        self.population: list[Any] = []
        for _ in range(self.population_size):
            self._random_generate_individual()

    def _generate_individual(self, parameter_id: int) -> dict[str, Any]:
        with patch.object(evolution_tuner, "random", self._parents):
            return super()._generate_individual(parameter_id)


TUNERS: dict[str, Callable[[int], Tuner]] = {
    "Random": lambda seed: RandomTuner(seed=seed),
    "TPE": lambda seed: TpeTuner(optimize_mode="maximize", seed=seed),
    "Evolution": lambda seed: SeededEvolution(seed, optimize_mode="maximize"),
}
"""By the names that NNI knows them by; each is made from a seed."""


class NniTuner:
    """One of NNI's tuners; ``fail`` makes it a player that may propose illegal blocks.

    At most 32 trials may be in flight, the size of Evolution's population: with more, NNI's
    Evolution fails.
    """

    def __init__(self, objective: Objective, rng: np.random.Generator, tuner: str) -> None:
        """
        Args:
            tuner: a name in ``TUNERS``.
        """
        logging.getLogger("nni").setLevel(logging.WARNING)  # each of thousands tells its seed
        self._space = objective.space
        self._tuner = TUNERS[tuner](int(rng.integers(2**31)))
        self._tuner.update_search_space(choices_space(self._space))
        self._running: defaultdict[Block, deque[tuple[int, Any]]] = defaultdict(deque)
        self._next_id = 0
        self._worst: float | None = None

    def ask(self) -> Block | None:
        """Random and TPE have none left once all choices were sent, Evolution always has."""
        number = self._next_id
        try:
            parameters = self._tuner.generate_parameters(number)
        except nni.NoMoreTrialError:
            return None
        self._next_id += 1
        block = block_of(parameters, self._space)
        self._running[block].append((number, parameters))
        return block

    def tell(self, block: Block, value: float) -> None:
        self._worst = value if self._worst is None else min(self._worst, value)
        self._report(block, value)

    def fail(self, block: Block) -> None:
        """The block is illegal. Before any value is known, the trial counts as failed."""
        self._report(block, self._worst)

    def _report(self, block: Block, value: float | None) -> None:
        number, parameters = self._running[block].popleft()
        if value is not None:
            self._tuner.receive_trial_result(number, parameters, value)
        self._tuner.trial_end(number, value is not None)
