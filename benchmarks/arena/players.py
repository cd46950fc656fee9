"""Search agents as players: asked for a block, told what became of it.

Random search shares the first, random phase of the agent, as Appendix A of the paper does: blocks
are drawn type first. Each of these players proposes a network once only, and no illegal one;
NNI's own tuners (arena.peers) know neither.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any, Protocol, runtime_checkable

import numpy as np

from arena.objectives import Objective
from nni_blockqnn import Block, BlockSearch
from nni_blockqnn.space.mutation import mutate

_ATTEMPTS = 1_000


class Player(Protocol):
    def ask(self) -> Block | None:
        """The next block to train; ``None`` if there is none left."""

    def tell(self, block: Block, value: float) -> None:
        """The block's value, the larger the better."""


@runtime_checkable
class MayFail(Protocol):
    """A player that knows no limits, so that it may propose an illegal block."""

    def fail(self, block: Block) -> None:
        """The block is illegal: its trial failed."""


class _Distinct:
    """What all hand-made players share: which networks were asked for already."""

    def __init__(self, objective: Objective, rng: np.random.Generator) -> None:
        self.objective = objective
        self.rng = rng
        self.asked: set[str] = set()

    def first_new(self, draw: Callable[[], Block], attempts: int = _ATTEMPTS) -> Block | None:
        for _ in range(attempts):
            block = draw()
            if block.key not in self.asked and self.objective(block) is not None:
                self.asked.add(block.key)
                return block
        return None

    def random(self) -> Block | None:
        return self.first_new(lambda: self.objective.space.random_block(self.rng), 20 * _ATTEMPTS)

    def tell(self, block: Block, value: float) -> None:
        pass


class RandomSearch(_Distinct):
    def ask(self) -> Block | None:
        return self.random()


class LargestFirst(_Distinct):
    """No learning at all: all blocks of a table in the order of their cost."""

    def __init__(
        self, objective: Objective, rng: np.random.Generator, by_size: list[Block]
    ) -> None:
        super().__init__(objective, rng)
        self._left = iter(by_size)

    def ask(self) -> Block | None:
        return next((block for block in self._left if self.objective(block) is not None), None)


class RegularizedEvolution(_Distinct):
    """Ageing evolution (arXiv 1802.01548): the best of a sample of the newest is mutated."""

    def __init__(
        self, objective: Objective, rng: np.random.Generator, population: int, sample: int
    ) -> None:
        super().__init__(objective, rng)
        self._population: deque[tuple[float, Block]] = deque(maxlen=population)
        self._size = population
        self._sample = sample
        self._random_left = population

    def ask(self) -> Block | None:
        if self._random_left > 0 or not self._population:
            self._random_left -= 1
            return self.random()
        drawn = self.rng.integers(len(self._population), size=self._sample)
        _, parent = max((self._population[i] for i in drawn), key=lambda member: member[0])
        space = self.objective.space
        return self.first_new(lambda: mutate(parent, space, self.rng), 50) or self.random()

    def tell(self, block: Block, value: float) -> None:
        self._population.append((value, block))


class LocalSearch(_Distinct):
    """Hill climbing from the best of some random blocks (arXiv 2005.02960).

    Where all neighbours of the best block are known, it goes on with the next best one's.
    """

    def __init__(self, objective: Objective, rng: np.random.Generator, initial: int = 10) -> None:
        super().__init__(objective, rng)
        self._random_left = initial
        self._known: list[tuple[float, Block]] = []

    def ask(self) -> Block | None:
        if self._random_left > 0 or not self._known:
            self._random_left -= 1
            return self.random()
        space = self.objective.space
        while self._known:
            _, best = max(self._known, key=lambda member: member[0])
            block = self.first_new(partial(mutate, best, space, self.rng), 200)
            if block is not None:
                return block
            self._known.remove(max(self._known, key=lambda member: member[0]))
        return self.random()

    def tell(self, block: Block, value: float) -> None:
        self._known.append((value, block))


class Search:
    """A search of the package, by ask and tell.

    ``arguments`` are :class:`nni_blockqnn.BlockSearch`'s, an agent of one's own among them.
    """

    def __init__(self, objective: Objective, seed: int, budget: int, **arguments: Any) -> None:
        if objective.max_flops is not None:
            arguments["limits"] = {"max_flops": objective.max_flops}
        if objective.match is not None:
            arguments["match"] = objective.match
        self._search = BlockSearch(objective.space, seed=seed, budget=budget, **arguments)
        self._episodes: dict[str, int] = {}

    def ask(self) -> Block | None:
        suggestion = self._search.ask()
        if suggestion is None:
            return None
        self._episodes[suggestion.block.to_json()] = suggestion.episode
        return suggestion.block

    def tell(self, block: Block, value: float) -> None:
        self._search.tell(self._episodes.pop(block.to_json()), value)


class Guided(Search):
    """The predictor-guided search with another share of mutants among its candidates."""

    def __init__(
        self, objective: Objective, seed: int, budget: int, mutants: float, **class_args: Any
    ) -> None:
        super().__init__(
            objective,
            seed,
            budget,
            predictor="wl",
            candidates={"mutant_share": mutants},
            **class_args,
        )
