"""Early-stop and final results of NSC-Bench's blocks, as files for ``blockqnn calibrate``.

From ``benchmarks/``: ``python early_against_final.py``. Of each block of Fashion-MNIST that was
trained for four epochs, too, three files get a row: the accuracy after two epochs with seed 0, and
the mean accuracies with seeds 1 and 2 after four epochs and after two. The trainings of four epochs
are a working file (``nsc_bench/partial``) as ``nsc_bench.make_table`` writes it.
"""

from __future__ import annotations

import csv
from collections import defaultdict
from pathlib import Path

from json_lines import read_lines
from nsc_bench.make_table import working_file
from nsc_bench.table import load_table

from nni_blockqnn.blocks.block import Block

FOLDER = Path(__file__).parent / "results" / "early_against_final"


def main() -> None:
    table = load_table("fashion_mnist")
    four_epochs = _accuracies(working_file("fashion_mnist_4_epochs"))
    rows: dict[str, list[list[object]]] = defaultdict(list)
    for codes, accuracies in four_epochs.items():
        entry = table.find(Block.parse(codes))
        if entry is None or not {1, 2} <= accuracies.keys():
            continue
        measured = {
            "early": entry.accuracies[0],
            "final_4_epochs": (accuracies[1] + accuracies[2]) / 2,
            "final_2_epochs": (entry.accuracies[1] + entry.accuracies[2]) / 2,
        }
        for name, accuracy in measured.items():
            rows[name].append([f"{accuracy:.3f}", entry.flops, table.spec.repeats, codes])
    FOLDER.mkdir(exist_ok=True)
    for name, lines in rows.items():
        with (FOLDER / f"{name}.csv").open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(["accuracy", "flops", "repeats", "block"])
            writer.writerows(lines)


def _accuracies(file: Path) -> dict[str, dict[int, float]]:
    """By block and seed; those that diverged are left out."""
    found: dict[str, dict[int, float]] = defaultdict(dict)
    _, *lines = read_lines(file)
    for line in lines:
        if line["accuracy"] is not None:
            found[line["block"]][line["seed"]] = line["accuracy"]
    return found


if __name__ == "__main__":
    main()
