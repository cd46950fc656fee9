"""Function keys: equal for blocks that differ in identities and nested concats, and for no others.

Most blocks here are written as rows without their index, which counts the rows.
"""

from __future__ import annotations

from itertools import islice

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import blocks, renumberings
from torch import Tensor, nn

from nni_blockqnn.blocks.block import Block
from nni_blockqnn.blocks.layer import Layer, LayerType
from nni_blockqnn.model_space import build_network
from nni_blockqnn.model_space._block import BlockModule
from nni_blockqnn.network.cost import estimate_cost
from nni_blockqnn.network.spec import NetworkSpec
from nni_blockqnn.network.widths import block_widths
from nni_blockqnn.space.search_space import SearchSpace

Rows = list[tuple[int, int, int, int]]

CONV1, CONV3, CONV5 = ((1, kernel) for kernel in (1, 3, 5))
MAX, AVG, SAME, ADD, CONCAT = (2, 3), (3, 3), (4, 0), (5, 0), (6, 0)
BASE: Rows = [(*CONV3, 0, 0), (*CONV1, 1, 0), (*CONV5, 1, 0)]


def _block(rows: Rows) -> Block:
    return Block.parse([[index, *row] for index, row in enumerate(rows, 1)])


@pytest.mark.slow
def test_functions_of_the_papers_space_by_length() -> None:
    """Of two layers: the 6 of one, and 5 x 5 of what is no identity. Beside them the blocks that
    have different keys, whatever they compute."""
    keys: set[str] = set()
    functions: set[tuple[str, int]] = set()
    counts, key_counts = [], []
    for length in range(1, 5):
        space = SearchSpace(max_layers=length + 1)
        distinct = {block.key: block for block in space.blocks() if len(block.layers) == length}
        keys.update(distinct)
        key_counts.append(len(keys))
        functions.update((b.function_key, b.function_fingerprint) for b in distinct.values())
        counts.append(len({key for key, _ in functions}))
    assert key_counts == [6, 42, 456, 6948]
    assert counts == [6, 31, 318, 4270]
    assert len(functions) == 4270  # equal functions have equal fingerprints
    assert len({fingerprint for _, fingerprint in functions}) > 0.7 * 4270


@pytest.mark.parametrize(
    ("a", "b"),
    [
        pytest.param([(*CONV3, 0, 0)], [(*CONV3, 0, 0), (*SAME, 1, 0)], id="identity as leaf"),
        pytest.param([(*CONV3, 0, 0)], [(*SAME, 0, 0), (*CONV3, 1, 0)], id="identity first"),
        pytest.param([(*SAME, 0, 0)], [(2, 1, 0, 0), (3, 1, 1, 0)], id="pools of kernel 1"),
        pytest.param(BASE, [*BASE, (*CONCAT, 2, 3)], id="concat of the leaves"),
        pytest.param(
            [*BASE, (*CONCAT, 1, 2)],
            [*BASE, (*CONCAT, 2, 3), (*CONCAT, 1, 4)],
            id="a leaf and a concat are the three",
        ),
        pytest.param(
            [*BASE, (*CONCAT, 1, 2), (*CONCAT, 3, 4), (*CONV3, 5, 0)],
            [*BASE, (*CONCAT, 2, 3), (*CONCAT, 1, 4), (*CONV3, 5, 0)],
            id="the same three read by a convolution",
        ),
        pytest.param(
            [*BASE, (*CONCAT, 2, 3), (*CONV1, 4, 0), (*CONCAT, 4, 5)],
            [*BASE, (*CONCAT, 2, 3), (*CONV1, 4, 0), (*CONCAT, 2, 5), (*CONCAT, 3, 6)],
            id="a concat that a convolution reads, too",
        ),
        pytest.param(
            [*BASE, (*CONCAT, 2, 3), (*CONV1, 4, 0), (*CONV3, 4, 0)],
            [*BASE, (*CONCAT, 2, 3), (*CONCAT, 2, 3), (*CONV1, 4, 0), (*CONV3, 5, 0)],
            id="one concat or two of the same",
        ),
        pytest.param(
            [(*CONV3, 0, 0), (*SAME, 1, 0), (*CONCAT, 1, 2)],
            [(*CONV3, 0, 0), (*SAME, 1, 0), (*SAME, 1, 0)],
            id="twice the same leaf",
        ),
        pytest.param(
            [*BASE, (*SAME, 2, 0), (*ADD, 3, 4)], [*BASE, (*ADD, 2, 3)], id="identity into an add"
        ),
    ],
)
def test_the_same_function(a: Rows, b: Rows) -> None:
    assert _block(a).key != _block(b).key
    assert _block(a).function_key == _block(b).function_key


@pytest.mark.parametrize(
    ("a", "b"),
    [
        pytest.param(
            [(*CONV3, 0, 0)],
            [(*CONV3, 0, 0), (*SAME, 1, 0), (*CONCAT, 1, 2)],
            id="a layer and two copies of it",
        ),
        pytest.param(
            [(*CONV3, 0, 0), (*SAME, 1, 0), (*CONCAT, 1, 2), (*CONV1, 3, 0)],
            [(*CONV3, 0, 0), (*CONV1, 1, 0)],
            id="a convolution reads two copies",
        ),
        pytest.param(
            [(*CONV3, 0, 0), (*SAME, 1, 0), (*ADD, 1, 2)],
            [(*CONV3, 0, 0)],
            id="a layer added to itself",
        ),
        pytest.param(
            [(*SAME, 0, 0), (*CONV3, 1, 0), (*CONV3, 1, 0)],
            [(*CONV3, 0, 0), (*SAME, 1, 0), (*SAME, 1, 0)],
            id="two convolutions and one twice",
        ),
        pytest.param(
            [*BASE, (*CONCAT, 2, 3), (*CONV3, 4, 0)],
            [*BASE, (*ADD, 2, 3), (*CONV3, 4, 0)],
            id="concat and add",
        ),
        pytest.param(
            [*BASE, (*CONCAT, 1, 2), (*ADD, 3, 4)],
            [*BASE, (*ADD, 1, 2), (*CONCAT, 3, 4)],
            id="an add's operands stay apart",
        ),
        pytest.param(
            [*BASE, (*CONCAT, 1, 2), (*ADD, 3, 4)],
            [*BASE, (*CONCAT, 2, 3), (*ADD, 1, 4)],
            id="which two are together in the add",
        ),
        pytest.param([(*MAX, 0, 0)], [(*AVG, 0, 0)], id="poolings of another type"),
        pytest.param([(*SAME, 0, 0)], [(*CONV1, 0, 0)], id="identity and convolution"),
    ],
)
def test_another_function(a: Rows, b: Rows) -> None:
    assert _block(a).function_key != _block(b).function_key


@pytest.mark.slow
@given(st.data())
def test_a_renumbered_block_keeps_its_function_key(data: st.DataObject) -> None:
    block = data.draw(blocks())
    renumbered = Block.parse(data.draw(renumberings(block)))
    assert renumbered.function_key == block.function_key


@given(st.data())
def test_an_identity_put_anywhere_keeps_the_function_key(data: st.DataObject) -> None:
    block = data.draw(blocks(max_layers=12))
    behind = data.draw(st.integers(1, len(block.layers)))
    assert _with_identity_behind(block, behind).function_key == block.function_key


@given(blocks(max_layers=12))
def test_a_concat_of_two_leaves_keeps_the_function_key(block: Block) -> None:
    if len(block.leaves) > 1:
        row = Layer(len(block.layers) + 1, LayerType.CONCAT.value, 0, *block.leaves[:2])
        assert Block((*block.layers, row)).function_key == block.function_key


def test_concats_that_double_what_they_read_200_times() -> None:
    doubling = [(*CONV3, 0, 0), (*SAME, 1, 0)]
    doubling += [(*CONCAT, index - 2, index - 1) for index in range(3, 200)]
    shorter = doubling[:-1]
    assert _block(doubling).function_key.startswith("0.0:0 1.3:1 6.")
    assert _block(doubling).function_key != _block(shorter).function_key


def test_twins_cost_the_same() -> None:
    """Whatever the widths: the stage's filters are not the input's channels here."""
    spec = NetworkSpec(
        input_shape=(3, 8, 8), classes=5, filters=(4, 6), repeats=2, project_input=False
    )
    costs: dict[str, set[tuple[int, int]]] = {}
    for block in SearchSpace(max_layers=4).blocks():
        cost = estimate_cost(block, spec)
        costs.setdefault(block.function_key, set()).add((cost.flops, cost.params))
    assert len(costs) == 318
    assert all(len(of_a_function) == 1 for of_a_function in costs.values())


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_twins_with_the_same_weights_answer_the_same(data: st.DataObject) -> None:
    """With an identity put in, or the last leaves concatenated, weights come in the same order."""
    block = data.draw(blocks(max_layers=8))
    if len(block.leaves) > 1 and data.draw(st.booleans()):
        row = Layer(len(block.layers) + 1, LayerType.CONCAT.value, 0, *block.leaves[-2:])
        twin = Block((*block.layers, row))
    else:
        twin = _with_identity_behind(block, data.draw(st.integers(1, len(block.layers))))
    assert twin.function_key == block.function_key
    torch.testing.assert_close(_answer(block), _answer(twin))


@pytest.mark.slow
def test_twins_of_up_to_four_layers_compute_the_same_channels() -> None:
    """One kernel a size, the same for all channels: their order does not matter then."""
    of_function: dict[str, list[Block]] = {}
    for block in islice(SearchSpace(max_layers=5).blocks(), 0, None, 5):
        of_function.setdefault(block.function_key, []).append(block)
    shared = [twins for twins in of_function.values() if len(twins) > 1][::20]
    assert len(shared) > 20
    for twins in shared:
        torch.testing.assert_close(_channels(twins[0]), _channels(twins[-1]))


def _answer(block: Block) -> Tensor:
    spec = NetworkSpec(input_shape=(1, 6, 6), classes=3, filters=(2, 4), repeats=1)
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(0)
        network = build_network(block, spec)
        return network(torch.randn(2, 1, 6, 6))


def _channels(block: Block) -> Tensor:
    """The block's output as a sorted list of its channels' sums over the left half."""
    module = BlockModule(block, block_widths(block, 3, 3, project_input=True)).eval()
    with torch.no_grad():
        for conv in module.modules():
            if isinstance(conv, nn.Conv2d):
                size = conv.kernel_size[0]
                kernel = torch.linspace(-1, 2, size * size).reshape(size, size)
                conv.weight.copy_(kernel.expand_as(conv.weight))
        images = torch.randn(1, 3, 8, 8, generator=torch.Generator().manual_seed(0))
        return module(images)[..., :4].sum(dim=(0, 2, 3)).sort().values


def _with_identity_behind(block: Block, behind: int) -> Block:
    """All that read the layer read an identity of it instead."""
    moved = {index: index + (index > behind) for index in range(len(block.layers) + 1)}
    moved[behind] = behind + 1
    rows = []
    for layer in block.layers:
        index = layer.index + (layer.index > behind)
        preds = [moved[predecessor] for predecessor in layer.predecessors]
        rows.append([index, layer.type, layer.kernel, *preds, 0][:5])
        if layer.index == behind:
            rows.append([behind + 1, LayerType.IDENTITY.value, 0, behind, 0])
    return Block.parse(rows)
