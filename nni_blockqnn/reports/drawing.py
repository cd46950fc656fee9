"""Pictures of blocks, for the terminal, for pages and papers, and as images."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch, PathPatch
from matplotlib.path import Path as Curve

from nni_blockqnn.blocks.block import Block
from nni_blockqnn.common.files import write_whole
from nni_blockqnn.common.messages import shown
from nni_blockqnn.reports._block_svg import LINE_COLOUR, svg_text
from nni_blockqnn.reports._layout import Point
from nni_blockqnn.reports._shapes import HEAD_LENGTH, HEAD_WIDTH, Drawing, Shape, block_drawing
from nni_blockqnn.reports._tikz import tikz_text
from nni_blockqnn.reports.text_graph import draw_text

__all__ = ["block_figure", "draw_image", "draw_text"]

SVG_SETTINGS: Any = {"svg.fonttype": "none", "svg.hashsalt": "nni_blockqnn"}
"""Text stays text, and equal pictures are equal files."""
FORMATS = (".svg", ".png", ".pdf", ".tex")
_TEXT_COLOUR, _NUMBER_COLOUR, _IDLE_TEXT_COLOUR = "#0f172a", "#334155", "#64748b"
_MARGIN, _TITLE_HEIGHT = 0.15, 0.35
_LINE_WIDTH = 1.1
_DOTS_PER_INCH, _MOST_DOTS = 160, 8_000


def draw_image(block: Block, path: str | Path, *, title: str | None = None) -> None:
    """Draw the block's graph, one colour a kind of layer, in the format that the name ends in.

    Layers that do nothing are grey and dashed. A ``.tex`` file is TikZ.

    Raises:
        ValueError: if the name ends in none of ``FORMATS``.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in FORMATS:
        raise ValueError(
            f"the name of a picture must end in {', '.join(FORMATS)}, got {shown(path.name)}"
        )
    writers: dict[str, Callable[[], str]] = {
        ".svg": lambda: _svg_file(block, title),
        ".tex": lambda: tikz_text(block_drawing(block), title),
    }
    if suffix in writers:
        write_whole(path, writers[suffix]())
        return
    figure = block_figure(block, title=title)
    dots = min(_DOTS_PER_INCH, _MOST_DOTS / max(figure.get_size_inches()))
    figure.savefig(path, dpi=dots)


def block_figure(block: Block, *, title: str | None = None) -> Figure:
    """The block's graph from top to bottom, each box with its layer's number and name."""
    drawing = block_drawing(block)
    top = -_MARGIN - (_TITLE_HEIGHT if title else 0.0)
    right, bottom = drawing.width + _MARGIN, drawing.height + _MARGIN
    with rc_context(SVG_SETTINGS):
        figure = Figure(figsize=(right + _MARGIN, bottom - top), facecolor="white")
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    axes.set(xlim=(-_MARGIN, right), ylim=(bottom, top))
    if title:
        axes.text(drawing.width / 2, top / 2, title, ha="center", va="center", fontsize=11)
    _draw_arrows(axes, drawing)
    for box in drawing.boxes:
        _draw_box(axes, box)
    return figure


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


def _svg_file(block: Block, title: str | None) -> str:
    svg = svg_text(
        block_drawing(block),
        labelled=True,
        description=f"picture of the block {block}",
        title=title,
        background="#ffffff",
    )
    return f'<?xml version="1.0" encoding="utf-8"?>\n{svg}\n'


def _draw_arrows(axes: Axes, drawing: Drawing) -> None:
    """All lines as one path and all heads as another."""
    lines = [arrow_curve(corners) for corners in drawing.lines]
    heads = []
    for x, y in drawing.heads:
        base, left, right = y - HEAD_LENGTH, x - HEAD_WIDTH / 2, x + HEAD_WIDTH / 2
        heads.append(Curve([(left, base), (right, base), (x, y), (left, base)], closed=True))
    line, head = (Curve.make_compound_path(*paths) for paths in (lines, heads))
    axes.add_patch(
        PathPatch(line, fill=False, edgecolor=LINE_COLOUR, linewidth=_LINE_WIDTH, zorder=1)
    )
    axes.add_patch(PathPatch(head, facecolor=LINE_COLOUR, linewidth=0, zorder=1))


def _draw_box(axes: Axes, box: Shape) -> None:
    left = box.x - box.width / 2
    patch = FancyBboxPatch(
        (left, box.y - box.height / 2),
        box.width,
        box.height,
        boxstyle=f"round,pad=0,rounding_size={box.radius}",
        facecolor=box.fill,
        edgecolor=LINE_COLOUR,
        linewidth=_LINE_WIDTH * 0.75,
        linestyle="--" if box.is_idle else "-",
        zorder=2,
    )
    axes.add_patch(patch)
    ink = _IDLE_TEXT_COLOUR if box.is_idle else _TEXT_COLOUR
    axes.text(box.x, box.y, box.name, ha="center", va="center", fontsize=9, color=ink)
    axes.text(
        left + 0.07,
        box.y,
        box.number,
        ha="left",
        va="center",
        fontsize=6.5,
        color=_NUMBER_COLOUR,
    )
