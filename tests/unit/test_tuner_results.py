"""Results as NNI hands them to the tuner: in any order, twice, wrong or strange."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from playing import Experiment, layers_reward, metric, network_of, space, tuner

from nni_blockqnn.blocks.block import Block
from nni_blockqnn.tuner import BlockQNNTuner


@pytest.mark.parametrize("in_result", [True, False])
def test_the_metric_decides_whatever_the_parameter_id(in_result: bool) -> None:
    """NNI hands out parameters in another order than it records them (NNI #5726)."""

    def end(played: Experiment, parameter_id: int) -> None:
        parameters = played.in_flight.pop(parameter_id)
        other_id = (parameter_id + 1) % 1000 if in_result else 10**9
        played.tuner.receive_trial_result(other_id, {"block": "?"}, metric(parameters))
        played.tuner.trial_end(parameter_id, True)

    played = Experiment(tuner(), 8).run(60, end)
    assert _rewards(played.tuner) == {
        parameters["episode"]: layers_reward(Block.parse(parameters["block"]))
        for parameters in played.sent
    }


@pytest.mark.slow
@pytest.mark.parametrize("small", [True, False])
def test_results_and_ends_in_any_order(small: bool) -> None:
    """The end may come first, even before the next trial is asked for, and the result late."""
    rng = np.random.default_rng(2)
    late: list[dict[str, Any]] = []

    def end(played: Experiment, parameter_id: int) -> None:
        parameters = played.in_flight.pop(parameter_id)
        order = rng.integers(3)
        if order == 0:
            played.tuner.receive_trial_result(parameter_id, parameters, metric(parameters))
        played.tuner.trial_end(parameter_id, True)
        if order == 1:
            played.tuner.receive_trial_result(parameter_id, parameters, metric(parameters))
        if order == 2:
            late.append(parameters)
        if len(late) > 3:
            overdue = late.pop(rng.integers(len(late)))
            played.tuner.receive_trial_result(0, overdue, metric(overdue))

    made = tuner(space(max_layers=4 if small else 23))
    played = Experiment(made, 8).run(120, end)
    for overdue in late:
        made.receive_trial_result(0, overdue, metric(overdue))
    assert sorted(_rewards(made)) == list(range(len(played.sent))) == list(range(120))


def test_a_result_counts_once() -> None:
    played = Experiment(tuner())
    played.fill()
    parameters = played.in_flight[0]
    for reward in (60.0, 61.0, 60.0):
        played.tuner.receive_trial_result(0, parameters, metric(parameters, reward))
    assert [result.reward for result in played.tuner.history] == [60.0]


def test_another_numbering_of_the_same_block_counts() -> None:
    made = tuner(space(max_layers=4))
    played = Experiment(made, 40)
    played.fill()
    parameter_id, parameters, twin = next(
        (parameter_id, parameters, block)
        for parameter_id, parameters in played.in_flight.items()
        for block in made._search.space.blocks()
        if block.key == network_of(parameters)[0] and block.to_json() != parameters["block"]
    )
    made.receive_trial_result(
        parameter_id, parameters, metric(parameters, block=twin.to_json(), default=1.0)
    )
    assert made.history[-1].block == twin
    assert made.history[-1].episode == parameters["episode"]


OTHER_BLOCK = "[[1,4,0,0,0],[2,4,0,1,0],[3,4,0,2,0],[4,4,0,3,0],[5,4,0,4,0],[6,4,0,5,0]]"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (None, "must be a dictionary"),
        (71.5, "must be a dictionary"),
        ("71.5", "must be a dictionary"),
        ([71.5], "must be a dictionary"),
        ({"default": None}, '"default" must be a finite number'),
        ({"default": "71.5"}, '"default" must be a finite number'),
        ({"default": True}, '"default" must be a finite number'),
        ({"default": [71.5]}, '"default" must be a finite number'),
        ({"default": float("nan")}, '"default" must be a finite number'),
        ({"default": float("inf")}, '"default" must be a finite number'),
        ({"default": -float("inf")}, '"default" must be a finite number'),
        ({"default": 10**400}, '"default" must be a finite number'),
        ({"default": 10**5000}, '"default" must be a finite number'),
        ({"default": 1e300}, '"default" must be a finite number'),
        ({"episode": None}, '"episode" must be an integer'),
        ({"episode": "0"}, '"episode" must be an integer'),
        ({"episode": 0.0}, '"episode" must be an integer'),
        ({"episode": False}, '"episode" must be an integer'),
        ({"episode": 7}, "episode 7 was never handed out"),
        ({"episode": -1}, "episode -1 was never handed out"),
        ({"episode": 10**5000}, "was never handed out"),
        ({"block": None}, '"block" is not a block'),
        ({"block": "[[1,1,3,0,0]"}, '"block" is not a block'),
        ({"block": "[" * 100_000}, '"block" is not a block'),
        ({"block": [[1, 1, 2, 0, 0]]}, '"block" is not a block'),
        ({"block": OTHER_BLOCK}, "handed out with another block"),
    ],
)
def test_what_is_no_result_is_left_out(
    change: Any, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    played = Experiment(tuner())
    played.fill()
    parameters = played.in_flight[0]
    value = metric(parameters) | change if isinstance(change, dict) else change
    played.tuner.receive_trial_result(0, parameters, value)
    assert played.tuner.history == []
    assert reason in caplog.text
    assert len(caplog.text) < 2000
    played.finish(0)
    assert len(played.tuner.history) == 1, "the right result counts afterwards"


@pytest.mark.parametrize("missing", ["default", "episode", "block"])
def test_a_metric_without_its_least_is_left_out(missing: str) -> None:
    played = Experiment(tuner())
    played.fill()
    value = metric(played.in_flight[0])
    del value[missing]
    played.tuner.receive_trial_result(0, played.in_flight[0], value)
    assert played.tuner.history == []


class _Unwritable:
    pass


@pytest.mark.parametrize(
    "extra",
    [
        {"weights": np.zeros(3)},
        {"set": {1, 2}, "bytes": b"x"},
        {("a", 1): 5},
        {"object": _Unwritable()},
        {"flops": 10**5000},
        {"accuracy": float("nan")},
        {"deep": json.loads("[" * 900 + "]" * 900)},
        {"text": "x" * 1_000_000} | {f"key{i}": i for i in range(10_000)},
        {"\ud800": "\ud800"},
        {"default": np.float32(60.25), "episode": np.int64(0)},
    ],
    ids=lambda extra: str(next(iter(extra))).encode("ascii", "replace").decode(),
)
def test_a_strange_metric_counts_and_survives_a_restart(
    extra: dict[Any, Any], checkpoint: None
) -> None:
    played = Experiment(tuner())
    played.fill()
    parameters = played.in_flight[0]
    played.tuner.receive_trial_result(0, parameters, metric(parameters) | extra)
    assert [result.episode for result in played.tuner.history] == [0]
    assert tuner().history == played.tuner.history


def _rewards(made: BlockQNNTuner) -> dict[int, float]:
    rewards = {result.episode: result.reward for result in made.history}
    assert len(rewards) == len(made.history)
    return rewards
