"""The tables that agents are played on, as search spaces."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cache, cached_property

from nsc_bench.plan import SEEDS, small_blocks
from nsc_bench.surrogate import Surrogate
from nsc_bench.table import Entry, Table, load_table

from arena.objectives import Objective, objectives
from nni_blockqnn import Block, SearchSpace
from nni_blockqnn.network.cost import estimate_cost

ARENAS = {
    "Fashion-MNIST, 3 layers": ("fashion_mnist", 3),
    "digits, 4 layers": ("digits", 4),
}
"""Table and number of layers by name."""


@dataclass(frozen=True)
class Arena:
    """All blocks of up to three or four layers; those that the table lacks are predicted."""

    name: str
    table: Table
    space: SearchSpace

    @cached_property
    def entries(self) -> Sequence[Entry]:
        """One for each distinct block of up to three layers, and for each function of four."""
        three, four = small_blocks()
        blocks = [block for block in (*three, *four) if self.space.contains(block)]
        return [self.find(block) for block in blocks]

    @property
    def size(self) -> int:
        return len(self.entries)

    def objectives(self) -> list[Objective]:
        return objectives(self.entries, self.find, self.space)

    @cached_property
    def trained_share(self) -> float:
        """Of the entries, how many are in the table."""
        return sum(self.table.find(e.block) is not None for e in self.entries) / len(self.entries)

    @cached_property
    def by_size(self) -> list[Block]:
        """The largest first."""
        entries = sorted(self.entries, key=lambda entry: entry.flops, reverse=True)
        return [entry.block for entry in entries]

    def find(self, block: Block) -> Entry:
        return self.table.find(block) or self._predicted(block)

    @cached_property
    def _surrogate(self) -> Surrogate:
        return Surrogate(self.table)

    def _predicted(self, block: Block) -> Entry:
        cost = estimate_cost(block, self.table.spec)
        seeds = range(SEEDS["upto4"])
        accuracies = tuple(self._surrogate.accuracy(block, seed) for seed in seeds)
        return Entry("predicted", block, accuracies, *cost, block.density, seconds=0.0)


@cache
def load(name: str) -> Arena:
    table_name, layers = ARENAS[name]
    table = load_table(table_name)
    spec = table.spec
    space = SearchSpace(
        max_layers=layers + 1, repeats=(spec.repeats,), network=json.dumps(asdict(spec))
    )
    return Arena(name, table, space)
