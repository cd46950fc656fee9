"""A block around each registered kind of layer: a new kind is tested by registering it."""

from __future__ import annotations

from itertools import cycle, islice

from nni_blockqnn.blocks.block import Block
from nni_blockqnn.blocks.kind_table import all_kinds
from nni_blockqnn.blocks.layer import CONV_KERNELS, POOL_KERNELS
from nni_blockqnn.blocks.layer_kind import LayerKind

EVERY_KIND = [
    (kind, kernel)
    for kind in all_kinds()
    if kind.predecessors == 1
    for kernel in kind.kernel_sizes(CONV_KERNELS, POOL_KERNELS)
]
"""The kinds that read one layer, with each of their kernels."""
OPTIONAL_KINDS = {
    kind.name: (kind, [kernel for other, kernel in EVERY_KIND if other is kind])
    for kind, _ in EVERY_KIND
    if kind.optional
}
"""Those of them that a space must name, with all their kernels."""


def block_with(kind: LayerKind, *kernels: int) -> Block:
    """The kind on the block's input, on itself, on a concat and on sums, read and unread.

    Layers that might be overwritten are read once and twice, with a ReLU before and without.

    Args:
        kernels: which the layers of the kind have in turn.
    """
    own = [(kind.type, kernel) for kernel in islice(cycle(kernels), 5)]
    rows = [
        [1, *own[0], 0, 0],
        [2, *own[1], 1, 0],
        [3, 6, 0, 1, 2],
        [4, *own[2], 3, 0],
        [5, 5, 0, 3, 4],  # of the input's width and more
        [6, *own[3], 5, 0],
        [7, 1, 3, 6, 0],
        [8, *own[4], 7, 0],
        [9, 5, 0, 6, 8],
        [10, 2, 3, 2, 0],
    ]
    extra_kinds = [kind.name] if kind.optional else []
    return Block.parse(rows, encoding=kind.encodings[0], extra_kinds=extra_kinds)
