"""The tuner, played as NNI plays it: through its own methods, results in any order."""

from __future__ import annotations

import itertools
import json
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playing import Experiment, layers_reward, metric, network_of, space, tuner

from nni_blockqnn.blocks.block import Block
from nni_blockqnn.exchange.parameters import read_task
from nni_blockqnn.network.cost import estimate_cost
from nni_blockqnn.network.spec import NetworkSpec
from nni_blockqnn.q_learning.q_agent import QAgent
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


# --- results


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


# --- limits


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


# --- the search space changes


def test_a_smaller_space_while_running() -> None:
    made = tuner()
    played = Experiment(made, 8)
    played.run(60)
    before = made.history
    played.fill()
    made.update_search_space(space(max_layers=5, conv_kernels=[3], pool_kernels=[3]))
    assert made.history == before
    for parameter_id in list(played.in_flight):
        played.finish(parameter_id)
    assert len(made.history) == 68, "blocks in flight of the larger space count all the same"
    played.run(60)
    known = {network_of(parameters) for parameters in played.sent[:68]}
    for parameters in played.sent[68:]:
        layers = read_task(parameters).block.layers
        assert len(layers) <= 4
        assert {layer.kernel for layer in layers} <= {0, 3}
        assert network_of(parameters) not in known
    assert [parameters["episode"] for parameters in played.sent] == list(range(128))


@pytest.mark.slow
def test_credits_outside_a_smaller_space_are_forgotten() -> None:
    """In a small space, blocks come again under other numberings and are credited."""
    made = tuner(space(max_layers=4), budget=300, epsilon_schedule=[[1.0, 1], [0.0, 1]])
    played = Experiment(made).run(150)
    search = made._search
    assert search is not None
    assert isinstance(search.agent, QAgent)
    credited = len(search.agent.memory) - len(search.history)
    assert credited > 0
    made.update_search_space(space(max_layers=3, conv_kernels=[3], pool_kernels=[3]))
    smaller = made._search
    assert smaller is not None
    assert isinstance(smaller.agent, QAgent)
    remembered = smaller.agent.memory.sample(1000, np.random.default_rng(0))
    assert remembered
    assert all(smaller.space.contains(experience.block) for experience in remembered)
    played.run(100)
    assert len(smaller.history) == 150 + len(played.sent[150:])


@pytest.mark.slow
def test_a_bad_space_is_kept_out(caplog: pytest.LogCaptureFixture) -> None:
    made = tuner()
    played = Experiment(made).run(10)
    for bad in (space(max_layers=1), {}, None, space(conv_kernels=[2])):
        made.update_search_space(bad)
        assert "The search space stays as it was" in caplog.text
        caplog.clear()
    assert len(made.history) == 10
    assert played.run(90).sent == Experiment(tuner()).run(100).sent


def test_a_bad_space_at_the_start_is_refused() -> None:
    with pytest.raises(ValueError, match="max_layers"):
        tuner(space(max_layers=1))


def test_a_space_that_the_limits_empty_is_kept_out(caplog: pytest.LogCaptureFixture) -> None:
    made = tuner(space(repeats=[1]), limits={"max_params": 30_000})
    made.update_search_space(space(network='{"preset": "cifar100", "filters": [128, 256, 512]}'))
    assert "admit no block" in caplog.text
    assert len(Experiment(made).run(20).sent) == 20


def test_blocks_of_other_kernels_need_nothing_beside_their_codes() -> None:
    played = Experiment(tuner(space(conv_kernels=[3, 7], pool_kernels=[5]))).run(40)
    kernels = set()
    for parameters in played.sent:
        assert json.loads(json.dumps(parameters)) == parameters
        assert "space" not in parameters
        kernels |= {layer.kernel for layer in read_task(parameters).block.layers}
    assert kernels == {0, 3, 5, 7}
    assert len(played.tuner.history) == 40


def test_a_search_over_separate_layers() -> None:
    played = Experiment(tuner(space(encoding="separate")), 8).run(60)
    types = set()
    for parameters in played.sent:
        assert json.loads(parameters["space"]) == {"encoding": "separate"}
        types |= {layer.type for layer in read_task(parameters).block.layers}
    assert types == {1, 2, 3, 4, 5, 6, 8, 9}
    by_episode = {parameters["episode"]: read_task(parameters) for parameters in played.sent}
    assert len(played.tuner.history) == 60
    for result in played.tuner.history:
        assert result.block == by_episode[result.episode].block
        assert result.block.encoding == "separate"


@pytest.mark.parametrize(("old", "new"), [("pcc", "separate"), ("separate", "pcc")])
def test_a_change_of_the_encoding_leaves_every_block_its_own(
    old: str, new: str, checkpoint: Path
) -> None:
    """As our trial does, a metric names its block's encoding, since it may come after a change."""

    def end(played: Experiment, parameter_id: int) -> None:
        parameters = played.in_flight.pop(parameter_id)
        encoding = read_task(parameters).block.encoding
        value = metric(parameters, encoding=encoding)
        played.tuner.receive_trial_result(parameter_id, parameters, value)
        played.tuner.trial_end(parameter_id, True)

    made = tuner(space(encoding=old))
    played = Experiment(made, 8).run(20, end)
    played.fill()
    made.update_search_space(space(encoding=new))
    played.run(30, end)
    blocks = {p["episode"]: read_task(p).block for p in played.sent}
    encodings = [blocks[episode].encoding for episode in sorted(blocks)]
    assert encodings == [old] * 28 + [new] * 30
    assert len(made.history) == 58
    assert all(result.block == blocks[result.episode] for result in made.history)
    resumed = tuner(space(encoding=new))
    assert resumed.history == made.history
    assert Experiment(resumed).run(5, end).sent == Experiment(made).run(5, end).sent


def test_a_wrong_encoding_in_a_metric_is_named(caplog: pytest.LogCaptureFixture) -> None:
    played = Experiment(tuner())
    played.fill()
    value = metric(played.in_flight[0], encoding="both")
    played.tuner.receive_trial_result(0, played.in_flight[0], value)
    assert played.tuner.history == []
    assert 'encoding must be "pcc" or "separate", got \'both\'' in caplog.text


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


# --- helpers


def _rewards(made: BlockQNNTuner) -> dict[int, float]:
    rewards = {result.episode: result.reward for result in made.history}
    assert len(rewards) == len(made.history)
    return rewards


def _over(parameters: dict[str, Any], limits: dict[str, int]) -> bool:
    task = read_task(parameters)
    cost = estimate_cost(task.block, task.spec)._asdict()
    return any(cost[name.removeprefix("max_")] > most for name, most in limits.items())
