"""A canonical form of labelled DAGs: equal for isomorphic ones, different for all others.

Colour refinement (1-dimensional Weisfeiler-Lehman) alone is not exact: it does not tell a six-cycle
of convolutions and adds from two triangles. So where refinement leaves several nodes of one colour,
one of them is singled out and refinement goes on, as in McKay's and Piperno's "Practical graph
isomorphism, II" (arXiv 1301.1493). All choices would have to be tried; those that an isomorphism
carries into each other lead to the same form and are tried once.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

from networkx import DiGraph
from networkx.algorithms.isomorphism import DiGraphMatcher

LabelledNode = tuple[tuple[int, int], tuple[int, ...]]
"""A node's label and the 1-based positions of its predecessors; 0 is the graph's input."""


class _Dag(NamedTuple):
    labels: list[tuple[int, int]]
    predecessors: list[tuple[int, ...]]
    successors: list[tuple[int, ...]]


def canonical_key(nodes: Sequence[LabelledNode]) -> str:
    """The canonical form as text: nodes in a canonical topological order,
    ``type.kernel:predecessors`` each.

    >>> canonical_key([((1, 3), (0,)), ((1, 1), (1,)), ((4, 0), (1,))])
    '1.3:0 1.1:1 4.0:1'
    """
    dag = _to_dag(nodes)
    return min(_forms(dag, _refine(dag, _initial_colours(dag))))


def _to_dag(nodes: Sequence[LabelledNode]) -> _Dag:
    predecessors = [tuple(p - 1 for p in preds if p > 0) for _, preds in nodes]
    successors: list[list[int]] = [[] for _ in nodes]
    for node, preds in enumerate(predecessors):
        for predecessor in preds:
            successors[predecessor].append(node)
    return _Dag([label for label, _ in nodes], predecessors, [tuple(s) for s in successors])


def _initial_colours(dag: _Dag) -> list[int]:
    """Depth comes first, so that every later ordering by colour is topological."""
    depth: list[int] = []
    for preds in dag.predecessors:
        depth.append(1 + max((depth[p] for p in preds), default=0))
    return _ranks([(depth[n], -dag.labels[n][0], -dag.labels[n][1]) for n in range(len(depth))])


def _ranks(signatures: Sequence[tuple]) -> list[int]:
    rank = {signature: position for position, signature in enumerate(sorted(set(signatures)))}
    return [rank[signature] for signature in signatures]


def _refine(dag: _Dag, colours: list[int]) -> list[int]:
    """Split colours by the colours of predecessors and successors until nothing splits."""
    count = len(set(colours))
    while count < len(colours):
        colours = _ranks(
            [
                (
                    colours[node],
                    tuple(sorted([colours[p] for p in dag.predecessors[node]])),
                    tuple(sorted([colours[s] for s in dag.successors[node]])),
                )
                for node in range(len(colours))
            ]
        )
        refined = len(set(colours))
        if refined == count:
            break
        count = refined
    return colours


def _forms(dag: _Dag, colours: list[int]) -> list[str]:
    """The forms of all choices that no isomorphism carries into each other."""
    cell = _first_shared_cell(colours)
    if not cell:
        return [_form(dag, colours)]
    return [
        form
        for node in _representatives(dag, colours, cell)
        for form in _forms(dag, _refine(dag, _single_out(colours, node)))
    ]


def _first_shared_cell(colours: list[int]) -> list[int]:
    cells = defaultdict(list)
    for node, colour in enumerate(colours):
        cells[colour].append(node)
    return min(
        (cell for cell in cells.values() if len(cell) > 1),
        key=lambda cell: colours[cell[0]],
        default=[],
    )


def _single_out(colours: list[int], node: int) -> list[int]:
    return [2 * colour + (other != node) for other, colour in enumerate(colours)]


def _representatives(dag: _Dag, colours: list[int], cell: list[int]) -> list[int]:
    """One node of the cell for each class of nodes that symmetries of the coloured graph
    exchange."""
    chosen: list[int] = []
    for node in cell:
        if not any(_exchangeable(dag, colours, node, other) for other in chosen):
            chosen.append(node)
    return chosen


def _exchangeable(dag: _Dag, colours: list[int], node: int, other: int) -> bool:
    same_predecessors = set(dag.predecessors[node]) == set(dag.predecessors[other])
    if same_predecessors and set(dag.successors[node]) == set(dag.successors[other]):
        return True  # twins: the usual case, without a search
    first, second = (_refine(dag, _single_out(colours, n)) for n in (node, other))
    if sorted(first) != sorted(second):
        return False
    return DiGraphMatcher(
        _coloured(dag, first),
        _coloured(dag, second),
        node_match=lambda a, b: a["colour"] == b["colour"],
    ).is_isomorphic()


def _coloured(dag: _Dag, colours: list[int]) -> DiGraph:
    graph = DiGraph()
    graph.add_nodes_from((node, {"colour": colour}) for node, colour in enumerate(colours))
    graph.add_edges_from((p, node) for node, preds in enumerate(dag.predecessors) for p in preds)
    return graph


def _form(dag: _Dag, colours: list[int]) -> str:
    order = sorted(range(len(colours)), key=colours.__getitem__)
    position = {node: place for place, node in enumerate(order, 1)}
    rows = []
    for node in order:
        layer_type, kernel = dag.labels[node]
        preds = sorted(position[p] for p in dag.predecessors[node]) or [0]
        rows.append(f"{layer_type}.{kernel}:{','.join(map(str, preds))}")
    return " ".join(rows)
