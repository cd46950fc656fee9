"""NNI's own tuners as players of the arena."""

from __future__ import annotations

import math
import random
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from arena import peers
from arena.objectives import Objective, Value
from arena.peers import TUNERS, NniTuner
from arena.play import Played, play
from nni.algorithms.hpo.random_tuner import RandomTuner
from nsc_bench.table import Entry

from nni_blockqnn import Block, SearchSpace
from nni_blockqnn.blocks.layer import LayerType


def objective(max_layers: int, max_flops: int | None = None) -> Objective:
    """The number of convolutions; a layer costs one FLOP."""

    def find(block: Block) -> Entry:
        layers = len(block.layers)
        convolutions = sum(layer.type == LayerType.CONV for layer in block.layers)
        return Entry("upto3", block, (float(convolutions),), layers, 0, 0, block.density, 1.0)

    def value(entry: Entry) -> Value:
        return Value(entry.accuracies[0], entry.accuracies[0] + 0.5)

    return Objective("convolutions", SearchSpace(max_layers=max_layers), find, value, max_flops)


def search(name: str, goal: Objective, budget: int, seed: int = 0) -> Played:
    rng = np.random.default_rng(seed)
    return play(NniTuner(goal, rng, name), goal, budget, 8, rng)


@pytest.mark.parametrize("name", TUNERS)
def test_a_seed_makes_a_search(name: str) -> None:
    random.seed(1)
    first = search(name, objective(4), 80, seed=0)
    random.seed(2)  # which NNI's Evolution would go by
    assert search(name, objective(4), 80, seed=0) == first
    assert search(name, objective(4), 80, seed=1) != first
    assert len(first.blocks) == 80


def test_the_global_random_numbers_are_left_alone() -> None:
    random.seed(1)
    before = random.getstate()
    search("Evolution", objective(4), 80)
    assert random.getstate() == before


@pytest.mark.slow
@pytest.mark.parametrize("name", ["TPE", "Evolution"])
def test_results_are_learnt_from(name: str) -> None:
    """Rows 1 to 5 are convolutions in half of the random choices or less."""
    seen = np.array([search(name, objective(6), 200, seed).seen for seed in range(3)])
    assert seen[:, :20].mean() < 2
    assert seen[:, -50:].mean() > 3


def test_random_does_not_learn_and_knows_its_own_choices() -> None:
    """A single row has six choices."""
    played = search("Random", objective(2), 50)
    assert len(played.blocks) == 6
    assert len({block.key for block in played.blocks}) == 6


def test_a_repeat_costs_a_trial() -> None:
    played = search("Evolution", objective(2), 50)
    assert len(played.blocks) == len(played.seen) == 50
    assert len({block.key for block in played.blocks}) == 6


def test_an_illegal_block_costs_a_trial_and_is_the_worst_so_far(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told: list[float | None] = []

    class Told(RandomTuner):
        def receive_trial_result(self, number: int, parameters: Any, value: float) -> None:
            told.append(value)

        def trial_end(self, number: int, success: bool) -> None:
            if not success:
                told.append(None)

    monkeypatch.setitem(peers.TUNERS, "Told", Told)
    # trials that find one legal block of two layers or less among several longer ones
    played = search("Told", objective(4, max_flops=2), 60)
    assert len(played.seen) == 60
    assert [len(block.layers) > 2 for block in played.blocks] == [
        seen == -math.inf for seen in played.seen
    ]
    expected: list[float | None] = []
    worst: float | None = None
    for seen in played.seen:
        if seen > -math.inf:
            worst = seen if worst is None else min(worst, seen)
        expected.append(worst if seen == -math.inf else seen)
    assert told == expected
    assert told[0] is None  # nothing was known yet


def test_a_failed_trial_leaves_the_regret() -> None:
    played = Played([], [-math.inf, 2.0, -math.inf, 3.0], [-math.inf, 2.5, -math.inf, 3.5])
    judge = replace(objective(4), best=4.0, best_seen=3.5)
    assert played.regrets(judge) == [(math.inf, math.inf), (1.5, 1.5), (1.5, 1.5), (0.5, 0.5)]


def test_a_player_that_knows_the_limits_may_not_break_them() -> None:
    class TooLong:
        def ask(self) -> Block:
            return Block.parse("[[1,4,0,0,0],[2,4,0,1,0]]")

        def tell(self, block: Block, value: float) -> None: ...

    with pytest.raises(ValueError, match="an illegal block was proposed"):
        play(TooLong(), objective(4, max_flops=1), 1, 1, np.random.default_rng(0))
