"""What a surrogate sees of a block: its cost, shape, and counts of Weisfeiler-Lehman labels.

All are of the function that the block computes, so twins look alike.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable

from nni_blockqnn.blocks.block import Block
from nni_blockqnn.network.cost import estimate_cost
from nni_blockqnn.network.spec import NetworkSpec

_CONV, _MAX_POOL, _AVG_POOL = "1", "2", "3"


def features(block: Block, spec: NetworkSpec) -> dict[str, float]:
    """Features by name; one that is missing is 0."""
    cost = estimate_cost(block, spec)
    nodes = _function_graph(block)
    longest = _longest_paths(nodes, lambda label: 1)
    convs = _longest_paths(nodes, lambda label: label.startswith(_CONV))
    reach = _longest_paths(nodes, _reach)
    output = nodes[-1][1]
    return {
        "ln flops": math.log(cost.flops),
        "ln params": math.log(cost.params),
        "layers that compute": len(nodes) - 2,
        "longest path": longest[-1],
        "most convolutions in a path": convs[-1],
        "least convolutions of a leaf": min(convs[leaf] for leaf in output),
        "largest reach": reach[-1],
        "leaves": len(output),
        **{f"label {label}": count for label, count in _label_counts(nodes).items()},
    }


Node = tuple[str, tuple[int, ...]]
"""A label and the positions of the predecessors; the first node is the input, the last the
output."""


def _function_graph(block: Block) -> list[Node]:
    """The nodes that ``function_key`` lists."""
    nodes: list[Node] = []
    for word in block.function_key.split():
        label, predecessors = word.split(":")
        nodes.append((label, tuple(int(p) - 1 for p in predecessors.split(",") if nodes)))
    return nodes


def _longest_paths(nodes: list[Node], length: Callable[[str], int]) -> list[int]:
    """The greatest sum of lengths on a path from the input to each node."""
    longest: list[int] = []
    for label, predecessors in nodes:
        longest.append(length(label) + max((longest[p] for p in predecessors), default=0))
    return longest


def _reach(label: str) -> int:
    """By how many pixels the layer widens the receptive field to each side."""
    layer_type, kernel = label.split(".")
    return int(kernel) // 2 if layer_type in (_CONV, _MAX_POOL, _AVG_POOL) else 0


def _label_counts(nodes: list[Node]) -> Counter[str]:
    """Counts of the labels, and of each label with its predecessors'."""
    counts = Counter(label for label, _ in nodes)
    counts.update(
        f"{label}({','.join(sorted(nodes[p][0] for p in predecessors))})"
        for label, predecessors in nodes
    )
    return counts
