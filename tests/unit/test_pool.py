"""What the predictor chooses from: where candidates come from, and how many there are."""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np
import pytest
from playing import layers_reward

from nni_blockqnn import Block, BlockSearch, SearchSpace
from nni_blockqnn.predictor.predictor import CostOf, Network, Predictor
from nni_blockqnn.q_learning._pool_size import SIZES, UNKNOWN, PoolSize
from nni_blockqnn.q_learning.arguments import CANDIDATE_RULES
from nni_blockqnn.q_learning.settings import CandidateSettings

SPACE = SearchSpace(max_layers=12)
RESULTS = 12


class Watching(Predictor):
    """Keeps what it is to rank."""

    def __init__(self, cost: CostOf) -> None:
        super().__init__(cost)
        self.pools: list[list[Network]] = []

    def observe(self, network: Network, result: float) -> None:
        """Nothing is learnt."""

    def rank(self, candidates: Sequence[Network], pending: Sequence[Network]) -> list[Network]:
        self.pools.append(list(candidates))
        return list(candidates)


def _pools(results: int = RESULTS, seconds: float | None = None, **candidates: float) -> Watching:
    search = BlockSearch(SPACE, predictor=Watching, candidates=candidates)
    for _ in range(results):
        suggestion = search.ask()
        assert suggestion is not None
        metric = {"accuracy": layers_reward(suggestion.block)}
        if seconds is not None:
            metric["seconds"] = seconds
        search.tell(suggestion.episode, layers_reward(suggestion.block), metric)
    search.ask()
    assert isinstance(search.predictor, Watching)
    return search.predictor


def _lengths(pool: list[Network]) -> np.ndarray:
    return np.array([len(block.layers) for block, _ in pool])


def test_fresh_candidates_are_as_often_long_as_short() -> None:
    pool = _pools(
        pool=400, first_results=RESULTS, mutant_share=0.0, splice_share=0.0, fresh_share=1.0
    ).pools[-1]
    counts = np.bincount(_lengths(pool), minlength=12)[4:]  # of short ones there are few
    assert counts.min() > 0.5 * counts.mean()


def test_candidates_are_of_different_functions_and_have_no_result() -> None:
    candidates = {"pool": 300, "first_results": 30}
    search = BlockSearch(SearchSpace(max_layers=4), predictor=Watching, candidates=candidates)
    for _ in range(30):
        suggestion = search.ask()
        assert suggestion is not None
        reward = layers_reward(suggestion.block)
        search.tell(suggestion.episode, reward, {"accuracy": reward})
    search.ask()
    assert isinstance(search.predictor, Watching)
    functions = [block.function_key for block, _ in search.predictor.pools[-1]]
    assert len(functions) == len(set(functions)) > 50
    assert not set(functions) & {result.block.function_key for result in search.history}


def test_mutants_and_splices_are_made_of_the_best_blocks() -> None:
    """Of two results, one is of the longest block."""
    best = Block.parse([[1, 1, 3, 0, 0], *([n, 1, 3, n - 1, 0] for n in range(2, 12))])
    for shares in ({"mutant_share": 1.0}, {"mutant_share": 0.0, "splice_share": 1.0}):
        search = BlockSearch(
            SPACE,
            predictor=Watching,
            start_blocks=[best.to_json()],
            candidates={"pool": 30, "incumbents": 2, "first_results": 2, **shares},
        )
        for reward in (1.0, 0.5):
            suggestion = search.ask()
            assert suggestion is not None
            search.tell(suggestion.episode, reward)
        search.ask()
        assert isinstance(search.predictor, Watching)
        lengths = _lengths(search.predictor.pools[-1])
        assert lengths.min() >= 1
        assert lengths.max() >= 9, "most of the long block is kept"


@pytest.mark.parametrize(
    ("seconds", "pool"),
    [(None, UNKNOWN), (1e-9, SIZES[0]), (1e9, SIZES[-1])],
)
def test_a_suggestion_takes_a_small_share_of_a_trials_time(
    seconds: float | None, pool: int
) -> None:
    sizes = [len(pool) for pool in _pools(RESULTS, seconds).pools]
    assert sizes[0] == UNKNOWN, "what candidates cost is not known yet"
    assert sizes[-1] == pool


def test_the_size_is_what_time_pays_for() -> None:
    size = PoolSize(None, time_share=0.01)
    size.note_suggestion(100, 0.2)  # 2 ms each
    for seconds in (40.0, 30.0, 1_000.0):
        size.note_trial({"seconds": seconds})
    assert size.size == 160, "40 s pay for 200, and 160 is the next size below"
    for broken in (None, "40", -1.0, 0, float("nan"), True):
        size.note_trial({"seconds": broken})
    size.note_suggestion(0, 1.0)
    assert size.size == 160


def test_a_fixed_number_is_fixed() -> None:
    assert [len(pool) for pool in _pools(RESULTS, 1e9, pool=7).pools] == [7] * 3


def test_every_number_of_candidates_has_a_rule() -> None:
    assert set(CANDIDATE_RULES) == set(CandidateSettings._fields)


def test_a_resumed_search_has_the_same_candidates() -> None:
    """The pool is drawn anew from the results and the episode's own random numbers."""
    first, second = _pools(pool=20), _pools(pool=20)
    assert [json.dumps([b.codes for b, _ in p]) for p in first.pools] == [
        json.dumps([b.codes for b, _ in p]) for p in second.pools
    ]


def test_parents_are_of_several_families() -> None:
    """Nine of the ten best begin with one layer, and mutants of the others come all the same."""
    rows = [[[1, 1, 3, 0, 0], [2, 1, kernel, 1, 0]] for kernel in (1, 3, 5)]
    rows += [[*two, [3, kind, 3, 2, 0]] for two in rows for kind in (1, 2)]
    start_blocks = [*rows, [[1, 3, 3, 0, 0], [2, 3, 3, 1, 0], [3, 6, 0, 1, 2]]]
    search = BlockSearch(
        SPACE,
        predictor="wl",
        start_blocks=start_blocks,
        candidates={"incumbents": 4, "first_results": 10},
    )
    for reward in range(10, 0, -1):
        suggestion = search.ask()
        assert suggestion is not None
        search.tell(suggestion.episode, float(reward))
    source = search._predictor_source
    assert source is not None
    parents = [block.layers[0].type for block in source._parents()]
    assert len(parents) == 4
    assert parents[:2] == [1, 1], "half are the best"
    assert 3 in parents, "the last of ten is of another family"
