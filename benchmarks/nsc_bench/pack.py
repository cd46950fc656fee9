"""Make a table of a working file: from ``benchmarks/``, ``python -m nsc_bench.pack --dataset
fashion_mnist``.

Blocks whose trainings are not all there yet are left out, unless a search trained them: these have
as many seeds as were wanted there. Trainings that diverged are left out, too.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from json_lines import read_lines

from nni_blockqnn.blocks.block import Block
from nni_blockqnn.network.cost import estimate_cost
from nsc_bench.ground import SEARCHED
from nsc_bench.make_table import working_file
from nsc_bench.plan import SEEDS
from nsc_bench.setups import SETUPS, Setup
from nsc_bench.table import MOST_SEEDS, Entry, Table, table_path


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="pack", description=__doc__)
    parser.add_argument("--dataset", choices=SETUPS, default="fashion_mnist")
    parser.add_argument(
        "--input", type=Path, nargs="+", help="the working files (partial/DATASET.jsonl)"
    )
    parser.add_argument("--output", type=Path, help="the table (DATASET.csv.gz)")
    options = parser.parse_args(arguments)
    output = options.output or table_path(options.dataset)
    inputs = options.input or [working_file(options.dataset)]
    table = packed(inputs, SETUPS[options.dataset])
    table.save(output)
    print(f"{output}: {len(table.entries)} blocks, {output.stat().st_size} bytes")


def packed(paths: Sequence[Path], setup: Setup) -> Table:
    """The table of working files that were made with the setup; the same seed again is left out."""
    trainings: dict[str, dict[int, dict]] = defaultdict(dict)
    for path in paths:
        header, *lines = read_lines(path)
        assert header["setup"] == setup.described(), path
        for line in lines:
            if line["accuracy"] is not None:
                trainings[line["block"]].setdefault(line["seed"], line)
    groups = [
        [by_seed[seed] for seed in sorted(by_seed)][:MOST_SEEDS] for by_seed in trainings.values()
    ]
    complete = (trained for trained in groups if len(trained) >= _wanted(trained[0]["kind"], setup))
    return Table(setup.described(), tuple(_entry(trained, setup) for trained in complete))


def _wanted(kind: str, setup: Setup) -> int:
    return 1 if kind == SEARCHED else setup.seeds or SEEDS[kind]


def _entry(trainings: list[dict], setup: Setup) -> Entry:
    block = Block.parse(trainings[0]["block"])
    spec = setup.network(block)
    assert spec is not None
    cost = estimate_cost(block, spec)
    return Entry(
        kind=trainings[0]["kind"],
        block=block,
        accuracies=tuple(line["accuracy"] for line in trainings),
        flops=cost.flops,
        params=cost.params,
        activations=cost.activations,
        density=block.density,
        seconds=sum(line["seconds"] for line in trainings) / len(trainings),
        width=trainings[0].get("width"),
        curves=tuple(tuple(line["curve"]) for line in trainings if "curve" in line),
    )


if __name__ == "__main__":
    main()
