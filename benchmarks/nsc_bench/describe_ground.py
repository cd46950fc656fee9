"""What a ground shows: from ``benchmarks/``, ``python -m nsc_bench.describe_ground --dataset
cifar10``.

How far blocks of one cost lie apart, how well an early stop foretells the long training, and how
far the best blocks lie above the hand-made ones (the ceiling).
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence

import numpy as np
from scipy.stats import spearmanr

from nni_blockqnn.blocks.block import Block
from nsc_bench.describe import seed_noise
from nsc_bench.final_surrogate import FinalSurrogate
from nsc_bench.ground import HAND_MADE, KINDS
from nsc_bench.setups import GROUNDS
from nsc_bench.table import Entry, Table, load_table, table_path

_NORMAL_95 = 1.96
_ENOUGH_FOR_A_SURROGATE = 30
"""Long trainings; of fewer its error says nothing."""


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="describe_ground", description=__doc__)
    parser.add_argument("--dataset", choices=GROUNDS, default="cifar10")
    names = GROUNDS[parser.parse_args(arguments).dataset]
    tables = [load_table(name) for name in names if table_path(name).exists()]
    print("\n".join(described_ground(tables)))


def described_ground(tables: Sequence[Table]) -> Iterator[str]:
    """Lines of Markdown.

    Args:
        tables: of early stops, of long trainings and of larger networks; the last two may lack.
    """
    early, *longer = tables
    yield from _kinds(early)
    yield ""
    yield from _hand_made(tables)
    for table in longer:
        yield ""
        yield from _foretold(early, table)
        yield from _ceiling(table)
    several = any(len(entry.accuracies) > 1 for entry in early.entries)  # or noise is not known
    if longer and len(longer[0].entries) >= _ENOUGH_FOR_A_SURROGATE and several:
        surrogate = FinalSurrogate(early, longer[0])
        yield ""
        for what, known in (("early stop", surrogate.early), ("long training", surrogate)):
            yield (
                f"Surrogate of the {what}, on functions that its trees have not seen: R^2 "
                f"{known.r_squared:.2f}, Spearman {known.spearman:.2f}, error "
                f"{known.typical_error:.2f} points."
            )
        yield (
            f"Of a block's own error in the early stop {100 * surrogate.carried:.0f} % is found "
            f"again after the long training, which adds {surrogate.own_error:.2f} points; by "
            f"shape alone the Spearman is {surrogate.spearman_by_shape:.2f}."
        )


def _kinds(early: Table) -> Iterator[str]:
    yield "| early stop | blocks | mean | deviation | lowest to highest | noise of a training |"
    yield "| --- | --- | --- | --- | --- | --- |"
    for kind in (*KINDS, "all"):
        entries = [entry for entry in early.entries if kind in ("all", entry.kind)]
        if len(entries) > 1:
            found = np.array([entry.accuracy for entry in entries])
            several = any(len(entry.accuracies) > 1 for entry in entries)
            yield (
                f"| {kind} | {len(entries)} | {found.mean():.2f} | {found.std(ddof=1):.2f} "
                f"| {found.min():.1f} to {found.max():.1f} "
                f"| {f'{seed_noise(entries):.2f}' if several else ''} |"
            )


def _hand_made(tables: Sequence[Table]) -> Iterator[str]:
    yield "| block | width | " + " | ".join(_title(table) for table in tables) + " |"
    yield "| --- | --- |" + " --- |" * len(tables)
    for name, block in HAND_MADE.items():
        first, *others = (table.find(block) for table in tables)
        if first is not None:
            cells = [_mean(first), *("" if other is None else _mean(other) for other in others)]
            yield f"| {name} | {first.width} | " + " | ".join(cells) + " |"


def _title(table: Table) -> str:
    return f"N = {table.spec.repeats}, {len(table.entries[0].curves[0])} epochs"


def _mean(entry: Entry) -> str:
    error = np.std(entry.accuracies, ddof=1) / np.sqrt(len(entry.accuracies))
    return f"{entry.accuracy:.2f} ± {error:.2f}"


def _foretold(early: Table, longer: Table) -> Iterator[str]:
    pairs = [
        (known, entry) for entry in longer.entries if (known := early.find(entry.block)) is not None
    ]
    yield f"{_title(longer)}: {len(pairs)} blocks, noise {seed_noise(longer.entries):.2f}."
    drawn = [pair for pair in pairs if pair[1].kind in KINDS[1:3]]
    best = sorted(pairs, key=lambda pair: -pair[0].accuracy)[: len(pairs) // 2]
    for what, some in (("all", pairs), ("drawn at random", drawn), ("the better half", best)):
        if len(some) > 3:
            final = [two.accuracy for _, two in some]
            of_means = spearmanr([one.accuracy for one, _ in some], final)[0]
            of_one = spearmanr([one.accuracies[0] for one, _ in some], final)[0]
            yield (
                f"- {what} ({len(some)}): Spearman of early mean and final mean {of_means:.2f}, "
                f"of one early seed {of_one:.2f}"
            )


def _ceiling(longer: Table) -> Iterator[str]:
    """How far the best block lies above the better of residual and inception.

    The best is chosen by all seeds but one and read on that one, for each seed in turn, so that
    luck is not counted. Blocks of fewer seeds are left out.
    """
    named = [found for name in ("residual", "inception") if (found := _named(longer, name))]
    if not named or len(longer.entries) < 4:
        return
    better = max(named, key=lambda entry: entry.accuracy)
    seeds = range(len(better.accuracies))
    whole = [entry for entry in longer.entries if len(entry.accuracies) == len(seeds)]
    picked = [
        max(whole, key=lambda entry: _without(entry, seed)).accuracies[seed] for seed in seeds
    ]
    gap = float(np.mean(picked)) - better.accuracy
    error = seed_noise(longer.entries) * np.sqrt(2 / len(seeds))
    top = max(whole, key=lambda entry: entry.accuracy)
    yield (
        f"- ceiling: the best of {len(whole)}, chosen by the other seeds, lies {gap:+.2f} "
        f"± {_NORMAL_95 * error:.2f} points from the better hand-made block "
        f"({better.accuracy:.2f}); by all seeds it has {top.accuracy:.2f} ({top.kind}, "
        f"{len(top.block.layers)} layers, width {top.width}): {top.block}"
    )


def _named(table: Table, name: str) -> Entry | None:
    block: Block = HAND_MADE[name]
    return table.find(block)


def _without(entry: Entry, seed: int) -> float:
    others = [accuracy for other, accuracy in enumerate(entry.accuracies) if other != seed]
    return sum(others) / len(others)


if __name__ == "__main__":
    main()
