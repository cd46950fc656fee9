"""Blocks of the same function are trained once, and credited with their own density."""

from __future__ import annotations

import math
from typing import Any

import pytest
from playing import Experiment, space, tuner

from nni_blockqnn import Block, NetworkSpec, estimate_cost, reward
from nni_blockqnn.q_learning._known import DensityWeight, KnownResults, are_equivalent

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
        "mu": mu,
        "rho": rho,
    }


def _known(*metrics: dict[str, Any], block: Block = CONV) -> KnownResults:
    known = KnownResults()
    for metric in metrics:
        known.add(block, 4, metric["default"], metric)
    return known


@pytest.mark.parametrize("rho", [0.0, 8.0, -4.3])
def test_rho_is_what_the_metrics_say(rho: float) -> None:
    weight = DensityWeight()
    assert weight.rho is None
    for accuracy in (50.0, 60.0):
        weight.observe(accuracy - 3, _metric(CONV, accuracy, 1.0, rho))
        assert weight.rho == rho


def test_metrics_that_disagree_say_nothing() -> None:
    weight = DensityWeight()
    weight.observe(50.0, {"rho": 8.0})
    weight.observe(50.0, {"rho": 0.0})
    assert weight.rho is None


def test_rewards_that_are_the_accuracy_have_no_rho_once_that_is_no_coincidence() -> None:
    weight = DensityWeight()
    for number in range(DensityWeight.ENOUGH):
        assert weight.rho is None
        weight.observe(50.0 + number, {"accuracy": 50.0 + number})
    assert weight.rho == 0.0
    weight.observe(50.0, {"accuracy": 51.0})
    assert weight.rho is None


@pytest.mark.parametrize("odd", [None, "8", math.nan, True, 10**400])
def test_rewards_made_otherwise_credit_no_other_block(odd: Any) -> None:
    sound = _metric(CONV, 60.0, 1.0, 8.0)
    assert _known(sound).has_equivalent(CONV_IDENTITY, 4)
    assert not _known(sound, sound | {"rho": odd}).has_equivalent(CONV_IDENTITY, 4)


def test_an_equivalent_block_has_the_accuracy_and_its_own_density() -> None:
    """Densities: 2 edges over 3 dots, and 3 over 4."""
    known = _known(_metric(CONV, 60.0, 0.0, 8.0))
    assert known.reward(CONV, 4) == pytest.approx(60 - 8 * math.log(2 / 3))
    assert known.reward(CONV_IDENTITY, 4) == pytest.approx(60 - 8 * math.log(3 / 4))
    assert known.reward(CONV_IDENTITY, 2) is None, "other repeats are another network"
    assert known.reward(TWO_BRANCHES, 4) is None


def test_leaves_and_a_concat_of_them_are_equivalent() -> None:
    assert are_equivalent(TWO_BRANCHES, CONCATENATED)
    assert not are_equivalent(TWO_BRANCHES, CONV)


@pytest.mark.slow
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
    assert len(set(functions[:30])) >= 28, "the last ones are rare among their equivalents"


def test_no_equivalent_of_a_block_under_way_is_sent_beside_it() -> None:
    played = Experiment(tuner(space(max_layers=4), budget=200), 8).run(120)
    assert len(played.sent) == 120
    in_flight: list[str] = []
    for parameters in Experiment(tuner(space(max_layers=4), budget=200), 30).run(30).sent:
        in_flight.append(Block.parse(parameters["block"]).function_key)
    assert len(set(in_flight)) == 30
