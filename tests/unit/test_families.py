"""Finalists are the best of several families, not variants of one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from nni_blockqnn import Block, BlockSearch, SearchSpace
from nni_blockqnn.predictor.families import varied
from nni_blockqnn.predictor.predictor import CostOf, Network, Predictor

SPACE = SearchSpace(max_layers=8)


class ByFirstLayer(Predictor):
    """Blocks with the same first layer are alike."""

    def __init__(self, cost: CostOf) -> None:
        super().__init__(cost)
        self.broken = False

    def observe(self, network: Network, result: float) -> None:
        """Nothing is learnt."""

    def rank(self, candidates: Sequence[Network], pending: Sequence[Network]) -> list[Network]:
        return list(candidates)

    def similarity(self, networks: Sequence[Network]) -> np.ndarray:
        if self.broken:
            raise RuntimeError("broken")
        first = np.array([block.layers[0][1:3] for block, _ in networks])
        return (first[:, None] == first).all(axis=-1).astype(float)


def _played(predictor: type[Predictor] | str | None) -> BlockSearch:
    search = BlockSearch(SPACE, predictor=predictor)
    for number in range(30):
        suggestion = search.ask()
        assert suggestion is not None
        search.tell(suggestion.episode, float(number))
    return search


def test_the_first_of_each_family_then_the_rest() -> None:
    search = _played(ByFirstLayer)
    best, finalists = search.best(30), search.finalists(6)
    firsts: dict[tuple[int, int], int] = {}
    for place, result in enumerate(best):
        firsts.setdefault((result.block.layers[0].type, result.block.layers[0].kernel), place)
    places = [*firsts.values()]
    places += [place for place in range(30) if place not in places]
    assert len(firsts) > 2
    assert finalists == [best[place] for place in places[:6]]
    assert sorted(r.episode for r in search.finalists(99)) == list(range(30))


@pytest.mark.parametrize("predictor", [None, "broken"])
def test_without_a_measure_the_best_are_taken(
    predictor: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    search = _played(None if predictor is None else ByFirstLayer)
    if isinstance(search.predictor, ByFirstLayer):
        search.predictor.broken = True
    assert search.finalists(4) == search.best(4)
    assert ("broken" in caplog.text) == (predictor == "broken")
    assert BlockSearch(SPACE, predictor="wl").finalists(3) == []


def test_few_are_taken_for_being_different() -> None:
    """Of 100 networks, only the first 8 are looked at for one place and 16 for two."""
    conv, pool = Block.parse([[1, 1, 3, 0, 0]]), Block.parse([[1, 2, 3, 0, 0]])
    predictor = ByFirstLayer(lambda block, repeats: pytest.fail("costs are not asked for"))
    networks: list[Network] = [(conv, 1)] * 15 + [(pool, 1)] + [(conv, 1)] * 84
    assert varied(networks, 2, predictor) == [0, 15]
    assert varied([(conv, 1), *networks], 2, predictor) == [0, 1]


def test_the_built_in_predictor_tells_families() -> None:
    search = _played("wl")
    networks = [(result.block, result.repeats) for result in search.best(30)]
    assert search.predictor is not None
    similarity = search.predictor.similarity(networks)
    assert similarity is not None
    np.testing.assert_allclose(np.diag(similarity), 1.0, atol=1e-5)
    np.testing.assert_allclose(similarity, similarity.T, atol=1e-6)
    assert (similarity > -1e-9).all()
    assert np.median(similarity) < 0.7
