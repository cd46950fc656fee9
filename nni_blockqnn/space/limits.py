"""Bounds on a network's cost, so that an oversized block never reaches a trial (paper, 5.2)."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from nni_blockqnn.blocks.block import Block
from nni_blockqnn.blocks.layer import LayerType
from nni_blockqnn.network.cost import Cost, estimate_cost
from nni_blockqnn.space.search_space import START, SearchSpace

_REMEMBERED = 4_096


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
    """

    def __init__(self, space: SearchSpace, limits: Limits) -> None:
        self._repeats = tuple(sorted(space.repeats))
        self._limits = limits
        self._spec = lru_cache(space.spec.with_repeats)
        self.cost = lru_cache(maxsize=_REMEMBERED)(self._cost)

    def _cost(self, block: Block, repeats: int) -> Cost:
        return estimate_cost(block, self._spec(repeats))

    def fitting_repeats(self, block: Block) -> tuple[int, ...]:
        """The space's repeats, ascending, with which the block's network stays within them."""
        if self._limits == Limits():
            return self._repeats
        return tuple(n for n in self._repeats if self._limits.allow(self.cost(block, n)))

    def shortened(self, block: Block) -> Block:
        """The block, or if it exceeds the limits, its longest beginning that does not.

        Bisection finds it, as costs grow with the layers; in the rare case that they do not, since
        an add joins wide leaves, it is a shorter one. Limits that admit no first layer leave that
        alone.
        """
        if self.fitting_repeats(block):
            return block
        fits, exceeds = 1, len(block.layers)
        while exceeds - fits > 1:
            middle = (fits + exceeds) // 2
            if self.fitting_repeats(Block(block.layers[:middle], block.encoding)):
                fits = middle
            else:
                exceeds = middle
        return Block(block.layers[:fits], block.encoding)


def check_limits(space: SearchSpace, limits: Limits) -> None:
    """Refuse limits that not even a block of one layer meets; more layers cost no less.

    Raises:
        ValueError: naming the limits and an identity's cost.
    """
    single_layers = [Block((layer,), space.encoding) for layer in space.successors(START)]
    if not any(map(CostLimits(space, limits).fitting_repeats, single_layers)):
        identity = Block.parse([[1, LayerType.IDENTITY, 0, 0, 0]])
        cost = estimate_cost(identity, space.spec.with_repeats(min(space.repeats)))
        raise ValueError(
            f"limits {limits._asdict()} admit no block: even {identity} costs {cost._asdict()} "
            "in this network; raise them, or use fewer filters or repeats"
        )
