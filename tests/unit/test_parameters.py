"""A trial's parameters, read as they arrive from the tuner, a user or another program."""

from __future__ import annotations

import json
from typing import Any

import pytest

from nni_blockqnn.blocks.block import Block
from nni_blockqnn.common.checks import LARGEST_SEED
from nni_blockqnn.exchange.parameters import read_task, trial_parameters
from nni_blockqnn.network.spec import NetworkSpec
from nni_blockqnn.q_learning.search import Suggestion
from nni_blockqnn.space.search_space import SearchSpace
from nni_blockqnn.training import TrainingArguments
from nni_blockqnn.trials.training import training_seed

CODES = [[1, 1, 3, 0, 0], [2, 7, 0, 0, 0]]


def test_there_and_back() -> None:
    space = SearchSpace(repeats=(2, 4), network='{"preset": "digits", "filters": [4, 8]}')
    block = Block.parse(CODES)
    parameters = trial_parameters(space, Suggestion(17, block, 2, 1.0))
    assert parameters == {
        "block": "[[1,1,3,0,0],[2,7,0,0,0]]",
        "repeats": 2,
        "network": '{"preset": "digits", "filters": [4, 8]}',
        "episode": 17,
    }
    spec = NetworkSpec("digits", filters=(4, 8), repeats=2)
    assert read_task(json.loads(json.dumps(parameters))) == (block, spec, 17, 0, None)


@pytest.mark.parametrize("block", [CODES, CODES[:1], json.dumps(CODES)])
def test_a_block_alone_is_enough(block: Any) -> None:
    task = read_task({"block": block})
    assert task == (Block.parse(CODES), NetworkSpec("cifar100"), None, 0, None)


@pytest.mark.parametrize(
    ("space", "codes"),
    [
        (SearchSpace(conv_kernels=(7,), pool_kernels=(5,)), [[1, 1, 7, 0, 0], [2, 2, 5, 1, 0]]),
        (SearchSpace(extra_kinds=("separable",)), [[1, 11, 5, 0, 0]]),
        (SearchSpace(encoding="separate"), [[1, 1, 3, 0, 0], [2, 8, 0, 1, 0]]),
        (SearchSpace(encoding="separate", conv_kernels=(7,)), [[1, 1, 7, 0, 0]]),
    ],
)
def test_the_text_of_a_block_says_all_of_it(space: SearchSpace, codes: list[list[int]]) -> None:
    block = space.parse(codes)
    parameters = trial_parameters(space, Suggestion(0, block, 4, 1.0))
    assert read_task(json.loads(json.dumps(parameters))).block == block
    parameters.pop("space", None)
    assert read_task(parameters).block == block


def test_rows_alone_are_of_the_encoding_that_their_space_names() -> None:
    """As parameters of earlier versions are."""
    parameters = {"block": "[[1,1,7,0,0]]", "space": '{"encoding": "separate"}'}
    assert read_task(parameters).block == Block.parse([[1, 1, 7, 0, 0]], encoding="separate")


@pytest.mark.parametrize(
    ("parameters", "fragments"),
    [
        (None, ['"block"', "is the tuner BlockQNN?", "None"]),
        ({}, ['"block"', "{}"]),
        ({"lr": 0.1}, ['"block"', "{'lr': 0.1}"]),
        ("[[1,1,3,0,0]]", ['"block"']),
        ({"block": "x"}, ["block", "'x'"]),
        ({"block": CODES, "repeats": 0}, ["repeats", "got 0"]),
        ({"block": CODES, "repeats": "4"}, ["repeats", "'4'"]),
        ({"block": CODES, "width": 0}, ["width", "got 0"]),
        ({"block": CODES, "width": "19"}, ["width", "'19'"]),
        ({"block": CODES, "width": 40_000}, ["filters", "65536", "got 80000"]),
        ({"block": CODES, "match": "flops"}, ["match", "JSON", "'flops'"]),
        ({"block": CODES, "match": '{"flops": 10}'}, ["match flops 10", "85 to 105 %", "1 to 128"]),
        ({"block": CODES, "network": "mnist"}, ["network", "'mnist'"]),
        ({"block": CODES, "network": None}, ["network", "None"]),
        ({"block": CODES, "episode": "17"}, ["episode", "'17'"]),
        ({"block": CODES, "episode": True}, ["episode", "True"]),
        ({"block": CODES, "space": 5}, ["space", "5"]),
        ({"block": CODES, "space": "{"}, ["space", "'{'"]),
        ({"block": CODES, "space": "[" * 100_000}, ["space"]),
        ({"block": CODES, "space": "[]"}, ["block", "[]"]),
        ({"block": CODES, "space": '{"conv_kernels": [2]}'}, ["conv_kernels", "2"]),
        ({"block": CODES, "space": '{"encoding": "x"}'}, ["encoding", "'x'"]),
    ],
)
def test_what_is_wrong_is_named(parameters: Any, fragments: list[str]) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        read_task(parameters)
    for fragment in fragments:
        assert fragment in str(caught.value)


def test_a_repetition_is_trained_with_a_seed_of_its_own() -> None:
    block = Block.parse(CODES)
    first = trial_parameters(SearchSpace(), Suggestion(0, block, 4, 1.0))
    again = trial_parameters(SearchSpace(), Suggestion(1, block, 4, 1.0, repetition=2))
    assert "repetition" not in first
    assert again["repetition"] == 2
    arguments = TrainingArguments(dataset="digits", seed=7)
    seeds = [training_seed(read_task(parameters), arguments) for parameters in (first, again)]
    assert seeds == [7, 9]
    last = TrainingArguments(dataset="digits", seed=LARGEST_SEED)
    assert training_seed(read_task(again), last) == 1
    for wrong in (-1, "1", 1.0, None):
        with pytest.raises(ValueError, match="repetition must be an integer from 0"):
            read_task(again | {"repetition": wrong})
