"""The blocks of a pilot: spread over the space, within limits, and added in its gaps."""

from __future__ import annotations

import numpy as np
import pytest

from nni_blockqnn.calibration.pilot_blocks import spread_blocks
from nni_blockqnn.calibration.rank_statistics import spearman
from nni_blockqnn.network.cost import estimate_cost
from nni_blockqnn.space.limits import Limits
from nni_blockqnn.space.search_space import SearchSpace

SPACE = SearchSpace(repeats=(1,), network="digits")


def test_blocks_are_spread_by_cost_and_density() -> None:
    blocks = spread_blocks(SPACE, 30, np.random.default_rng(0))
    assert len({block.function_key for block in blocks}) == 30
    flops = np.array([estimate_cost(block, SPACE.spec).flops for block in blocks])
    density = np.array([block.density for block in blocks])
    assert flops.max() > 5 * flops.min()
    assert np.ptp(density) > 0.7
    assert abs(spearman(flops, density)) < 0.7
    assert abs(spearman(flops, np.arange(30))) < 0.5  # so that half a pilot is spread, too


def test_the_seed_gives_the_blocks() -> None:
    first, again, other = (spread_blocks(SPACE, 5, np.random.default_rng(s)) for s in (1, 1, 2))
    assert first == again != other


def test_blocks_stay_within_limits() -> None:
    blocks = spread_blocks(SPACE, 8, np.random.default_rng(0), Limits(max_flops=200_000))
    assert max(estimate_cost(block, SPACE.spec).flops for block in blocks) <= 200_000
    with pytest.raises(ValueError, match="admit no block"):
        spread_blocks(SPACE, 8, np.random.default_rng(0), Limits(max_params=1))


def test_a_space_may_have_too_few_blocks() -> None:
    tiny = SearchSpace(max_layers=2, repeats=(1,), network="digits")
    # convolutions of 1, 3, 5, poolings of 3, and the identity
    assert len(spread_blocks(tiny, 6, np.random.default_rng(0))) == 6
    with pytest.raises(ValueError, match=r"only 6 different blocks .* 7 are wanted"):
        spread_blocks(tiny, 7, np.random.default_rng(0))
    with pytest.raises(ValueError, match="at least one block, got 0"):
        spread_blocks(tiny, 0, np.random.default_rng(0))


@pytest.mark.slow
def test_blocks_are_added_where_none_lies() -> None:
    first = spread_blocks(SPACE, 10, np.random.default_rng(0))
    grown, again = (
        spread_blocks(SPACE, 30, np.random.default_rng(1), kept=first) for _ in range(2)
    )
    assert grown == again
    assert grown[:10] == first
    assert len({block.function_key for block in grown}) == 30
    assert spread_blocks(SPACE, 10, np.random.default_rng(3), kept=first) == first
    with pytest.raises(ValueError, match="10 blocks are kept, which are more than 9"):
        spread_blocks(SPACE, 9, np.random.default_rng(3), kept=first)


@pytest.mark.slow
def test_added_blocks_fill_the_gaps() -> None:
    """The ten cheapest of thirty take the cheapest third, so that the others lie above it."""
    whole = spread_blocks(SPACE, 30, np.random.default_rng(0))
    whole.sort(key=lambda block: estimate_cost(block, SPACE.spec).flops)
    third = estimate_cost(whole[9], SPACE.spec).flops
    grown = spread_blocks(SPACE, 30, np.random.default_rng(1), kept=whole[:10])
    added = [estimate_cost(block, SPACE.spec).flops for block in grown[10:]]
    assert sum(flops <= third for flops in added) <= 2  # a third of 20 if the kept did not count
    assert max(added) > 5 * third


def test_a_small_space_can_be_used_up() -> None:
    tiny = SearchSpace(max_layers=2, repeats=(1,), network="digits")
    first = spread_blocks(tiny, 4, np.random.default_rng(0))
    grown = spread_blocks(tiny, 6, np.random.default_rng(0), kept=first)
    assert len({block.function_key for block in grown}) == 6
    with pytest.raises(ValueError, match="only 6 different blocks"):
        spread_blocks(tiny, 7, np.random.default_rng(0), kept=first)
