"""Which blocks are trained with which seeds, in which order: a partial table is of use, too."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from itertools import islice
from typing import NamedTuple

import numpy as np

from nni_blockqnn.blocks.block import Block
from nni_blockqnn.network.cost import estimate_cost
from nni_blockqnn.network.spec import NetworkSpec
from nni_blockqnn.space.search_space import SearchSpace

KINDS = ("upto3", "upto4", "full")
"""All distinct blocks of up to three layers; functions that take four; larger blocks."""

MAX_FLOPS = 1_500_000
MAX_ACTIVATIONS = 100_000
"""Larger blocks would be trained for more than some three seconds, and are left out."""

SEEDS = {"upto3": 3, "upto4": 3, "full": 2}
"""Trainings of a block of each kind."""
_ORDER_SEED = 0
_FUNCTIONS_A_LARGE_BLOCK = 4


class Job(NamedTuple):
    """A training: seeds count from 0."""

    kind: str
    block: Block
    seed: int


def jobs(spec: NetworkSpec) -> Iterator[Job]:
    """All trainings in order.

    First the blocks of up to three layers, then those of four in a shuffled order, with a larger
    one after every four of them.
    """
    small, functions = small_blocks()
    for block in small:
        yield from _seeds("upto3", block)
    shuffled = np.random.default_rng(_ORDER_SEED).permutation(len(functions))
    larger = large_blocks(spec)
    for count, position in enumerate(shuffled, 1):
        yield from _seeds("upto4", functions[position])
        if count % _FUNCTIONS_A_LARGE_BLOCK == 0:
            for block in islice(larger, 1):
                yield from _seeds("full", block)


@cache
def small_blocks() -> tuple[tuple[Block, ...], tuple[Block, ...]]:
    """The 456 distinct blocks of up to three layers, and a block for each of the 3,952 functions
    that need four."""
    up_to_three: dict[str, Block] = {}
    four: dict[str, Block] = {}
    known: set[str] = set()
    for block in SearchSpace(max_layers=5).blocks():
        if len(block.layers) < 4:
            up_to_three.setdefault(block.key, block)
            known.add(block.function_key)
        elif block.function_key not in known:
            four.setdefault(block.function_key, block)
    return tuple(up_to_three.values()), tuple(four.values())


def large_blocks(spec: NetworkSpec) -> Iterator[Block]:
    """Distinct blocks of 5 to 22 layers without end: as exploration draws them, and of lengths that
    are uniform, in turn."""
    rng = np.random.default_rng(_ORDER_SEED)
    space = SearchSpace()
    seen: set[str] = set()
    while True:
        for block in (space.random_block(rng), space.random_block(rng, int(rng.integers(5, 23)))):
            if len(block.layers) > 4 and block.key not in seen and _is_quick(block, spec):
                seen.add(block.key)
                yield block


def _is_quick(block: Block, spec: NetworkSpec) -> bool:
    cost = estimate_cost(block, spec)
    return cost.flops <= MAX_FLOPS and cost.activations <= MAX_ACTIVATIONS


def _seeds(kind: str, block: Block) -> Iterator[Job]:
    return (Job(kind, block, seed) for seed in range(SEEDS[kind]))
