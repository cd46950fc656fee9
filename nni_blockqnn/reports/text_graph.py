"""A block's graph in box-drawing characters, one line a layer, like ``git log --graph``."""

from __future__ import annotations

from typing import NamedTuple

from nni_blockqnn.blocks.block import Block
from nni_blockqnn.reports._idle import IDLE_COLOUR, idle_layers
from nni_blockqnn.reports._labels import colour, label

_LEAST_NAME_WIDTH = 12
"""So that the graphs of most blocks have their columns at one place."""


class LayerStyle(NamedTuple):
    """How the name on a line of the text is coloured.

    Attributes:
        fill: "#rrggbb", as in pictures.
        is_idle: whether the layer does nothing.
    """

    name: str
    fill: str
    is_idle: bool


def layer_styles(block: Block) -> list[LayerStyle]:
    """Of each line of :func:`draw_text`."""
    graph, idle = block.graph, idle_layers(block)
    styles = []
    for node in sorted(graph):
        kind = graph.nodes[node]["label"]
        fill = IDLE_COLOUR if node in idle else colour(*kind)
        styles.append(LayerStyle(label(*kind), fill, node in idle))
    return styles


def draw_text(block: Block) -> str:
    """The block from its input downwards, and behind each layer the layers that it reads.

    Each layer's output runs down in a lane to its last reader. A line between dashes, ``─│─``, is a
    lane that is only passed.

    >>> print(draw_text(Block.parse("[[1,4,0,0,0],[2,1,3,1,0],[3,1,3,2,0],[4,5,0,1,3]]")))
    ●       input
    ●     1 identity
    ├─●   2 3×3 conv      <- 1
    │ ●   3 3×3 conv      <- 2
    ●─╯   4 +             <- 1, 3
    ●       output        <- 4
    """
    graph = block.graph
    names = {node: label(*graph.nodes[node]["label"]) for node in graph}
    name_width = max(_LEAST_NAME_WIDTH, *map(len, names.values()))
    last_reader = {node: max(graph.successors(node), default=node) for node in graph}
    lanes: list[int | None] = []  # the node whose output runs in each
    cells, texts = [], []
    for node in sorted(graph):
        sources = sorted(graph.predecessors(node))
        read = [lanes.index(source) for source in sources]
        ending = [
            lane for lane, source in zip(read, sources, strict=True) if last_reader[source] == node
        ]
        own = _own_lane(lanes, ending)
        cells.append(_line(lanes, own, read, ending))
        for lane in ending:
            lanes[lane] = None
        lanes[own] = node
        texts.append(_text(block, node, f"{names[node]:<{name_width}}", sources))
    width = max(map(len, cells))
    return "\n".join(
        f"{cell:<{width}} {text}".rstrip() for cell, text in zip(cells, texts, strict=True)
    )


def _own_lane(lanes: list[int | None], ending: list[int]) -> int:
    """The first lane that ends here, else the first free one, else a new one."""
    if ending:
        return min(ending)
    if None not in lanes:
        lanes.append(None)
    return lanes.index(None)


def _line(lanes: list[int | None], own: int, read: list[int], ending: list[int]) -> str:
    first, last = min([own, *read]), max([own, *read])
    text = ""
    for lane, node in enumerate(lanes):
        if lane == own:
            text += "●"
        elif lane in read:
            left, right = lane > first, lane < last
            text += _joint(left, right, lane not in ending)
        elif node is not None:
            text += "│"
        else:
            text += "─" if first < lane < last else " "
        text += "─" if first <= lane < last else " "
    return text.rstrip()


def _joint(left: bool, right: bool, goes_on: bool) -> str:
    if left and right:
        return "┼" if goes_on else "┴"
    if left:
        return "┤" if goes_on else "╯"
    return "├" if goes_on else "╰"


def _text(block: Block, node: int, name: str, sources: list[int]) -> str:
    is_layer = 0 < node <= len(block.layers)
    read = f"<- {', '.join(map(str, sources))}" if sources not in ([], [0]) else ""
    together = ", concatenated" if not is_layer and len(sources) > 1 else ""
    return f"{node if is_layer else '':>3} {name}  {read}{together}"
