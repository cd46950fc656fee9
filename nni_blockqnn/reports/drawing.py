"""Pictures of blocks, for the terminal and as images."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch, PathPatch
from matplotlib.path import Path as Curve

from nni_blockqnn.blocks.block import Block
from nni_blockqnn.blocks.kind_table import kind_of_type
from nni_blockqnn.common.messages import shown
from nni_blockqnn.reports._labels import colour, label
from nni_blockqnn.reports._layout import FULL_SIZE, Box, Layout, Point, Sizes, lay_out
from nni_blockqnn.reports.text_graph import draw_text

__all__ = ["LINE_COLOUR", "block_figure", "draw_image", "draw_text", "thumbnail_figure"]

SVG_SETTINGS: Any = {"svg.fonttype": "none", "svg.hashsalt": "nni_blockqnn"}
"""Text stays text, and equal pictures are equal files."""
LINE_COLOUR = "#475569"
_TEXT_COLOUR, _INDEX_COLOUR = "#0f172a", "#334155"
_FORMATS = (".svg", ".png", ".pdf")
_MARGIN, _TITLE_HEIGHT = 0.15, 0.35
_HEAD_LENGTH, _HEAD_WIDTH = 0.085, 0.08
_DOTS_PER_INCH, _MOST_DOTS = 160, 8_000


class _Style(NamedTuple):
    sizes: Sizes
    labelled: bool
    sideways: bool
    line_width: float


_PICTURE = _Style(FULL_SIZE, labelled=True, sideways=False, line_width=1.1)
_THUMBNAIL = _Style(
    Sizes(box_width=0.5, box_height=0.5, add_width=0.5, gap=0.28, row_gap=0.34, widest_row_gap=0.5),
    labelled=False,
    sideways=True,
    line_width=2.0,
)


def draw_image(block: Block, path: str | Path, *, title: str | None = None) -> None:
    """Draw the block's graph, coloured by layer type, in the format that the file's name ends in.

    Raises:
        ValueError: if that is neither .svg, .png nor .pdf.
    """
    path = Path(path)
    if path.suffix.lower() not in _FORMATS:
        raise ValueError(
            f"the name of a picture must end in {', '.join(_FORMATS)}, got {shown(path.name)}"
        )
    figure = block_figure(block, title=title)
    dots = min(_DOTS_PER_INCH, _MOST_DOTS / max(figure.get_size_inches()))
    metadata = {"Date": None} if path.suffix.lower() == ".svg" else {}
    with rc_context(SVG_SETTINGS):
        figure.savefig(path, dpi=dots, metadata=metadata)


def block_figure(block: Block, *, title: str | None = None) -> Figure:
    """The block's graph from top to bottom, each box with its layer's index and name."""
    return _figure(block, _PICTURE, title)


def thumbnail_figure(block: Block) -> Figure:
    """The block's graph from left to right, its layers told by their colours alone."""
    return _figure(block, _THUMBNAIL, None)


def arrow_curve(corners: tuple[Point, ...]) -> Curve:
    """An arrow of the layout: straight within rows, S-shaped between them."""
    points, steps = [corners[0]], [Curve.MOVETO]
    for number, ((x, y), (to_x, to_y)) in enumerate(pairwise(corners)):
        if number % 2:
            points.append((to_x, to_y))
            steps.append(Curve.LINETO)
        else:
            middle = (y + to_y) / 2
            points += [(x, middle), (to_x, middle), (to_x, to_y)]
            steps += [Curve.CURVE4] * 3
    return Curve(points, steps)


def _figure(block: Block, style: _Style, title: str | None) -> Figure:
    layout = lay_out(block, style.sizes)
    top = -_MARGIN - (_TITLE_HEIGHT if title else 0.0)
    right, bottom = layout.width + _MARGIN, layout.height + _MARGIN
    size = (right + _MARGIN, bottom - top)
    figure = Figure(figsize=size[::-1] if style.sideways else size, facecolor="white")
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    if style.sideways:
        axes.set(xlim=(top, bottom), ylim=(right, -_MARGIN))
    else:
        axes.set(xlim=(-_MARGIN, right), ylim=(bottom, top))
    if title:
        axes.text(layout.width / 2, top / 2, title, ha="center", va="center", fontsize=11)
    _draw_arrows(axes, layout, style)
    for node, box in layout.boxes.items():
        _draw_box(axes, box, block.graph.nodes[node]["label"], style)
    return figure


def _draw_arrows(axes: Axes, layout: Layout, style: _Style) -> None:
    """All lines as one path and all heads as another; a lane that arrows share is drawn once."""
    lines, heads = [], []
    drawn: set[tuple[Point, Point]] = set()
    for corners in layout.arrows.values():
        pieces = list(pairwise(corners))
        start = next(place for place, piece in enumerate(pieces) if piece not in drawn)
        drawn.update(pieces)
        x, y = corners[-1]
        base, left, right = y - _HEAD_LENGTH, x - _HEAD_WIDTH / 2, x + _HEAD_WIDTH / 2
        lines.append(arrow_curve((*corners[start:-1], (x, base))))
        heads.append(Curve([(left, base), (right, base), (x, y), (left, base)], closed=True))
    line, head = (_turned(Curve.make_compound_path(*paths), style) for paths in (lines, heads))
    axes.add_patch(
        PathPatch(line, fill=False, edgecolor=LINE_COLOUR, linewidth=style.line_width, zorder=1)
    )
    axes.add_patch(PathPatch(head, facecolor=LINE_COLOUR, linewidth=0, zorder=1))


def _turned(curve: Curve, style: _Style) -> Curve:
    return Curve(np.asarray(curve.vertices)[:, ::-1], curve.codes) if style.sideways else curve


def _draw_box(axes: Axes, box: Box, kind: tuple[int, int], style: _Style) -> None:
    layer_type, kernel = kind
    x, y, width, height = box.x, box.y, box.width, box.height
    if style.sideways:
        x, y, width, height = y, x, height, width
    left = x - width / 2
    drawn = None if layer_type == 0 else kind_of_type(layer_type)
    rounding = box.height * (1 / 2 if drawn is not None and drawn.is_symbol else 1 / 6)
    patch = FancyBboxPatch(
        (left, y - height / 2),
        width,
        height,
        boxstyle=f"round,pad=0,rounding_size={rounding}",
        facecolor=colour(layer_type, kernel),
        edgecolor=LINE_COLOUR,
        linewidth=style.line_width * 0.75,
        zorder=2,
    )
    axes.add_patch(patch)
    if not style.labelled:
        return
    name = label(layer_type, kernel)
    axes.text(x, y, name, ha="center", va="center", fontsize=9, color=_TEXT_COLOUR)
    if drawn is not None and not drawn.ends:
        index = str(box.node)
        axes.text(left + 0.07, y, index, ha="left", va="center", fontsize=6.5, color=_INDEX_COLOUR)
