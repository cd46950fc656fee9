"""Depthwise-separable convolution, which the paper leaves to future work (Section 5.3).

"We do not use this new convolution operation [...] we will consider this in our future work." Our
reading has the form of a PCC: ReLU, depthwise k x k convolution, pointwise 1x1 convolution, batch
norm. Nothing stands between the two convolutions, as in Xception (arXiv 1610.02357, Section 4.7: a
non-linearity there does harm).

A kernel of 1 is left out: its depthwise part only scales channels, which a 1x1 PCC does, too.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

from nni_blockqnn.blocks.costs import Cost, convolution_cost, map_cost, total_cost
from nni_blockqnn.blocks.kind_table import register
from nni_blockqnn.blocks.kinds.table1 import conv_bn_cost
from nni_blockqnn.blocks.layer_kind import LayerKind

if TYPE_CHECKING:
    from torch import nn

_DEFINITIONS = '''\
class SeparableConv(nn.Module):
    """ReLU, depthwise and pointwise convolution, batch normalisation."""

    def __init__(self, inputs: int, outputs: int, kernel: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(
            inputs, inputs, kernel, padding=kernel // 2, groups=inputs, bias=False
        )
        self.pointwise = nn.Conv2d(inputs, outputs, 1, bias=False)
        self.bn = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        return self.bn(self.pointwise(self.depthwise(F.relu(x))))
'''


def _cost(inputs: int, outputs: int, kernel: int, area: int) -> Cost:
    relu = map_cost(inputs, area)
    depthwise = convolution_cost(inputs, inputs, kernel, area, groups=inputs)
    return total_cost(relu, depthwise, conv_bn_cost(inputs, outputs, 1, area))


def _build(inputs: int, outputs: int, kernel: int) -> nn.Module:
    from torch import nn

    padding = kernel // 2
    depthwise = nn.Conv2d(inputs, inputs, kernel, padding=padding, groups=inputs, bias=False)
    pointwise = nn.Conv2d(inputs, outputs, 1, bias=False)
    bn = nn.BatchNorm2d(outputs)
    return nn.Sequential(OrderedDict(depthwise=depthwise, pointwise=pointwise, bn=bn))


SEPARABLE = register(
    LayerKind(
        type=11,
        name="separable",
        label="separable",
        colour="#99f6e4",
        kernels="conv",
        smallest_kernel=3,
        outputs="filters",
        reads_rectified=True,
        overwritable=True,
        cost=_cost,
        build=_build,
        module_source=lambda inputs, outputs, kernel: (
            f"SeparableConv({inputs}, {outputs}, {kernel})"
        ),
        definitions=_DEFINITIONS,
    )
)
