"""Fuzzed inputs are read as they say or refused in words of ours; so are extreme ones.

``benchmarks/fuzz.py`` does the same with many more.
"""

from __future__ import annotations

import itertools
import json
import tracemalloc
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from fuzzing import READ, REFUSED, TARGETS, Target, fuzzed, outcome

from nni_blockqnn.blocks.block import Block
from nni_blockqnn.exchange.class_args import check_class_args
from nni_blockqnn.network.spec import NetworkSpec
from nni_blockqnn.space.search_space import SearchSpace

INPUTS = 2_000
MEBIBYTE = 2**20


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("name", TARGETS)
def test_fuzzed_inputs(name: str) -> None:
    target = TARGETS[name]
    values = fuzzed(target.valid, np.random.default_rng(7), texts=target.texts)
    outcomes = Counter(outcome(target, value) for value in itertools.islice(values, INPUTS))
    assert set(outcomes) == {READ, REFUSED}, outcomes
    assert outcomes[READ] > INPUTS / 50, "mutations so wild find nothing behind the first check"


@pytest.mark.parametrize("name", TARGETS)
def test_the_valid_ones_are_read(name: str) -> None:
    for value in TARGETS[name].valid:
        assert outcome(TARGETS[name], value) == READ


def _raising(error: BaseException) -> Callable[[Any], Any]:
    def read(value: Any) -> Any:
        raise error

    return read


@pytest.mark.parametrize(
    ("read", "value", "what"),
    [
        (_raising(TypeError("'int' object is not iterable")), 5, "raises TypeError"),
        (_raising(MemoryError()), 5, "raises MemoryError"),
        (_raising(json.JSONDecodeError("row 1", "", 0)), 5, "raises JSONDecodeError"),
        (_raising(ValueError("")), 5, "does not name the fault"),
        (_raising(ValueError("wrong")), 5, "does not name the fault"),
        (_raising(ValueError("row 1: " + "x" * 1000)), 5, "a message of 1007 characters"),
        (_raising(ValueError("row 1: int object is not iterable")), 5, "with internals"),
        (_raising(ValueError("row 1: \ud800")), 5, "cannot be printed"),
        (_raising(ValueError("row 1: no")), [[1, 4, 0, 0, 0]], "a valid value is refused"),
        (lambda value: Block.parse([[1, 4, 0, 0, 0]]), [[1, 1, 3, 0, 0]], "read wrongly"),
        (lambda value: Block.parse([[1, 1, 1, 0, 0]]), [[1, True, 1, 0, 0]], "not all are"),
    ],
)
def test_what_is_wrong_is_found(read: Callable[[Any], Any], value: Any, what: str) -> None:
    target = TARGETS["block"]._replace(read=read, errors=(ValueError,))
    assert what in outcome(target, value)


def _space(**entries: Any) -> dict[str, Any]:
    block = {"_type": "nsc", "_value": {}}
    return {"block": block} | {n: {"_type": "choice", "_value": v} for n, v in entries.items()}


ROW = [1, 4, 0, 0, 0]


@pytest.mark.parametrize(
    ("read", "value", "reason"),
    [
        (Block.parse, "[" + "[1,4,0,0,0]," * 10**6 + "[1,4,0,0,0]]", "it has 12000013 characters"),
        (Block.parse, [ROW] * 10**6, "at most 200 rows, got 1000000"),
        (Block.parse, np.broadcast_to(ROW, (10**9, 5)), "at most 200 rows, got 1000000000"),
        (Block.parse, np.broadcast_to(0, (5, 10**9)), r"an array of shape \(5, 1000000000\)"),
        (Block.parse, [[1] * 10**6], "row 1: a row must be five integers"),
        (Block.parse, "[" * 10**5, "it is nested too deeply"),
        (Block.parse, f"[[{'9' * 50_000},4,0,0,0]]", "it has a number of thousands of digits"),
        (NetworkSpec.from_parameter, '{"classes":' + " " * 10**7 + "5}", "it has 10000013 char"),
        (NetworkSpec.from_parameter, {"filters": [8] * 10**6}, "filters must be a list of 1 to 16"),
        (NetworkSpec.from_parameter, "x" * 10**7, "preset must be one of"),
        (SearchSpace.from_json, _space(repeats=[0] * 10**6), "repeats must be an integer"),
        (SearchSpace.from_json, _space(network=["cifar10"] * 10**6), "network must have one value"),
        (check_class_args, {"epsilon_schedule": [[1.0, 5]] * 10**6}, "at most 1000 stages"),
        (check_class_args, {"x" * 10**7: 5}, "is unknown"),
        (check_class_args, {"limits": dict.fromkeys(range(10**5), 5)}, "limit 0 is unknown"),
    ],
    ids=itertools.count(),
)
def test_extremes_are_refused_in_little_memory(
    read: Callable[[Any], Any], value: Any, reason: str
) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match=reason) as caught:
            read(value)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 16 * MEBIBYTE
    assert len(str(caught.value)) < 1000


def test_a_million_repeats_that_are_the_same_count_once() -> None:
    assert SearchSpace.from_json(_space(repeats=[2] * 10**6 + [1])).repeats == (2, 1)


def test_numpy_numbers_become_pythons() -> None:
    args = {"seed": np.int64(3), "discount": np.float32(0.5), "limits": {"max_flops": np.int32(9)}}
    checked = check_class_args(args)
    assert checked == {"seed": 3, "discount": 0.5, "limits": {"max_flops": 9}}
    assert json.loads(json.dumps(checked)) == checked


@pytest.mark.parametrize(
    ("args", "reason"),
    [
        ({"seed": 2**63}, "seed must be at most 9223372036854775807"),
        ({"budget": 10**9 + 1}, "budget must be at most 1000000000"),
        ({"replay_updates": 10_001}, "replay_updates must be at most 10000"),
        ({"initial_q": 1e101}, "initial_q must be from -1e\\+100 to 1e\\+100"),
        ({"epsilon_schedule": [[1.0, 1e-10]]}, "of stages of 1e-09 to 1000000000 iterations"),
        ({"epsilon_schedule": [[1.0, 5], [0.5, 1e10]]}, "of stages of 1e-09 to 1000000000 iter"),
        ({"limits": {"max_params": 2**63}}, "max_params must be at most 9223372036854775807"),
        (5, "the tuner's arguments must be an object, got 5"),
    ],
)
def test_arguments_that_would_break_the_search_later_are_refused(args: Any, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        check_class_args(args)


def test_a_target_without_a_second_opinion_may_refuse_anything() -> None:
    target = Target(_raising(ValueError("row 1: no")), lambda value, read: None, (), "row")
    assert outcome(target, [ROW]) == REFUSED
