"""The full space at equal cost: early stops that a search sees, long trainings that judge it.

No table holds its blocks, so a surrogate of each stands in for the trainings
(:mod:`nsc_bench.final_surrogate`). What a block is worth in the end is known without noise there.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from functools import cache, cached_property
from typing import Any

import numpy as np
from nsc_bench.final_surrogate import FinalSurrogate
from nsc_bench.setups import SETUPS, Setup
from nsc_bench.table import Entry, load_table

from arena.objectives import Objective, Value
from nni_blockqnn import Block, SearchSpace
from nni_blockqnn.network.cost import estimate_cost
from nni_blockqnn.space.mutation import mutate

FULL_ARENAS = {"CIFAR-10, 22 layers at equal cost": "cifar10"}
"""The ground by name."""

_CLIMBS, _STEPS = 6, 200
"""Walks of random edits that end at the best block there is, as far as is known."""


@dataclass(frozen=True)
class FullArena:
    """All blocks of up to 22 layers that can have the cost of the ground."""

    name: str
    setup: Setup
    surrogate: FinalSurrogate

    @cached_property
    def space(self) -> SearchSpace:
        spec = self.setup.spec
        return SearchSpace(repeats=(spec.repeats,), network=json.dumps(asdict(spec)))

    @cached_property
    def match(self) -> dict[str, Any]:
        assert self.setup.match is not None
        return {self.setup.match.measure: self.setup.match.value}

    def find(self, block: Block) -> Entry | None:
        """Accuracies: of the early stop of one seed, and of long trainings without noise.

        ``None`` for a block that cannot have the cost.
        """
        spec = self.setup.network(block)
        if spec is None:
            return None
        cost = estimate_cost(block, spec)
        accuracies = (self.surrogate.early.accuracy(block, 0), self.surrogate.expected(block))
        width = spec.filters[0]
        return Entry("predicted", block, accuracies, *cost, block.density, 0.0, width)

    @property
    def size(self) -> float:
        return math.inf

    @property
    def by_size(self) -> list[Block]:
        """None: all blocks cost the same."""
        return []

    @cached_property
    def objective(self) -> Objective:
        """The final accuracy, of which a search sees the early stop's; its best is not known."""
        return Objective("final accuracy", self.space, self.find, _value, match=self.match)

    def objectives(self) -> list[Objective]:
        """The same with the best, as far as is known."""
        found = self.objective
        values = [value for block in self._climbed(found) if (value := found(block)) is not None]
        best = max(value.judged for value in values)
        return [replace(found, best=best, best_seen=max(value.seen for value in values))]

    def _climbed(self, objective: Objective) -> Iterator[Block]:
        """The blocks on walks uphill, by what blocks are worth in the end."""
        rng = np.random.default_rng(0)
        for _ in range(_CLIMBS):
            best, height = None, -np.inf
            for _ in range(_STEPS):
                length = int(rng.integers(1, self.space.max_layers))
                block = (
                    mutate(best, self.space, rng) if best else self.space.random_block(rng, length)
                )
                value = objective(block)
                if value is not None and value.judged >= height:
                    best, height = block, value.judged
                    yield block


def _value(row: Entry) -> Value:
    seen, judged = row.accuracies
    return Value(seen, judged)


@cache
def load_full(name: str) -> FullArena:
    ground = FULL_ARENAS[name]
    surrogate = FinalSurrogate(load_table(ground), load_table(f"{ground}_long"))
    return FullArena(name, SETUPS[ground], surrogate)
