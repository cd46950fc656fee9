"""Does a faster arithmetic keep the order of blocks? Spearman's correlation with fp32's accuracies.

    python benchmarks/precision.py [--blocks 80] [--device auto] [--setup digits --data-dir DIR]
    python benchmarks/precision.py --report

Random blocks of up to 22 layers are trained as for NSC-Bench (``nsc_bench/setups.py``), in each
precision that the device has, and once more in fp32 with another seed: what that correlates with
the first is all that a search could expect. A line a training goes to
``benchmarks/partial/precision.jsonl``; a run that was stopped goes on with what is missing.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from json_lines import append, read_lines
from nsc_bench.setups import SETUPS, Setup

from nni_blockqnn import SearchSpace, build_network, estimate_cost
from nni_blockqnn.blocks.block import Block
from nni_blockqnn.calibration.rank_statistics import bootstrap, spearman
from nni_blockqnn.data import ImageData
from nni_blockqnn.training import (
    PRECISIONS,
    TrainingError,
    check_precision,
    pick_device,
    train,
)

TRAINED = Path(__file__).with_name("partial") / "precision.jsonl"
MAX_FLOPS = 1_500_000
RESAMPLES = 2_000


class Arm(NamedTuple):
    """What the blocks are trained with."""

    precision: str
    seed: int

    def __str__(self) -> str:
        return self.precision if self.seed == 0 else f"{self.precision}, seed {self.seed}"


FIRST = Arm("fp32", 0)


def arms(device: torch.device) -> Iterator[Arm]:
    """fp32 twice, and what else the device has."""
    yield from (FIRST, Arm("fp32", 1))
    for precision in PRECISIONS:
        if precision == "fp32":
            continue
        try:
            check_precision(precision, device)
        except ValueError as error:
            print(f"left out: {error}")
        else:
            yield Arm(precision, 0)


def random_blocks(count: int, setup: Setup) -> Iterator[Block]:
    space, rng = SearchSpace(), np.random.default_rng(0)
    seen: set[str] = set()
    while len(seen) < count:
        block = space.random_block(rng)
        codes = block.to_json()
        if codes not in seen and estimate_cost(block, setup.spec).flops <= MAX_FLOPS:
            seen.add(codes)
            yield block


def accuracy(block: Block, arm: Arm, setup: Setup, data: ImageData, device: torch.device) -> float:
    """In percent; 0 for a network that does not train."""
    try:
        return train(
            lambda: build_network(block, setup.spec),
            data,
            setup.recipe,
            device=device,
            seed=arm.seed,
            precision=arm.precision,
        ).accuracy
    except TrainingError:
        return 0.0


def run(setup: Setup, data: ImageData, count: int, device: torch.device) -> None:
    TRAINED.parent.mkdir(exist_ok=True)
    done = {key: by_block.keys() for key, by_block in read().items()}
    chosen = list(arms(device))
    for number, block in enumerate(random_blocks(count, setup), 1):
        for arm in chosen:
            key = (setup.name, device.type, arm)
            if block.to_json() in done.get(key, ()):
                continue
            record = {"setup": setup.name, "device": device.type, **arm._asdict()}
            record["block"] = block.to_json()
            record["accuracy"] = accuracy(block, arm, setup, data, device)
            append(TRAINED, record)
        print(f"{number} of {count} blocks", flush=True)


def read() -> dict[tuple[str, str, Arm], dict[str, float]]:
    """Accuracies by block, of each setup, kind of device and arm."""
    found: dict[tuple[str, str, Arm], dict[str, float]] = defaultdict(dict)
    for record in read_lines(TRAINED):
        arm = Arm(record["precision"], record["seed"])
        key = (record["setup"], record["device"], arm)
        found[key][record["block"]] = record["accuracy"]
    return found


def report() -> None:
    """Print each arm's correlation with the first one over the blocks that both have."""
    found = read()
    print("| data | device | fp32 against | blocks | Spearman [95 %] | mean difference, points |")
    print("| --- | --- | --- | --- | --- | --- |")
    for (name, device, arm), theirs in sorted(found.items()):
        firsts = found.get((name, device, FIRST), {})
        if arm == FIRST or not firsts:
            continue
        shared = sorted(firsts.keys() & theirs.keys())
        first, other = (np.array([side[block] for block in shared]) for side in (firsts, theirs))
        drawn = np.random.default_rng(0).integers(len(shared), size=(RESAMPLES, len(shared)))

        def correlation(
            positions: np.ndarray, first: np.ndarray = first, other: np.ndarray = other
        ) -> np.ndarray:
            return spearman(first[positions], other[positions])

        interval = bootstrap(correlation, len(shared), drawn)
        difference = (other - first).mean()
        print(f"| {name} | {device} | {arm} | {len(shared)} | {interval} | {difference:+.2f} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--blocks", type=int, default=80)
    parser.add_argument("--setup", choices=SETUPS, default="digits")
    parser.add_argument("--data-dir", type=Path, help="of the setup fashion_mnist")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--report", action="store_true", help="of what there is; train nothing")
    arguments = parser.parse_args()
    if not arguments.report:
        torch.set_num_threads(arguments.threads)
        setup = SETUPS[arguments.setup]
        data = setup.load(arguments.data_dir)
        run(setup, data, arguments.blocks, pick_device(arguments.device))
    report()


if __name__ == "__main__":
    main()
