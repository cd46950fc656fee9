"""Keys: equal exactly for isomorphic blocks, and quickly so for symmetric ones."""

from __future__ import annotations

from itertools import combinations

import networkx as nx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import blocks, renumberings

from nni_blockqnn.blocks.block import Block
from nni_blockqnn.blocks.canonical import canonical_key
from nni_blockqnn.blocks.layer import LayerType
from nni_blockqnn.space.search_space import SearchSpace

Rows = list[list[int]]


@pytest.mark.slow
@given(st.data())
def test_a_renumbered_block_keeps_its_key(data: st.DataObject) -> None:
    block = data.draw(blocks())
    renumbered = Block.parse(data.draw(renumberings(block)))
    assert renumbered.key == block.key
    assert renumbered.fingerprint == block.fingerprint


def test_fingerprints_tell_most_blocks_apart() -> None:
    """Equal where keys are; otherwise seldom, or the keys would be worked out all the same."""
    fingerprints: dict[str, set[int]] = {}
    for block in SearchSpace(max_layers=4).blocks():
        fingerprints.setdefault(block.key, set()).add(block.fingerprint)
    assert {len(found) for found in fingerprints.values()} == {1}
    distinct = set().union(*fingerprints.values())
    assert len(distinct) > 0.9 * len(fingerprints)


@given(blocks(max_layers=5), blocks(max_layers=5))
def test_keys_agree_with_networkx_on_any_pair(a: Block, b: Block) -> None:
    assert (a.key == b.key) == _isomorphic(a, b)


def test_keys_agree_with_networkx_where_refinement_alone_fails() -> None:
    """Random 2- and 3-regular graphs: colour refinement tells none of the same size apart."""
    rng = np.random.default_rng(7)
    graphs = [
        nx.random_regular_graph(degree, 8, seed=int(rng.integers(2**31)))
        for degree in (2, 3)
        for _ in range(14)
    ]
    coded = [Block.parse(_graph_rows(list(graph.edges), 8)) for graph in graphs]
    equal = 0
    for (graph_a, a), (graph_b, b) in combinations(zip(graphs, coded, strict=True), 2):
        isomorphic = nx.is_isomorphic(graph_a, graph_b)
        equal += isomorphic
        assert (a.key == b.key) == isomorphic
    assert 0 < equal < len(list(combinations(graphs, 2)))


def test_a_six_cycle_is_not_two_triangles() -> None:
    cycle = Block.parse(_graph_rows([(0, 1), (1, 2), (2, 3), (3, 4), (4, 5), (5, 0)], 6))
    triangles = Block.parse(_graph_rows([(0, 1), (1, 2), (2, 0), (3, 4), (4, 5), (5, 3)], 6))
    assert _refinement_histogram(cycle) == _refinement_histogram(triangles)
    assert cycle.key != triangles.key


def test_strongly_regular_graphs_of_equal_parameters_differ() -> None:
    """The 4x4 rook's graph and Shrikhande's are both strongly regular (16, 6, 2, 2)."""
    rook = nx.convert_node_labels_to_integers(nx.line_graph(nx.complete_bipartite_graph(4, 4)))
    steps = [(0, 1), (1, 0), (1, 1)]
    shrikhande = [
        (4 * x + y, 4 * ((x + dx) % 4) + (y + dy) % 4)
        for x in range(4)
        for y in range(4)
        for dx, dy in steps
    ]
    a = Block.parse(_graph_rows(list(rook.edges), 16))
    b = Block.parse(_graph_rows(shrikhande, 16))
    assert len(a.layers) == len(b.layers) == 65
    assert a.key != b.key


def test_a_shared_subgraph_is_not_a_duplicated_one() -> None:
    shared = [[1, 4, 0, 0, 0], [2, 1, 3, 1, 0], [3, 1, 1, 2, 0], [4, 1, 5, 2, 0], [5, 6, 0, 3, 4]]
    duplicated = [
        [1, 4, 0, 0, 0],
        [2, 1, 3, 1, 0],
        [3, 1, 3, 1, 0],
        [4, 1, 1, 2, 0],
        [5, 1, 5, 3, 0],
        [6, 6, 0, 4, 5],
    ]
    assert Block.parse(shared).key != Block.parse(duplicated).key


def test_the_readers_of_twins_matter() -> None:
    """Two convolutions of layer 1; one read twice and one not at all, or each read once."""
    rows = [[1, 4, 0, 0, 0], [2, 1, 3, 1, 0], [3, 1, 3, 1, 0], [4, 1, 1, 2, 0]]
    twice = Block.parse([*rows, [5, 1, 1, 2, 0]])
    once = Block.parse([*rows, [5, 1, 1, 3, 0]])
    assert twice.key != once.key


@pytest.mark.parametrize("pool", [LayerType.MAX_POOL, LayerType.AVG_POOL])
def test_a_pooling_of_kernel_1_is_an_identity(pool: LayerType) -> None:
    identity = Block.parse([[1, 4, 0, 0, 0], [2, 1, 3, 1, 0]])
    assert Block.parse([[1, pool, 1, 0, 0], [2, 1, 3, 1, 0]]).key == identity.key
    assert Block.parse([[1, pool, 3, 0, 0], [2, 1, 3, 1, 0]]).key != identity.key


def test_type_kernel_and_direction_count() -> None:
    singles = [[1, 1, 1], [1, 1, 3], [1, 1, 5], [1, 2, 3], [1, 3, 3], [1, 4, 0]]
    assert len({Block.parse([[*row, 0, 0]]).key for row in singles}) == 6
    one_way = Block.parse([[1, 1, 1, 0, 0], [2, 1, 3, 1, 0]])
    other_way = Block.parse([[1, 1, 3, 0, 0], [2, 1, 1, 1, 0]])
    assert one_way.key != other_way.key


def _chains(count: int, length: int) -> Rows:
    rows = [[1, 4, 0, 0, 0]]
    for _ in range(count):
        pred = 1
        for _ in range(length):
            rows.append([len(rows) + 1, 1, 3, pred, 0])
            pred = len(rows)
    return rows


def _cycle(length: int) -> list[tuple[int, int]]:
    return [(node, (node + 1) % length) for node in range(length)]


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    "rows",
    [
        pytest.param(_chains(10, 2), id="10 chains"),
        pytest.param(_chains(20, 1), id="20 leaves"),
        pytest.param(_chains(198, 1), id="198 leaves"),
        pytest.param(_chains(99, 2), id="99 chains"),
        pytest.param(_chains(18, 11), id="18 long chains"),
    ],
)
def test_symmetric_blocks_get_their_key_quickly(rows: Rows) -> None:
    """Trying every order of 99 equal chains would take longer than the universe has."""
    block = Block.parse(rows)
    assert Block.parse(_shuffled(block)).key == block.key


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("edges", "vertices"),
    [
        pytest.param(_cycle(99), 99, id="cycle of 99"),
        pytest.param(
            [(3 * t + a, 3 * t + (a + 1) % 3) for t in range(28) for a in range(3)],
            84,
            id="28 triangles",
        ),
        pytest.param(list(nx.complete_graph(18).edges), 18, id="complete graph"),
        pytest.param(list(nx.complete_bipartite_graph(12, 12).edges), 24, id="bipartite"),
        pytest.param(list(nx.hypercube_graph(4).edges), 16, id="hypercube"),
        pytest.param(list(nx.petersen_graph().edges), 10, id="Petersen"),
    ],
)
def test_symmetric_graphs_get_their_key_quickly(edges: list, vertices: int) -> None:
    number = {node: at for at, node in enumerate(sorted({n for edge in edges for n in edge}))}
    rows = _graph_rows([(number[a], number[b]) for a, b in edges], vertices)
    block = Block.parse(rows)
    assert Block.parse(_shuffled(block)).key == block.key


def test_the_key_shows_the_graph() -> None:
    assert canonical_key([((1, 3), (0,)), ((1, 1), (1,)), ((4, 0), (1,))]) == "1.3:0 4.0:1 1.1:1"


def _graph_rows(edges: list[tuple[int, int]], vertices: int) -> Rows:
    """An undirected graph: a convolution a vertex, all of layer 1, and an add an edge."""
    rows = [[1, 4, 0, 0, 0]] + [[vertex + 2, 1, 3, 1, 0] for vertex in range(vertices)]
    rows += [[vertices + 2 + at, 5, 0, a + 2, b + 2] for at, (a, b) in enumerate(edges)]
    return rows


def _shuffled(block: Block) -> Rows:
    """Another topological order of the layers, drawn at random."""
    rng = np.random.default_rng(3)
    new_index = {0: 0}
    rows: Rows = []
    waiting = list(block.layers)
    while waiting:
        ready = [layer for layer in waiting if all(p in new_index for p in layer.predecessors)]
        layer = ready[rng.integers(len(ready))]
        waiting.remove(layer)
        new_index[layer.index] = len(rows) + 1
        preds = [new_index[p] for p in reversed(layer.predecessors)]
        rows.append([len(rows) + 1, layer.type, layer.kernel, *preds, 0][:5])
    return rows


def _isomorphic(a: Block, b: Block) -> bool:
    def graph(block: Block) -> nx.DiGraph:
        plain = block.graph.copy()
        for layer in block.layers:
            if layer.type in (LayerType.MAX_POOL, LayerType.AVG_POOL) and layer.kernel == 1:
                plain.nodes[layer.index]["label"] = (LayerType.IDENTITY, 0)
        return plain

    return nx.is_isomorphic(graph(a), graph(b), node_match=lambda x, y: x["label"] == y["label"])


def _refinement_histogram(block: Block) -> list[str]:
    """Plain Weisfeiler-Lehman colours, in any order."""
    both_ways = block.graph.to_undirected()
    for node in both_ways:
        both_ways.nodes[node]["text"] = str(both_ways.nodes[node]["label"])
    hashes = nx.weisfeiler_lehman_subgraph_hashes(both_ways, node_attr="text", iterations=12)
    return sorted(",".join(colours) for colours in hashes.values())
