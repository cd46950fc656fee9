"""The x of the boxes and lanes of a layered drawing."""

from __future__ import annotations

from collections import defaultdict
from itertools import pairwise
from typing import NamedTuple

from nni_blockqnn.reports._ordering import Item

Piece = tuple[Item, Item]
"""A piece of an arrow, from an item to one in the next row."""

_SWEEPS = 30
_BOX_WEIGHT, _LANE_END_WEIGHT, _LANE_WEIGHT = 1.0, 2.0, 8.0
_SETTLED = 1.01


class _Wish(NamedTuple):
    x: float
    weight: float


def positions(
    rows: list[list[Item]], widths: dict[Item, float], ports: dict[Piece, float], gap: float
) -> dict[Item, float]:
    """The middle of each item; the picture begins at 0 and neighbours are ``gap`` apart at least.

    Row by row, the weighted sum of the sideways lengths of all pieces is made as small as the order
    of the row allows. Lanes, the items of width 0, weigh most and so become straight.

    Args:
        ports: for each piece, how far from the middle of its lower item it ends.
    """
    pulls: dict[Item, list[tuple[Item, float, float]]] = defaultdict(list)
    for (upper, lower), port in ports.items():
        lanes = (widths[upper] == 0) + (widths[lower] == 0)
        weight = (_BOX_WEIGHT, _LANE_END_WEIGHT, _LANE_WEIGHT)[lanes]
        pulls[upper].append((lower, port, weight))
        pulls[lower].append((upper, -port, weight))
    packed = {item: x for row in rows for item, x in _packed(row, widths, gap).items()}
    xs = dict(packed)
    for sweep in range(_SWEEPS):
        step = 1 if sweep % 2 else -1
        for row in rows[::step]:
            wishes = [_wishes(item, pulls[item], packed, xs, item[1] - step) for item in row]
            for item, shift in zip(row, _ascending(wishes), strict=True):
                xs[item] = packed[item] + shift
    left = min(x - widths[item] / 2 for item, x in xs.items())
    return {item: x - left for item, x in xs.items()}


def _wishes(
    item: Item,
    pulls: list[tuple[Item, float, float]],
    packed: dict[Item, float],
    xs: dict[Item, float],
    settled_row: int,
) -> list[_Wish]:
    """Where the neighbours want the item, as shifts from its packed place.

    Those in the row that was placed just before weigh a little more: between one neighbour above
    and one below all places are equally good, but in line with one looks best.
    """
    return [
        _Wish(
            xs[other] + port - packed[item], weight * (_SETTLED if other[1] == settled_row else 1.0)
        )
        for other, port, weight in pulls
    ]


def _packed(row: list[Item], widths: dict[Item, float], gap: float) -> dict[Item, float]:
    """The row's items side by side, around 0."""
    xs = {row[0]: 0.0}
    for left, right in pairwise(row):
        xs[right] = xs[left] + (widths[left] + widths[right]) / 2 + gap
    middle = xs[row[-1]] / 2
    return {item: x - middle for item, x in xs.items()}


def _ascending(wishes: list[list[_Wish]]) -> list[float]:
    """One value for each list of wishes, ascending, nearest to all wishes by weighted distance.

    Pools adjacent violators: values that would descend become the median of all their wishes.
    """
    pools: list[tuple[float, list[_Wish], int]] = []
    for own in wishes:
        value, pool, size = _median(own), own, 1
        while pools and pools[-1][0] > value:
            _, earlier, count = pools.pop()
            pool, size = earlier + pool, size + count
            value = _median(pool)
        pools.append((value, pool, size))
    return [value for value, _, size in pools for _ in range(size)]


def _median(wishes: list[_Wish]) -> float:
    """The weighted median; the middle one if an interval of them is equally near."""
    ordered = sorted(wishes)
    half = sum(wish.weight for wish in ordered) / 2
    reached = 0.0
    for wish, following in pairwise(ordered):
        reached += wish.weight
        if reached == half:
            return (wish.x + following.x) / 2
        if reached > half:
            return wish.x
    return ordered[-1].x
