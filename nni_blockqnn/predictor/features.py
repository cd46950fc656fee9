"""What a predictor sees of a block: Weisfeiler-Lehman labels and a few numbers.

The labels are those of the Weisfeiler-Lehman kernel, as NAS-BOWL uses it (arXiv 2006.07556): at
depth 0 a node's label is its type and kernel, at each further depth it joins the labels of the
nodes that it reads, so a label of depth h names the h layers that lead to a node. They are taken
of the function that the block computes: identities are skipped, and a concat that only another
concat (or the output) reads gives way to its operands.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from nni_blockqnn.cost import Cost
from nni_blockqnn.nsc import Block, LayerType

DEPTHS = 4
"""Labels of depths 0 to 3."""

BUCKETS = 1024
"""Of labels at each depth: bounds the memory; a block has about as many labels as layers."""


class Features(NamedTuple):
    """A network's features.

    Attributes:
        labels: (DEPTHS, BUCKETS) how often each label occurs, hashed into buckets, over the root of
            the sum of squares at its depth.
        numbers: ln FLOPs, ln parameters, layers, depth, leaves and density.
    """

    labels: np.ndarray
    numbers: tuple[float, ...]


def features(block: Block, cost: Cost) -> Features:
    nodes = _nodes(block)
    numbers = (
        math.log(cost.flops),
        math.log(cost.params),
        float(len(nodes)),
        float(_depth(nodes)),
        float(len(nodes[-1][1])),
        block.density,
    )
    return Features(_label_counts(nodes), numbers)


Node = tuple[tuple[int, int], tuple[int, ...]]
"""Type and kernel, and positions of the nodes that it reads (one may occur twice)."""


def _nodes(block: Block) -> list[Node]:
    """The simplified graph in topological order: the input first, the output last."""
    position = {0: 0}
    nodes: list[Node] = [((0, 0), ())]
    operands: dict[int, tuple[int, ...]] = {}  # of concats, by position
    for layer in block.layers:
        read = tuple(position[predecessor] for predecessor in layer.predecessors)
        if layer.type == LayerType.IDENTITY or (
            layer.type in (LayerType.MAX_POOL, LayerType.AVG_POOL) and layer.kernel == 1
        ):
            position[layer.index] = read[0]
            continue
        if layer.type == LayerType.CONCAT:
            read = tuple(o for p in read for o in operands.get(p, (p,)))
        position[layer.index] = len(nodes)
        if layer.type == LayerType.CONCAT:
            operands[len(nodes)] = read
        nodes.append(((layer.type, layer.kernel), read))
    leaves = [position[leaf] for leaf in block.leaves]
    output = tuple(o for leaf in leaves for o in operands.get(leaf, (leaf,)))
    nodes.append(((LayerType.TERMINAL.value, 0), output))
    return _pruned(nodes)


def _pruned(nodes: list[Node]) -> list[Node]:
    """Without the nodes that nobody reads any more: concats that gave way to their operands."""
    needed = {len(nodes) - 1}
    for at in range(len(nodes) - 1, -1, -1):
        if at in needed:
            needed.update(nodes[at][1])
    number = {at: new for new, at in enumerate(sorted(needed))}
    return [(nodes[at][0], tuple(number[p] for p in nodes[at][1])) for at in sorted(needed)]


def _depth(nodes: list[Node]) -> int:
    depth: list[int] = []
    for _, read in nodes:
        depth.append(1 + max((depth[p] for p in read), default=-1))
    return depth[-1]


def _label_counts(nodes: list[Node]) -> np.ndarray:
    counts = np.zeros((DEPTHS, BUCKETS), dtype=np.float32)
    labels = [hash(label) for label, _ in nodes]
    for depth in range(DEPTHS):
        if depth > 0:
            labels = [
                hash((labels[at], *sorted(labels[p] for p in read)))
                for at, (_, read) in enumerate(nodes)
            ]
        np.add.at(counts[depth], [label % BUCKETS for label in labels], 1)
    return counts / np.sqrt(np.square(counts).sum(axis=1, keepdims=True))
