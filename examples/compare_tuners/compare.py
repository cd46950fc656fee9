"""Best reward after so many trials, one column an experiment.

    python examples/compare_tuners/compare.py ID ID ID ID [--after 25 50 100] [--figure best.svg]

Trials count in the order of their results. The last line says how many different blocks were
trained: NNI's tuners take the same block in two guises for two.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path

from matplotlib.figure import Figure

from nni_blockqnn.bridge.experiments import find_experiment
from nni_blockqnn.results.experiment import Results, read_results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("experiments", nargs="+", metavar="ID")
    parser.add_argument("--after", nargs="+", type=int, default=[10, 25, 50, 100])
    parser.add_argument("--figure", type=Path, help="also draw it: best.svg or best.png")
    arguments = parser.parse_args()
    compared = [read_results(find_experiment(name)) for name in arguments.experiments]
    print(table(compared, arguments.after))
    if arguments.figure:
        draw(compared).savefig(arguments.figure)


def best_so_far(results: Results) -> list[float]:
    """After each result."""
    return list(accumulate((trial.reward for trial in results.trials), max))


def table(compared: Sequence[Results], after: Sequence[int]) -> str:
    """Markdown; "-" where an experiment has not come so far."""
    columns = [best_so_far(results) for results in compared]
    rows = [
        ["best after", *map(title, compared)],
        ["---", *("---:" for _ in compared)],
    ]
    for trials in after:
        reached = (column[trials - 1 : trials] for column in columns)
        rows.append([f"{trials} trials", *(f"{best[0]:.2f}" if best else "-" for best in reached)])
    blocks = [len({trial.block.key for trial in results.trials}) for results in compared]
    counts = zip(blocks, compared, strict=True)
    rows.append(["blocks of trials", *(f"{n} of {len(results.trials)}" for n, results in counts)])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def draw(compared: Sequence[Results]) -> Figure:
    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    for results in compared:
        best = best_so_far(results)
        axes.step(range(1, len(best) + 1), best, where="post", label=title(results))
    axes.set(xlabel="results", ylabel="best reward so far")
    axes.legend()
    return figure


def title(results: Results) -> str:
    return f"{results.experiment.name.removeprefix('compare tuners, ')} ({results.experiment.id})"


if __name__ == "__main__":
    main()
