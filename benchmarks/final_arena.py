"""Which search ends with the best block, in the full space at equal cost, on surrogates.

    python benchmarks/final_arena.py [--searches random predictor] [--trials 100] [--seeds 50]
    python benchmarks/final_arena.py --report

The first plays searches, whose results are those of short trainings, keeps their blocks in
``benchmarks/partial/final_arena.jsonl``, and chooses each one's pick, with and without long
trainings, into ``benchmarks/results/final_arena.jsonl``. It goes on where it was stopped. The
second prints the tables and draws the figure of ``docs/search_quality.md``.
"""

from __future__ import annotations

import argparse
import gc
from collections.abc import Iterable
from pathlib import Path

from arena.final_choices import choices_of, read_choices
from arena.final_report import draw, markdown
from arena.final_searches import ARENA, REFERENCE, SEARCHES, Task, play, read, record
from arena.full_space import load_full
from json_lines import append

PLAYED = Path(__file__).with_name("partial") / "final_arena.jsonl"
CHOSEN = Path(__file__).with_name("results") / "final_arena.jsonl"
FIGURE = Path(__file__).parents[1] / "docs" / "images" / "search_quality_final.svg"


def play_all(tasks: Iterable[Task]) -> None:
    """Play what was not played, and choose what was not chosen."""
    load_full(ARENA)
    # the surrogates are many small objects, which the collector would look through all the time
    gc.collect()
    gc.freeze()
    played = read(PLAYED)
    chosen = {choice.key for choice in read_choices(CHOSEN)}
    for task in tasks:
        if task not in played:
            line = record(task, play(task))
            append(PLAYED, line)
            played[task] = line["blocks"]
        for choice in choices_of(task, played[task], chosen):
            append(CHOSEN, choice._asdict())


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--searches", nargs="+", choices=SEARCHES, default=list(SEARCHES)[:4])
    parser.add_argument("--trials", type=int, default=100, help="of each search")
    parser.add_argument("--seeds", type=int, default=50)
    parser.add_argument("--seeds-from", type=int, default=0)
    parser.add_argument("--report", action="store_true")
    options = parser.parse_args(arguments)
    if options.report:
        choices = read_choices(CHOSEN)
        print("\n".join(markdown(choices, REFERENCE)))
        draw(choices, REFERENCE, FIGURE)
    else:
        seeds = range(options.seeds_from, options.seeds_from + options.seeds)
        play_all(Task(name, options.trials, seed) for seed in seeds for name in options.searches)


if __name__ == "__main__":
    main()
