"""The order within the rows of a layered drawing that crosses few arrows."""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Callable, Iterable
from itertools import pairwise

import networkx as nx

Item = tuple[int, int]
"""A box or a lane in a row: (node of the block's graph, row)."""

_SWEEPS = 16


def ordered_rows(lanes: nx.DiGraph) -> list[list[Item]]:
    """The items of each row from left to right; every edge of ``lanes`` leads one row down.

    Barycentre sweeps down and up, then swaps of neighbours; the best order seen is returned.
    """
    rows = _first_rows(lanes)
    best, fewest = [list(row) for row in rows], crossings(rows, lanes)
    for sweep in range(_SWEEPS):
        if sweep % 2 == 0:
            _sweep(rows, lanes.predecessors)
        else:
            _sweep(rows[::-1], lanes.successors)
        _swap_neighbours(rows, lanes)
        count = crossings(rows, lanes)
        if count < fewest:
            best, fewest = [list(row) for row in rows], count
        if fewest == 0:
            break
    return best


def crossings(rows: list[list[Item]], lanes: nx.DiGraph) -> int:
    """How often the straight edges between neighbouring rows cross."""
    count = 0
    for upper, lower in pairwise(rows):
        places = _places(lower)
        seen: list[int] = []
        for item in upper:
            ends = sorted(places[below] for below in lanes.successors(item))
            count += sum(len(seen) - bisect_right(seen, end) for end in ends)
            for end in ends:
                insort(seen, end)
    return count


def _first_rows(lanes: nx.DiGraph) -> list[list[Item]]:
    """Depth first, so that a branch of the block begins as a column."""
    source = min(lanes, key=lambda item: item[1])
    rows: list[list[Item]] = [[] for _ in range(1 + max(row for _, row in lanes))]
    for item in nx.dfs_preorder_nodes(lanes, source):
        rows[item[1]].append(item)
    return rows


def _places(row: list[Item]) -> dict[Item, int]:
    return {item: place for place, item in enumerate(row)}


def _sweep(rows: list[list[Item]], neighbours: Callable[[Item], Iterable[Item]]) -> None:
    """Sort each row by the mean place of the neighbours in the row before."""
    for before, row in pairwise(rows):
        places = _places(before)
        own = _places(row)

        def barycentre(
            item: Item, places: dict[Item, int] = places, own: dict[Item, int] = own
        ) -> float:
            found = [places[other] for other in neighbours(item)]
            return sum(found) / len(found) if found else own[item]

        row.sort(key=barycentre)


def _swap_neighbours(rows: list[list[Item]], lanes: nx.DiGraph) -> None:
    """Swap adjacent items while that saves crossings."""
    for index, row in enumerate(rows):
        sides = []
        if index > 0:
            sides.append((_places(rows[index - 1]), lanes.predecessors))
        if index + 1 < len(rows):
            sides.append((_places(rows[index + 1]), lanes.successors))
        for place in range(len(row) - 1):
            left, right = row[place : place + 2]
            gain = 0
            for places, neighbours in sides:
                ends_left = [places[other] for other in neighbours(left)]
                ends_right = [places[other] for other in neighbours(right)]
                gain += sum((a > b) - (a < b) for a in ends_left for b in ends_right)
            if gain > 0:
                row[place : place + 2] = [right, left]
