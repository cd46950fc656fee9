"""Bounds on a network's cost, so that an oversized block never reaches a trial (paper, 5.2).

With a target, all networks have the same cost: a block's filters are scaled to it
(:mod:`nni_blockqnn.network.equal_cost`), and a block that cannot have it counts as over the limits.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from nni_blockqnn.blocks.block import Block
from nni_blockqnn.blocks.layer import LayerType
from nni_blockqnn.network.cost import Cost, estimate_cost
from nni_blockqnn.network.equal_cost import LEAST, MOST, CostTarget, equal_cost, widest_width
from nni_blockqnn.network.spec import NetworkSpec
from nni_blockqnn.space.search_space import START, SearchSpace

_REMEMBERED = 4_096
_TRIED = 100
"""Random blocks that show whether a target can be met."""


class Limits(NamedTuple):
    """The most that a network may cost; ``None`` bounds nothing. Units as in :class:`Cost`."""

    max_params: int | None = None
    max_flops: int | None = None
    max_activations: int | None = None

    def allow(self, cost: Cost) -> bool:
        spent = (cost.params, cost.flops, cost.activations)
        return all(most is None or some <= most for some, most in zip(spent, self, strict=True))


class CostLimits:
    """Which networks of a space stay within the limits.

    An imported result may have a number of repeats that the space does not; it has a cost too.

    Attributes:
        target: the cost of all networks; ``None`` if they cost what they do.
    """

    def __init__(
        self, space: SearchSpace, limits: Limits, target: CostTarget | None = None
    ) -> None:
        self.target = target
        self._repeats = tuple(sorted(space.repeats))
        self._limits = limits
        self._spec = lru_cache(space.spec.with_repeats)
        self._network = lru_cache(maxsize=_REMEMBERED)(self._matched)
        self.cost = lru_cache(maxsize=_REMEMBERED)(self._cost)

    def width(self, block: Block, repeats: int) -> int | None:
        """Filters of the first stage; ``None`` without a target, or if it cannot be met."""
        matched = None if self.target is None else self._network(block, repeats)
        return None if matched is None else matched.filters[0]

    def _matched(self, block: Block, repeats: int) -> NetworkSpec | None:
        spec = self._spec(repeats)
        return spec if self.target is None else equal_cost(block, spec, self.target)

    def _cost(self, block: Block, repeats: int) -> Cost:
        # results of an earlier search may be of blocks that cannot meet this one's target
        return estimate_cost(block, self._network(block, repeats) or self._spec(repeats))

    def fitting_repeats(self, block: Block) -> tuple[int, ...]:
        """The space's repeats, ascending, with which the block's network stays within them."""
        if self._limits == Limits() and self.target is None:
            return self._repeats
        return tuple(n for n in self._repeats if self._fits(block, n))

    def _fits(self, block: Block, repeats: int) -> bool:
        if self._network(block, repeats) is None:
            return False
        return self._limits == Limits() or self._limits.allow(self.cost(block, repeats))

    def shortened(self, block: Block) -> Block:
        """The block, or if it exceeds the limits, its longest beginning that does not.

        Bisection finds it, as costs grow with the layers; in the rare case that they do not, since
        an add joins wide leaves, it is a shorter one. Limits that admit no first layer leave that
        alone. With a target a shorter block is not a cheaper one, and the block stays as it is.
        """
        if self.target is not None or self.fitting_repeats(block):
            return block
        fits, exceeds = 1, len(block.layers)
        while exceeds - fits > 1:
            middle = (fits + exceeds) // 2
            if self.fitting_repeats(Block(block.layers[:middle], block.encoding)):
                fits = middle
            else:
                exceeds = middle
        return Block(block.layers[:fits], block.encoding)


def check_limits(space: SearchSpace, limits: Limits, target: CostTarget | None = None) -> None:
    """Refuse limits that no block meets, as far as a few blocks tell.

    Raises:
        ValueError: naming the limits and what a block costs.
    """
    if target is not None:
        _check_target(space, limits, target)
        return
    # more layers cost no less
    single_layers = [Block((layer,), space.encoding) for layer in space.successors(START)]
    if not any(map(CostLimits(space, limits).fitting_repeats, single_layers)):
        identity = Block.parse([[1, LayerType.IDENTITY, 0, 0, 0]])
        cost = estimate_cost(identity, space.spec.with_repeats(min(space.repeats)))
        raise ValueError(
            f"limits {limits._asdict()} admit no block: even {identity} costs {cost._asdict()} "
            "in this network; raise them, or use fewer filters or repeats"
        )


def _check_target(space: SearchSpace, limits: Limits, target: CostTarget) -> None:
    if any(map(CostLimits(space, limits, target).fitting_repeats, _random_blocks(space))):
        return
    blocks = list(_random_blocks(space))
    match = f"match {{'{target.measure}': {target.value}}}"
    if limits != Limits() and any(map(CostLimits(space, Limits(), target).fitting_repeats, blocks)):
        raise ValueError(
            f"limits {limits._asdict()} and {match} together admit no block: at that cost all "
            f"of {_TRIED} random blocks exceed the limits; raise them, or lower the match"
        )
    cheapest, dearest = _range(space, blocks, target)
    raise ValueError(
        f"{match} admits no block: {_TRIED} random blocks cost {cheapest:,} to {dearest:,} "
        f"{target.measure} in this network with 1 to {widest_width(space.spec)} filters in its "
        f"first stage, and none from {LEAST} to {MOST} % of it; "
        "choose a cost between, or change the network's filters or repeats"
    )


def _random_blocks(space: SearchSpace) -> Iterator[Block]:
    """Always the same ones; mostly the first of them shows that a target can be met."""
    rng = np.random.default_rng(0)
    return (space.random_block(rng) for _ in range(_TRIED))


def _range(space: SearchSpace, blocks: list[Block], target: CostTarget) -> tuple[int, int]:
    """The lowest and the highest cost of the blocks, over the widths and repeats."""
    spec = space.spec
    narrow = spec.with_width(1).with_repeats(min(space.repeats))
    wide = spec.with_width(widest_width(spec)).with_repeats(max(space.repeats))
    costs = [target.of_network(block, network) for block in blocks for network in (narrow, wide)]
    return min(costs), max(costs)
