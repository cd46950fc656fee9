"""How good a block each agent finds in how many trials, on tables of really trained blocks.

    python benchmarks/search_quality.py [--seeds 100] [--arenas 'digits, 4 layers' ...]
    python benchmarks/search_quality.py --report

The first plays every agent on every objective of every table, eight trials in flight, and keeps
what was played in ``benchmarks/partial/search_quality.jsonl``, so that a stopped run goes on.
The second prints the tables of ``docs/search_quality_tables.md`` and draws the figures of
``docs/search_quality.md``.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from arena.full_space import FULL_ARENAS, FullArena, load_full
from arena.lineup import ABLATIONS, BUDGET_FREE, players
from arena.objectives import Objective
from arena.play import play
from arena.report import draw_curves, markdown
from arena.results import Results, Task, read, record
from arena.tables import ARENAS, Arena, load
from json_lines import append

BUDGETS = (50, 100, 200, 500, 1_000)
IN_FLIGHT = 8
PLAYED = Path(__file__).with_name("partial") / "search_quality.jsonl"
IMAGES = Path(__file__).parents[1] / "docs" / "images"


ALL_ARENAS = (*ARENAS, *FULL_ARENAS)


def tasks(
    arena: Arena | FullArena, names: list[str], seeds: int, budgets: list[int]
) -> Iterator[Task]:
    """All seeds of one player and objective after the other, short searches first."""
    possible = [budget for budget in budgets if budget < arena.size]
    for budget in possible:
        for objective in _objectives(arena.name):
            for name in names:
                if name in BUDGET_FREE and budget != possible[-1]:
                    continue
                for seed in range(seeds):
                    yield Task(arena.name, objective, name, budget, seed)


def run(task: Task) -> dict[str, Any]:
    objective = _objectives(task.arena)[task.objective]
    rng = np.random.default_rng([task.seed, 7])
    make = (players(_loaded(task.arena).by_size) | ABLATIONS)[task.player]
    player = make(objective, task.seed, task.budget, rng)
    played = play(player, objective, task.budget, IN_FLIGHT, rng)
    return record(task, played.regrets(objective))


@cache
def _objectives(arena: str) -> dict[str, Objective]:
    return {objective.name: objective for objective in _loaded(arena).objectives()}


def _loaded(arena: str) -> Arena | FullArena:
    return load_full(arena) if arena in FULL_ARENAS else load(arena)


def play_all(todo: list[Task], jobs: int) -> None:
    with ProcessPoolExecutor(jobs) as pool:
        for number, line in enumerate(pool.map(run, todo, chunksize=4), 1):
            append(PLAYED, line)
            if number % 100 == 0:
                print(f"{number} of {len(todo)} searches", flush=True)


def report() -> None:
    played = read(PLAYED)
    if not played:
        raise SystemExit(f"nothing was played yet, or {PLAYED} is missing")
    results = Results(played)
    print("\n".join(markdown(results, ALL_ARENAS, BUDGETS)))
    IMAGES.mkdir(exist_ok=True)
    for arena in ALL_ARENAS:
        name = arena.lower().replace(", ", "_").replace(" ", "_").replace("-", "_")
        draw_curves(results, arena, 100, IMAGES / f"search_quality_{name}.svg")


def main() -> None:
    names = [*players([]), *ABLATIONS]
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--report", action="store_true")
    parser.add_argument("--seeds", type=int, default=100)
    parser.add_argument("--arenas", nargs="+", choices=ALL_ARENAS, default=ALL_ARENAS)
    parser.add_argument("--players", nargs="+", choices=names, default=list(players([])))
    parser.add_argument("--budgets", nargs="+", type=int, default=list(BUDGETS))
    parser.add_argument("--jobs", type=int, default=1)
    arguments = parser.parse_args()
    if arguments.report:
        report()
        return
    known = read(PLAYED)
    todo = [
        task
        for arena in map(_loaded, arguments.arenas)
        for task in tasks(arena, arguments.players, arguments.seeds, arguments.budgets)
        if task not in known
    ]
    print(f"{len(todo)} searches to play, {len(known)} known", flush=True)
    play_all(todo, arguments.jobs)


if __name__ == "__main__":
    main()
