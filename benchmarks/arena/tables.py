"""The tables that agents are played on, as search spaces."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cache, cached_property

from nsc_bench.table import Entry, Table, load_table

from nni_blockqnn import Block, SearchSpace


@dataclass(frozen=True)
class Arena:
    """The blocks of a table with up to so many layers.

    Attributes:
        entries: of the space's networks, one for each function.
    """

    name: str
    table: Table
    space: SearchSpace

    @cached_property
    def entries(self) -> Sequence[Entry]:
        return [entry for entry in self.table.entries if self.space.contains(entry.block)]

    @cached_property
    def by_size(self) -> list[Block]:
        """The largest first."""
        entries = sorted(self.entries, key=lambda entry: entry.flops, reverse=True)
        return [entry.block for entry in entries]

    def find(self, block: Block) -> Entry | None:
        return self.table.find(block)


ARENAS = {
    "fashion_mnist, 3 layers": ("fashion_mnist", 4),
    "fashion_mnist, 4 layers": ("fashion_mnist", 5),
}
"""Table and ``max_layers`` by name."""


@cache
def load(name: str) -> Arena:
    table_name, max_layers = ARENAS[name]
    table = load_table(table_name)
    spec = table.spec
    space = SearchSpace(
        max_layers=max_layers, repeats=(spec.repeats,), network=json.dumps(asdict(spec))
    )
    return Arena(name, table, space)
