"""The sizes of a search's networks: their cost, their input, and the costs of a frontier."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
from search_plans import CIFAR, DIGITS, PHOTOS

from nni_blockqnn.automl._sizing import (
    Size,
    comes_to_cost,
    cost_name,
    frontier_costs,
    input_size,
    size_of_flops,
    smaller_sizes,
    tier_size,
)
from nni_blockqnn.automl.request import (
    TIERS,
    Budget,
    RequestError,
    parse_budget,
)
from nni_blockqnn.data.outline import Outline


@pytest.mark.parametrize("outline", [DIGITS, CIFAR, PHOTOS], ids=lambda one: one.dataset)
def test_hand_made_blocks_come_to_the_cost_of_every_tier(outline: Outline) -> None:
    sizes = [tier_size(outline, tier) for tier in TIERS]
    assert all(map(comes_to_cost, sizes))
    assert [size.flops for size in sizes] == sorted(size.flops for size in sizes)
    for size in sizes:
        assert size.spec.classes == outline.classes
        assert size.of_block("inception").filters[0] < size.of_block("residual").filters[0]


@pytest.mark.parametrize("flops", [5_000_000, 40_000_000, 400_000_000])
@pytest.mark.parametrize("outline", [CIFAR, PHOTOS], ids=lambda one: one.dataset)
def test_a_cost_in_numbers_is_kept(outline: Outline, flops: int) -> None:
    size = size_of_flops(outline, flops)
    assert size.flops == flops
    assert comes_to_cost(size)


def test_a_cost_that_no_network_has_is_refused_with_those_that_are_possible() -> None:
    with pytest.raises(RequestError, match=r"budget 10,000 .* digits .* nearest .* is 88,000"):
        size_of_flops(DIGITS, 10_000)


@pytest.mark.parametrize(
    ("height", "width", "side", "expected"),
    [
        (480, 640, 32, (28, 36)),  # keeps its proportion and about 32 x 32 pixels
        (640, 480, 32, (36, 28)),
        (500, 450, 32, (32, 32)),  # nearly square
        (20, 20, 32, (20, 20)),  # is not enlarged
        (19, 21, 32, (16, 20)),
        (8, 8, 64, (8, 8)),
        (3, 3, 64, (3, 3)),
        (10, 1_000, 32, (3, 320)),
    ],
)
def test_the_input_is_about_a_square_of_the_side(
    height: int, width: int, side: int, expected: tuple[int, int]
) -> None:
    assert input_size(height, width, side) == expected


@pytest.mark.parametrize("outline", [DIGITS, CIFAR, PHOTOS], ids=lambda one: one.dataset)
def test_where_time_is_short_networks_cost_less(outline: Outline) -> None:
    small = tier_size(outline, "small")
    sizes = smaller_sizes(outline, small)
    costs = [small.flops, *(size.flops for size in sizes)]
    assert len(costs) >= 5
    assert all(below <= 0.8 * above for above, below in pairwise(costs))
    assert costs[-1] <= small.flops / 3
    assert all(map(comes_to_cost, sizes))
    pools = [size.spec.stem_pools for size in sizes]
    assert pools == [0 if outline is DIGITS else 1] * len(sizes)


@pytest.mark.parametrize("outline", [DIGITS, CIFAR, PHOTOS], ids=lambda one: one.dataset)
@pytest.mark.parametrize("tier", TIERS)
def test_a_frontier_has_a_smaller_and_a_larger_cost(outline: Outline, tier: str) -> None:
    size = tier_size(outline, tier)
    own, smaller, larger = frontier_costs(size.spec, size.flops)
    assert own == size.flops
    assert size.flops / 4.2 <= smaller <= 1.05 * size.flops / 2
    assert 1.9 * size.flops <= larger <= 4.2 * size.flops
    assert comes_to_cost(replace(size, flops=smaller))
    assert comes_to_cost(replace(size, flops=larger))


def test_a_frontier_without_networks_is_refused() -> None:
    size = replace(tier_size(DIGITS, "small"), flops=9_000)
    with pytest.raises(RequestError, match=r"frontier: .* no smaller networks of 0\.5 to 0\.25"):
        frontier_costs(size.spec, size.flops)


@pytest.mark.parametrize(
    ("cost", "name"), [(170_000, "170k"), (40_000_000, "40M"), (1_500_000_000, "1.5G"), (88, "88")]
)
def test_a_cost_is_named_as_a_budget_is(cost: int, name: str) -> None:
    assert cost_name(cost) == name
    assert parse_budget(name) == Budget("flops", cost)


def test_images_of_one_pixel_are_refused() -> None:
    with pytest.raises(RequestError, match=r"640x1 pixels .* too few for a network"):
        tier_size(replace(PHOTOS, image_shape=(3, 1, 640)), "small")


def test_a_size_says_its_network() -> None:
    size = Size("given", '{"preset": "digits", "filters": [12, 24]}', 340_000)
    assert size.spec.filters == (12, 24)
