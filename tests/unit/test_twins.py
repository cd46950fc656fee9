"""Blocks of the same function are trained once, and credited with their own density."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from playing import Experiment, space, tuner

from nni_blockqnn import Block, NetworkSpec, SearchSpace, estimate_cost, reward
from nni_blockqnn.q_learning._reward_model import RewardModel
from nni_blockqnn.q_learning._twins import Twins, are_twins

SPEC = NetworkSpec("cifar100")
CONV = Block.parse([[1, 1, 3, 0, 0]])
CONV_IDENTITY = Block.parse([[1, 1, 3, 0, 0], [2, 4, 0, 1, 0]])
TWO_BRANCHES = Block.parse([[1, 1, 3, 0, 0], [2, 1, 5, 1, 0], [3, 2, 3, 1, 0]])
CONCATENATED = Block.parse([[1, 1, 3, 0, 0], [2, 2, 3, 1, 0], [3, 1, 5, 1, 0], [4, 6, 0, 2, 3]])


def _metric(block: Block, accuracy: float, mu: float, rho: float) -> dict[str, Any]:
    flops = estimate_cost(block, SPEC).flops
    return {
        "accuracy": accuracy,
        "flops": flops,
        "default": reward(accuracy, flops, block.density, mu, rho),
    }


def _observed(model: RewardModel | Twins, mu: float, rho: float, blocks: int = 10) -> None:
    rng, blocks_of = np.random.default_rng(0), SearchSpace()
    for _ in range(blocks):
        block = blocks_of.random_block(rng)
        metric = _metric(block, 50 + 10 * rng.random(), mu, rho)
        if isinstance(model, Twins):
            model.add(block, 4, metric["default"], metric)
        else:
            model.observe(block, metric["default"], metric)


@pytest.mark.parametrize(("mu", "rho"), [(0.0, 0.0), (1.0, 8.0), (-12.8, -4.3)])
def test_rho_is_found_in_the_rewards(mu: float, rho: float) -> None:
    model = RewardModel()
    _observed(model, mu, rho)
    assert model.rho == pytest.approx(rho, abs=1e-6)


def test_a_few_rewards_prove_nothing() -> None:
    model = RewardModel()
    _observed(model, 1.0, 8.0, blocks=3)
    assert model.rho is None


@pytest.mark.parametrize(
    "odd",
    [
        {"default": 7.0},
        {"accuracy": None},
        {"accuracy": "60"},
        {"flops": 0},
        {"flops": 10**400},
        {"accuracy": math.nan},
    ],
)
def test_rewards_of_another_making_credit_no_twin(odd: dict[str, Any]) -> None:
    twins = Twins()
    _observed(twins, 1.0, 8.0)
    metric = _metric(CONV, 60.0, 1.0, 8.0) | odd
    twins.add(CONV, 4, metric["default"], metric)
    assert twins.rewards(CONV_IDENTITY, 4) == []


def test_a_twin_has_the_accuracy_and_its_own_density() -> None:
    """Densities: 2 edges over 3 dots, and 3 over 4."""
    twins = Twins()
    _observed(twins, 0.0, 8.0)
    twins.add(CONV, 4, 60 - 8 * math.log(2 / 3), _metric(CONV, 60.0, 0.0, 8.0))
    assert twins.rewards(CONV_IDENTITY, 4)[-1] == pytest.approx(60 - 8 * math.log(3 / 4))
    assert twins.rewards(CONV_IDENTITY, 2) == [], "another number of repeats is another network"
    assert twins.rewards(TWO_BRANCHES, 4) == []


def test_leaves_and_a_concat_of_them_are_twins() -> None:
    assert are_twins(TWO_BRANCHES, CONCATENATED)
    assert not are_twins(TWO_BRANCHES, CONV)


def test_every_function_is_trained_before_a_second_block_of_one() -> None:
    """31 functions have up to two layers, in 42 networks; nothing is left out in the end."""
    played = Experiment(tuner(space(max_layers=3), budget=60))
    while not played.exhausted:
        played.fill()
        for parameter_id, parameters in list(played.in_flight.items()):
            block = Block.parse(parameters["block"])
            metric = _metric(block, 50.0 + len(block.function_key) % 7, 1.0, 8.0)
            identity = {name: parameters[name] for name in ("episode", "block")}
            played.tuner.receive_trial_result(parameter_id, parameters, metric | identity)
            played.tuner.trial_end(parameter_id, True)
            del played.in_flight[parameter_id]
    functions = [Block.parse(parameters["block"]).function_key for parameters in played.sent]
    assert len(functions) == 42
    assert len(set(functions)) == 31
    assert len(set(functions[:30])) >= 28, "the first ones come before rho is known"


def test_a_twin_under_way_is_not_sent_beside_it() -> None:
    played = Experiment(tuner(space(max_layers=4), budget=200), 8).run(120)
    assert len(played.sent) == 120
    in_flight: list[str] = []
    for parameters in Experiment(tuner(space(max_layers=4), budget=200), 30).run(30).sent:
        in_flight.append(Block.parse(parameters["block"]).function_key)
    assert len(set(in_flight)) == 30
