"""What each layer of a block reads, so that nothing is computed or copied twice.

Identities and poolings of kernel 1 write no map of their own. A concat writes none either: its
readers read the maps that it puts side by side. These are copied together only where a layer needs
them as one map, and once for all layers that need the same one.
"""

from __future__ import annotations

from typing import NamedTuple

from nni_blockqnn.blocks.block import Block
from nni_blockqnn.network.widths import BlockWidths


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
        reads: for each layer that computes something, by its number, the reads of its operands. The
            ReLU of a PCC belongs to the read, not to the layer.
        output: the read that leaves the block.
    """

    def __init__(self, block: Block, widths: BlockWidths) -> None:
        self._input_is_ours = widths.input != widths.channels[0]  # written by the projection
        layers = list(zip(block.layers, block.kinds, strict=True))
        self._kept = {layer.index for layer, kind in layers if not kind.overwritable}
        self.reads: dict[int, tuple[Read, ...]] = {}
        maps: list[tuple[int, ...]] = [(0,)]  # maps[t]: what layer t's output consists of
        for (layer, kind), projected in zip(layers, widths.projected, strict=True):
            if kind.joins == "concat":
                maps.append(maps[layer.pred1] + maps[layer.pred2])
            elif kind.passes_on(layer.kernel):
                maps.append(maps[layer.pred1])
            else:
                self.reads[layer.index] = tuple(
                    Read(maps[predecessor], kind.reads_rectified or predecessor in projected)
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
        if number in self._kept or (number == 0 and not self._input_is_ours):
            return False  # its gradient needs it; or it is the block's input, which others may read
        return not any(number in read.maps and read.maps != maps for read in self._all)
