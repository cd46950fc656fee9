"""What blocks become while epsilon falls, searching the full space (paper, Fig. 5, Appendix B).

    python benchmarks/full_space.py [--presets paper tuned] [--seeds 3] [--trials 11392]
    python benchmarks/full_space.py --report

Blocks have up to 22 layers; their accuracies are NSC-Bench's surrogate of digits, noise included,
so a search of the paper's length takes minutes. A line an epsilon goes to
``benchmarks/results/full_space.jsonl``.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from nsc_bench.surrogate import Surrogate
from nsc_bench.table import load_table

from nni_blockqnn import Block, BlockQNNTuner, reward
from nni_blockqnn.cost import estimate_cost
from nni_blockqnn.layer import LayerType
from nni_blockqnn.network_spec import NetworkSpec
from nni_blockqnn.q_learning.schedule import EpsilonSchedule
from nni_blockqnn.q_learning.settings import PRESETS

RESULTS = Path(__file__).with_name("results") / "full_space.jsonl"
COLUMNS = {
    "accuracy": "accuracy, %",
    "best": "best accuracy so far, %",
    "layers": "layers",
    "edges": "edges a block",
    "density": "density",
    "concat_at_end": "output is a concat, %",
    "adds": "adds a block",
    "conv5": "5x5 of the convolutions, %",
}


def search(
    surrogate: Surrogate, spec: NetworkSpec, trials: int, mu: float, rho: float, **class_args: Any
) -> Iterator[tuple[float, Block, float]]:
    """Epsilon, block and accuracy of each trial, one at a time."""
    tuner = BlockQNNTuner(budget=trials, **class_args)
    tuner.update_search_space(
        {
            "block": {"_type": "nsc", "_value": {"max_layers": 23}},
            "network": {"_type": "choice", "_value": [json.dumps(asdict(spec))]},
        }
    )
    settings = PRESETS[class_args["preset"]]
    schedule = EpsilonSchedule(settings.epsilon_schedule, trials)
    for trial in range(trials):
        parameters = tuner.generate_parameters(trial)
        block = Block.parse(parameters["block"])
        accuracy = surrogate.accuracy(block, seed=0)
        flops = estimate_cost(block, spec).flops
        metric = {name: parameters[name] for name in ("episode", "block")}
        metric |= {"accuracy": accuracy, "flops": flops}
        metric["default"] = reward(accuracy, flops, block.density, mu, rho)
        tuner.receive_trial_result(trial, parameters, metric)
        yield schedule.epsilon(trial), block, accuracy


def by_epsilon(trials: Iterator[tuple[float, Block, float]]) -> Iterator[dict[str, float]]:
    stages: dict[float, list[tuple[Block, float]]] = defaultdict(list)
    for epsilon, block, accuracy in trials:
        stages[epsilon].append((block, accuracy))
    best = 0.0
    for epsilon, members in stages.items():
        best = max(best, *(accuracy for _, accuracy in members))
        figures = [described(block) for block, _ in members]
        means = {name: float(np.nanmean([f[name] for f in figures])) for name in figures[0]}
        accuracy = float(np.mean([accuracy for _, accuracy in members]))
        yield {"epsilon": epsilon, "trials": len(members), "accuracy": accuracy, "best": best} | {
            name: round(value, 4) for name, value in means.items()
        }


def described(block: Block) -> dict[str, float]:
    """The figures of Appendix B for one block; the share of 5x5 of no convolution is NaN."""
    kernels = [layer.kernel for layer in block.layers if layer.type == LayerType.CONV]
    last_types = [block.layers[leaf - 1].type for leaf in block.leaves]
    return {
        "layers": len(block.layers),
        "edges": block.graph.number_of_edges(),
        "density": block.density,
        "concat_at_end": 100.0 * (len(block.leaves) > 1 or last_types == [LayerType.CONCAT]),
        "adds": sum(layer.type == LayerType.ADD for layer in block.layers),
        "conv5": 100 * kernels.count(5) / len(kernels) if kernels else float("nan"),
    }


def report() -> None:
    stages: dict[tuple[str, float], list[dict[str, Any]]] = defaultdict(list)
    for line in RESULTS.read_text(encoding="utf-8").splitlines():
        record = json.loads(line)
        stages[record["preset"], record["epsilon"]].append(record)
    print(f"| preset | epsilon | {' | '.join(COLUMNS.values())} |")
    print(f"| {' | '.join(['---'] * (len(COLUMNS) + 2))} |")
    for (preset, epsilon), records in stages.items():
        cells = []
        for name in COLUMNS:
            values = [record[name] for record in records]
            spread = f" ({np.std(values, ddof=1):.2f})" if len(values) > 1 else ""
            cells.append(f"{np.mean(values):.2f}{spread}")
        print(f"| {preset} | {epsilon} | {' | '.join(cells)} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--presets", nargs="+", choices=list(PRESETS), default=list(PRESETS))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--trials", type=int, default=11_392)
    parser.add_argument("--mu", type=float, default=0.0)
    parser.add_argument("--rho", type=float, default=0.0)
    parser.add_argument("--report", action="store_true")
    arguments = parser.parse_args()
    if arguments.report:
        report()
        return
    table = load_table("digits")
    surrogate = Surrogate(table)
    for seed in range(arguments.seeds):
        for preset in arguments.presets:
            played = search(
                surrogate,
                table.spec,
                arguments.trials,
                arguments.mu,
                arguments.rho,
                preset=preset,
                seed=seed,
            )
            with RESULTS.open("a", encoding="utf-8") as file:
                for stage in by_epsilon(played):
                    file.write(json.dumps({"preset": preset, "seed": seed} | stage) + "\n")
            print(f"{preset}, seed {seed}: done", flush=True)


if __name__ == "__main__":
    main()
