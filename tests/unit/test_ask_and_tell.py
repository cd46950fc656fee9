"""The public search: ask, tell, tell_failure, best, without NNI."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import numpy as np
import pytest
from playing import layers_reward, space, tuner

from nni_blockqnn import Block, BlockSearch, SearchSpace
from nni_blockqnn.q_learning.search import UncountableError


def _told(search: BlockSearch, trials: int) -> list[Block]:
    blocks = []
    for _ in range(trials):
        suggestion = search.ask()
        assert suggestion is not None
        assert search.epsilon <= 1.0
        search.tell(suggestion.episode, layers_reward(suggestion.block))
        blocks.append(suggestion.block)
    return blocks


def test_a_search_is_what_the_tuner_does() -> None:
    made = tuner(space(max_layers=8), seed=5, budget=60)
    sent = []
    for number in range(60):
        parameters = made.generate_parameters(number)
        block = Block.parse(parameters["block"])
        metric = {name: parameters[name] for name in ("episode", "block")}
        made.receive_trial_result(number, parameters, metric | {"default": layers_reward(block)})
        made.trial_end(number, True)
        sent.append(block)
    search = BlockSearch(SearchSpace(max_layers=8), seed=5, budget=60)
    assert _told(search, 60) == sent
    assert search.history == made.history


def test_a_suggestion_says_what_to_train() -> None:
    suggestion = BlockSearch(SearchSpace(repeats=(2, 4))).ask()
    assert suggestion is not None
    assert (suggestion.episode, suggestion.repeats, suggestion.width) == (0, 4, None)
    assert suggestion.epsilon == 1.0


def test_tell_counts_once_and_keeps_what_else_is_known() -> None:
    search = BlockSearch(SearchSpace(), budget=10)
    suggestion = search.ask()
    assert suggestion is not None
    result = search.tell(suggestion.episode, 61, {"flops": 7})
    assert (result.block, result.reward, result.metric) == (suggestion.block, 61.0, {"flops": 7})
    with pytest.raises(UncountableError, match="episode 0 has counted already"):
        search.tell(0, 61.0)
    with pytest.raises(UncountableError, match="episode 1 was never handed out"):
        search.tell(1, 61.0)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -1e101, 10**400, "61", None, True])
def test_a_value_that_is_no_finite_number_is_refused(value: Any) -> None:
    search = BlockSearch(SearchSpace(), budget=10)
    search.ask()
    with pytest.raises(ValueError, match="the value of episode 0 must be a finite number"):
        search.tell(0, value)
    assert search.history == []
    assert search.tell(0, np.float32(61.5)).reward == 61.5, "the episode is still open"


def test_imported_results_of_other_repeats_teach_the_predictor_too(
    caplog: pytest.LogCaptureFixture,
) -> None:
    search = BlockSearch(SearchSpace(max_layers=6), predictor="wl", seed=0)
    rng = np.random.default_rng(0)
    for episode in range(20):
        block = search.space.random_block(rng)
        search.import_result(episode, block, 1 + episode % 3, layers_reward(block), {})
    search.prepare()
    assert search.ask() is not None
    assert len(search.best(20)) > 10
    assert "failed" not in caplog.text


def test_a_failure_earns_one_more_attempt_unless_the_block_caused_it() -> None:
    search = BlockSearch(SearchSpace(), budget=10)
    first = search.ask()
    assert first is not None
    search.tell_failure(first.episode, "the machine went down")
    second = search.ask()
    assert second is not None
    assert (second.block, second.episode) == (first.block, 1)
    failure = search.tell_failure(second.episode, "too large", of_block=True)
    assert (failure.reason, failure.block) == ("too large", first.block)
    third = search.ask()
    assert third is not None
    assert third.block.key != first.block.key
    with pytest.raises(UncountableError, match="episode 1 has failed already"):
        search.tell_failure(1, "again")


def test_nothing_is_left_in_an_exhausted_space() -> None:
    search = BlockSearch(SearchSpace(max_layers=2, network="digits", repeats=(1,)))
    assert len(_told(search, 6)) == 6
    assert search.ask() is None


@pytest.mark.parametrize(("mode", "sign"), [("maximize", -1), ("minimize", 1)])
def test_the_best_are_of_different_networks(mode: str, sign: int) -> None:
    search = BlockSearch(SearchSpace(max_layers=6), budget=40, optimize_mode=mode)
    _told(search, 40)
    best = search.best(5)
    rewards = sorted((result.reward for result in search.history), key=lambda r: sign * r)
    assert [result.reward for result in best] == rewards[:5]
    assert len({result.block.key for result in search.best(100)}) == len(search.best(100))
    assert search.best(0) == []


def test_with_a_predictor_the_luckiest_result_is_not_the_best() -> None:
    """A small block had luck that the many results of blocks like it do not bear out."""
    search = BlockSearch(
        SearchSpace(max_layers=8), agent="random", predictor="wl", candidates={"first_results": 100}
    )
    rng = np.random.default_rng(0)
    for _ in range(100):
        suggestion = search.ask()
        assert suggestion is not None
        size = len(suggestion.block.layers)
        is_lucky = size == 3 and not any(one.metric["lucky"] for one in search.history)
        value = 10.0 * size + rng.normal() + (50 if is_lucky else 0)
        search.tell(suggestion.episode, value, {"lucky": is_lucky})
    by_reward = max(search.history, key=lambda result: result.reward)
    assert by_reward.metric["lucky"]
    assert not search.best(1)[0].metric["lucky"]
    assert len(search.best(1)[0].block.layers) == 7


def test_a_network_that_is_trained_again_has_another_seed() -> None:
    space = SearchSpace(max_layers=2, conv_kernels=(3,), pool_kernels=(3,))
    search = BlockSearch(space, known_blocks="train", seed=3)
    repetitions: dict[Block, list[int]] = defaultdict(list)
    for number in range(24):
        suggestion = search.ask()
        assert suggestion is not None
        repetitions[suggestion.block].append(suggestion.repetition)
        if number % 5:
            search.tell(suggestion.episode, 50.0 + number)
        else:
            search.tell_failure(suggestion.episode, "no data")  # its seed has not been seen
            repetitions[suggestion.block].pop()
    for counted in repetitions.values():
        assert counted == list(range(len(counted)))
    assert max(map(len, repetitions.values())) > 2
