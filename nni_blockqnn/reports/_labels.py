"""What the layers are called in pictures."""

from __future__ import annotations

from nni_blockqnn.blocks.layer import LayerType

_NAMES = {
    0: "input",
    LayerType.CONV: "conv",
    LayerType.MAX_POOL: "max pool",
    LayerType.AVG_POOL: "avg pool",
    LayerType.IDENTITY: "identity",
    LayerType.ADD: "+",
    LayerType.CONCAT: "concat",
    LayerType.TERMINAL: "output",
    LayerType.RELU: "ReLU",
    LayerType.BN: "batch norm",
}


def label(layer_type: int, kernel: int) -> str:
    """Such as "3×3 conv"; type 0 is the block's input, the Terminal its output."""
    return f"{kernel}×{kernel} {_NAMES[layer_type]}" if kernel else _NAMES[layer_type]
