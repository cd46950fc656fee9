"""Failed trials: counted under their own block, tried once more, and not for ever."""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from playing import Experiment, Parameters, network_of, space, tuner

from nni_blockqnn.blocks.block import Block
from nni_blockqnn.exchange.metrics import MetricError, parse_failure
from nni_blockqnn.exchange.parameters import read_task
from nni_blockqnn.q_learning.failures import LOST_LIMIT, REPORTED_IN_A_ROW, SILENT_IN_A_ROW
from nni_blockqnn.q_learning.search import BlockSearch
from nni_blockqnn.space.limits import CostLimits, Limits
from nni_blockqnn.space.search_space import SearchSpace
from nni_blockqnn.tuner import BlockQNNTuner


def failure(parameters: Parameters, reason: str = "no data", **others: Any) -> dict[str, Any]:
    """What a failing trial reports."""
    identity = {"episode": parameters["episode"], "block": parameters["block"]}
    return {"default": math.nan, "failure": reason, "failure_of_block": False} | identity | others


def report_failure(experiment: Experiment, parameter_id: int, **others: Any) -> None:
    parameters = experiment.in_flight.pop(parameter_id)
    # Under NNI the id may be another trial's; what counts is what the metric says.
    experiment.tuner.receive_trial_result(999, None, failure(parameters, **others))
    experiment.tuner.trial_end(parameter_id, False)


def failures_of(agent: BlockQNNTuner) -> list[tuple[int, str]]:
    assert agent._search is not None
    return [(failed.episode, failed.reason) for failed in agent._search.failures.reported]


def test_a_failure_that_was_not_the_blocks_doing_is_retried_once() -> None:
    experiment = Experiment(tuner())
    experiment.fill()
    report_failure(experiment, 0)
    experiment.fill()
    first, second = experiment.sent
    assert network_of(second) == network_of(first)
    assert second["episode"] == 1  # a new episode: numbers are used once
    report_failure(experiment, 1)
    experiment.run(30)
    assert network_of(first) not in map(network_of, experiment.sent[2:])
    assert failures_of(experiment.tuner) == [(0, "no data"), (1, "no data")]
    assert len(experiment.tuner.history) == 30


def test_a_failure_of_the_block_itself_is_not_retried_at_once() -> None:
    experiment = Experiment(tuner())
    experiment.fill()
    report_failure(experiment, 0, failure_of_block=True)
    experiment.fill()
    assert network_of(experiment.sent[1]) != network_of(experiment.sent[0])


def test_a_block_that_failed_twice_is_not_proposed_again() -> None:
    """Six networks of one layer; one fails always, the others have results: nothing is left."""
    experiment = Experiment(tuner(space(max_layers=2)))
    broken: list[tuple[str, int]] = []

    def end(playing: Experiment, parameter_id: int) -> None:
        network = network_of(playing.in_flight[parameter_id])
        if not broken:
            broken.append(network)
        if network == broken[0]:
            report_failure(playing, parameter_id, failure_of_block=True)
        else:
            playing.finish(parameter_id)

    experiment.run(50, end)
    assert experiment.exhausted
    assert [network_of(sent) for sent in experiment.sent].count(broken[0]) == 2
    assert len(experiment.tuner.history) == 5


def test_a_search_in_which_everything_fails_ends_and_says_why(
    caplog: pytest.LogCaptureFixture,
) -> None:
    experiment = Experiment(tuner(), concurrency=2)
    experiment.run(100, lambda playing, id_: report_failure(playing, id_, reason="no data in /x"))
    assert experiment.exhausted
    assert REPORTED_IN_A_ROW <= len(experiment.sent) <= REPORTED_IN_A_ROW + 1
    assert "no data in /x" in caplog.text


def test_trials_that_end_without_a_word_end_the_search_later() -> None:
    experiment = Experiment(tuner())
    experiment.run(100, Experiment.fail)
    assert experiment.exhausted
    assert len(experiment.sent) == SILENT_IN_A_ROW


def test_a_result_between_failures_keeps_the_search_alive() -> None:
    experiment = Experiment(tuner())

    def end(playing: Experiment, parameter_id: int) -> None:
        if len(playing.sent) % REPORTED_IN_A_ROW == 0:
            playing.finish(parameter_id)
        else:
            report_failure(playing, parameter_id)

    experiment.run(60, end)
    assert len(experiment.sent) == 60


def test_failures_survive_a_restart_which_gives_a_new_chance(checkpoint: Path) -> None:
    before = Experiment(tuner())
    before.run(100, report_failure)
    assert before.exhausted
    after = Experiment(tuner(), first_id=500)
    assert failures_of(after.tuner) == failures_of(before.tuner)
    after.run(20)
    assert len(after.tuner.history) == 20
    again = tuner()
    assert [r.episode for r in again.history] == [r.episode for r in after.tuner.history]


def test_a_failure_of_an_episode_that_counted_or_of_another_block_does_not_count() -> None:
    experiment = Experiment(tuner())
    experiment.fill()
    (parameters,) = experiment.sent
    other = failure(parameters, block="[[1,1,5,0,0],[2,1,5,1,0],[3,1,5,2,0]]")
    experiment.tuner.receive_trial_result(0, parameters, other)
    experiment.tuner.receive_trial_result(0, parameters, failure(parameters, episode=7))
    assert failures_of(experiment.tuner) == []
    experiment.finish(0)
    experiment.tuner.receive_trial_result(0, parameters, failure(parameters))
    assert failures_of(experiment.tuner) == []


def test_a_result_after_the_failure_counts() -> None:
    """NNI ran the trial again, say, and this time it worked."""
    experiment = Experiment(tuner())
    experiment.fill()
    (parameters,) = experiment.sent
    experiment.tuner.receive_trial_result(0, parameters, failure(parameters))
    experiment.finish(0)
    assert [result.episode for result in experiment.tuner.history] == [0]


def test_reading_a_failure() -> None:
    report = parse_failure(
        {"failure": "two\nlines", "failure_of_block": True, "episode": 3, "block": "[[1,1,1,0,0]]"}
    )
    assert report is not None
    assert (report.episode, report.reason, report.of_block) == (3, "two lines", True)
    assert parse_failure({"default": 1.0}) is None
    assert parse_failure(0.5) is None
    with pytest.raises(MetricError, match="episode"):
        parse_failure({"failure": "x", "block": "[[1,1,1,0,0]]"})


def too_much(parameters: Parameters) -> bool:
    """A toy of a network that its machine kills: two or more convolutions of 5x5."""
    layers = Block.parse(parameters["block"]).layers
    return sum((layer.type, layer.kernel) == (1, 5) for layer in layers) > 1


@pytest.mark.parametrize("end", ["killed", "succeeded"])
@pytest.mark.parametrize("concurrency", [1, 8])
def test_a_network_that_is_lost_three_times_is_not_sent_again(end: str, concurrency: int) -> None:
    """Whatever ended its trials; NNI calls some of them succeeded."""
    experiment = Experiment(tuner(space(max_layers=3), seed=4), concurrency)
    lost: Counter[tuple[str, int]] = Counter()

    def finish(playing: Experiment, parameter_id: int) -> None:
        parameters = playing.in_flight[parameter_id]
        if not too_much(parameters):
            playing.finish(parameter_id)
            return
        lost[network_of(parameters)] += 1
        del playing.in_flight[parameter_id]
        playing.tuner.trial_end(parameter_id, end == "succeeded")

    experiment.run(80, finish)
    assert experiment.exhausted
    assert lost
    assert set(lost.values()) == {LOST_LIMIT}
    # everything else was trained, once
    assert len(experiment.tuner.history) == 42 - len(lost)


def test_the_count_of_lost_trials_survives_a_restart(checkpoint: Path) -> None:
    only = space(max_layers=2, conv_kernels=[3], pool_kernels=[3])  # four networks
    before = Experiment(tuner(only))
    before.run(7, Experiment.fail)
    after = Experiment(tuner(only), first_id=50)
    after.run(50, Experiment.fail)
    assert after.exhausted
    sent = Counter(network_of(parameters) for parameters in before.sent + after.sent)
    assert sent == dict.fromkeys(sent, LOST_LIMIT)
    assert len(sent) == 4


@pytest.mark.parametrize("late", ["result", "failure"])
def test_what_says_something_late_was_not_lost(late: str) -> None:
    """trial_end may come long before a result."""
    search = BlockSearch(SearchSpace.from_json(space(max_layers=2)), known_blocks="train")
    handed_out: Counter[Block] = Counter()
    for _ in range(60):
        suggestion = search.ask()
        assert suggestion is not None
        handed_out[suggestion.block] += 1
        search.release(suggestion.episode)
        if late == "result":
            search.tell(suggestion.episode, 50.0)
        elif handed_out[suggestion.block] == 1:
            search.tell_failure(suggestion.episode, "no data")
            search.failures.end_streak()
        else:
            search.tell(suggestion.episode, 50.0)
    assert max(handed_out.values()) > LOST_LIMIT


CHANGES: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({}, {"max_layers": 4}),
    ({}, {"encoding": "separate"}),
    ({"encoding": "separate"}, {}),
    ({"conv_kernels": [7]}, {"conv_kernels": [3]}),
    ({"extra_kinds": ["separable"]}, {}),
    ({"repeats": [2]}, {"repeats": [3]}),
    ({"network": "cifar100"}, {"network": '{"preset": "cifar100", "filters": [256, 512, 1024]}'}),
]


@pytest.mark.parametrize(("old", "new"), CHANGES)
def test_a_retry_is_a_network_of_the_space_as_it_is_now(
    old: dict[str, Any], new: dict[str, Any]
) -> None:
    made = tuner(space(**old), seed=11, limits={"max_params": 20_000_000})
    experiment = Experiment(made, concurrency=8)
    experiment.fill()
    for parameter_id in list(experiment.in_flight):
        report_failure(experiment, parameter_id)
    made.update_search_space(space(**new))
    now = SearchSpace.from_json(space(**new))
    limits = CostLimits(now, Limits(max_params=20_000_000))
    experiment.run(20)
    assert len(made.history) == 20
    for parameters in experiment.sent[8:]:
        task = read_task(parameters)
        assert now.contains(task.block)
        assert parameters["network"] == now.network
        assert task.spec.repeats in limits.fitting_repeats(task.block)
