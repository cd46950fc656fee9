"""A canonical form of labelled DAGs: equal for isomorphic ones, different for all others.

Colour refinement (1-dimensional Weisfeiler-Lehman) alone is not exact: it does not tell a six-cycle
of convolutions and adds from two triangles. So where refinement leaves nodes of one colour, the
parts of the graph that they form are ordered on their own, and within a connected part one node is
singled out and refinement goes on, as in McKay's and Piperno's "Practical graph isomorphism, II"
(arXiv 1301.1493). All choices would have to be tried; those that a symmetry carries into each other
lead to the same form, so one of them is tried.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

LabelledNode = tuple[tuple[int, int], tuple[int, ...]]
"""A node's label and the 1-based positions of its predecessors; 0 is the graph's input."""

Symmetry = dict[int, int]
"""A permutation of nodes that keeps edges and colours; nodes that are left out stay."""


class _Graph(NamedTuple):
    colours: list[int]
    predecessors: list[tuple[int, ...]]
    successors: list[tuple[int, ...]]


class _Labelling(NamedTuple):
    """The nodes in canonical order, and symmetries of the graph."""

    order: list[int]
    symmetries: list[Symmetry]


def canonical_key(nodes: Sequence[LabelledNode]) -> str:
    """The canonical form as text: nodes in a canonical topological order,
    ``type.kernel:predecessors`` each.

    >>> canonical_key([((1, 3), (0,)), ((1, 1), (1,)), ((4, 0), (1,))])
    '1.3:0 4.0:1 1.1:1'
    """
    graph = _to_graph(nodes)
    order = _canonical(graph).order
    rows = []
    for node, preds in zip(order, _predecessor_positions(graph, order), strict=True):
        layer_type, kernel = nodes[node][0]
        rows.append(f"{layer_type}.{kernel}:{','.join(str(p + 1) for p in preds) or '0'}")
    return " ".join(rows)


def _to_graph(nodes: Sequence[LabelledNode]) -> _Graph:
    predecessors = [tuple(p - 1 for p in preds if p > 0) for _, preds in nodes]
    successors: list[list[int]] = [[] for _ in nodes]
    depth: list[int] = []
    for node, preds in enumerate(predecessors):
        depth.append(1 + max((depth[p] for p in preds), default=0))
        for predecessor in preds:
            successors[predecessor].append(node)
    # depth comes first, so that every later ordering by colour is topological
    colours = _ranks([(depth[n], -label[0], -label[1]) for n, (label, _) in enumerate(nodes)])
    return _Graph(colours, predecessors, [tuple(s) for s in successors])


def _ranks(signatures: Sequence[tuple]) -> list[int]:
    rank = {signature: position for position, signature in enumerate(sorted(set(signatures)))}
    return [rank[signature] for signature in signatures]


def _canonical(graph: _Graph) -> _Labelling:
    graph = _refined(graph)
    cells = _cells(graph.colours)
    shared = {node for cell in cells if len(cell) > 1 for node in cell}
    if not shared:
        return _Labelling([node for (node,) in cells], [])
    parts = _connected_parts(graph, shared)
    if len(parts) == 1 and len(shared) == len(graph.colours):
        return _least_choice(graph, next(cell for cell in cells if len(cell) > 1))
    return _canonical_by_parts(graph, parts)


def _refined(graph: _Graph) -> _Graph:
    """Split colours by the colours of predecessors and successors until nothing splits."""
    colours = graph.colours
    count = len(set(colours))
    while count < len(colours):
        colours = _ranks(
            [
                (
                    colours[node],
                    tuple(sorted([colours[p] for p in graph.predecessors[node]])),
                    tuple(sorted([colours[s] for s in graph.successors[node]])),
                )
                for node in range(len(colours))
            ]
        )
        refined = len(set(colours))
        if refined == count:
            break
        count = refined
    return graph._replace(colours=colours)


def _cells(colours: list[int]) -> list[list[int]]:
    """The nodes of each colour, by colour."""
    cells = defaultdict(list)
    for node, colour in enumerate(colours):
        cells[colour].append(node)
    return [cells[colour] for colour in sorted(cells)]


def _connected_parts(graph: _Graph, nodes: set[int]) -> list[list[int]]:
    parts = []
    unseen = set(nodes)
    while unseen:
        part = [unseen.pop()]
        for node in part:  # grows meanwhile
            near = unseen.intersection(graph.predecessors[node] + graph.successors[node])
            unseen -= near
            part.extend(near)
        parts.append(sorted(part))
    return parts


def _canonical_by_parts(graph: _Graph, parts: list[list[int]]) -> _Labelling:
    """Order each part on its own: nodes of one colour have the same edges to all other nodes."""
    labelled = []
    symmetries: list[Symmetry] = []
    for part in parts:
        inner = _subgraph(graph, part)
        labelling = _canonical(inner)
        labelled.append((_form(inner, labelling.order), [part[n] for n in labelling.order]))
        symmetries += [{part[a]: part[b] for a, b in s.items()} for s in labelling.symmetries]
    labelled.sort()
    for (form, order), (next_form, next_order) in pairwise(labelled):
        if form == next_form:
            symmetries.append(dict(zip(order + next_order, next_order + order, strict=True)))
    place = {node: at for at, node in enumerate(n for _, order in labelled for n in order)}
    nodes = range(len(graph.colours))
    return _Labelling(sorted(nodes, key=lambda n: (graph.colours[n], place.get(n, 0))), symmetries)


def _subgraph(graph: _Graph, nodes: list[int]) -> _Graph:
    number = {node: at for at, node in enumerate(nodes)}
    return _Graph(
        [graph.colours[n] for n in nodes],
        [tuple(number[p] for p in graph.predecessors[n] if p in number) for n in nodes],
        [tuple(number[s] for s in graph.successors[n] if s in number) for n in nodes],
    )


def _least_choice(graph: _Graph, cell: list[int]) -> _Labelling:
    """The least form of all that singling out one node of the cell leads to."""
    symmetries = _Symmetries(len(graph.colours))
    first_leaf: list[int] = []
    best: list[int] = []
    tried: list[int] = []
    for node in cell:
        if symmetries.carry(node, tried):
            continue
        tried.append(node)
        choice = _single_out(graph, node)
        leaf = _first_leaf(choice)
        if first_leaf and _form(graph, leaf) == _form(graph, first_leaf):
            symmetries.add(dict(zip(first_leaf, leaf, strict=True)))
            continue
        first_leaf = first_leaf or leaf
        labelling = _canonical(choice)
        for symmetry in labelling.symmetries:
            symmetries.add(symmetry)
        if not best or _form(graph, labelling.order) < _form(graph, best):
            best = labelling.order
        elif _form(graph, labelling.order) == _form(graph, best):
            symmetries.add(dict(zip(best, labelling.order, strict=True)))
    return _Labelling(best, symmetries.found)


class _Symmetries:
    """The symmetries found so far, and which nodes they carry into each other (union-find)."""

    def __init__(self, nodes: int) -> None:
        self.found: list[Symmetry] = []
        self._parents = list(range(nodes))

    def add(self, symmetry: Symmetry) -> None:
        self.found.append(symmetry)
        for node, image in symmetry.items():
            self._parents[self._root(node)] = self._root(image)

    def carry(self, node: int, others: list[int]) -> bool:
        return any(self._root(node) == self._root(other) for other in others)

    def _root(self, node: int) -> int:
        while self._parents[node] != node:
            node = self._parents[node]
        return node


def _single_out(graph: _Graph, node: int) -> _Graph:
    colours = [2 * colour + (other != node) for other, colour in enumerate(graph.colours)]
    return _refined(graph._replace(colours=colours))


def _first_leaf(graph: _Graph) -> list[int]:
    """Nodes in the order that singling out the first node each time leads to."""
    cells = _cells(graph.colours)
    for cell in cells:
        if len(cell) > 1:
            return _first_leaf(_single_out(graph, cell[0]))
    return [node for (node,) in cells]


def _form(graph: _Graph, order: list[int]) -> list[tuple[int, list[int]]]:
    """Colour and predecessors of each node, in this order: all there is to the graph."""
    colours = [graph.colours[node] for node in order]
    return list(zip(colours, _predecessor_positions(graph, order), strict=True))


def _predecessor_positions(graph: _Graph, order: list[int]) -> list[list[int]]:
    position = {node: at for at, node in enumerate(order)}
    return [sorted(position[p] for p in graph.predecessors[node]) for node in order]
