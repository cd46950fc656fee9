"""A block as a PyTorch module."""

from __future__ import annotations

from torch import Tensor, nn

from nni_blockqnn.layer import Layer, LayerType
from nni_blockqnn.model_space.layers import PCC, Add, Concat, convolution, projection
from nni_blockqnn.nsc import Block
from nni_blockqnn.widths import BlockWidths


class BlockModule(nn.Module):
    """A block at one place of a network: (B, widths.input, H, W) -> (B, widths.output, H, W)."""

    def __init__(self, block: Block, widths: BlockWidths) -> None:
        super().__init__()
        self.codes = block.to_json()
        self.project_input = projection(widths.input, widths.channels[0])
        self.layers = nn.ModuleDict(
            {
                str(layer.index): _layer(layer, block.encoding, widths, projected)
                for layer, projected in zip(block.layers, widths.projected, strict=True)
            }
        )
        self.output = Concat() if len(block.leaves) > 1 else nn.Identity()
        self._predecessors = [layer.predecessors for layer in block.layers]
        self._leaves = block.leaves

    def forward(self, x: Tensor) -> Tensor:
        maps = [self.project_input(x)]  # maps[t] is the output of layer t
        for layer, predecessors in zip(self.layers.values(), self._predecessors, strict=True):
            maps.append(layer(*[maps[predecessor] for predecessor in predecessors]))
        return self.output(*[maps[leaf] for leaf in self._leaves])

    def extra_repr(self) -> str:
        return f"codes={self.codes}"


def _layer(
    layer: Layer, encoding: str, widths: BlockWidths, projected: tuple[int, ...]
) -> nn.Module:
    kernel = layer.kernel
    if layer.type == LayerType.CONV:
        conv = PCC if encoding == "pcc" else convolution
        return conv(widths.channels[layer.pred1], widths.filters, kernel)
    if layer.type == LayerType.RELU:
        return nn.ReLU()  # not in place: other layers may read the same input
    if layer.type == LayerType.BN:
        return nn.BatchNorm2d(widths.channels[layer.index])
    if layer.type == LayerType.MAX_POOL and kernel > 1:
        return nn.MaxPool2d(kernel, stride=1, padding=kernel // 2)
    if layer.type == LayerType.AVG_POOL and kernel > 1:
        return nn.AvgPool2d(kernel, stride=1, padding=kernel // 2, count_include_pad=False)
    if layer.type == LayerType.ADD:
        return Add(
            *(
                PCC(widths.channels[predecessor], widths.filters, 1)
                if predecessor in projected
                else nn.Identity()
                for predecessor in layer.predecessors
            )
        )
    if layer.type == LayerType.CONCAT:
        return Concat()
    return nn.Identity()  # as a pooling of kernel 1 is one
