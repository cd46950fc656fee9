"""What a predictor sees of a block: Weisfeiler-Lehman labels and a few numbers.

The labels are those of the Weisfeiler-Lehman kernel, as NAS-BOWL uses it (arXiv 2006.07556): at
depth 0 a node's label is its type and kernel, at each further depth it joins the labels of the
nodes that it reads, so a label of depth h names the h layers that lead to a node. They are taken
of the function that the block computes: identities are skipped, and a concat that only another
concat (or the output) reads gives way to its operands.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from nni_blockqnn.blocks.block import Block
from nni_blockqnn.blocks.canonical import LabelledNode
from nni_blockqnn.network.cost import Cost

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
    nodes = block.function_graph
    numbers = (
        math.log(cost.flops),
        math.log(cost.params),
        float(len(nodes)),
        float(_depth(nodes)),
        float(len(nodes[-1][1])),
        block.density,
    )
    return Features(_label_counts(nodes), numbers)


def _depth(nodes: Sequence[LabelledNode]) -> int:
    """Layers on the longest path from the input to the output."""
    depth = [-1]  # of what the input reads
    for _, read in nodes:
        depth.append(1 + max(depth[p] for p in read))
    return depth[-1] - 1


def _label_counts(nodes: Sequence[LabelledNode]) -> np.ndarray:
    counts = np.zeros((DEPTHS, BUCKETS), dtype=np.float32)
    labels = [0, *(hash(label) for label, _ in nodes)]
    for depth in range(DEPTHS):
        if depth > 0:
            labels[1:] = [
                hash((labels[at], *sorted(labels[p] for p in read)))
                for at, (_, read) in enumerate(nodes, 1)
            ]
        np.add.at(counts[depth], [label % BUCKETS for label in labels[1:]], 1)
    return counts / np.sqrt(np.square(counts).sum(axis=1, keepdims=True))
