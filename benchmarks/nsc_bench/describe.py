"""The figures of a table's data sheet: from ``benchmarks/``, ``python -m nsc_bench.describe
--dataset fashion_mnist``."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
from scipy.stats import spearmanr

from nsc_bench import ground
from nsc_bench.plan import KINDS
from nsc_bench.setups import SETUPS
from nsc_bench.surrogate import Surrogate
from nsc_bench.table import Entry, Table, load_table

_TOP = 0.1


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="describe", description=__doc__)
    parser.add_argument("--dataset", choices=SETUPS, default="fashion_mnist")
    table = load_table(parser.parse_args(arguments).dataset)
    print("\n".join(described(table)))


def described(table: Table) -> Iterator[str]:
    """Lines of Markdown: a table of figures by kind, and what the surrogate explains."""
    every = (*KINDS, *ground.KINDS)
    kinds = [kind for kind in every if any(entry.kind == kind for entry in table.entries)]
    groups = [[entry for entry in table.entries if entry.kind == kind] for kind in kinds]
    columns = [_figures(group) for group in [*groups, list(table.entries)]]
    yield "| " + " | ".join(["", *kinds, "all"]) + " |"
    yield "| " + " | ".join(["---"] * (len(columns) + 1)) + " |"
    for name in columns[0]:
        yield "| " + " | ".join([name, *(column[name] for column in columns)]) + " |"
    surrogate = Surrogate(table)
    yield ""
    yield (
        f"Surrogate, on functions that its trees have not seen: R^2 {surrogate.r_squared:.3f}, "
        f"Spearman {surrogate.spearman:.3f}."
    )


def seed_noise(entries: Sequence[Entry]) -> float:
    """Standard deviation of the accuracy between seeds, in points, pooled over the blocks."""
    several = [entry.accuracies for entry in entries if len(entry.accuracies) > 1]
    return float(np.sqrt(np.mean([np.var(each, ddof=1) for each in several]))) if several else 0.0


def _figures(entries: list[Entry]) -> dict[str, str]:
    accuracies = np.array([entry.accuracy for entry in entries])
    seconds = [entry.seconds for entry in entries]
    return {
        "blocks": f"{len(entries):,}",
        "accuracy, mean (lowest to highest), %": f"{accuracies.mean():.1f} "
        f"({accuracies.min():.1f} to {accuracies.max():.1f})",
        "spread: deviation between blocks": f"{accuracies.std(ddof=1):.2f}",
        "noise: deviation between seeds": f"{seed_noise(entries):.2f}",
        "Spearman of seed 0 and seed 1": f"{_between_seeds(entries):.2f}",
        **_best_figures([entry for entry in entries if len(entry.accuracies) > 2]),
        "Spearman of accuracy and ln FLOPs": _spearman(accuracies, [e.flops for e in entries]),
        "Spearman of accuracy and density": _spearman(accuracies, [e.density for e in entries]),
        "seconds a training, mean (longest)": f"{np.mean(seconds):.2f} ({max(seconds):.2f})",
    }


def _best_figures(entries: list[Entry]) -> dict[str, str]:
    """Of the best tenth by the last seed, so that the luck of the others is not chosen."""
    names = ("noise of the best tenth", "Spearman of seed 0 and seed 1 in the best tenth")
    if not entries:
        return dict.fromkeys(names, "")
    bound = np.quantile([entry.accuracies[-1] for entry in entries], 1 - _TOP)
    best = [replace(e, accuracies=e.accuracies[:2]) for e in entries if e.accuracies[-1] >= bound]
    return dict(zip(names, (f"{seed_noise(best):.2f}", f"{_between_seeds(best):.2f}"), strict=True))


def _between_seeds(entries: list[Entry]) -> float:
    first, second = zip(*(entry.accuracies[:2] for entry in entries), strict=True)
    return float(spearmanr(first, second)[0])


def _spearman(accuracies: np.ndarray, values: list[float]) -> str:
    return f"{spearmanr(accuracies, values)[0]:.2f}"


if __name__ == "__main__":
    main()
