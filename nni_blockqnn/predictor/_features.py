"""What a predictor sees of a block: Weisfeiler-Lehman labels and a few numbers.

The labels are those of the Weisfeiler-Lehman kernel, as NAS-BOWL uses it (arXiv 2006.07556): at
depth 0 a node's label is its type and kernel, at each further depth it joins the labels of the
nodes that it reads, so a label of depth h names the h layers that lead to a node. They are taken
of the function that the block computes: identities are skipped, and a concat that only another
concat (or the output) reads gives way to its operands.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from nni_blockqnn.blocks.block import Block
from nni_blockqnn.blocks.canonical import LabelledNode
from nni_blockqnn.blocks.kind_table import kinds_of
from nni_blockqnn.network.cost import Cost

DEPTHS = 4
"""Labels of depths 0 to 3."""

BUCKETS = 1024
"""Of labels at each depth: bounds the memory; a block has about as many labels as layers."""


NUMBERS = (
    *("ln FLOPs", "ln parameters", "layers", "depth", "leaves", "density"),
    *("most convolutions", "fewest convolutions", "reach"),
)
"""Depth is in layers; convolutions are counted on the paths from the input to a leaf: on the
longest, and to the leaf with the fewest. Reach is by how many pixels the block widens a receptive
field to each side."""

LEAST_SPREADS = (0.1, 0.1, *(0.0 for _ in NUMBERS[2:]))
"""Of each number's standard deviation, when numbers are standardised. Networks of equal cost differ
by rounding, which says nothing."""


class Features(NamedTuple):
    """A network's features.

    Attributes:
        labels: (DEPTHS, BUCKETS) how often each label occurs, hashed into buckets, over the root of
            the sum of squares at its depth.
        numbers: as ``NUMBERS`` names them.
    """

    labels: np.ndarray
    numbers: tuple[float, ...]


def features(block: Block, cost: Cost) -> Features:
    nodes = block.function_graph
    types = _Types.of(block.encoding)
    convolutions = _longest_paths(nodes, lambda label: label[0] in types.convolutions)
    reach = _longest_paths(nodes, lambda label: label[0] in types.spatial and label[1] // 2)
    leaves = nodes[-1][1]
    numbers = (
        math.log(cost.flops),
        math.log(cost.params),
        float(len(nodes)),
        float(_longest_paths(nodes, lambda label: 1)[-1] - 2),  # neither input nor output
        float(len(leaves)),
        block.density,
        float(convolutions[-1]),
        float(min(convolutions[leaf] for leaf in leaves)),
        float(reach[-1]),
    )
    return Features(_label_counts(nodes), numbers)


class _Types(NamedTuple):
    """Which types of an encoding, as keys have them, count as what.

    Attributes:
        convolutions: layers that write as many channels as the stage has filters.
        spatial: layers with a kernel.
    """

    convolutions: frozenset[int]
    spatial: frozenset[int]

    @classmethod
    def of(cls, encoding: str) -> _Types:
        kinds = [(kind.key_label(0)[0], kind) for kind in kinds_of(encoding).values()]
        return cls(
            frozenset(number for number, kind in kinds if kind.outputs == "filters"),
            frozenset(number for number, kind in kinds if kind.kernels != (0,)),
        )


def _longest_paths(
    nodes: Sequence[LabelledNode], length: Callable[[tuple[int, int]], int]
) -> list[int]:
    """The greatest sum of lengths on a path to each node, position 0 being what the input reads."""
    longest = [0]
    for label, read in nodes:
        longest.append(length(label) + max(longest[p] for p in read))
    return longest


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
