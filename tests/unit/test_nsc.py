"""Structure codes: the paper's examples, every rule that a row can break, and round trips."""

from __future__ import annotations

import json
import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import blocks

from nni_blockqnn.blocks.block import Block, parse_block
from nni_blockqnn.blocks.layer import ENCODINGS, LAYER_LIMIT, InvalidBlockError, Layer
from nni_blockqnn.space.search_space import SearchSpace

INCEPTION = [
    [1, 4, 0, 0, 0],
    [2, 1, 1, 1, 0],
    [3, 1, 3, 2, 0],
    [4, 1, 1, 1, 0],
    [5, 1, 5, 4, 0],
    [6, 6, 0, 3, 5],
    [7, 2, 3, 1, 0],
    [8, 1, 1, 7, 0],
    [9, 6, 0, 6, 8],
    [10, 7, 0, 0, 0],
]
"""The left block of Fig. 2."""
RESIDUAL = [[1, 4, 0, 0, 0], [2, 1, 3, 1, 0], [3, 1, 3, 2, 0], [4, 5, 0, 1, 3], [5, 7, 0, 0, 0]]
"""The right block of Fig. 2."""


@pytest.mark.parametrize("codes", [INCEPTION, RESIDUAL])
def test_figure_2_reads_and_writes_as_printed(codes: list[list[int]]) -> None:
    block = Block.parse(codes)
    assert block.codes == codes
    assert Block.parse(codes[:-1]) == block, "the Terminal row may be left out"
    assert Block.parse(json.dumps(codes)) == block
    assert Block.parse(block.to_json()) == block
    assert Block.parse([tuple(row) for row in codes]) == block
    assert Block.parse(tuple(codes)) == block
    assert Block.parse(np.array(codes)) == block
    assert Block.parse(block) == block
    assert block.leaves == (len(codes) - 1,)


@pytest.mark.parametrize(
    ("codes", "density"),
    [
        # input -> 1; 1 -> 2, 1 -> 4; 2 -> 3; 3 -> 4; 4 -> output. Dots: input, 4 layers, output
        (RESIDUAL, 6 / 6),
        # one from the input, five single reads (2, 3, 4, 5, 7), 8's, two concats of 2, one leaf:
        # 1 + 5 + 1 + 4 + 1. Dots: 9 layers + 2
        (INCEPTION, 12 / 11),
        # input -> 1 -> output
        ([[1, 1, 3, 0, 0]], 2 / 3),
        # two leaves: input -> 1, 1 -> 2, 1 -> 3, 2 -> output, 3 -> output
        ([[1, 1, 3, 0, 0], [2, 1, 3, 1, 0], [3, 2, 3, 1, 0]], 5 / 5),
    ],
)
def test_density_by_hand(codes: list[list[int]], density: float) -> None:
    block = Block.parse(codes)
    assert block.density == density
    assert block.graph.number_of_edges() / block.graph.number_of_nodes() == density


def test_leaves_are_the_layers_that_nobody_reads() -> None:
    rows = [[1, 1, 3, 0, 0], [2, 1, 3, 1, 0], [3, 2, 3, 1, 0], [4, 5, 0, 1, 2], [5, 4, 0, 1, 0]]
    assert Block.parse(rows).leaves == (3, 4, 5)


def test_predecessors_of_an_add_are_put_in_order() -> None:
    rows = [[1, 1, 3, 0, 0], [2, 1, 3, 1, 0], [3, 5, 0, 2, 1]]
    assert Block.parse(rows).codes[2] == [3, 5, 0, 1, 2]


def test_numbers_of_numpy_become_pythons() -> None:
    rows = [[np.int64(n) for n in row] for row in RESIDUAL]
    block = Block.parse(rows)
    assert {type(n) for row in block.codes for n in row} == {int}
    assert json.loads(block.to_json()) == RESIDUAL


def test_trajectory_is_the_layers_and_the_terminal() -> None:
    block = Block.parse([[1, 1, 3, 0, 0]])
    assert block.trajectory == (Layer(1, 1, 3, 0, 0), Layer(2, 7, 0, 0, 0))
    assert block.layers[0].predecessors == (0,)


FIRST = [1, 1, 3, 0, 0]
SECOND = [2, 1, 3, 1, 0]
HUGE = 10**5000  # too long for int's own repr

WRONG_ROWS = [
    # integers
    ([[1, True, 3, 0, 0]], ["row 1", "type must be an integer", "True"]),
    ([[1, 1, 3.0, 0, 0]], ["row 1", "kernel must be an integer", "3.0"]),
    ([FIRST, [2, 1, "3", 1, 0]], ["row 2", "kernel must be an integer", "'3'"]),
    ([[1, 1, 3, None, 0]], ["row 1", "pred1 must be an integer", "None"]),
    ([[1, 1, 3, 0, [0]]], ["row 1", "pred2 must be an integer", "[0]"]),
    ([[1, 1, 3, 0, float("nan")]], ["row 1", "pred2 must be an integer", "nan"]),
    # row shape
    ([[1, 1, 3, 0]], ["row 1", "five integers", "[1, 1, 3, 0]"]),
    ([FIRST, [2, 1, 3, 1, 0, 0]], ["row 2", "five integers", "[2, 1, 3, 1, 0, 0]"]),
    ([FIRST, []], ["row 2", "five integers", "[]"]),
    ([1, 1, 3, 0, 0], ["row 1", "five integers", "got 1"]),
    ([FIRST, "21310"], ["row 2", "five integers", "'21310'"]),
    # index
    ([[2, 1, 3, 0, 0]], ["row 1", "index", "be 1", "index=2"]),
    ([FIRST, [3, 1, 3, 1, 0]], ["row 2", "index", "be 2", "index=3"]),
    ([[HUGE, 1, 3, 0, 0]], ["row 1", "index", "a int"]),
    # type
    ([[1, 0, 3, 0, 0]], ["row 1", "type must be 1 to 7", "type=0"]),
    ([FIRST, [2, 8, 0, 1, 0]], ["row 2", "type must be 1 to 7", "type=8"]),
    # kernel
    ([[1, 1, 2, 0, 0]], ["row 1", "kernel of conv", "an odd number from 1 to 99", "kernel=2"]),
    ([[1, 1, 101, 0, 0]], ["row 1", "kernel of conv", "from 1 to 99", "kernel=101"]),
    ([[1, 1, -3, 0, 0]], ["row 1", "kernel of conv", "kernel=-3"]),
    ([[1, 2, 4, 0, 0]], ["row 1", "kernel of max_pool", "an odd number from 1", "kernel=4"]),
    ([[1, 3, 0, 0, 0]], ["row 1", "kernel of avg_pool", "an odd number from 1", "kernel=0"]),
    ([[1, 11, 1, 0, 0]], ["row 1", "kernel of separable", "odd number from 3 to 99", "kernel=1"]),
    ([[1, 4, 1, 0, 0]], ["row 1", "kernel of identity must be 0", "kernel=1"]),
    ([FIRST, SECOND, [3, 5, 3, 1, 2]], ["row 3", "kernel of add must be 0", "kernel=3"]),
    ([FIRST, [2, 7, 1, 0, 0]], ["row 2", "kernel of terminal must be 0", "kernel=1"]),
    # predecessors
    ([[1, 1, 3, 1, 0]], ["row 1", "layer 1 reads the block's input, 0", "pred1=1"]),
    ([FIRST, [2, 1, 3, 0, 0]], ["row 2", "pred1: must be 1 to 1", "pred1=0"]),
    ([FIRST, [2, 1, 3, 2, 0]], ["row 2", "pred1: must be 1 to 1", "pred1=2"]),
    ([FIRST, [2, 1, 3, -1, 0]], ["row 2", "pred1", "pred1=-1"]),
    ([FIRST, [2, 1, 3, HUGE, 0]], ["row 2", "pred1", "a int"]),
    ([FIRST, [2, 1, 3, 1, 1]], ["row 2", "pred2 of conv must be 0", "pred2=1"]),
    ([FIRST, [2, 7, 0, 1, 0]], ["row 2", "pred1 of terminal must be 0", "pred1=1"]),
    ([FIRST, [2, 7, 0, 0, 1]], ["row 2", "pred2 of terminal must be 0", "pred2=1"]),
    ([FIRST, SECOND, [3, 5, 0, 1, 3]], ["row 3", "pred2: must be 1 to 2", "pred2=3"]),
    ([FIRST, SECOND, [3, 5, 0, 0, 1]], ["row 3", "pred1: must be 1 to 2", "pred1=0"]),
    ([FIRST, SECOND, [3, 6, 0, 2, 2]], ["row 3", "concat must differ", "pred2=2"]),
    ([FIRST, [2, 5, 0, 1, 1]], ["row 2", "two earlier layers", "type=5"]),
    ([[1, 6, 0, 0, 0]], ["row 1", "two earlier layers", "type=6"]),
    # Terminal
    ([[1, 7, 0, 0, 0]], ["row 1", "at least one layer", "(1, 7, 0, 0, 0)"]),
    ([FIRST, [2, 7, 0, 0, 0], [3, 1, 3, 1, 0]], ["row 2", "Terminal must be the last", "1 follow"]),
    ([FIRST, [2, 7, 0, 0, 0], [3, 7, 0, 0, 0]], ["row 2", "Terminal must be the last"]),
]


@pytest.mark.parametrize(("codes", "fragments"), WRONG_ROWS)
def test_a_wrong_row_is_refused_with_row_rule_and_value(
    codes: list[Any], fragments: list[str]
) -> None:
    with pytest.raises(InvalidBlockError) as caught:
        Block.parse(codes)
    for fragment in fragments:
        assert fragment in str(caught.value)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize(
    ("codes", "fragments"),
    [
        ([], ["at least one layer", "no rows"]),
        ("[]", ["at least one layer", "no rows"]),
        ("", ["JSON list of rows", "''"]),
        ("[[1,1,3,0,0]", ["JSON list of rows", "[[1,1,3,0,0]"]),
        ("{}", ["list of rows", "{}"]),
        ("5", ["list of rows", "got 5"]),
        ("null", ["list of rows", "None"]),
        ("NaN", ["list of rows", "nan"]),
        ("[" * 100_000, ["JSON list of rows"]),
        (f"[[{'1' * 5000},1,3,0,0]]", ["JSON list of rows"]),
        (None, ["list of rows", "None"]),
        (17, ["list of rows", "17"]),
        (b"[[1,1,3,0,0]]", ["list of rows"]),
        ({"block": []}, ["list of rows"]),
        (np.array([[1.0, 1.0, 3.0, 0.0, 0.0]]), ["row 1", "integer", "1.0"]),
        (np.array(5), ["list of rows", "got 5"]),
        (
            [FIRST, *([i, 1, 3, 1, 0] for i in range(2, LAYER_LIMIT + 2))],
            ["at most 200 rows", "got 201"],
        ),
    ],
)
def test_what_is_no_list_of_rows_is_refused(codes: Any, fragments: list[str]) -> None:
    with pytest.raises(InvalidBlockError) as caught:
        Block.parse(codes)
    for fragment in fragments:
        assert fragment in str(caught.value)


def test_an_endlessly_nested_row_is_refused() -> None:
    row: list[Any] = [1, 1, 3, 0]
    row.append(row)
    with pytest.raises(InvalidBlockError, match="row 1: pred2 must be an integer"):
        Block.parse([row])
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(InvalidBlockError, match="row 1"):
        Block.parse(deep)


def test_invalid_block_error_is_a_value_error() -> None:
    assert issubclass(InvalidBlockError, ValueError)


def test_kernels_of_other_spaces() -> None:
    rows = [[1, 1, 7, 0, 0], [2, 2, 5, 1, 0], [3, 7, 0, 0, 0]]
    assert Block.parse(rows, conv_kernels=[7], pool_kernels=[5]).codes == rows
    assert Block.parse(rows).codes == rows
    with pytest.raises(InvalidBlockError, match=r"row 1.*must be 9, got kernel=7"):
        Block.parse(rows, conv_kernels=[9])
    with pytest.raises(InvalidBlockError, match="row 1"):
        Block.parse([[1, 1, 4, 0, 0]])


PRE_ACTIVATION = [[1, 8, 0, 0, 0], [2, 1, 3, 1, 0], [3, 9, 0, 2, 0], [4, 7, 0, 0, 0]]
"""ReLU, convolution and batch norm as three layers."""


def test_relu_and_batch_norm_are_layers_of_the_separate_encoding() -> None:
    block = Block.parse(PRE_ACTIVATION, encoding="separate")
    assert block.codes == PRE_ACTIVATION
    assert block.encoding == "separate"
    assert block.density == 4 / 5
    assert Block.parse(block) is block
    assert Block.parse(block.to_json(), encoding="separate") == block
    assert Block.parse(block.to_json()) == block
    with pytest.raises(
        InvalidBlockError, match=r"row 1: the layer type must be 1 to 7.*, got type=8"
    ):
        Block.parse(PRE_ACTIVATION)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ([2, 10, 0, 1, 0], "the layer type must be 1 to 9.*, got type=10"),
        ([2, 8, 3, 1, 0], "the kernel of relu must be 0, got kernel=3"),
        ([2, 9, 0, 0, 0], "pred1: must be 1 to 1, got pred1=0"),
        ([2, 9, 0, 1, 1], "pred2 of bn must be 0, got pred2=1"),
        ([2, 1, 6, 1, 0], "the kernel of conv must be an odd number from 1 to 99, got kernel=6"),
    ],
)
def test_a_wrong_row_of_the_separate_encoding_is_refused(row: list[int], message: str) -> None:
    with pytest.raises(InvalidBlockError, match=f"^row 2: {message}$"):
        Block.parse([FIRST, row], encoding="separate")


@pytest.mark.parametrize("encoding", ["Separate", "", 1, ["pcc"], np.array(["pcc", "pcc"])])
def test_an_unknown_encoding_is_refused(encoding: Any) -> None:
    with pytest.raises(ValueError, match='encoding must be "pcc" or "separate", got '):
        Block.parse([FIRST], encoding=encoding)


def test_a_convolution_is_another_layer_in_each_encoding() -> None:
    pcc, separate = (Block.parse([FIRST, SECOND], encoding=name) for name in ENCODINGS)
    assert pcc.codes == separate.codes
    assert pcc != separate
    assert pcc.key != separate.key
    assert pcc.function_key != separate.function_key
    no_convolution = [[1, 4, 0, 0, 0], [2, 2, 3, 1, 0]]
    pcc, separate = (Block.parse(no_convolution, encoding=name) for name in ENCODINGS)
    assert pcc.key == separate.key
    assert pcc.function_key == separate.function_key


@given(blocks())
def test_codes_and_json_text_are_the_same_block(block: Block) -> None:
    assert Block.parse(block.codes) == block
    assert Block.parse(block.to_json()) == block
    assert Block.parse(json.dumps(block.codes, indent=2)) == block
    assert str(block) == block.to_json()


@pytest.mark.slow
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-2, 8) | st.floats() | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=6) | st.dictionaries(st.text(max_size=3), inner),
        max_leaves=30,
    )
)
def test_any_json_is_a_block_or_an_invalid_block_error(value: Any) -> None:
    for codes in (value, json.dumps(value)):
        try:
            block = Block.parse(codes)
        except InvalidBlockError:
            continue
        assert Block.parse(block.codes) == block


@pytest.mark.parametrize(
    ("codes", "encoding"),
    [
        ([[1, 1, 7, 0, 0]], "pcc"),
        ([[1, 2, 99, 0, 0], [2, 3, 5, 1, 0]], "pcc"),
        ([[1, 11, 9, 0, 0]], "pcc"),
        ([[1, 1, 3, 0, 0]], "separate"),  # its rows alone would be a PCC
        ([[1, 4, 0, 0, 0]], "separate"),
        (PRE_ACTIVATION, "separate"),
    ],
)
def test_any_text_that_is_written_is_read_back(codes: list[list[int]], encoding: str) -> None:
    block = Block.parse(codes, encoding=encoding)
    for read in (Block.parse(block.to_json()), Block.parse(json.loads(block.to_json()))):
        assert read == block
        assert read.encoding == encoding
        assert read.key == block.key


@pytest.mark.parametrize(
    ("codes", "said"),
    [
        ({"encoding": "separate"}, "'encoding': 'separate'"),
        ({"codes": [[1, 1, 3, 0, 0]]}, "'codes'"),
        ({"encoding": "pcc", "codes": [], "x": 1}, "'x': 1"),
        ('{"encoding": "both", "codes": [[1,1,3,0,0]]}', "got 'both'"),
        ('{"encoding": null, "codes": [[1,1,3,0,0]]}', "got None"),
        ('{"encoding": "separate", "codes": "[[1,1,3,0,0]]"}', "list of rows"),
        ("{}", "got {}"),
    ],
)
def test_an_object_that_is_no_block_is_refused(codes: object, said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said)):
        Block.parse(codes)


def test_a_block_of_another_encoding_than_the_one_asked_for_is_refused() -> None:
    separate = Block.parse([[1, 1, 3, 0, 0]], encoding="separate")
    for codes in (separate, separate.to_json()):
        with pytest.raises(InvalidBlockError, match="encoding must be pcc, got 'separate'"):
            Block.parse(codes, encoding="pcc")
    assert SearchSpace(encoding="separate").parse(separate.to_json()) == separate
    with pytest.raises(InvalidBlockError, match="encoding must be pcc, got 'separate'"):
        SearchSpace().parse(separate.to_json())


def test_rows_that_were_read_before_are_read_as_the_first_time() -> None:
    rng = np.random.default_rng(3)
    for _ in range(2):  # the second time from memory
        for block in (SearchSpace().random_block(rng) for _ in range(60)):
            assert parse_block(block.to_json()) == block
            without = json.dumps(block.codes[:-1], separators=(",", ":"))
            assert parse_block(without) == block


@pytest.mark.parametrize(
    "text",
    [
        "[[1,1,3,0,0],[1,1,3,0,0]]",  # known rows where they may not stand
        "[[2,1,3,1,0],[1,1,3,0,0]]",
        "[[1,1,3,0,0],[2,7,0,0,0],[3,1,3,2,0]]",
        "[[1,7,0,0,0]]",
        "[[1,1,3,0,0],[2,7,0,0,0]",
        "[[1,1,3,0,0]],[[2,1,3,1,0]]",
        "[[1,1,3,0,0],[2,1,3.0,1,0]]",
        "[[1,1,3,0,0],[2,true,3,1,0]]",
        "[[1,1,3,0,0], [2,7,0,0,0],[2,1,3,1,0]]",  # after a text with spaces between its rows
        "[[1,1,3,0,0],[2,1,4,1,0]]",  # rows that were never read
        "[[1,1,3,0,0],[2,1,3,2,0]]",
        "[[1,1,3,0,0],[02,1,3,1,0]]",
        "[[1,1,3,0,0],[2,1,3,1]]",
        "[[1,1,3,0,0],[2,1,3,-1,0]]",
        json.dumps([[n, 1, 3, n - 1, 0] for n in range(1, 202)], separators=(",", ":")),
        "[[]]",
        "[[",
        "[[]",
    ],
)
def test_known_rows_do_not_make_a_wrong_block_right(text: str) -> None:
    known = "[[1,1,3,0,0],[2,1,3,1,0],[3,1,3,2,0],[4,7,0,0,0]]"
    for one in (known, "[[1,1,3,0,0],[2,7,0,0,0]]", "[[1,1,3,0,0], [2,7,0,0,0]]", "[[1,4,0,0,0]]"):
        parse_block(one)
    messages = []
    for read in (parse_block, Block.parse, parse_block):
        with pytest.raises(InvalidBlockError) as caught:
            read(text)
        messages.append(str(caught.value))
    assert len(set(messages)) == 1
