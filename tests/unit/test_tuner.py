"""The tuner, played as NNI plays it: through its own methods, to the end of the space."""

from __future__ import annotations

import itertools
import json
import threading
from collections import Counter

import pytest
from playing import Experiment, layers_reward, metric, network_of, space, tuner

from nni_blockqnn.blocks.block import Block
from nni_blockqnn.exchange.parameters import read_task
from nni_blockqnn.network.spec import NetworkSpec
from nni_blockqnn.tuner import BlockQNNTuner

TWO_LAYER_NETWORKS = 42
"""Distinct blocks of one or two layers (test_canonical.py)."""


@pytest.mark.slow
@pytest.mark.parametrize("concurrency", [1, 8])
@pytest.mark.parametrize("preset", ["tuned", "paper"])
def test_a_search(preset: str, concurrency: int) -> None:
    played = Experiment(tuner(preset=preset), concurrency).run(100)
    history = played.tuner.history
    assert sorted(result.episode for result in history) == list(range(100))
    assert [p["episode"] for p in played.sent] == list(range(100))
    by_episode = {parameters["episode"]: parameters for parameters in played.sent}
    for result in history:
        assert result.block == Block.parse(by_episode[result.episode]["block"])
        assert result.reward == layers_reward(result.block)
    networks = [network_of(parameters) for parameters in played.sent]
    assert len(set(networks)) == 100, "a known block is never sent again"


def test_parameters_are_json_and_nothing_else() -> None:
    played = Experiment(tuner(), 4).run(30)
    for parameters in played.sent:
        assert json.loads(json.dumps(parameters)) == parameters
        assert list(parameters) == ["block", "repeats", "network", "episode"]
        assert {name: type(value) for name, value in parameters.items()} == {
            "block": str,
            "repeats": int,
            "network": str,
            "episode": int,
        }
        task = read_task(parameters)
        assert task.block.to_json() == parameters["block"]
        assert task.spec == NetworkSpec("cifar100")
        assert task.episode == parameters["episode"]


def test_the_same_seed_is_the_same_search() -> None:
    sent = [Experiment(tuner(seed=seed), 4).run(60).sent for seed in (5, 5, 6)]
    assert sent[0] == sent[1]
    assert sent[0] != sent[2]


def test_a_missing_seed_is_drawn_anew_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO"):
        first, second = (Experiment(tuner(seed=None)).run(20).sent for _ in range(2))
    assert first != second
    seeds = [r.args[0] for r in caplog.records if "starts with seed" in r.msg]
    assert Experiment(tuner(seed=seeds[0])).run(20).sent == first


# --- trials without a result


@pytest.mark.parametrize("order", [*itertools.permutations(["end", "end", "result"])])
def test_ends_that_make_no_sense_are_ignored(order: tuple[str, ...]) -> None:
    played = Experiment(tuner())
    played.tuner.trial_end(99, True)
    played.tuner.trial_end(99, False)
    played.fill()
    parameters = played.in_flight[0]
    for step in order:
        if step == "end":
            played.tuner.trial_end(0, False)
        else:
            played.tuner.receive_trial_result(0, parameters, metric(parameters))
    assert len(played.tuner.history) == 1, "a late result counts"


def test_an_end_before_the_search_space_is_ignored() -> None:
    BlockQNNTuner().trial_end(0, False)


@pytest.mark.slow
@pytest.mark.parametrize("silent", [True, False])
@pytest.mark.parametrize("concurrency", [1, 8])
def test_failed_and_silent_trials_give_their_block_back(silent: bool, concurrency: int) -> None:
    """Each block of a tiny space fails at first, and is sent again."""
    tries: Counter[tuple[str, int]] = Counter()

    def end(played: Experiment, parameter_id: int) -> None:
        network = network_of(played.in_flight[parameter_id])
        tries[network] += 1
        if tries[network] > 1:
            played.finish(parameter_id)
        elif silent:
            played.in_flight.pop(parameter_id)
            played.tuner.trial_end(parameter_id, True)
        else:
            played.fail(parameter_id)

    played = Experiment(tuner(space(max_layers=3)), concurrency).run(1000, end)
    results = {result.block.key for result in played.tuner.history}
    assert len(results) == len(played.tuner.history)
    # the last ones may still be in flight when nothing else is left, and fail then
    assert TWO_LAYER_NETWORKS - concurrency < len(results) <= TWO_LAYER_NETWORKS
    assert all(tries[key, 4] == 2 for key in results)


def test_trial_end_comes_on_another_thread() -> None:
    made = tuner()
    ends: list[int] = []
    done = threading.Event()
    errors: list[BaseException] = []

    def end_trials() -> None:
        try:
            while not done.is_set() or ends:
                if ends:
                    made.trial_end(ends.pop(), len(ends) % 3 > 0)
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=end_trials)
    thread.start()
    sent = []
    for start in range(0, 80, 8):
        ids = list(range(start, start + 8))
        batch = made.generate_multiple_parameters(ids)
        ends.extend(ids[::-1])
        for parameter_id, parameters in zip(ids, batch, strict=True):
            made.receive_trial_result(parameter_id, parameters, metric(parameters))
        sent += batch
    done.set()
    thread.join(timeout=200)
    assert not thread.is_alive()
    assert not errors
    assert len(made.history) == len(sent) == 80


# --- an exhausted space


@pytest.mark.slow
@pytest.mark.parametrize("concurrency", [1, 8])
def test_an_exhausted_space_ends_the_search(concurrency: int) -> None:
    made = tuner(space(max_layers=3))
    played = Experiment(made, concurrency).run(1000)
    assert played.exhausted
    assert len(played.sent) == TWO_LAYER_NETWORKS
    assert len({network_of(parameters) for parameters in played.sent}) == TWO_LAYER_NETWORKS
    assert len(made.history) == TWO_LAYER_NETWORKS
    assert made.generate_multiple_parameters([900, 901]) == []


def test_more_is_asked_for_than_there_is() -> None:
    got = tuner(space(max_layers=2)).generate_multiple_parameters(list(range(10)))
    assert len(got) == 6, "the distinct blocks of one layer"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("rule", "networks"),
    [("largest", {(2,): TWO_LAYER_NETWORKS}), ("agent", {(1, 2): TWO_LAYER_NETWORKS})],
)
def test_each_number_of_repeats_makes_another_network(
    rule: str, networks: dict[tuple[int, ...], int]
) -> None:
    made = tuner(space(max_layers=3, repeats=[2, 1]), repeats_rule=rule)
    played = Experiment(made).run(1000)
    by_block: dict[str, list[int]] = {}
    for key, repeats in map(network_of, played.sent):
        by_block.setdefault(key, []).append(repeats)
    assert Counter(tuple(sorted(tried)) for tried in by_block.values()) == networks


def test_known_blocks_may_be_trained_again() -> None:
    made = tuner(space(max_layers=3), known_blocks="train")
    played = Experiment(made, 8).run(120)
    assert len(played.sent) == len(made.history) == 120
    assert len({network_of(parameters) for parameters in played.sent}) <= TWO_LAYER_NETWORKS


# --- objective


def test_minimize_learns_the_opposite() -> None:
    """Playing a reward to be maximised and its negative to be minimised is the same search."""

    def negative(played: Experiment, parameter_id: int) -> None:
        block = Block.parse(played.in_flight[parameter_id]["block"])
        played.finish(parameter_id, reward=-layers_reward(block))

    maximised = Experiment(tuner()).run(100)
    minimised = Experiment(tuner(optimize_mode="minimize")).run(100, negative)
    assert minimised.sent == maximised.sent
    assert [-result.reward for result in minimised.tuner.history] == [
        result.reward for result in maximised.tuner.history
    ]
