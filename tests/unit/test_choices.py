"""The space of blocks as ordinary choices."""

from __future__ import annotations

import json
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from nni_blockqnn.space.choices import block_of, choices_space
from nni_blockqnn.space.search_space import SearchSpace

EXAMPLE = Path(__file__).parents[2] / "examples" / "compare_tuners"
FOUR_ROWS = {
    "layer1": "conv 3",
    "layer2": "max_pool 3",
    "layer3": "conv 5",
    "layer3_pred1": 1,
    "layer4": "concat",
    "layer4_pred1": 2,
    "layer4_pred2": 2,
}


def all_points(space: SearchSpace) -> list[dict]:
    entries = {key: entry["_value"] for key, entry in choices_space(space).items()}
    return [dict(zip(entries, values, strict=True)) for values in product(*entries.values())]


def random_point(space: SearchSpace, rng: np.random.Generator) -> dict:
    entries = choices_space(space).items()
    return {key: entry["_value"][rng.integers(len(entry["_value"]))] for key, entry in entries}


def test_the_choices_of_three_rows() -> None:
    first = ["conv 1", "conv 3", "conv 5", "max_pool 3", "avg_pool 3", "identity"]
    assert choices_space(SearchSpace(max_layers=4)) == {
        "layer1": {"_type": "choice", "_value": first},
        "layer2": {"_type": "choice", "_value": [*first, "end"]},
        "layer3": {"_type": "choice", "_value": [*first, "add", "concat", "end"]},
        "layer3_pred1": {"_type": "choice", "_value": [1, 2]},
    }


@pytest.mark.parametrize(
    ("changes", "rows"),
    [
        # pred2 counts rows 1 and 3, pred1 being 2: its second is row 3
        ({}, [[1, 1, 3, 0, 0], [2, 2, 3, 1, 0], [3, 1, 5, 1, 0], [4, 6, 0, 2, 3]]),
        # rows 2 and 3 are left: the first is row 2
        (
            {"layer4": "add", "layer4_pred1": 1, "layer4_pred2": 1},
            [[1, 1, 3, 0, 0], [2, 2, 3, 1, 0], [3, 1, 5, 1, 0], [4, 5, 0, 1, 2]],
        ),
        # in row 3 the other row is read without a choice
        (
            {"layer3": "add", "layer3_pred1": 2, "layer4": "identity"},
            [[1, 1, 3, 0, 0], [2, 2, 3, 1, 0], [3, 5, 0, 1, 2], [4, 4, 0, 2, 0]],
        ),
        ({"layer3": "end"}, [[1, 1, 3, 0, 0], [2, 2, 3, 1, 0]]),
        ({"layer2": "end"}, [[1, 1, 3, 0, 0]]),
    ],
)
def test_choices_are_read(changes: dict, rows: list[list[int]]) -> None:
    block = block_of(FOUR_ROWS | changes, SearchSpace(max_layers=5))
    assert block.codes[:-1] == rows


@pytest.mark.parametrize(
    ("space", "points", "networks"),
    [
        (SearchSpace(max_layers=4), 6 * 7 * 9 * 2, 456),
        (SearchSpace(max_layers=3, encoding="separate"), 8 * 9, 8 + 8 * 8),
    ],
)
def test_every_point_is_a_block_and_every_block_a_point(
    space: SearchSpace, points: int, networks: int
) -> None:
    assert len(all_points(space)) == points
    keys = {block_of(point, space).key for point in all_points(space)}
    assert len(keys) == networks
    assert keys == {block.key for block in space.blocks()}


@pytest.mark.parametrize(
    "space",
    [
        SearchSpace(),
        SearchSpace(max_layers=2),
        SearchSpace(max_layers=7, conv_kernels=(7,), pool_kernels=(1,)),
    ],
)
def test_random_points_are_blocks_of_the_space(space: SearchSpace) -> None:
    rng = np.random.default_rng(0)
    blocks = [block_of(random_point(space, rng), space) for _ in range(300)]
    assert all(space.contains(block) for block in blocks)
    lengths = {len(block.layers) for block in blocks}
    assert min(lengths) == 1
    assert max(lengths) == space.max_layers - 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"layer2": "conv 7"}, r"^layer2 must be one of \['conv 1', .*'end'\], got 'conv 7'$"),
        ({"layer1": "end"}, "^layer1 must be one of .*, got 'end'$"),
        ({"layer4_pred2": 3}, r"^layer4_pred2 must be one of \[1, 2\], got 3$"),
        ({"layer3_pred1": True}, r"^layer3_pred1 must be one of \[1, 2\], got True$"),
        ({"layer3_pred1": 1.0}, r"^layer3_pred1 must be one of \[1, 2\], got 1.0$"),
        ({"layer4": ["conv 3"]}, r"^layer4 must be one of .*, got \['conv 3'\]$"),
        ({"layer5": "end"}, "^the choices have no key 'layer5'; allowed are .*'layer1'"),
    ],
)
def test_a_wrong_choice_is_named(changes: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        block_of(FOUR_ROWS | changes, SearchSpace(max_layers=5))


def test_a_missing_choice_is_named() -> None:
    choices = {key: value for key, value in FOUR_ROWS.items() if key != "layer4"}
    with pytest.raises(ValueError, match=r"^layer4 must be one of .*, got None$"):
        block_of(choices, SearchSpace(max_layers=5))


def test_what_is_no_object_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^the choices must be an object, got 'conv 3'$"):
        block_of("conv 3", SearchSpace())


def test_the_example_has_the_choices_of_its_space() -> None:
    """NNI's tuners read choices.json there, BlockQNN and the trial space.json."""
    space = SearchSpace.from_json(json.loads((EXAMPLE / "space.json").read_text()))
    assert json.loads((EXAMPLE / "choices.json").read_text()) == choices_space(space)
