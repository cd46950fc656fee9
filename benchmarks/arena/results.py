"""What was played: a file of searches that grows line by line, and regrets out of it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from json_lines import read_lines

from arena.lineup import BUDGET_FREE
from arena.play import Regret


class Task(NamedTuple):
    """One search."""

    arena: str
    objective: str
    player: str
    budget: int
    seed: int


Changes = list[list[float]]
"""A search's regrets at each result at which they changed, as [trial, seen, judged]."""


def read(path: Path) -> dict[Task, Changes]:
    return {
        Task(*(line[name] for name in Task._fields)): line["regrets"] for line in read_lines(path)
    }


def record(task: Task, regrets: Iterable[Regret]) -> dict[str, Any]:
    changes: Changes = []
    before = None
    for trial, regret in enumerate(regrets, 1):
        if regret != before:
            changes.append([trial, *(round(part, 6) for part in regret)])
        before = regret
    return task._asdict() | {"regrets": changes}


class Results:
    """Regrets by arena, objective, player, number of trials and seed."""

    def __init__(self, played: dict[Task, Changes]) -> None:
        self._searches: dict[tuple[str, str, str], dict[tuple[int, int], Changes]] = defaultdict(
            dict
        )
        for task, changes in played.items():
            key = (task.arena, task.objective, task.player)
            self._searches[key][task.budget, task.seed] = changes

    def objectives(self, arena: str) -> list[str]:
        return list(dict.fromkeys(o for a, o, _ in self._searches if a == arena))

    def players(self, arena: str) -> list[str]:
        return list(dict.fromkeys(p for a, _, p in self._searches if a == arena))

    def at(self, arena: str, objective: str, player: str, budget: int) -> dict[int, Regret]:
        """The regrets after so many trials of searches of that length, by seed.

        Players that do not ask for a length have played their shorter searches in the longer ones.
        """
        found = {}
        for (length, seed), changes in self._searches[arena, objective, player].items():
            if length == budget or (player in BUDGET_FREE and length > budget):
                *_, (_, seen, judged) = (change for change in changes if change[0] <= budget)
                found[seed] = Regret(seen, judged)
        return found

    def curves(
        self, arena: str, objective: str, player: str, budget: int, part: str = "seen"
    ) -> np.ndarray:
        """(searches, budget) regrets after each trial of searches of one length."""
        curves = []
        for (length, _), changes in self._searches[arena, objective, player].items():
            if length == budget or (player in BUDGET_FREE and length > budget):
                curve = np.full(budget, np.inf)
                for trial, *regret in changes:
                    curve[int(trial) - 1 :] = Regret(*regret)._asdict()[part]
                curves.append(curve)
        return np.array(curves)
