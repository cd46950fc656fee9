"""PCC or separate ReLU, batch norm and convolution (paper, Fig. 9): searches that really train.

    python benchmarks/block_encodings.py [--seeds 5] [--trials 120]
    python benchmarks/block_encodings.py --report

The same agent searches each encoding on NSC-Bench's digits, blocks of up to 22 layers, one trial at
a time. A line a trial goes to ``benchmarks/partial/encodings.jsonl``; a run that was stopped goes
on with the first search that is not complete.
"""

from __future__ import annotations

import argparse
import json
import os
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from json_lines import append, read_lines
from nsc_bench.setups import SETUPS, Setup

from nni_blockqnn import BlockQNNTuner, build_network
from nni_blockqnn.data import ImageData
from nni_blockqnn.exchange.parameters import read_task
from nni_blockqnn.training.errors import TrainingError
from nni_blockqnn.training.loop import train

TRAINED = Path(__file__).with_name("partial") / "encodings.jsonl"
ENCODINGS = ("pcc", "separate")
MAX_FLOPS = 1_500_000


def search(
    encoding: str, seed: int, trials: int, setup: Setup, data: ImageData
) -> Iterator[dict[str, Any]]:
    """A line for each trial of one search."""
    tuner = BlockQNNTuner(seed=seed, budget=trials, limits={"max_flops": MAX_FLOPS})
    tuner.update_search_space(
        {
            "block": {"_type": "nsc", "_value": {"max_layers": 23, "encoding": encoding}},
            "network": {"_type": "choice", "_value": [json.dumps(asdict(setup.spec))]},
        }
    )
    for trial in range(trials):
        parameters = tuner.generate_parameters(trial)
        accuracy = _accuracy(parameters, setup, data)
        identity = {name: parameters[name] for name in ("episode", "block")}
        tuner.receive_trial_result(trial, parameters, identity | {"default": accuracy})
        record = {"encoding": encoding, "seed": seed, "trial": trial, "accuracy": accuracy}
        yield record | {"block": parameters["block"]}


def _accuracy(parameters: dict, setup: Setup, data: ImageData) -> float:
    """In percent; 0 for a network that does not train."""
    task = read_task(parameters)
    try:
        return train(
            lambda: build_network(task.block, setup.spec),
            data,
            setup.recipe,
            device=torch.device("cpu"),
        ).accuracy
    except TrainingError:
        return 0.0


def read() -> dict[tuple[str, int], list[float]]:
    """The accuracies of each search, in order."""
    found: dict[tuple[str, int], list[float]] = defaultdict(list)
    for record in read_lines(TRAINED):
        found[record["encoding"], record["seed"]].append(record["accuracy"])
    return found


def report(trials: int) -> None:
    print("| encoding | searches | best | mean of the first half | mean of the last tenth |")
    print("| --- | --- | --- | --- | --- |")
    for encoding in ENCODINGS:
        curves = np.array(
            [c for (name, _), c in read().items() if name == encoding and len(c) == trials]
        )
        figures = (
            curves.max(axis=1),
            curves[:, : trials // 2].mean(axis=1),
            curves[:, -trials // 10 :].mean(axis=1),
        )
        cells = [f"{f.mean():.1f} ± {f.std(ddof=1) / len(f) ** 0.5:.1f}" for f in figures]
        print(f"| {encoding} | {len(curves)} | {' | '.join(cells)} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--trials", type=int, default=120)
    parser.add_argument("--report", action="store_true")
    arguments = parser.parse_args()
    if arguments.report:
        report(arguments.trials)
        return
    torch.set_num_threads(1)
    os.environ.pop("NNI_CHECKPOINT_DIRECTORY", None)
    setup = SETUPS["digits"]
    data = setup.load(None)
    complete = {which for which, curve in read().items() if len(curve) == arguments.trials}
    for seed in range(arguments.seeds):
        for encoding in ENCODINGS:
            if (encoding, seed) not in complete:
                lines = list(search(encoding, seed, arguments.trials, setup, data))
                append(TRAINED, *lines)
                print(f"{encoding}, seed {seed}: done", flush=True)


if __name__ == "__main__":
    main()
