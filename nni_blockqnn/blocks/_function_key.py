"""A block's function as text, without its identities and nested concats.

Two structures that differ in these alone train to the same accuracy but differ in density. So a
search may credit one with the accuracy of the other, with its own density.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from nni_blockqnn.blocks.canonical import LabelledNode, canonical_key

_INPUT = (0, 0)
_CONCAT = 6
_OUTPUT = (7, 0)

FunctionNode = tuple[tuple[int, int] | None, tuple[int, ...]]
"""A layer's label and the 1-based positions of its predecessors, 0 being the block's input.

The label ``None`` marks a layer that passes on what it reads: an identity or a concat.
"""


def function_key(nodes: Sequence[FunctionNode], leaves: Sequence[int]) -> str:
    """Equal for graphs that are isomorphic once their layers of label ``None`` are removed.

    Exact, as :func:`~nni_blockqnn.blocks.canonical.canonical_key` is. Arguments as in
    :func:`function_graph`.

    >>> function_key([((1, 3), (0,)), (None, (1,))], [2])  # a convolution and an identity
    '0.0:0 1.3:1 7.0:2'
    >>> function_key([((1, 3), (0,)), (None, (1,)), (None, (1, 2))], [3])  # concat: two copies
    '0.0:0 1.3:1 6.2:2 7.0:3'
    """
    return canonical_key(function_graph(nodes, leaves))


def function_graph(nodes: Sequence[FunctionNode], leaves: Sequence[int]) -> list[LabelledNode]:
    """The graph without its layers of label ``None``: the input first, the output last.

    What a layer reads becomes a multiset of layers with a label: a concat of a layer with itself
    differs from that layer, and the order of channels does not count.

    Args:
        nodes: the layers, each after its predecessors.
        leaves: positions of the layers that are concatenated as the output.
    """
    graph = _FunctionGraph()
    parts_of = [Counter({graph.add(_INPUT, [0]): 1})]
    for label, predecessors in nodes:
        read = [parts_of[predecessor] for predecessor in predecessors]
        if label is None:
            parts_of.append(sum(read, Counter()))
        else:
            parts_of.append(Counter({graph.add(label, map(graph.operand, read)): 1}))
    graph.add(_OUTPUT, graph.pieces(sum((parts_of[leaf] for leaf in leaves), Counter())))
    return graph.nodes


def function_fingerprint(nodes: Sequence[FunctionNode], leaves: Sequence[int]) -> int:
    """Equal where :func:`function_key` is, rarely elsewhere; ten times faster.

    It covers each layer's label and the labels that it reads through identities and concats, but
    not how these continue.
    """
    labels = [_INPUT]
    sources = [{0}]  # of each node, the layers whose outputs it passes on, or itself
    rows = []
    for position, (label, predecessors) in enumerate(nodes, 1):
        read = set().union(*(sources[predecessor] for predecessor in predecessors))
        sources.append({position} if label else read)
        labels.append(label or _INPUT)
        if label:
            rows.append((label, *sorted(labels[source] for source in read)))
    given = set().union(*(sources[leaf] for leaf in leaves))
    rows.append((_OUTPUT, *sorted(labels[source] for source in given)))
    return hash(tuple(sorted(rows)))


class _FunctionGraph:
    """Layers that compute something, and one concat for each multiset of them that is read.

    Multisets are kept as counts: nested concats can double their size with every row.
    """

    def __init__(self) -> None:
        self.nodes: list[LabelledNode] = []
        self._concats: dict[LabelledNode, int] = {}

    def add(self, label: tuple[int, int], predecessors: Iterable[int]) -> int:
        """Position of the new node."""
        self.nodes.append((label, tuple(predecessors)))
        return len(self.nodes)

    def operand(self, parts: Counter[int]) -> int:
        """The one node that stands for all parts together."""
        pieces = self.pieces(parts)
        return pieces[0] if len(pieces) == 1 else self._concat(0, pieces)

    def pieces(self, parts: Counter[int]) -> list[int]:
        """A node for each distinct part: itself, or the concat of its copies."""
        return sorted(
            part if copies == 1 else self._concat(copies, [part]) for part, copies in parts.items()
        )

    def _concat(self, copies: int, predecessors: Sequence[int]) -> int:
        node = (_CONCAT, copies), tuple(predecessors)
        if node not in self._concats:
            self._concats[node] = self.add(*node)
        return self._concats[node]
