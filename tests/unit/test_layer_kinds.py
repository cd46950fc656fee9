"""The table of layer kinds: what it refuses, and optional kinds in a search space."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from kind_blocks import EVERY_KIND, block_with

from nni_blockqnn.blocks.block import Block
from nni_blockqnn.blocks.kind_table import all_kinds, find_kind, is_known, kinds_of, register
from nni_blockqnn.blocks.kinds.separable import SEPARABLE
from nni_blockqnn.blocks.kinds.table1 import ADD, AVG_POOL, IDENTITY, MAX_POOL, PCC, TERMINAL
from nni_blockqnn.blocks.layer import InvalidBlockError
from nni_blockqnn.blocks.layer_kind import LayerKind
from nni_blockqnn.reports._labels import colour, label
from nni_blockqnn.reports._page import legend
from nni_blockqnn.reports.text_graph import draw_text
from nni_blockqnn.space.choices import block_of, choices_space
from nni_blockqnn.space.mutation import mutate
from nni_blockqnn.space.search_space import SearchSpace

SPACE = SearchSpace(max_layers=4, extra_kinds=("separable",))
OWN = replace(SEPARABLE, type=900, name="own")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"type": 0}, "type must be a positive integer, got 0"),
        ({"type": True}, "type must be a positive integer, got True"),
        ({"type": 11}, "type must be a number that no other kind has, got 11.* by separable"),
        ({"type": 1}, "got 1, which is taken by conv"),
        ({"type": 10}, "got 10, which is taken by conv"),  # keys have it for a convolution alone
        ({"type": 8}, "got 8, which is taken by relu"),
        ({"key_type": 5}, "taken by add"),
        ({"name": "separable"}, "another one has this name"),
        ({"name": "conv2"}, 'name must be letters a to z, with "_"'),  # conv21: of which layer?
        ({"name": "A conv"}, "name must be letters"),
        ({"label": ""}, "label must be a text, got ''"),
        ({"colour": "red"}, "colour must be .*, got 'red'"),
        ({"kernels": (2,)}, r"kernels must be .* odd integers, got \(2,\)"),
        ({"kernels": ()}, "kernels must be"),
        ({"kernels": "large"}, "kernels must be"),
        ({"outputs": 64}, 'outputs must be "filters" or "inputs", got 64'),
        ({"encodings": ("both",)}, "encodings must be some of pcc, separate"),
        ({"build": None}, "build must be a function, got None"),
        ({"module_source": None}, "module_source must be a function"),
        ({"function_source": str}, "module_source must be a function, unless function_source"),
        ({"joins": "add"}, "joins must be None: an optional kind reads one layer, got 'add'"),
    ],
)
def test_a_wrong_kind_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        register(replace(OWN, **changes))
    assert 900 not in kinds_of("pcc")


def test_a_kind_is_registered_once() -> None:
    before = all_kinds()
    assert register(SEPARABLE) is SEPARABLE
    assert all_kinds() == before


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("depthwise", "extra_kinds must be of separable.* or \"module:NAME\", got 'depthwise'"),
        ("conv", "extra_kinds must be of separable"),  # every space has it
        ("no_such_module:KIND", "cannot load a layer kind from .*no module no_such_module"),
        ("json:dumps", "'json:dumps' must be an optional LayerKind"),
        ("nni_blockqnn.blocks.kinds.table1:PCC", "must be an optional LayerKind"),
    ],
)
def test_a_kind_that_is_none_is_refused(name: str, message: str) -> None:
    for extra in (
        lambda: SearchSpace(extra_kinds=(name,)),
        lambda: Block.parse([[1, 1, 3, 0, 0]], extra_kinds=[name]),
    ):
        with pytest.raises(ValueError, match=message):
            extra()
    assert not is_known(name)


def test_a_packages_kind_may_be_named_by_its_address_too() -> None:
    assert find_kind("nni_blockqnn.blocks.kinds.separable:SEPARABLE") is SEPARABLE
    assert find_kind("separable") is SEPARABLE


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("separable", "extra_kinds must be a list of names, got 'separable'"),
        ([3], r"extra_kinds must be a list of names, got \[3\]"),
        (["dense"], "got 'dense'"),
    ],
)
def test_wrong_extra_kinds_of_a_search_space_are_refused(value: Any, message: str) -> None:
    entry = {"_type": "nsc", "_value": {"extra_kinds": value}}
    with pytest.raises(ValueError, match=message):
        SearchSpace.from_json({"block": entry})


def test_a_kind_without_a_kernel_in_the_space_is_refused() -> None:
    with pytest.raises(ValueError, match="separable needs a kernel of 3 or more in conv_kernels"):
        SearchSpace(conv_kernels=(1,), extra_kinds=("separable",))


def test_the_search_space_is_read() -> None:
    entry = {"_type": "nsc", "_value": {"max_layers": 4, "extra_kinds": ["separable"] * 2}}
    read = SearchSpace.from_json(json.loads(json.dumps({"block": entry})))
    assert read == SPACE
    assert read != SearchSpace(max_layers=4)


def test_successors_have_the_kind_behind_the_papers_layers_of_one_predecessor() -> None:
    types = [layer.type for layer in SPACE.successors(SPACE.successors(None)[0])]
    assert types == [1, 1, 1, 2, 2, 3, 3, 4, 11, 11, 7]
    third = SPACE.successors(SPACE.successors(SPACE.successors(None)[0])[0])
    assert len(third) == (8 + 2) * 2 + 2 + 1
    assert [layer[2:] for layer in third if layer.type == 11] == [
        (3, 1, 0),
        (3, 2, 0),
        (5, 1, 0),
        (5, 2, 0),
    ]


@pytest.mark.parametrize("encoding", ["pcc", "separate"])
def test_a_space_without_extra_kinds_is_as_it_was(encoding: str) -> None:
    types = {layer.type for layer in SearchSpace(encoding=encoding).successors([2, 4, 0, 1, 0])}
    assert types == {*range(1, 8)} | ({8, 9} if encoding == "separate" else set())


def test_codes_with_the_kind_are_read_where_it_is_allowed() -> None:
    rows = [[1, 11, 3, 0, 0], [2, 1, 3, 1, 0]]
    block = SPACE.parse(rows)
    assert block.codes[:-1] == rows
    assert block == Block.parse(rows, extra_kinds=["separable"]) == Block.parse(rows)
    assert block.extra_kinds == ["separable"]
    assert SPACE.contains(block)
    assert not SearchSpace().contains(block)
    with pytest.raises(InvalidBlockError, match="row 1: the layer type must be 1 to 7, got type=1"):
        SearchSpace().parse(rows)
    for kernel in (1, 7):
        with pytest.raises(InvalidBlockError, match="kernel of separable must be 3 or 5"):
            SPACE.parse([[1, 11, kernel, 0, 0]])
    with pytest.raises(InvalidBlockError, match="must be 1 to 7 or 11, got type=12"):
        SPACE.parse([[1, 12, 0, 0, 0]])
    wide = Block.parse([[1, 11, 7, 0, 0]], conv_kernels=[1, 7], extra_kinds=["separable"])
    assert wide.layers[0].kernel == 7


def test_its_key_is_none_of_another_layer() -> None:
    keys = {
        Block.parse([[1, 11, 3, 0, 0]], extra_kinds=["separable"]).key,
        Block.parse([[1, 1, 3, 0, 0]]).key,
        Block.parse([[1, 1, 3, 0, 0]], encoding="separate").key,
    }
    assert keys == {"11.3:0", "1.3:0", "10.3:0"}


def test_random_blocks_and_mutants_have_it() -> None:
    space, rng = SearchSpace(extra_kinds=("separable",)), np.random.default_rng(0)
    blocks = [space.random_block(rng) for _ in range(200)]
    assert all(space.contains(block) for block in blocks)
    drawn = np.mean([layer.type == 11 for block in blocks for layer in block.layers])
    assert drawn == pytest.approx(1 / 6, abs=0.04)  # of five types in rows 1 and 2, then of seven
    block = Block.parse([[1, 1, 3, 0, 0]])
    mutants = {mutate(block, SPACE, rng).to_json() for _ in range(300)}
    assert "[[1,11,5,0,0],[2,7,0,0,0]]" in mutants


def test_the_space_is_enumerated_with_it() -> None:
    keys = {block.key for block in SearchSpace(max_layers=3, extra_kinds=("separable",)).blocks()}
    assert len(keys) == 8 + 8 * 8  # 3 PCCs, 2 poolings, identity, 2 separable; Terminal or not
    first = islice(SPACE.blocks(), 10)
    assert [block.layers[0][1:3] for block in first][-2:] == [(11, 3), (11, 5)]


def test_choices_have_it() -> None:
    entries = choices_space(SPACE)
    names = entries["layer3"]["_value"]
    assert names[-6:] == ["identity", "separable 3", "separable 5", "add", "concat", "end"]
    first = {key: entry["_value"][0] for key, entry in entries.items()}
    assert block_of(first | {"layer1": "separable 5"}, SPACE).codes[0] == [1, 11, 5, 0, 0]


def test_pictures_name_and_colour_it() -> None:
    block = block_with(SEPARABLE, 5)
    lines = draw_text(block).splitlines()
    assert "5×5 separable" in lines[1]
    assert len({line.index("<-") for line in lines if "<-" in line}) == 1
    with_it, without = legend([block]), legend([Block.parse([[1, 1, 3, 0, 0]])])
    assert [entry for entry in with_it if entry not in without] == [(SEPARABLE.colour, "separable")]


def test_every_kind_has_a_label_and_a_colour_of_its_own() -> None:
    kinds = [kind for kind in all_kinds() if not kind.ends]
    labels = {(kind.type, label(kind.type, 0)) for kind in kinds}
    colours = {(kind.type, colour(kind.type, 0)) for kind in kinds}
    for pairs in (labels, colours):
        assert len({name for _, name in pairs}) == len(pairs) == len({kind.type for kind in kinds})


def test_structure_is_declared() -> None:
    assert [kind.predecessors for kind in (PCC, ADD, TERMINAL)] == [1, 2, 0]
    assert all(kind.passes_on(1) for kind in (MAX_POOL, AVG_POOL))
    assert IDENTITY.passes_on(0)
    assert not PCC.passes_on(1)
    assert {kind.name for kind in all_kinds() if kind.joins} == {"add", "concat"}
    with pytest.raises(TypeError, match="layer kind add has no module of its own"):
        ADD(4, 4, 0)


def test_every_kind_is_tested() -> None:
    assert {kind for kind, _ in EVERY_KIND} == {
        kind for kind in all_kinds() if not kind.joins and not kind.ends and _is_packaged(kind)
    }


def _is_packaged(kind: LayerKind) -> bool:
    return kind.type < 100  # other tests register kinds of users


def test_no_kind_but_its_file_names_it() -> None:
    """What a new kind costs: the separable convolution stands in one file of the package."""
    package = Path(register.__code__.co_filename).parents[1]
    naming = {
        path.relative_to(package).as_posix()
        for path in package.rglob("*")
        if path.suffix in (".py", ".jinja")
        and re.search(r"SEPARABLE|SeparableConv|== 11\b", path.read_text())
    }
    assert naming == {"blocks/kinds/separable.py"}
