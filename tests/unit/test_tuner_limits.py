"""The tuner keeps to the limits of a network's cost."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from playing import Experiment, space, tuner

from nni_blockqnn.blocks.block import Block
from nni_blockqnn.exchange.parameters import read_task
from nni_blockqnn.network.cost import estimate_cost
from nni_blockqnn.network.spec import NetworkSpec


@pytest.mark.slow
@pytest.mark.parametrize(
    "limits",
    [
        {"max_params": 1_000_000},
        {"max_flops": 50_000_000},
        {"max_activations": 4_000_000},
        {"max_params": 2_000_000, "max_flops": 200_000_000, "max_activations": 6_000_000},
    ],
    ids=lambda limits: "+".join(limits),
)
def test_a_network_over_the_limits_is_never_sent(limits: dict[str, int]) -> None:
    made = tuner(budget=300, limits=limits)
    played = Experiment(made, 8).run(300)
    assert len(played.sent) == 300
    free = Experiment(tuner(budget=300), 8).run(50)
    assert any(_over(parameters, limits) for parameters in free.sent), "else it tests nothing"
    assert not any(_over(parameters, limits) for parameters in played.sent)


@pytest.mark.slow
@pytest.mark.parametrize("rule", ["largest", "agent"])
def test_adaptive_repeats_stay_within_the_limits(rule: str) -> None:
    limits = {"max_params": 1_500_000}
    made = tuner(space(repeats=[1, 2, 4]), repeats_rule=rule, limits=limits, budget=200)
    played = Experiment(made, 8).run(200)
    assert {parameters["repeats"] for parameters in played.sent} == {1, 2, 4}
    for parameters in played.sent:
        assert not _over(parameters, limits)
        larger = [n for n in (1, 2, 4) if n > parameters["repeats"]]
        if rule == "largest" and larger:
            assert _over(parameters | {"repeats": larger[0]}, limits)


@pytest.mark.slow
def test_the_agent_learns_repeats_that_often_do_not_fit() -> None:
    """The best number of repeats, 4, is often over the limits; then another one is chosen."""
    made = tuner(
        space(repeats=[1, 2, 4]),
        repeats_rule="agent",
        limits={"max_params": 400_000},
        epsilon_schedule=[[1.0, 1], [0.0, 9]],
    )

    def end(played: Experiment, parameter_id: int) -> None:
        played.finish(parameter_id, reward=10.0 * played.in_flight[parameter_id]["repeats"])

    played = Experiment(made).run(100, end)
    repeats = Counter(parameters["repeats"] for parameters in played.sent[50:])
    assert repeats[4] > repeats[1]


@pytest.mark.parametrize(
    ("limits", "fragments"),
    [
        ({"max_params": 1000}, ["'max_params': 1000", "'params': 24452", "raise them"]),
        ({"max_flops": 1000}, ["'max_flops': 1000", "'flops': 1946212"]),
        ({"max_activations": 1}, ["'max_activations': 1"]),
    ],
)
def test_impossible_limits_are_refused_at_the_start(
    limits: dict[str, int], fragments: list[str]
) -> None:
    with pytest.raises(ValueError, match="admit no block") as caught:
        tuner(limits=limits)
    for fragment in fragments:
        assert fragment in str(caught.value)


def test_limits_that_few_blocks_meet_end_the_search() -> None:
    """Within the identity's own activations there are the blocks that write nothing."""
    identity = Block.parse([[1, 4, 0, 0, 0]])
    most = estimate_cost(identity, NetworkSpec("cifar100")).activations
    made = tuner(space(max_layers=4), limits={"max_activations": most})
    played = Experiment(made).run(1000)
    # chains of up to three identities: everything else writes, and a second leaf makes a concat
    assert sorted(len(Block.parse(p["block"]).layers) for p in played.sent) == [1, 2, 3]


def _over(parameters: dict[str, Any], limits: dict[str, int]) -> bool:
    task = read_task(parameters)
    cost = estimate_cost(task.block, task.spec)._asdict()
    return any(cost[name.removeprefix("max_")] > most for name, most in limits.items())
