"""A layer kind of one's own: a dilated 3x3 convolution in the form of a PCC.

It sees 5x5 pixels at the cost of 3x3. A search space names it as "dilated:DILATED":

    {"_type": "nsc", "_value": {"max_layers": 6, "extra_kinds": ["dilated:DILATED"]}}

Everything else follows from this file: search, cost, network, exported source, pictures.
"""

from collections import OrderedDict

from nni_blockqnn.blocks.costs import (
    Cost,
    batch_norm_cost,
    convolution_cost,
    map_cost,
    total_cost,
)
from nni_blockqnn.blocks.layer_kind import LayerKind

SOURCE = '''\
class DilatedConv(nn.Module):
    """ReLU, 3x3 convolution of dilation 2, batch normalisation."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 3, padding=2, dilation=2, bias=False)
        self.bn = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        return self.bn(self.conv(F.relu(x)))
'''


def cost(inputs: int, outputs: int, kernel: int, area: int) -> Cost:
    relu, conv = map_cost(inputs, area), convolution_cost(inputs, outputs, kernel, area)
    return total_cost(relu, conv, batch_norm_cost(outputs, area))


def build(inputs: int, outputs: int, kernel: int):  # type: ignore[no-untyped-def]
    from torch import nn  # here, since the tuner knows the kind but starts without PyTorch

    conv = nn.Conv2d(inputs, outputs, kernel, padding=2, dilation=2, bias=False)
    return nn.Sequential(OrderedDict(conv=conv, bn=nn.BatchNorm2d(outputs)))


DILATED = LayerKind(
    type=100,
    name="dilated",
    label="dilated",
    colour="#c7d2fe",
    kernels=(3,),
    outputs="filters",  # as many channels as the stage's convolutions
    reads_rectified=True,  # the block applies the ReLU, once for all layers that share it
    cost=cost,
    build=build,
    module_source=lambda inputs, outputs, kernel: f"DilatedConv({inputs}, {outputs})",
    definitions=SOURCE,
)
