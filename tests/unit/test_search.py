"""The bookkeeping of a search: episodes, known blocks, credits, limits."""

from __future__ import annotations

import pytest

from nni_blockqnn.blocks.block import Block
from nni_blockqnn.q_learning.q_agent import QAgent
from nni_blockqnn.q_learning.replay import Experience
from nni_blockqnn.q_learning.search import BlockSearch, Result, Suggestion, UncountableError
from nni_blockqnn.space.limits import CostLimits, Limits, check_limits
from nni_blockqnn.space.search_space import SearchSpace

IDENTITY = Block.parse([[1, 4, 0, 0, 0]])
FORK = Block.parse([[1, 4, 0, 0, 0], [2, 1, 3, 1, 0], [3, 1, 5, 1, 0]])
FORK_RENUMBERED = Block.parse([[1, 4, 0, 0, 0], [2, 1, 5, 1, 0], [3, 1, 3, 1, 0]])


def _search(space: SearchSpace | None = None, **others: object) -> BlockSearch:
    return BlockSearch(space or SearchSpace(), **{"seed": 1} | others)


def _agent(search: BlockSearch) -> QAgent:
    assert isinstance(search.agent, QAgent)
    return search.agent


def _suggested(search: BlockSearch) -> Suggestion:
    suggestion = search.ask()
    assert suggestion is not None
    return suggestion


# --- episodes


def test_an_episodes_life() -> None:
    search = _search()
    first, second = _suggested(search), _suggested(search)
    assert (first.episode, second.episode) == (0, 1)
    assert search.under_way == [0, 1]
    result = search.count(1, second.block, 60.0, {"accuracy": 61.0})
    assert search.under_way == [0]
    assert search.history == [result] == [Result(1, second.block, 4, 60.0)]
    assert result.metric == {"accuracy": 61.0}
    search.release(0)
    assert search.under_way == []
    search.count(0, first.block, 59.0, {})
    assert [result.episode for result in search.history] == [1, 0], "a late result counts"
    search.release(0)
    search.release(99)


def test_results_that_do_not_count_say_why() -> None:
    search = _search()
    suggestion = _suggested(search)
    with pytest.raises(UncountableError, match="episode 5 was never handed out"):
        search.count(5, suggestion.block, 60.0, {})
    other = next(b for b in (IDENTITY, FORK) if b.key != suggestion.block.key)
    with pytest.raises(UncountableError, match="episode 0 was handed out with another block"):
        search.count(0, other, 60.0, {})
    search.count(0, suggestion.block, 60.0, {})
    with pytest.raises(UncountableError, match="episode 0 has counted already"):
        search.count(0, suggestion.block, 60.0, {})
    assert len(search.history) == 1


# --- credits


def _greedy_on(block: Block, space: SearchSpace) -> BlockSearch:
    """A search that has learnt to draw this block and nothing else."""
    search = _search(
        space,
        preset="paper",
        epsilon_schedule=[[1.0, 1], [0.0, 1_000]],
        batch_size=1,
        step_size="visits",
        initial_q=0.0,
    )
    for _ in range(5):
        _agent(search).learn(Experience(block, 4, 90.0))
    return search


def test_a_known_block_is_credited_under_its_new_numbering() -> None:
    search = _greedy_on(FORK_RENUMBERED, SearchSpace(max_layers=4))
    search.record_suggestion(Suggestion(0, FORK, 4, 1.0))
    search.record_suggestion(Suggestion(1, IDENTITY, 4, 1.0))
    _agent(search).settings = _agent(search).settings._replace(replay_updates=0)
    search.count(0, FORK, 70.0, {})
    search.count(1, IDENTITY, 60.0, {})
    assert len(_agent(search).memory) == 2

    suggestion = _suggested(search)
    assert suggestion.block.key not in (FORK.key, IDENTITY.key)
    assert suggestion.recalled[0] == Experience(FORK_RENUMBERED, 4, 70.0)
    assert len(_agent(search).memory) == 2 + len(suggestion.recalled)
    assert suggestion.episode == 2, "a credit takes no number"
    assert len(search.history) == 2, "and is no result"

    again = _suggested(search)
    numberings = [(e.block, e.repeats) for e in (*suggestion.recalled, *again.recalled)]
    assert len(set(numberings)) == len(numberings), "each numbering is credited once"


def test_a_block_that_is_trained_again_is_not_credited() -> None:
    search = _search(SearchSpace(max_layers=2), known_blocks="train")
    for _ in range(40):
        suggestion = _suggested(search)
        assert suggestion.recalled == ()
        search.count(suggestion.episode, suggestion.block, 60.0, {})
    assert len(_agent(search).memory) == len(search.history) == 40


def test_a_credit_is_the_mean_of_the_known_results() -> None:
    search = _greedy_on(FORK_RENUMBERED, SearchSpace(max_layers=4))
    _agent(search).settings = _agent(search).settings._replace(replay_updates=0)
    for episode, reward in enumerate((70.0, 72.0)):
        search.record_suggestion(Suggestion(episode, FORK, 4, 1.0))
        search.count(episode, FORK, reward, {})
    assert _suggested(search).recalled[0].reward == 71.0


def test_minimising_credits_in_the_agents_sign() -> None:
    search = _search(optimize_mode="minimize")
    search.import_result(0, FORK, 4, 70.0, {})
    assert search.history[0].reward == 70.0
    assert _agent(search).memory.mean_and_deviation()[0] == -70.0


# --- imports


def test_imported_results_keep_free_numbers() -> None:
    search = _search()
    assert search.import_result(5, FORK, 4, 70.0, {}).episode == 5
    assert search.next_episode == 6
    assert search.import_result(5, IDENTITY, 4, 60.0, {}).episode == 6
    assert search.import_result(2, IDENTITY, 2, 61.0, {}).episode == 2
    with pytest.raises(UncountableError, match="counted already"):
        search.import_result(5, FORK_RENUMBERED, 4, 70.0, {})
    with pytest.raises(UncountableError, match="episode 5 of another search is known"):
        search.import_result(5, IDENTITY, 4, 60.0, {})
    assert [result.episode for result in search.history] == [5, 6, 2]


def test_repeats_of_imported_results() -> None:
    search = _search(SearchSpace(repeats=(1, 4, 2)))
    assert search.import_result(0, FORK, 2, 70.0, {}).repeats == 2
    assert search.import_result(1, FORK, None, 70.0, {}).repeats == 4
    suggestion = _suggested(search)
    assert search.import_result(2, suggestion.block, None, 70.0, {}).repeats == suggestion.repeats
    assert [result.episode for result in search.history] == [0, 1, 2]


# --- limits


def test_limits_bound_each_cost_up_to_the_unit() -> None:
    space = SearchSpace(repeats=(4, 1, 2), network='{"filters": [2], "input_shape": [1, 2, 2]}')
    # stem: 18 weights + 4, for 1 -> 2 channels; the identity costs nothing; head: 3 * 10
    assert CostLimits(space, Limits(max_params=52)).fitting_repeats(IDENTITY) == (1, 2, 4)
    assert CostLimits(space, Limits(max_params=51)).fitting_repeats(IDENTITY) == ()
    conv = Block.parse([[1, 1, 1, 0, 0]])  # 4 weights + 4 a repeat
    assert CostLimits(space, Limits(max_params=52 + 16)).fitting_repeats(conv) == (1, 2)
    # stem: 18 * 4 pixels; head: 30; a repeat: 4 * 4 pixels
    assert CostLimits(space, Limits(max_flops=102 + 16)).fitting_repeats(conv) == (1,)
    assert CostLimits(space, Limits(max_params=84, max_flops=102 + 32)).fitting_repeats(conv) == (
        1,
        2,
    )
    # stem: 2 * 2 * 4; a repeat: 3 * 2 * 4; head: 8 + 2 + 10
    assert CostLimits(space, Limits(max_activations=36 + 24)).fitting_repeats(conv) == (1,)
    assert CostLimits(space, Limits()).fitting_repeats(conv) == (1, 2, 4)


def test_an_identity_is_not_always_the_cheapest() -> None:
    """Where widths shrink and nothing is projected, a convolution saves the head's weights:
    an identity's 64 channels meet 1000 classes, 65,000; a convolution's 2 channels 3,000."""
    network = (
        '{"input_shape": [1, 8, 8], "filters": [64, 2], "classes": 1000, "project_input": false}'
    )
    space = SearchSpace(max_layers=2, repeats=(1,), network=network)
    # stem 9 * 64 + 128 = 704; 1x1 64 -> 64: 4224; 64 -> 2: 132; head 3000
    check_limits(space, Limits(max_params=8060))
    with pytest.raises(ValueError, match=r"'max_params': 8059.* admit no block"):
        check_limits(space, Limits(max_params=8059))
    suggestion = _suggested(_search(space, limits={"max_params": 8060}))
    assert suggestion.block == Block.parse([[1, 1, 1, 0, 0]])


def test_sampling_ends_when_nothing_fits_any_more() -> None:
    """Every block but a lone identity writes more activations than it."""
    space = SearchSpace(max_layers=2, network="digits")
    # stem 2 * 16 * 64; pooled 16 * 16; stage 2's projection (16 + 32 + 32) * 16; head 512 + 32 + 10
    limits = Limits(max_activations=2048 + 256 + 1280 + 554)
    search = _search(space, limits={"max_activations": limits.max_activations})
    assert _suggested(search).block.key == IDENTITY.key
    assert search.ask() is None
    assert search.ask() is None
    search.release(0)
    assert _suggested(search).block.key == IDENTITY.key
