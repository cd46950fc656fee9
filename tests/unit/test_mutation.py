"""Mutants are other blocks of the space, one edit away."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nni_blockqnn import Block, SearchSpace
from nni_blockqnn.blocks.layer import ENCODINGS
from nni_blockqnn.space.mutation import mutate, splice


@given(st.sampled_from(ENCODINGS), st.integers(2, 23), st.integers(0, 2**32 - 1))
def test_a_mutant_is_another_block_of_the_space(encoding: str, max_layers: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    space = SearchSpace(max_layers=max_layers, encoding=encoding)
    block = space.random_block(rng)
    mutant = mutate(block, space, rng)
    assert space.parse(mutant) == mutant
    assert mutant != block
    assert abs(len(mutant.layers) - len(block.layers)) <= 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("max_layers", "encoding", "networks"), [(4, "pcc", 456), (3, "separate", 8 + 8 * 8)]
)
def test_mutants_of_mutants_reach_every_network_of_a_small_space(
    max_layers: int, encoding: str, networks: int
) -> None:
    space, rng = SearchSpace(max_layers, encoding=encoding), np.random.default_rng(0)
    reached, frontier = set(), [space.parse([[1, 4, 0, 0, 0]])]
    while frontier:
        block = frontier.pop()
        if block.key not in reached:
            reached.add(block.key)
            frontier += [mutate(block, space, rng) for _ in range(40)]
    assert len(reached) == networks


def test_a_space_of_one_block_has_no_other() -> None:
    space = SearchSpace(max_layers=2, conv_kernels=(3,), pool_kernels=(3,))
    rng, block = np.random.default_rng(0), Block.parse([[1, 1, 3, 0, 0]])
    mutants = {mutate(block, space, rng).to_json() for _ in range(100)}
    assert mutants == {f"[[1,{row},0,0],[2,7,0,0,0]]" for row in ("2,3", "3,3", "4,0")}


@pytest.mark.slow
@pytest.mark.parametrize(
    "mutant",
    [
        "[[1,1,3,0,0],[2,1,5,1,0],[3,5,0,1,2],[4,7,0,0,0]]",  # changed
        "[[1,1,3,0,0],[2,1,3,1,0],[3,6,0,1,2],[4,7,0,0,0]]",
        "[[1,1,3,0,0],[2,1,3,1,0],[3,1,3,2,0],[4,5,0,1,2],[5,7,0,0,0]]",  # inserted, unread
        "[[1,1,3,0,0],[2,1,3,1,0],[3,1,3,1,0],[4,5,0,2,3],[5,7,0,0,0]]",  # inserted, read
        "[[1,4,0,0,0],[2,1,3,1,0],[3,1,3,2,0],[4,5,0,2,3],[5,7,0,0,0]]",  # inserted first
        "[[1,1,3,0,0],[2,1,3,1,0],[3,7,0,0,0]]",  # removed
    ],
)
def test_edits_of_a_residual_block(mutant: str) -> None:
    block = Block.parse([[1, 1, 3, 0, 0], [2, 1, 3, 1, 0], [3, 5, 0, 1, 2]])
    rng = np.random.default_rng(0)
    assert mutant in {mutate(block, SearchSpace(), rng).to_json() for _ in range(3000)}


def test_rewiring_keeps_the_layers() -> None:
    block = Block.parse([[1, 1, 3, 0, 0], [2, 1, 3, 1, 0], [3, 2, 3, 2, 0]])
    rng = np.random.default_rng(0)
    assert Block.parse([[1, 1, 3, 0, 0], [2, 1, 3, 1, 0], [3, 2, 3, 1, 0]]) in {
        mutate(block, SearchSpace(), rng) for _ in range(300)
    }


@given(st.sampled_from(ENCODINGS), st.integers(2, 23), st.integers(0, 2**32 - 1))
def test_a_splice_begins_as_one_block_and_ends_as_the_other(
    encoding: str, max_layers: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    space = SearchSpace(max_layers=max_layers, encoding=encoding)
    first, second = space.random_block(rng), space.random_block(rng)
    block = splice(first, second, space, rng)
    assert space.parse(block) == block
    ends = [(layer.type, layer.kernel) for layer in second.layers]
    rest = [(layer.type, layer.kernel) for layer in block.layers]
    assert any(
        block.layers[:kept] == first.layers[:kept] and _ends(rest[kept:], ends)
        for kept in range(1, len(block.layers) + 1)
    )


def _ends(rest: list[tuple[int, int]], labels: list[tuple[int, int]]) -> bool:
    return not rest or labels[-len(rest) :] == rest


def test_layers_of_a_splice_read_at_the_same_distance() -> None:
    """The end's own layers as before; others by distance, at the earliest the first layer."""
    space = SearchSpace()
    first = Block.parse([[1, 1, 1, 0, 0], [2, 1, 3, 1, 0]])
    second = Block.parse([[1, 2, 3, 0, 0], [2, 3, 3, 1, 0], [3, 1, 5, 1, 0], [4, 5, 0, 2, 3]])
    found = {splice(first, second, space, np.random.default_rng(seed)) for seed in range(200)}
    whole = [[1, 1, 1, 0, 0], [2, 1, 3, 1, 0], [3, 1, 5, 1, 0], [4, 5, 0, 2, 3]]
    assert Block.parse(whole) in found, "kept = cut = 2"
    shorter = [[1, 1, 1, 0, 0], [2, 3, 3, 1, 0], [3, 1, 5, 1, 0], [4, 5, 0, 2, 3]]
    assert Block.parse(shorter) in found, "kept = cut = 1"
    one = Block.parse([[1, 4, 0, 0, 0]])
    assert splice(one, one, space, np.random.default_rng(0)) == one
