"""Networks of equal cost, whatever their block: the filters make up for it (DESIGN.md, "Equal
cost").

A block that convolves little gets wide stages, one that convolves much gets narrow ones, so that
blocks compete by how they use a cost and not by how large they are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from itertools import pairwise
from typing import Any, NamedTuple

from nni_blockqnn.blocks.block import Block
from nni_blockqnn.blocks.layer_kind import LayerKind
from nni_blockqnn.common.checks import checked_integer
from nni_blockqnn.common.messages import alternatives, shown
from nni_blockqnn.network.cost import estimate_cost
from nni_blockqnn.network.spec import WIDTH_LIMIT, NetworkSpec

MEASURES = ("flops", "params")
TARGET_LIMIT = 2**63 - 1

_MOST = 105
"""Percent of the target that a network may cost."""
_LEAST = 85
"""Percent of the target that a network must cost."""
_WIDEST = 4
"""Times the network's own width."""


class CostTarget(NamedTuple):
    """What all networks are to cost.

    Attributes:
        measure: "flops" or "params", as in :class:`~nni_blockqnn.blocks.costs.Cost`.
        value: how many of them.
    """

    measure: str
    value: int

    @classmethod
    def of(cls, given: Any) -> CostTarget:
        """The target that ``{"flops": n}`` or ``{"params": n}`` says.

        Raises:
            ValueError: naming the value and what is allowed.
        """
        if not isinstance(given, Mapping) or len(given) != 1 or not {*given} & {*MEASURES}:
            allowed = alternatives([f'{{"{measure}": N}}' for measure in MEASURES])
            raise ValueError(f"match must be {allowed}, got {shown(given)}")
        [(measure, value)] = given.items()
        return cls(measure, checked_integer(f"match {measure}", value, 1, TARGET_LIMIT))

    def of_network(self, block: Block, spec: NetworkSpec) -> int:
        """What the network of the block costs, in the target's measure."""
        cost = estimate_cost(block, spec)
        return cost.flops if self.measure == "flops" else cost.params


def equal_cost(block: Block, spec: NetworkSpec, target: CostTarget) -> NetworkSpec | None:
    """The network with its filters scaled to the target's cost; ``None`` if no width reaches it.

    The width, the first stage's filters, is the largest whose exact cost is at most 105 % of the
    target, up to four times the network's own. The other stages keep their ratios to it. A block
    whose cost is then below 85 % of the target has no such network: poolings alone would need
    thousands of filters, and where a width is few filters, the next one is too large a step.
    """
    within = _within(block, spec, target)
    widest = min(_WIDEST, WIDTH_LIMIT // max(spec.filters)) * spec.filters[0]
    width = _bisected(within, widest)
    if not _grows(block, spec):
        width = next((wider for wider in range(widest, width, -1) if within(wider)), width)
    if not width:
        return None
    matched = spec.with_width(width)
    reached = 100 * target.of_network(block, matched) >= _LEAST * target.value
    return matched if reached else None


def _within(block: Block, spec: NetworkSpec, target: CostTarget) -> Callable[[int], bool]:
    def within(width: int) -> bool:
        cost = target.of_network(block, spec.with_width(width))
        return 100 * cost <= _MOST * target.value

    return within


def _bisected(within: Callable[[int], bool], widest: int) -> int:
    """A width that is within while the next one is not, or the widest; 0 if 1 is too wide."""
    if within(widest):
        return widest
    fits, exceeds = 0, widest
    while exceeds - fits > 1:
        middle = (fits + exceeds) // 2
        if within(middle):
            fits = middle
        else:
            exceeds = middle
    return fits


def _grows(block: Block, spec: NetworkSpec) -> bool:
    """Whether the cost surely grows with the width.

    It does if all channels grow in proportion. Where ratios are rounded, two channel counts may
    happen to be equal at one width, which saves a projection. A layer kind of one's own may have
    groups that depend on its channels.
    """
    exact = all(filters % spec.filters[0] == 0 for filters in spec.filters)
    own = (pair for pair in zip(block.kinds, block.layers, strict=True) if pair[0].optional)
    return exact and all(_kind_grows(kind, layer.kernel) for kind, layer in own)


@lru_cache
def _kind_grows(kind: LayerKind, kernel: int) -> bool:
    costs = [kind.cost(channels, channels, kernel, 1) for channels in range(1, 257)]
    return all(one.flops <= two.flops and one.params <= two.params for one, two in pairwise(costs))
