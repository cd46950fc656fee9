"""The search space of finalists, the file that holds it, and its grid."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from nni_blockqnn.blocks.block import Block
from nni_blockqnn.exchange.finalists import (
    finalist_tasks,
    finalists_space,
    grid_of,
    network_of_grid,
    read_finalist,
    write_finalists,
)

CONV = Block.parse([[1, 1, 3, 0, 0]])
POOL = Block.parse([[1, 2, 3, 0, 0]])
LARGE = Block.parse([[1, 1, 7, 0, 0]], conv_kernels=[7])
SEPARATE = Block.parse([[1, 1, 3, 0, 0]], encoding="separate")
SEPARABLE = Block.parse([[1, 11, 5, 0, 0]], extra_kinds=["separable"])


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "finalists.json"
    write_finalists(path, finalists_space([CONV, POOL, CONV], 2, "digits"))
    return path


def test_each_block_is_a_choice_once_and_in_its_order() -> None:
    assert finalists_space([POOL, CONV, POOL], 2, "digits") == {
        "block": {"_type": "choice", "_value": [POOL.to_json(), CONV.to_json()]},
        "repeats": {"_type": "choice", "_value": [2]},
        "network": {"_type": "choice", "_value": ["digits"]},
    }


@pytest.mark.parametrize(
    ("blocks", "space"),
    [
        ([CONV, SEPARABLE], {"extra_kinds": ["separable"]}),
        ([CONV, LARGE], None),
        ([CONV, SEPARATE], None),
    ],
)
def test_blocks_of_all_kinds_can_be_finalists_together(
    blocks: list[Block], space: dict[str, list[object]] | None
) -> None:
    written = json.loads(json.dumps(finalists_space(blocks, 1, "digits")))
    given = written.get("space", {"_value": ["null"]})
    assert json.loads(*given["_value"]) == space
    assert [task.block for task in finalist_tasks(written)] == blocks


def test_a_grid_is_every_combination_the_last_key_fastest() -> None:
    choices = {"block": [1, 2], "repeats": [3, 4]}
    space = {name: {"_type": "choice", "_value": values} for name, values in choices.items()}
    assert list(grid_of(space)) == [
        {"block": block, "repeats": repeats} for block in (1, 2) for repeats in (3, 4)
    ]


def test_the_network_of_a_grid_is_its_first(path: Path) -> None:
    space = json.loads(path.read_text(encoding="utf-8"))
    assert network_of_grid(space) == "digits"
    space["network"]["_value"] = ["cifar10", "digits"]
    assert network_of_grid(space) == "cifar10"
    del space["network"]
    with pytest.raises(ValueError, match=r'^the search space has no "network"$'):
        network_of_grid(space)


@pytest.mark.parametrize(("rank", "block"), [(1, CONV), (2, POOL)])
def test_a_finalist_is_read_by_its_rank(path: Path, rank: int, block: Block) -> None:
    parameters = {"block": block.to_json(), "repeats": 2, "network": "digits"}
    assert read_finalist(path, rank) == parameters


@pytest.mark.parametrize("rank", [0, 3])
def test_a_rank_that_the_file_does_not_hold_is_refused(path: Path, rank: int) -> None:
    message = f"rank must be from 1 to 2: {path} holds 2 blocks, got {rank}"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        read_finalist(path, rank)


def test_one_block_is_said_to_be_one(path: Path) -> None:
    write_finalists(path, finalists_space([CONV], 2, "digits"))
    message = f"rank must be from 1 to 1: {path} holds one block, got 2"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        read_finalist(path, 2)


def test_the_file_is_indented_json_with_a_last_newline(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert text == json.dumps(json.loads(text), indent=1) + "\n"
