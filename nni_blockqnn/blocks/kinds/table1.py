"""The layers of the paper (Section 3.1, Table 1)."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

from nni_blockqnn.blocks.costs import (
    Cost,
    batch_norm_cost,
    convolution_cost,
    map_cost,
    total_cost,
)
from nni_blockqnn.blocks.kind_table import register
from nni_blockqnn.blocks.layer_kind import LayerKind

if TYPE_CHECKING:
    from torch import nn


def conv_bn_cost(inputs: int, outputs: int, kernel: int, area: int) -> Cost:
    """Cost of a convolution and its batch normalisation."""
    return total_cost(
        convolution_cost(inputs, outputs, kernel, area), batch_norm_cost(outputs, area)
    )


def convolution(inputs: int, outputs: int, kernel: int) -> nn.Conv2d:
    """(B, inputs, H, W) -> (B, outputs, H, W), without a bias.

    A batch normalisation behind it would take the bias out again; and so, in the encoding
    "separate", ReLU, convolution and batch norm in a row are exactly a PCC.
    """
    from torch import nn

    return nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=False)


def conv_bn(inputs: int, outputs: int, kernel: int) -> nn.Module:
    """Convolution and batch normalisation: (B, inputs, H, W) -> (B, outputs, H, W)."""
    from torch import nn

    conv, bn = convolution(inputs, outputs, kernel), nn.BatchNorm2d(outputs)
    return nn.Sequential(OrderedDict(conv=conv, bn=bn))


def _pcc_cost(inputs: int, outputs: int, kernel: int, area: int) -> Cost:
    return total_cost(map_cost(inputs, area), conv_bn_cost(inputs, outputs, kernel, area))


def _max_pool(inputs: int, outputs: int, kernel: int) -> nn.Module:
    from torch import nn

    return nn.MaxPool2d(kernel, stride=1, padding=kernel // 2)


def _avg_pool(inputs: int, outputs: int, kernel: int) -> nn.Module:
    from torch import nn

    return nn.AvgPool2d(kernel, stride=1, padding=kernel // 2, count_include_pad=False)


def _pool_size(kernel: int) -> str:
    return f"{kernel}, stride=1, padding={kernel // 2}"


PCC = register(
    LayerKind(
        type=1,
        name="conv",
        label="conv",
        colour="#6aa9f9",
        kernel_colours={1: "#dbeafe", 3: "#a5cdfd", 5: "#6aa9f9"},
        kernels="conv",
        outputs="filters",
        reads_rectified=True,
        overwritable=True,
        cost=_pcc_cost,
        build=conv_bn,
        module_source=lambda inputs, outputs, kernel: f"ReLUConvBN({inputs}, {outputs}, {kernel})",
        encodings=("pcc",),
        optional=False,
    )
)
"""The pre-activation convolutional cell: ReLU, convolution, batch norm."""

MAX_POOL = register(
    LayerKind(
        type=2,
        name="max_pool",
        label="max pool",
        colour="#fdba74",
        kernels="pool",
        identity_kernels=(1,),
        overwritable=True,
        build=_max_pool,
        function_source=lambda x, kernel: f"F.max_pool2d({x}, {_pool_size(kernel)})",
        variable="max",
        optional=False,
    )
)

AVG_POOL = register(
    LayerKind(
        type=3,
        name="avg_pool",
        label="avg pool",
        colour="#fde68a",
        kernels="pool",
        identity_kernels=(1,),
        overwritable=True,
        build=_avg_pool,
        function_source=lambda x, kernel: (
            f"F.avg_pool2d({x}, {_pool_size(kernel)}, count_include_pad=False)"
        ),
        variable="avg",
        optional=False,
    )
)

IDENTITY = register(
    LayerKind(
        type=4,
        name="identity",
        label="identity",
        colour="#ffffff",
        identity_kernels=(0,),
        optional=False,
    )
)

ADD = register(
    LayerKind(
        type=5,
        name="add",
        label="+",
        colour="#a7f3d0",
        joins="add",
        overwritable=True,
        variable="sum",
        is_symbol=True,
        optional=False,
    )
)

CONCAT = register(
    LayerKind(
        type=6,
        name="concat",
        label="concat",
        colour="#ddd6fe",
        joins="concat",
        overwritable=True,
        optional=False,
    )
)

TERMINAL = register(
    LayerKind(type=7, name="terminal", label="output", colour="#cbd5e1", ends=True, optional=False)
)
