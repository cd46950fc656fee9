"""What the layers are called in pictures, and their colours: out of the table of layer kinds."""

from __future__ import annotations

from nni_blockqnn.blocks.kind_table import kind_of_type

_INPUT_COLOUR = "#cbd5e1"


def label(layer_type: int, kernel: int) -> str:
    """Such as "3×3 conv"; type 0 is the block's input, the Terminal its output."""
    name = kind_of_type(layer_type).label if layer_type else "input"
    return f"{kernel}×{kernel} {name}" if kernel else name


def colour(layer_type: int, kernel: int) -> str:
    """The fill of a layer's box, "#rrggbb"; type 0 is the input."""
    if not layer_type:
        return _INPUT_COLOUR
    kind = kind_of_type(layer_type)
    return kind.kernel_colours.get(kernel, kind.colour)
