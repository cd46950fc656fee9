"""Which layers of a block do nothing."""

from __future__ import annotations

from nni_blockqnn.blocks.block import Block

IDLE_COLOUR = "#e8ebef"
"""Of layers that do nothing, in pictures."""


def idle_layers(block: Block) -> frozenset[int]:
    """Indices of the layers that do nothing, as :attr:`Block.function_key` sees it.

    These are identities, poolings of kernel 1, and concats that only concats or the output read.
    """
    readers: dict[int, set[int]] = {layer.index: set() for layer in block.layers}
    for layer in block.layers:
        for read in layer.predecessors:
            if read:
                readers[read].add(layer.index)
    concats = {
        layer.index
        for layer, kind in zip(block.layers, block.kinds, strict=True)
        if kind.joins == "concat"
    }
    idle = set()
    for layer, kind in zip(block.layers, block.kinds, strict=True):
        is_joined_again = layer.index in concats and readers[layer.index] <= concats
        if kind.passes_on(layer.kernel) or is_joined_again:
            idle.add(layer.index)
    return frozenset(idle)
