"""Blocks for a pilot: few, and spread over the space by cost and by density."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nni_blockqnn.blocks.block import Block
from nni_blockqnn.space.limits import CostLimits, Limits, check_limits
from nni_blockqnn.space.search_space import SearchSpace

_CANDIDATES_A_BLOCK = 20
_DRAWS_A_CANDIDATE = 4
"""More draws than candidates, since small spaces and tight limits repeat their blocks."""
_UNLIMITED = Limits()


def spread_blocks(
    space: SearchSpace,
    count: int,
    rng: np.random.Generator,
    limits: Limits = _UNLIMITED,
    kept: Sequence[Block] = (),
) -> list[Block]:
    """Blocks of different functions, spread by cost and density: the kept ones, then new ones.

    Twenty candidates a block are drawn, of uniformly distributed lengths. Each of ``count``
    quantiles of FLOPs gives one block, each at another quantile of density within its own (a Latin
    hypercube). So luck decides neither, and the two do not correlate more than the space makes
    them. A candidate over the limits is cut to its longest beginning within them. A quantile in
    which a kept block lies gives no other.

    Args:
        space: with a single number of repeats.
        count: how many blocks, the kept ones included.
        kept: blocks of an earlier pilot, of different functions.

    Returns the kept blocks in their order, then the new ones in random order.

    Raises:
        ValueError: if ``count`` is not positive or less than there are kept blocks, if the limits
            admit no block, or if not enough blocks are found.
    """
    if count < 1:
        raise ValueError(f"a pilot needs at least one block, got {count}")
    if count < len(kept):
        raise ValueError(f"{len(kept)} blocks are kept, which are more than {count}")
    check_limits(space, limits)
    costs = CostLimits(space, limits)
    candidates = _candidates(space, costs, count * _CANDIDATES_A_BLOCK, rng, kept)
    if len(candidates) < count:
        raise ValueError(
            f"only {len(candidates)} different blocks were found in this space and its limits, "
            f"and {count} are wanted: ask for fewer, or allow more layers"
        )
    groups = _by_cost_and_density(candidates, space, costs, count)
    free_groups, free_places = _free(groups, {block.function_key for block in kept})
    added = count - len(kept)
    places = rng.permutation(free_places)[:added]
    chosen = [
        groups[group][int((place + 0.5) / count * len(groups[group]))]
        for group, place in zip(_evenly(free_groups, added), places, strict=True)
    ]
    return [*kept, *(chosen[position] for position in rng.permutation(added))]


def _by_cost_and_density(
    candidates: list[Block], space: SearchSpace, costs: CostLimits, count: int
) -> list[list[Block]]:
    """So many quantiles of FLOPs, cheapest first, each sorted by density."""
    (repeats,) = space.repeats
    by_cost = sorted(candidates, key=lambda block: costs.cost(block, repeats).flops)
    return [
        sorted((by_cost[position] for position in group), key=_density)
        for group in np.array_split(np.arange(len(by_cost)), count)
    ]


def _free(groups: list[list[Block]], kept: set[str]) -> tuple[list[int], list[int]]:
    """The groups, and the quantiles of density within a group, in which no kept block lies.

    Both by number; there are as many quantiles of density as groups.
    """
    count = len(groups)
    taken = [
        (number, int((place + 0.5) / len(group) * count))
        for number, group in enumerate(groups)
        for place, block in enumerate(group)
        if block.function_key in kept
    ]
    taken_groups, taken_places = {group for group, _ in taken}, {place for _, place in taken}
    return (
        [group for group in range(count) if group not in taken_groups],
        [place for place in range(count) if place not in taken_places],
    )


def _evenly(values: list[int], count: int) -> list[int]:
    """So many of the values, at equal distances."""
    return [values[int((place + 0.5) / count * len(values))] for place in range(count)]


def _candidates(
    space: SearchSpace,
    costs: CostLimits,
    count: int,
    rng: np.random.Generator,
    kept: Sequence[Block],
) -> list[Block]:
    """At most ``count`` blocks of different functions, the kept ones among them."""
    found = {block.function_key: block for block in kept}
    for _ in range(count * _DRAWS_A_CANDIDATE):
        if len(found) == count:
            break
        block = costs.shortened(space.random_block(rng, int(rng.integers(1, space.max_layers))))
        if costs.fitting_repeats(block):
            found.setdefault(block.function_key, block)
    return list(found.values())


def _density(block: Block) -> float:
    return block.density
