"""A block's picture as boxes and arrows, before it is SVG, TikZ or pixels."""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

from nni_blockqnn.blocks.block import Block
from nni_blockqnn.blocks.kind_table import kind_of_type
from nni_blockqnn.reports._idle import IDLE_COLOUR, idle_layers
from nni_blockqnn.reports._labels import colour, label
from nni_blockqnn.reports._layout import FULL_SIZE, Point, Sizes, lay_out

THUMBNAIL_SIZES = Sizes(
    box_width=0.5, box_height=0.5, add_width=0.5, gap=0.28, row_gap=0.34, widest_row_gap=0.5
)
HEAD_LENGTH, HEAD_WIDTH = 0.085, 0.08


class Shape(NamedTuple):
    """The box of a layer, of the input or of the output; x and y are its middle, in inches.

    Attributes:
        number: the layer's, empty for input and output.
        radius: of its corners.
        is_idle: whether the layer does nothing.
    """

    x: float
    y: float
    width: float
    height: float
    radius: float
    name: str
    number: str
    fill: str
    is_idle: bool


class Drawing(NamedTuple):
    """A picture in inches from its top left corner, y downwards.

    Attributes:
        lines: the corners of each arrow's line: it bends between the first and the second, runs
            straight to the third, and so on. A lane that arrows share is there once.
        heads: where the arrows end; all point down, or to the right if it lies on its side.
    """

    boxes: list[Shape]
    lines: list[tuple[Point, ...]]
    heads: list[Point]
    width: float
    height: float
    is_sideways: bool


def block_drawing(block: Block) -> Drawing:
    """From top to bottom, each box with its layer's number and name."""
    return _drawing(block, FULL_SIZE, is_sideways=False)


def thumbnail_drawing(block: Block) -> Drawing:
    """From left to right, the layers told by their colours alone."""
    return _drawing(block, THUMBNAIL_SIZES, is_sideways=True)


def _drawing(block: Block, sizes: Sizes, *, is_sideways: bool) -> Drawing:
    layout, idle = lay_out(block, sizes), idle_layers(block)
    boxes = []
    for node, box in layout.boxes.items():
        layer_type, kernel = block.graph.nodes[node]["label"]
        kind = kind_of_type(layer_type) if layer_type else None
        is_layer = kind is not None and not kind.ends
        shape = Shape(
            box.x,
            box.y,
            box.width,
            box.height,
            radius=box.height * (1 / 2 if kind is not None and kind.is_symbol else 1 / 6),
            name=label(layer_type, kernel),
            number=str(node) if is_layer else "",
            fill=IDLE_COLOUR if node in idle else colour(layer_type, kernel),
            is_idle=node in idle,
        )
        boxes.append(_turned_shape(shape) if is_sideways else shape)
    lines, heads = _arrows(list(layout.arrows.values()))
    width, height = layout.width, layout.height
    if is_sideways:
        lines = [tuple((y, x) for x, y in line) for line in lines]
        heads = [(y, x) for x, y in heads]
        width, height = height, width
    return Drawing(boxes, lines, heads, width, height, is_sideways)


def _turned_shape(shape: Shape) -> Shape:
    return shape._replace(x=shape.y, y=shape.x, width=shape.height, height=shape.width)


def _arrows(arrows: list[tuple[Point, ...]]) -> tuple[list[tuple[Point, ...]], list[Point]]:
    lines, heads = [], []
    drawn: set[tuple[Point, Point]] = set()
    for corners in arrows:
        pieces = list(pairwise(corners))
        start = next(place for place, piece in enumerate(pieces) if piece not in drawn)
        start -= start % 2  # a line begins with a bend
        drawn.update(pieces)
        x, y = corners[-1]
        lines.append((*corners[start:-1], (x, y - HEAD_LENGTH)))
        heads.append((x, y))
    return lines, heads
