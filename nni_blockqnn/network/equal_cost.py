"""Networks of equal cost, whatever their block: the filters make up for it (DESIGN.md, "Equal
cost").

A block that convolves little gets wide stages, one that convolves much gets narrow ones, so that
blocks compete by how they use a cost and not by how large they are.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from functools import cache, lru_cache
from itertools import pairwise
from typing import NamedTuple

from nni_blockqnn.blocks.block import Block
from nni_blockqnn.blocks.layer_kind import LayerKind
from nni_blockqnn.network.cost import estimate_cost
from nni_blockqnn.network.spec import WIDTH_LIMIT, NetworkSpec

MOST, LEAST = 105, 85
"""Percent of the target that a network may and must cost."""
WIDEST = 4
"""Times the network's own width."""


class CostTarget(NamedTuple):
    """What all networks are to cost.

    Attributes:
        measure: "flops" or "params", as in :class:`~nni_blockqnn.blocks.costs.Cost`.
        value: how many of them.
    """

    measure: str
    value: int

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

    @cache
    def cost(width: int) -> int:
        return target.of_network(block, _scaled(spec, width))

    widest = widest_width(spec)
    most = MOST * target.value // 100
    width = _largest(cost, most, widest)
    if not _grows(block, spec):
        wider = (width for width in range(widest, width, -1) if cost(width) <= most)
        width = next(wider, width)
    if width == 0 or 100 * cost(width) < LEAST * target.value:
        return None
    return _scaled(spec, width)


_scaled = lru_cache(maxsize=4_096)(NetworkSpec.with_width)
"""Cached, since a search tries the same few widths for every candidate."""


def widest_width(spec: NetworkSpec) -> int:
    """The largest width that is tried."""
    return min(WIDEST, WIDTH_LIMIT // max(spec.filters)) * spec.filters[0]


def _largest(cost: Callable[[int], int], most: int, widest: int) -> int:
    """The largest width whose cost is at most `most`, 0 if there is none; costs grow with it.

    With all channels in proportion the cost is a quadratic polynomial of the width, which three
    costs tell, and so it takes five of them instead of ten.
    """
    widths = range(1, widest + 1)
    if widest < 3:
        return bisect_right(widths, most, key=cost)
    first, second, third = map(cost, (1, 2, 3))
    step, bend = second - first, third - 2 * second + first

    def expected(width: int) -> int:
        return first + (width - 1) * step + (width - 1) * (width - 2) // 2 * bend

    width = bisect_right(widths, most, key=expected)
    fits = width == 0 or cost(width) <= most
    if fits and (width == widest or cost(width + 1) > most):
        return width
    return bisect_right(widths, most, key=cost)


def _grows(block: Block, spec: NetworkSpec) -> bool:
    """Whether the cost surely grows with the width.

    It does if all channels grow in proportion. Where ratios are rounded, two channel counts may
    happen to be equal at one width, which saves a projection. A layer kind of one's own may have
    groups that depend on its channels.
    """
    exact = all(filters % spec.filters[0] == 0 for filters in spec.filters)
    own = (pair for pair in zip(block.kinds, block.layers, strict=True) if pair[0].optional)
    return exact and all(_kind_grows(kind, layer.kernel) for kind, layer in own)


@cache
def _kind_grows(kind: LayerKind, kernel: int) -> bool:
    costs = [kind.cost(channels, channels, kernel, 1) for channels in range(1, 257)]
    return all(one.flops <= two.flops and one.params <= two.params for one, two in pairwise(costs))
