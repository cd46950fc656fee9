"""What each layer of a block reads, so that nothing is computed or copied twice.

Identities and poolings of kernel 1 write no map of their own, and a concat writes none either: who
reads it reads the maps that it puts side by side, which are copied together where they are needed
as one, and only once for all who need the same.
"""

from __future__ import annotations

from typing import NamedTuple

from nni_blockqnn.blocks.block import Block
from nni_blockqnn.blocks.layer import Layer, LayerType
from nni_blockqnn.network.widths import BlockWidths

_POOLINGS = (LayerType.MAX_POOL, LayerType.AVG_POOL)


class Read(NamedTuple):
    """Maps side by side, by the numbers of the layers that write them; 0 is the block's input.

    Attributes:
        rectified: whether a ReLU comes between.
    """

    maps: tuple[int, ...]
    rectified: bool


class Dataflow:
    """Who reads what in a block.

    Attributes:
        reads: of each layer that computes something, by its number: what it reads, operand by
            operand. The ReLU of a PCC is one of the read and not of the layer.
        output: what leaves the block.
    """

    def __init__(self, block: Block, widths: BlockWidths) -> None:
        self._input_is_ours = widths.input != widths.channels[0]  # written by the projection
        self._relus = {layer.index for layer in block.layers if layer.type == LayerType.RELU}
        self.reads: dict[int, tuple[Read, ...]] = {}
        maps: list[tuple[int, ...]] = [(0,)]  # maps[t]: what layer t's output consists of
        for layer, projected in zip(block.layers, widths.projected, strict=True):
            if layer.type == LayerType.CONCAT:
                maps.append(maps[layer.pred1] + maps[layer.pred2])
            elif _passes_on(layer):
                maps.append(maps[layer.pred1])
            else:
                is_pcc = layer.type == LayerType.CONV and block.encoding == "pcc"
                self.reads[layer.index] = tuple(
                    Read(maps[predecessor], is_pcc or predecessor in projected)
                    for predecessor in layer.predecessors
                )
                maps.append((layer.index,))
        self.output = Read(tuple(number for leaf in block.leaves for number in maps[leaf]), False)
        self._all = [read for reads in self.reads.values() for read in reads] + [self.output]

    def rectified_in_place(self, maps: tuple[int, ...]) -> bool:
        """Whether the ReLU of these maps may overwrite them: nobody reads them without it."""
        return Read(maps, False) not in self._all and self._is_ours(maps)

    def overwritable(self, operand: Read) -> bool:
        """Whether a sum may be written over this operand, which nobody else reads."""
        readers = sum(read.maps == operand.maps for read in self._all)
        return readers == 1 and self._is_ours(operand.maps)

    def _is_ours(self, maps: tuple[int, ...]) -> bool:
        """Whether only their readers as a whole need these maps, autograd included."""
        if len(maps) > 1:
            return True  # a copy
        (number,) = maps
        if number in self._relus or (number == 0 and not self._input_is_ours):
            return False  # a ReLU's gradient needs its output; others may read the block's input
        return not any(number in read.maps and read.maps != maps for read in self._all)


def _passes_on(layer: Layer) -> bool:
    """An identity, or a pooling of kernel 1, which is one."""
    return layer.type == LayerType.IDENTITY or (layer.type in _POOLINGS and layer.kernel == 1)
