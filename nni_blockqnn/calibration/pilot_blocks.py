"""Blocks for a pilot: few, and spread over the space by cost and by density."""

from __future__ import annotations

import numpy as np

from nni_blockqnn.codes.layer import Layer, LayerType
from nni_blockqnn.nsc import Block
from nni_blockqnn.q_learning.limits import CostLimits, Limits, check_limits
from nni_blockqnn.search_space import SearchSpace

_CANDIDATES_A_BLOCK = 20
_DRAWS_A_CANDIDATE = 4
"""Small spaces and tight limits give the same blocks again and again."""
_UNLIMITED = Limits()


def spread_blocks(
    space: SearchSpace, count: int, rng: np.random.Generator, limits: Limits = _UNLIMITED
) -> list[Block]:
    """So many blocks of different functions, in random order.

    Of twenty candidates a block, whose lengths are uniform, each of ``count`` quantiles of FLOPs
    gives one, each at another quantile of density within its own (a Latin hypercube), so that
    neither is a matter of luck and neither goes with the other more than the space makes it. A
    candidate over the limits is cut to its longest beginning that is not.

    Args:
        space: with a single number of repeats.

    Raises:
        ValueError: if ``count`` is not positive, if the limits admit no block, or if not so many
            blocks are found.
    """
    if count < 1:
        raise ValueError(f"a pilot needs at least one block, got {count}")
    check_limits(space, limits)
    costs = CostLimits(space, limits)
    candidates = _candidates(space, costs, count * _CANDIDATES_A_BLOCK, rng)
    if len(candidates) < count:
        raise ValueError(
            f"only {len(candidates)} different blocks were found in this space and its limits, "
            f"and {count} are wanted: ask for fewer, or allow more layers"
        )
    (repeats,) = space.repeats
    candidates.sort(key=lambda block: costs.cost(block, repeats).flops)
    groups = np.array_split(np.arange(len(candidates)), count)
    chosen = []
    for group, place in zip(groups, rng.permutation(count), strict=True):
        by_density = sorted((candidates[position] for position in group), key=_density)
        chosen.append(by_density[int((place + 0.5) / count * len(by_density))])
    return [chosen[position] for position in rng.permutation(count)]


def _candidates(
    space: SearchSpace, costs: CostLimits, count: int, rng: np.random.Generator
) -> list[Block]:
    """At most so many."""
    found: dict[str, Block] = {}
    for _ in range(count * _DRAWS_A_CANDIDATE):
        if len(found) == count:
            break
        block = costs.shortened(
            _block_of_length(space, int(rng.integers(1, space.max_layers)), rng)
        )
        if costs.fitting_repeats(block):
            found.setdefault(block.function_key, block)
    return list(found.values())


def _block_of_length(space: SearchSpace, length: int, rng: np.random.Generator) -> Block:
    """Drawn as exploration draws, but the Terminal only when it is time."""
    layers: list[Layer] = []
    while len(layers) < length:
        layer = space.random_successor(layers[-1] if layers else None, rng)
        if layer.type != LayerType.TERMINAL:
            layers.append(layer)
    return Block(tuple(layers), space.encoding)


def _density(block: Block) -> float:
    return block.density
