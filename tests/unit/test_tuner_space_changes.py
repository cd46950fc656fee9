"""The search space changes while the tuner is at work: smaller, bad, of another encoding."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from playing import Experiment, metric, network_of, space, tuner

from nni_blockqnn.exchange.parameters import read_task
from nni_blockqnn.q_learning.q_agent import QAgent


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
