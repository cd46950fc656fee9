"""Bounds on a network's cost, so that an oversized block never reaches a trial (paper, 5.2)."""

from __future__ import annotations

from typing import NamedTuple

from nni_blockqnn.cost import Cost, estimate_cost
from nni_blockqnn.nsc import Block, LayerType
from nni_blockqnn.search_space import START, SearchSpace


class Limits(NamedTuple):
    """The most that a network may cost; ``None`` bounds nothing. Units as in :class:`Cost`."""

    max_params: int | None = None
    max_flops: int | None = None
    max_activations: int | None = None

    def allow(self, cost: Cost) -> bool:
        spent = (cost.params, cost.flops, cost.activations)
        return all(most is None or some <= most for some, most in zip(spent, self, strict=True))


def fitting_repeats(block: Block, space: SearchSpace, limits: Limits) -> tuple[int, ...]:
    """The space's repeats, ascending, with which the block's network stays within the limits."""
    repeats = tuple(sorted(space.repeats))
    if limits == Limits():
        return repeats
    return tuple(
        n for n in repeats if limits.allow(estimate_cost(block, space.spec.with_repeats(n)))
    )


def check_limits(space: SearchSpace, limits: Limits) -> None:
    """Refuse limits that not even a block of one layer meets; more layers cost no less.

    Raises:
        ValueError: naming the limits and an identity's cost.
    """
    single_layers = [Block((layer,)) for layer in space.successors(START)]
    if not any(fitting_repeats(block, space, limits) for block in single_layers):
        identity = Block.parse([[1, LayerType.IDENTITY, 0, 0, 0]])
        cost = estimate_cost(identity, space.spec.with_repeats(min(space.repeats)))
        raise ValueError(
            f"limits {limits._asdict()} admit no block: even {identity} costs {cost._asdict()} "
            "in this network; raise them, or use fewer filters or repeats"
        )
