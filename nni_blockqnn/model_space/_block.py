"""A block as a PyTorch module."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812, PyTorch's own name for it
from torch import Tensor, nn

from nni_blockqnn.blocks.block import Block
from nni_blockqnn.blocks.kinds.table1 import conv_bn
from nni_blockqnn.blocks.layer import Layer
from nni_blockqnn.blocks.layer_kind import LayerKind
from nni_blockqnn.model_space._dataflow import Dataflow, Read
from nni_blockqnn.model_space._layers import Add, projection
from nni_blockqnn.network.widths import BlockWidths


class BlockModule(nn.Module):
    """A block at one place of a network: (B, widths.input, H, W) -> (B, widths.output, H, W).

    `layers` holds the layers that compute something. A PCC is there without its ReLU, which the
    block applies once for all layers that read the same map rectified.
    """

    def __init__(self, block: Block, widths: BlockWidths) -> None:
        super().__init__()
        self.codes = block.to_json()
        self.project_input = projection(widths.input, widths.channels[0])
        flow = Dataflow(block, widths)
        self.layers = nn.ModuleDict(
            {
                str(index): _layer(block.layers[index - 1], block.kinds[index - 1], widths, flow)
                for index in flow.reads
            }
        )
        self._reads = flow.reads
        self._output = flow.output
        self._in_place = {
            read.maps
            for reads in flow.reads.values()
            for read in reads
            if read.rectified and flow.rectified_in_place(read.maps)
        }

    def forward(self, x: Tensor) -> Tensor:
        done = {Read((0,), False): self.project_input(x)}
        for layer, (index, reads) in zip(self.layers.values(), self._reads.items(), strict=True):
            done[Read((index,), False)] = layer(*[self._read(read, done) for read in reads])
        return self._read(self._output, done)

    def extra_repr(self) -> str:
        return f"codes={self.codes}"

    def _read(self, read: Read, done: dict[Read, Tensor]) -> Tensor:
        if read not in done:
            if read.rectified:
                whole = self._read(Read(read.maps, False), done)
                done[read] = F.relu(whole, inplace=read.maps in self._in_place)
            else:
                done[read] = torch.cat([done[Read((number,), False)] for number in read.maps], 1)
        return done[read]


def _layer(layer: Layer, kind: LayerKind, widths: BlockWidths, flow: Dataflow) -> nn.Module:
    if kind.joins:
        return _add(layer, widths, flow)
    inputs, outputs = widths.channels[layer.pred1], widths.channels[layer.index]
    return kind(inputs, outputs, layer.kernel)


def _add(layer: Layer, widths: BlockWidths, flow: Dataflow) -> Add:
    pred1, pred2 = (
        conv_bn(widths.channels[predecessor], widths.filters, 1)
        if read.rectified
        else nn.Identity()
        for predecessor, read in zip(layer.predecessors, flow.reads[layer.index], strict=True)
    )
    ours = [read.rectified or flow.overwritable(read) for read in flow.reads[layer.index]]
    return Add(pred1, pred2, overwritten=ours.index(True) if any(ours) else None)
