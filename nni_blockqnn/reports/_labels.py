"""What the layers are called in pictures, and their colours: out of the table of layer kinds."""

from __future__ import annotations

from nni_blockqnn.blocks.kind_table import kind_of_type

_INPUT_COLOUR = "#cbd5e1"
_LARGEST_KERNEL_COLOUR = "#c084fc"
"""What the colours of kernels approach that have none of their own; dark text can be read on it."""


def label(layer_type: int, kernel: int) -> str:
    """Such as "3×3 conv"; type 0 is the block's input, the Terminal its output."""
    name = kind_of_type(layer_type).label if layer_type else "input"
    return f"{kernel}×{kernel} {name}" if kernel else name


def colour(layer_type: int, kernel: int) -> str:
    """The fill of a layer's box, "#rrggbb"; type 0 is the input.

    Of a kind whose kernels have colours, a larger kernel than these has one beyond the largest's.
    """
    if not layer_type:
        return _INPUT_COLOUR
    kind = kind_of_type(layer_type)
    largest = max(kind.kernel_colours, default=kernel)
    if kernel <= largest:
        return kind.kernel_colours.get(kernel, kind.colour)
    return _mixed(kind.kernel_colours[largest], _LARGEST_KERNEL_COLOUR, 1 - largest / kernel)


def _mixed(colour: str, other: str, share: float) -> str:
    """A colour with a share of another one, from 0 to 1."""
    channels = [[int(text[at : at + 2], 16) for at in (1, 3, 5)] for text in (colour, other)]
    mixed = (round(one + share * (two - one)) for one, two in zip(*channels, strict=True))
    return "#" + "".join(f"{channel:02x}" for channel in mixed)
