"""Where the boxes and arrows of a block's picture go: a layered drawing (Sugiyama et al., 1981).

Every box stands in a row below all the boxes that it reads. What a layer computes runs down in one
lane, past the boxes of the rows between, and branches off to each of its readers; so no arrow
crosses a box. Rows are ordered for few crossings; then x is chosen to make the lanes straight.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import networkx as nx

from nni_blockqnn.blocks.block import Block
from nni_blockqnn.blocks.kind_table import kind_of_type
from nni_blockqnn.reports._ordering import Item, ordered_rows
from nni_blockqnn.reports._placement import Piece, positions

_GAP_PER_SHIFT = 0.13

Point = tuple[float, float]


class Sizes(NamedTuple):
    """Lengths of a picture, in inches.

    Attributes:
        add_width: of the box of an elemental add, which holds a plus only.
        gap: between neighbours in a row, and between arrows that end side by side on a box.
        row_gap: between rows, at least.
        widest_row_gap: between rows where arrows go far to the side.
    """

    box_width: float = 1.42
    box_height: float = 0.42
    add_width: float = 0.66
    gap: float = 0.28
    row_gap: float = 0.38
    widest_row_gap: float = 1.1


FULL_SIZE = Sizes()


@dataclass(frozen=True)
class Box:
    """A layer, the input (node 0) or the output (the last node); x and y are its middle."""

    node: int
    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True)
class Layout:
    """A picture's geometry in inches from its top left corner, y downwards.

    Attributes:
        boxes: by node of the block's graph.
        arrows: for each (source, reader) the corners from the source's box to the reader's. Within
            a row an arrow runs straight down; between two rows it bends from corner to corner.
    """

    boxes: dict[int, Box]
    arrows: dict[tuple[int, int], tuple[Point, ...]]
    width: float
    height: float


def lay_out(block: Block, sizes: Sizes = FULL_SIZE) -> Layout:
    """The geometry of the block's graph, the input at the top and the output at the bottom."""
    graph = block.graph
    height = sizes.box_height
    row_of = _row_of(graph)
    lanes = _lanes(graph, row_of)
    rows = ordered_rows(lanes)
    widths = {
        (node, row): _width(graph, node, sizes) if row_of[node] == row else 0.0
        for node, row in lanes
    }
    ports = _ports(rows, lanes, sizes.gap)
    xs = positions(rows, widths, ports, sizes.gap)
    tops = _tops(rows, lanes, xs, sizes)
    boxes = {
        node: Box(node, xs[node, row], tops[row] + height / 2, widths[node, row], height)
        for node, row in row_of.items()
    }
    arrows = {
        (source, reader): _corners(source, reader, row_of, xs, tops, ports, height)
        for source, reader in graph.edges
    }
    return Layout(
        boxes,
        arrows,
        width=max(x + widths[item] / 2 for item, x in xs.items()),
        height=tops[-1] + height,
    )


def _corners(
    source: int,
    reader: int,
    row_of: dict[int, int],
    xs: dict[Item, float],
    tops: list[float],
    ports: dict[Piece, float],
    height: float,
) -> tuple[Point, ...]:
    """An arrow's corners: out of the source's box, down its lane, into the reader's port."""
    first, last = row_of[source], row_of[reader]
    corners = [(xs[source, first], tops[first] + height)]
    for row in range(first + 1, last):
        x = xs[source, row]
        corners += [(x, tops[row]), (x, tops[row] + height)]
    port = ports[(source, last - 1), (reader, last)]
    corners.append((xs[reader, last] + port, tops[last]))
    return tuple(corners)


def _row_of(graph: nx.DiGraph) -> dict[int, int]:
    """A row for each node: as high as its predecessors allow.

    A node with more readers than predecessors goes as low as they allow: one long arrow, not two.
    """
    rows: dict[int, int] = {}
    nodes = list(nx.topological_sort(graph))
    for node in nodes:
        rows[node] = max((rows[other] + 1 for other in graph.predecessors(node)), default=0)
    for node in reversed(nodes):
        if 0 < graph.in_degree(node) < graph.out_degree(node):
            rows[node] = min(rows[other] for other in graph.successors(node)) - 1
    return rows


def _lanes(graph: nx.DiGraph, row_of: dict[int, int]) -> nx.DiGraph:
    """The graph with its arrows cut into pieces from one row to the next.

    Item (node, row) is the node's box in its own row and its lane in the rows below.
    """
    lanes = nx.DiGraph()
    lanes.add_nodes_from((node, row) for node, row in row_of.items())
    for source, reader in graph.edges:
        stretch = range(row_of[source], row_of[reader])
        lanes.add_edges_from(pairwise((source, row) for row in stretch))
        lanes.add_edge((source, stretch[-1]), (reader, row_of[reader]))
    return lanes


def _width(graph: nx.DiGraph, node: int, sizes: Sizes) -> float:
    layer_type, _ = graph.nodes[node]["label"]
    is_symbol = layer_type > 0 and kind_of_type(layer_type).is_symbol
    width = sizes.add_width if is_symbol else sizes.box_width
    return max(width, graph.in_degree(node) * sizes.gap)


def _ports(rows: list[list[Item]], lanes: nx.DiGraph, gap: float) -> dict[Piece, float]:
    """How far from the middle of an item each piece ends: side by side, ordered as they start."""
    place = {item: place for row in rows for place, item in enumerate(row)}
    ports = {}
    for item in lanes:
        above = sorted(lanes.predecessors(item), key=place.__getitem__)
        for number, source in enumerate(above):
            ports[source, item] = (number - (len(above) - 1) / 2) * gap
    return ports


def _tops(
    rows: list[list[Item]], lanes: nx.DiGraph, xs: dict[Item, float], sizes: Sizes
) -> list[float]:
    """The upper edge of each row; below arrows that go far to the side the gap is higher."""
    tops = [0.0]
    for row in rows[:-1]:
        shift = max(abs(xs[item] - xs[below]) for item in row for below in lanes.successors(item))
        gap = min(sizes.row_gap + _GAP_PER_SHIFT * shift, sizes.widest_row_gap)
        tops.append(tops[-1] + sizes.box_height + gap)
    return tops
