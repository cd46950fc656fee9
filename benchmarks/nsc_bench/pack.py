"""Make a table of a working file: from ``benchmarks/``, ``python -m nsc_bench.pack --dataset
fashion_mnist``.

Blocks whose trainings are not all there yet, or of which one diverged, are left out.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from pathlib import Path

from nni_blockqnn.blocks.block import Block
from nni_blockqnn.network.cost import estimate_cost
from nsc_bench.make_table import read_lines, working_file
from nsc_bench.plan import SEEDS
from nsc_bench.setups import SETUPS, Setup
from nsc_bench.table import Entry, Table, table_path


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="pack", description=__doc__)
    parser.add_argument("--dataset", choices=SETUPS, default="fashion_mnist")
    parser.add_argument("--input", type=Path, help="the working file (partial/DATASET.jsonl)")
    parser.add_argument("--output", type=Path, help="the table (DATASET.csv.gz)")
    options = parser.parse_args(arguments)
    output = options.output or table_path(options.dataset)
    table = packed(options.input or working_file(options.dataset), SETUPS[options.dataset])
    table.save(output)
    print(f"{output}: {len(table.entries)} blocks, {output.stat().st_size} bytes")


def packed(path: Path, setup: Setup) -> Table:
    """The table of a working file that was made with the setup."""
    header, *lines = read_lines(path)
    trainings: dict[str, list[dict]] = defaultdict(list)
    for line in lines:
        if line["accuracy"] is not None:
            trainings[line["block"]].append(line)
    complete = (
        trained
        for trained in trainings.values()
        if len(trained) == (setup.seeds or SEEDS[trained[0]["kind"]])
    )
    return Table(header["setup"], tuple(_entry(trained, setup) for trained in complete))


def _entry(trainings: list[dict], setup: Setup) -> Entry:
    trainings = sorted(trainings, key=lambda line: line["seed"])
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
