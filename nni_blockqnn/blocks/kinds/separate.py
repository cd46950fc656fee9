"""The layers of the encoding "separate", which take a PCC apart (paper, Fig. 9; numbers ours)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nni_blockqnn.blocks.costs import Cost, batch_norm_cost, convolution_cost
from nni_blockqnn.blocks.kind_table import register
from nni_blockqnn.blocks.kinds.table1 import PCC, convolution
from nni_blockqnn.blocks.layer_kind import LayerKind

if TYPE_CHECKING:
    from torch import nn

_ENCODINGS = ("separate",)


def _conv_source(inputs: str, outputs: str, kernel: int) -> str:
    padding = f", padding={kernel // 2}" if kernel > 1 else ""
    return f"nn.Conv2d({inputs}, {outputs}, {kernel}{padding}, bias=False)"


def _relu(inputs: int, outputs: int, kernel: int) -> nn.Module:
    from torch import nn

    return nn.ReLU()  # not in place: other layers may read the same input


def _batch_norm(inputs: int, outputs: int, kernel: int) -> nn.Module:
    from torch import nn

    return nn.BatchNorm2d(outputs)


def _batch_norm_cost(inputs: int, outputs: int, kernel: int, area: int) -> Cost:
    return batch_norm_cost(outputs, area)


CONV = register(
    LayerKind(
        type=PCC.type,
        key_type=10,  # a convolution alone computes another function than a PCC
        name=PCC.name,
        label=PCC.label,
        colour=PCC.colour,
        kernel_colours=PCC.kernel_colours,
        kernels="conv",
        outputs="filters",
        overwritable=True,
        cost=convolution_cost,
        build=convolution,
        module_source=_conv_source,
        encodings=_ENCODINGS,
        optional=False,
    )
)

RELU = register(
    LayerKind(
        type=8,
        name="relu",
        label="ReLU",
        colour="#fecdd3",
        build=_relu,
        function_source=lambda x, kernel: f"F.relu({x})",
        encodings=_ENCODINGS,
        optional=False,
    )
)

BN = register(
    LayerKind(
        type=9,
        name="bn",
        label="batch norm",
        colour="#d9f99d",
        overwritable=True,
        cost=_batch_norm_cost,
        build=_batch_norm,
        module_source=lambda inputs, outputs, kernel: f"nn.BatchNorm2d({inputs})",
        variable="norm",
        encodings=_ENCODINGS,
        optional=False,
    )
)
