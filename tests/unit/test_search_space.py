"""The space: counted by hand, drawn from, and read from NNI's search space."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from nni_blockqnn.blocks.block import Block
from nni_blockqnn.blocks.layer import InvalidBlockError, Layer, LayerType
from nni_blockqnn.space.search_space import START, SearchSpace

EXAMPLE = {
    "block": {
        "_type": "nsc",
        "_value": {
            "max_layers": 23,
            "conv_kernels": [1, 3, 5],
            "pool_kernels": [1, 3],
            "encoding": "pcc",
        },
    },
    "repeats": {"_type": "choice", "_value": [4]},
    "network": {"_type": "choice", "_value": ["cifar100"]},
}
"""The search space of the paper, as the templates have it."""


def _space(**block: Any) -> dict[str, Any]:
    return {"block": {"_type": "nsc", "_value": block}}


def _choice(*values: Any) -> dict[str, Any]:
    return {"_type": "choice", "_value": list(values)}


# --- successors


@pytest.mark.parametrize(
    ("index", "count"),
    [
        (1, 8),  # 3 kernels of convolution, 2 and 2 of pooling, identity; all read the input
        (2, 8 + 1),  # the same of layer 1, and the Terminal
        (3, 8 * 2 + 2 * 1 + 1),  # of 2 layers; an add and a concat of the one pair
        (5, 8 * 4 + 2 * 6 + 1),
        (22, 8 * 21 + 2 * 210 + 1),  # = 589
        (23, 1),
    ],
)
def test_successors_counted_by_hand(index: int, count: int) -> None:
    previous = START if index == 1 else Layer(index - 1, 4, 0, max(0, index - 2), 0)
    successors = SearchSpace().successors(previous)
    assert len(successors) == count
    assert len(set(successors)) == count
    assert {layer.index for layer in successors} == {index}
    terminals = [layer for layer in successors if layer.type == LayerType.TERMINAL]
    assert terminals == ([] if index == 1 else [(index, 7, 0, 0, 0)])
    assert index == 1 or successors[-1] == (index, 7, 0, 0, 0)


@pytest.mark.parametrize(
    ("index", "count"),
    [
        (1, 8 + 2),  # ReLU and batch norm beside the PCC encoding's
        (2, 10 + 1),
        (3, 10 * 2 + 2 * 1 + 1),
        (22, 10 * 21 + 2 * 210 + 1),
        (23, 1),
    ],
)
def test_successors_of_the_separate_encoding(index: int, count: int) -> None:
    space = SearchSpace(encoding="separate")
    previous = START if index == 1 else Layer(index - 1, 8, 0, max(0, index - 2), 0)
    successors = space.successors(previous)
    assert len(set(successors)) == len(successors) == count
    types = list(dict.fromkeys(layer.type for layer in successors))
    between = [1, 2, 3, 4, 8, 9, 5, 6, 7]  # Terminal last
    assert types == {1: between[:6], 2: [*between[:6], 7], 23: [7]}.get(index, between)


def test_the_first_and_the_last_successors() -> None:
    space = SearchSpace()
    first = [(1, 1, 1), (1, 1, 3), (1, 1, 5), (1, 2, 1), (1, 2, 3), (1, 3, 1), (1, 3, 3), (1, 4, 0)]
    assert space.successors(None) == [(*row, 0, 0) for row in first]
    assert space.successors(START) == space.successors(None)
    assert space.successors([22, 4, 0, 21, 0]) == [(23, 7, 0, 0, 0)]
    assert space.successors(Layer.terminal(5)) == []


def test_every_successor_completes_a_valid_block() -> None:
    space = SearchSpace()
    rows = [[1, 4, 0, 0, 0], [2, 4, 0, 1, 0], [3, 4, 0, 1, 0]]
    for successor in space.successors(rows[-1]):
        codes = [*rows, list(successor)]
        expected = codes if successor.type == LayerType.TERMINAL else [*codes, [5, 7, 0, 0, 0]]
        assert space.parse(codes).codes == expected


def test_the_list_of_successors_is_the_callers_own() -> None:
    space = SearchSpace()
    space.successors(None).clear()
    assert len(space.successors(None)) == 8


# --- random blocks


@pytest.mark.slow
def test_random_blocks_are_valid_and_of_moderate_length() -> None:
    """1 + 4/5 (1 + 6/7 + ... + (6/7)^20) = 6.38 layers in the mean: the Terminal is 1 of 5 types at
    the second row, 1 of 7 after."""
    space = SearchSpace()
    rng = np.random.default_rng(5)
    blocks = [space.random_block(rng) for _ in range(4000)]
    lengths = [len(block.layers) for block in blocks]
    assert np.mean(lengths) == pytest.approx(6.38, abs=0.3)  # the mean's standard error is 0.085
    assert min(lengths) == 1
    assert max(lengths) == 22
    for block in blocks[:500]:
        assert space.parse(block.codes) == block


@pytest.mark.slow
@pytest.mark.parametrize(("encoding", "types"), [("pcc", 7), ("separate", 9)])
def test_a_random_successor_is_any_legal_one_type_first(encoding: str, types: int) -> None:
    space = SearchSpace(encoding=encoding)
    rng = np.random.default_rng(6)
    previous = Layer(4, 4, 0, 3, 0)
    counts = Counter(space.random_successor(previous, rng) for _ in range(types * 2000))
    assert set(counts) == set(space.successors(previous))
    by_type: Counter[int] = Counter()
    for layer, count in counts.items():
        by_type[layer.type] += count
    assert len(by_type) == types
    # 2000 of each type; the standard deviation is at most 42
    assert all(abs(count - 2000) < 200 for count in by_type.values()), by_type


def test_first_layers_at_random_are_all_of_them() -> None:
    space = SearchSpace()
    rng = np.random.default_rng(6)
    assert {space.random_successor(None, rng) for _ in range(500)} == set(space.successors(None))


def test_the_same_generator_state_draws_the_same_blocks() -> None:
    space = SearchSpace()
    drawn = [
        [space.random_block(rng) for _ in range(5)]
        for rng in (np.random.default_rng(1), np.random.default_rng(1), np.random.default_rng(2))
    ]
    assert drawn[0] == drawn[1] != drawn[2]


def test_drawing_leaves_the_global_random_state_alone() -> None:
    before = np.random.get_state()[1].tolist()
    SearchSpace().random_block(np.random.default_rng(0))
    assert np.random.get_state()[1].tolist() == before


# --- all blocks, membership


def test_all_blocks_from_short_to_long() -> None:
    blocks = list(SearchSpace(max_layers=4).blocks())
    lengths = [len(block.layers) for block in blocks]
    assert lengths == sorted(lengths)
    # 8; times the 8 second layers; times the 8 * 2 + 2 third ones
    assert Counter(lengths) == {1: 8, 2: 8 * 8, 3: 64 * 18}
    assert len(set(blocks)) == 1224
    assert [len(list(SearchSpace(max_layers=n).blocks())) for n in (2, 3)] == [8, 72]


def test_blocks_of_the_separate_encoding() -> None:
    """Of distinct layers there are 8: 3 convolutions, 2 poolings, identity, ReLU, batch norm."""
    space = SearchSpace(max_layers=3, encoding="separate")
    blocks = list(space.blocks())
    assert len(blocks) == 10 + 10 * 10
    assert len({block.key for block in blocks}) == 8 + 8 * 8
    rng = np.random.default_rng(0)
    assert {space.random_block(rng) for _ in range(3000)} == set(blocks)
    for block in blocks:
        assert block.encoding == "separate"
        assert space.parse(block) == space.parse(block.to_json()) == block
        assert space.contains(block)


@pytest.mark.parametrize(("own", "other"), [("pcc", "separate"), ("separate", "pcc")])
def test_blocks_of_two_encodings_share_no_space(own: str, other: str) -> None:
    block = Block.parse([[1, 1, 3, 0, 0]], encoding=other)
    space = SearchSpace(encoding=own)
    assert not space.contains(block)
    with pytest.raises(
        InvalidBlockError, match=f"encoding must be the space's, {own}, got {other}"
    ):
        space.parse(block)


def test_parse_refuses_longer_blocks_and_other_kernels() -> None:
    small = SearchSpace(max_layers=3, conv_kernels=(3,), pool_kernels=(3,))
    two = [[1, 1, 3, 0, 0], [2, 2, 3, 1, 0]]
    assert small.parse(two).codes == [*two, [3, 7, 0, 0, 0]]
    assert small.contains(Block.parse(two))
    three = Block.parse([*two, [3, 4, 0, 2, 0]])
    assert not small.contains(three)
    with pytest.raises(InvalidBlockError, match=r"row 3.*max_layers=3.*got 3 layers"):
        small.parse(three)
    other_kernel = Block.parse([[1, 1, 5, 0, 0]])
    assert not small.contains(other_kernel)
    with pytest.raises(InvalidBlockError, match=r"row 1.*kernel=5"):
        small.parse(other_kernel)
    longest = [[1, 4, 0, 0, 0]] + [[i, 4, 0, i - 1, 0] for i in range(2, 24)]
    assert SearchSpace().parse(longest[:22]).layers[-1].index == 22
    with pytest.raises(InvalidBlockError, match="row 23"):
        SearchSpace().parse(longest)


# --- NNI's search space


def test_the_example_is_the_papers_space() -> None:
    assert SearchSpace.from_json(EXAMPLE) == SearchSpace()
    assert SearchSpace.from_json(json.loads(json.dumps(EXAMPLE))) == SearchSpace()
    assert SearchSpace.from_json(_space()) == SearchSpace()


def test_fields_are_taken_over() -> None:
    space = SearchSpace.from_json(
        _space(max_layers=5, conv_kernels=[3, 7, 3], pool_kernels=[3])
        | {"repeats": _choice(2, 4), "network": _choice("digits")}
    )
    assert space == SearchSpace(5, (3, 7), (3,), "pcc", (2, 4), "digits")
    assert space.spec.classes == 10
    kernels = {(layer.type, layer.kernel) for layer in space.successors(None)}
    assert kernels == {(1, 3), (1, 7), (2, 3), (3, 3), (4, 0)}


def test_the_separate_encoding_is_read() -> None:
    assert SearchSpace.from_json(_space(encoding="separate")) == SearchSpace(encoding="separate")


def test_repeats_default_to_the_networks_own() -> None:
    assert SearchSpace.from_json(_space() | {"network": _choice("digits")}).repeats == (1,)


@pytest.mark.parametrize(
    "network",
    ['{"preset": "digits", "filters": [4, 8]}', {"preset": "digits", "filters": [4, 8]}],
)
def test_a_network_may_be_given_by_its_fields(network: Any) -> None:
    space = SearchSpace.from_json(_space() | {"network": _choice(network)})
    assert isinstance(space.network, str), "it travels to the trials as text"
    assert space.spec.filters == (4, 8)
    assert space.spec.classes == 10


HUGE = 10**5000


@pytest.mark.parametrize(
    ("search_space", "fragments"),
    [
        (None, ["the search space must be a JSON object", "None"]),
        ([], ["the search space must be a JSON object", "[]"]),
        ({}, ['needs a "block"', "[]"]),
        ({"blocks": 1}, ["no key 'blocks'", "block, repeats, network"]),
        (EXAMPLE | {"layers": 3}, ["no key 'layers'", "block, repeats, network"]),
        ({"block": None}, ["block must be a JSON object", "None"]),
        ({"block": {"_type": "choice", "_value": [1]}}, ['"_type" of block', '"nsc"', "'choice'"]),
        ({"block": {"_type": "nsc"}}, ['"_value" of block', "None"]),
        ({"block": {"_type": "nsc", "_value": {}, "x": 1}}, ["block has no key 'x'"]),
        (_space(layers=4), ["no key 'layers'", "max_layers, conv_kernels"]),
        (_space(max_layers=1), ["max_layers", "2", "got 1"]),
        (_space(max_layers=0), ["max_layers", "got 0"]),
        (_space(max_layers=201), ["max_layers", "1 to 200", "got 201"]),
        (_space(max_layers=True), ["max_layers", "integer", "True"]),
        (_space(max_layers=23.0), ["max_layers", "integer", "23.0"]),
        (_space(max_layers="23"), ["max_layers", "integer", "'23'"]),
        (_space(max_layers=None), ["max_layers", "integer", "None"]),
        (_space(max_layers=HUGE), ["max_layers", "a int"]),
        (_space(conv_kernels=[]), ["conv_kernels", "at least one", "[]"]),
        (_space(conv_kernels=3), ["conv_kernels", "list", "3"]),
        (_space(conv_kernels=[2]), ["conv_kernels", "odd", "got 2"]),
        (_space(conv_kernels=[0]), ["conv_kernels", "1 to 99", "got 0"]),
        (_space(conv_kernels=[101]), ["conv_kernels", "1 to 99", "got 101"]),
        (_space(pool_kernels=["3"]), ["pool_kernels", "integer", "'3'"]),
        (_space(pool_kernels=[3, 4]), ["pool_kernels", "odd", "got 4"]),
        (_space(pool_kernels={"a": 1}), ["pool_kernels", "list", "{'a': 1}"]),
        (_space(encoding="both"), ["encoding", '"pcc" or "separate"', "'both'"]),
        (_space(encoding=["pcc"]), ["encoding", '"pcc" or "separate"', "['pcc']"]),
        (_space() | {"repeats": 4}, ["repeats must be a JSON object", "4"]),
        (_space() | {"repeats": _choice()}, ["repeats", "at least one value", "[]"]),
        (_space() | {"repeats": {"_type": "randint", "_value": [1]}}, ["repeats", "randint"]),
        (_space() | {"repeats": _choice(0)}, ["repeats", "1 to 1000", "got 0"]),
        (_space() | {"repeats": _choice(4, "2")}, ["repeats", "integer", "'2'"]),
        (_space() | {"repeats": _choice(False)}, ["repeats", "integer", "False"]),
        (_space() | {"network": _choice("cifar1000")}, ["network", "cifar100", "'cifar1000'"]),
        (_space() | {"network": _choice("digits", "cifar10")}, ["network", "one value"]),
        (_space() | {"network": _choice(5)}, ["network", "JSON object", "got 5"]),
        (_space() | {"network": _choice([["classes", 5]])}, ["network", "JSON object", "classes"]),
        (_space() | {"network": _choice('{"classes": 0}')}, ["classes", "got 0"]),
        (_space() | {"network": _choice('{"class": 1}')}, ["network has no field 'class'"]),
        (_space() | {"network": _choice("{")}, ["network", "JSON", "'{'"]),
    ],
)
def test_a_wrong_search_space_is_refused_with_key_and_value(
    search_space: Any, fragments: list[str]
) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        SearchSpace.from_json(search_space)
    for fragment in fragments:
        assert fragment in str(caught.value)


def test_any_mapping_will_do() -> None:
    class Ordered(Mapping):
        def __init__(self, entries: dict[str, Any]) -> None:
            self._entries = entries

        def __getitem__(self, key: str) -> Any:
            return self._entries[key]

        def __iter__(self) -> Any:
            return iter(self._entries)

        def __len__(self) -> int:
            return len(self._entries)

    assert SearchSpace.from_json(Ordered(EXAMPLE)) == SearchSpace()
