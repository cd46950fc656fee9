"""How good a block each agent finds in how many trials, on tables of really trained blocks.

    python benchmarks/search_quality.py [--seeds 100] [--arenas 'fashion_mnist, 3 layers' ...]

Plays every agent on every objective of every table, each seed once, and keeps what was played in
``benchmarks/work/search_quality.jsonl``, so that a run that was stopped goes on. Then it writes
``docs/search_quality.md`` with its figures. Eight trials are in flight, as many as on a GPU box.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from arena.lineup import BUDGET_FREE, players
from arena.objectives import Objective, objectives
from arena.play import play
from arena.tables import ARENAS, Arena, load

BUDGETS = (50, 100, 200, 500, 1_000)
IN_FLIGHT = 8
WORK = Path(__file__).with_name("work") / "search_quality.jsonl"


class Task(NamedTuple):
    """One search."""

    arena: str
    objective: str
    player: str
    budget: int
    seed: int


def tasks(arena: Arena, names: list[str], seeds: int, budgets: list[int]) -> Iterator[Task]:
    """The same seeds for all; short searches first, so that a stopped run tells the most."""
    possible = [budget for budget in budgets if budget < len(arena.entries)]
    for budget in possible:
        for objective in _objectives(arena.name):
            for name in names:
                if name in BUDGET_FREE and budget != possible[-1]:
                    continue
                for seed in range(seeds):
                    yield Task(arena.name, objective, name, budget, seed)


def run(task: Task) -> dict[str, Any]:
    """The search's regrets at each result at which they changed, as [trial, seen, judged]."""
    objective = _objectives(task.arena)[task.objective]
    rng = np.random.default_rng([task.seed, 7])
    make = players(load(task.arena).by_size)[task.player]
    player = make(objective, task.seed, task.budget, rng)
    regrets = play(player, objective, task.budget, IN_FLIGHT, rng).regrets(objective)
    changes = [
        [trial, *(round(part, 6) for part in regret)]
        for trial, (regret, before) in enumerate(zip(regrets, [None, *regrets], strict=False), 1)
        if regret != before
    ]
    return task._asdict() | {"regrets": changes}


@cache
def _objectives(arena: str) -> dict[str, Objective]:
    loaded = load(arena)
    made = objectives(loaded.entries, loaded.find, loaded.space)
    return {objective.name: objective for objective in made}


def play_all(todo: list[Task], jobs: int) -> None:
    WORK.parent.mkdir(exist_ok=True)
    with WORK.open("a") as file, ProcessPoolExecutor(jobs) as pool:
        for number, played in enumerate(pool.map(run, todo, chunksize=4), 1):
            print(json.dumps(played), file=file, flush=True)
            if number % 100 == 0:
                print(f"{number} of {len(todo)} searches", flush=True)


def played_before() -> dict[Task, list[list[float]]]:
    if not WORK.exists():
        return {}
    found = {}
    for line in WORK.read_text().splitlines():
        record = json.loads(line)
        found[Task(*(record[name] for name in Task._fields))] = record["regrets"]
    return found


Regrets = dict[tuple[str, str, str, int], np.ndarray]
"""(seeds,) of a table, objective, player and number of trials."""


def regrets(played: dict[Task, list[list[float]]], budgets: list[int]) -> Regrets:
    found: dict[tuple[str, str, str, int], dict[int, float]] = defaultdict(dict)
    for task, changes in played.items():
        for budget in budgets:
            if budget == task.budget or (task.player in BUDGET_FREE and budget <= task.budget):
                reached = [regret for trial, regret in changes if trial <= budget]
                found[task.arena, task.objective, task.player, budget][task.seed] = reached[-1]
    return {
        which: np.array([by_seed[seed] for seed in sorted(by_seed)])
        for which, by_seed in found.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=100)
    parser.add_argument("--arenas", nargs="+", choices=list(ARENAS), default=list(ARENAS))
    parser.add_argument("--players", nargs="+", choices=list(players([])), default=None)
    parser.add_argument("--budgets", nargs="+", type=int, default=list(BUDGETS))
    parser.add_argument("--jobs", type=int, default=1)
    arguments = parser.parse_args()
    names = arguments.players or list(players([]))
    known = played_before()
    todo = [
        task
        for arena in map(load, arguments.arenas)
        for task in tasks(arena, names, arguments.seeds, arguments.budgets)
        if task not in known
    ]
    print(f"{len(todo)} searches to play, {len(known)} known", flush=True)
    play_all(todo, arguments.jobs)


if __name__ == "__main__":
    main()
