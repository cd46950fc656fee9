"""The full space: what blocks become as epsilon falls, and what the agents find (paper, Fig. 5, 10
and 11, Appendix B).

    python benchmarks/full_space.py [--agents paper tuned random] [--seeds 3] [--trials 11392]
    python benchmarks/full_space.py --max-params 300000        # Fig. 11
    python benchmarks/full_space.py --report

Blocks have up to 22 layers; their accuracies are NSC-Bench's surrogate of digits, noise included,
so a search of the paper's length takes minutes. A line a search goes to
``benchmarks/results/full_space.jsonl``; those that are there are not played again.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from json_lines import append, read_lines
from nni_blockqnn.q_learning._schedule import EpsilonSchedule
from nsc_bench.surrogate import Surrogate
from nsc_bench.table import load_table

from nni_blockqnn import Block, BlockQNNTuner
from nni_blockqnn.blocks.layer import LayerType
from nni_blockqnn.network.cost import estimate_cost
from nni_blockqnn.network.spec import NetworkSpec
from nni_blockqnn.q_learning.settings import PRESETS

RESULTS = Path(__file__).with_name("results") / "full_space.jsonl"
RANDOM_ONLY = [[1.0, 1]]
AGENTS: dict[str, dict[str, Any]] = {
    "paper": {"preset": "paper"},
    "tuned": {"preset": "tuned"},
    "random": {"preset": "paper", "epsilon_schedule": RANDOM_ONLY},
    "random by kernel": {"preset": "tuned", "epsilon_schedule": RANDOM_ONLY},
    "predictor": {"preset": "tuned", "predictor": "wl"},
}
"""Their classArgs; the random ones are the two presets' random phases."""
TENTHS = range(1, 11)
COLUMNS = {
    "accuracy": "accuracy, %",
    "layers": "layers",
    "edges": "edges a block",
    "density": "density",
    "concat_at_end": "output is a concat, %",
    "adds": "adds a block",
    "conv5": "5x5 of the convolutions, %",
}


class Search(NamedTuple):
    """Which search; equal ones give the same results."""

    agent: str
    seed: int
    trials: int
    max_params: int | None


class Trial(NamedTuple):
    epsilon: float
    block: Block
    accuracy: float


def play(
    search: Search, surrogate: Surrogate, spec: NetworkSpec, **changed: Any
) -> Iterator[Trial]:
    """One trial at a time; ``changed`` are classArgs beside the agent's own."""
    class_args = AGENTS[search.agent] | changed
    if search.max_params is not None:
        class_args = class_args | {"limits": {"max_params": search.max_params}}
    tuner = BlockQNNTuner(budget=search.trials, seed=search.seed, **class_args)
    tuner.update_search_space(
        {
            "block": {"_type": "nsc", "_value": {"max_layers": 23}},
            "network": {"_type": "choice", "_value": [json.dumps(asdict(spec))]},
        }
    )
    stages = class_args.get("epsilon_schedule", PRESETS[class_args["preset"]].epsilon_schedule)
    schedule = EpsilonSchedule(stages, search.trials)
    for number in range(search.trials):
        parameters = tuner.generate_parameters(number)
        block = Block.parse(parameters["block"])
        accuracy = surrogate.accuracy(block, seed=0)
        metric = {name: parameters[name] for name in ("episode", "block")}
        metric |= {"default": accuracy, "accuracy": accuracy}
        metric["flops"] = estimate_cost(block, spec).flops
        tuner.receive_trial_result(number, parameters, metric)
        yield Trial(schedule.epsilon(number), block, accuracy)


def summary(trials: Iterable[Trial]) -> dict[str, Any]:
    """By epsilon, what the blocks are like; after each tenth, the best and the mean of the best
    five so far (Fig. 10)."""
    trials = list(trials)
    stages: dict[float, list[Trial]] = defaultdict(list)
    for trial in trials:
        stages[trial.epsilon].append(trial)
    accuracies = np.array([trial.accuracy for trial in trials])
    best = [np.sort(accuracies[: len(trials) * tenth // 10])[::-1][:5] for tenth in TENTHS]
    return {
        "stages": {epsilon: described(members) for epsilon, members in stages.items()},
        "top1": [round(float(five[0]), 3) for five in best],
        "top5": [round(float(five.mean()), 3) for five in best],
    }


def described(trials: list[Trial]) -> dict[str, float]:
    """Means of the figures of Appendix B."""
    figures = [{"accuracy": trial.accuracy, **anatomy(trial.block)} for trial in trials]
    return {
        name: round(float(np.nanmean([figure[name] for figure in figures])), 3)
        for name in figures[0]
    }


def anatomy(block: Block) -> dict[str, float]:
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
    groups: dict[tuple[str, int, int | None], list[dict[str, Any]]] = defaultdict(list)
    for search, summed_up in read().items():
        groups[search.agent, search.trials, search.max_params].append(summed_up)
    print("Best accuracy and mean of the best five, after each tenth, over seeds:\n")
    print("| agent | trials | parameters at most | searches | top 1 | top 5 |")
    print("| --- | --- | --- | --- | --- | --- |")
    for (agent, trials, max_params), searches in groups.items():
        limit = "" if max_params is None else f"{max_params:,}"
        tops = [np.mean([found[top] for found in searches], axis=0) for top in ("top1", "top5")]
        cells = [" ".join(f"{value:.1f}" for value in top) for top in tops]
        print(f"| {agent} | {trials:,} | {limit} | {len(searches)} | {' | '.join(cells)} |")
    print(f"\n| agent | trials | epsilon | {' | '.join(COLUMNS.values())} |")
    print(f"| {' | '.join(['---'] * (len(COLUMNS) + 3))} |")
    for (agent, trials, max_params), searches in groups.items():
        for epsilon in searches[0]["stages"] if max_params is None else ():
            stages = [found["stages"][epsilon] for found in searches]
            cells = [_cell([stage[name] for stage in stages]) for name in COLUMNS]
            print(f"| {agent} | {trials:,} | {epsilon} | {' | '.join(cells)} |")


def _cell(values: list[float]) -> str:
    spread = f" ± {np.std(values, ddof=1):.2f}" if len(values) > 1 else ""
    return f"{np.mean(values):.2f}{spread}"


def read() -> dict[Search, dict[str, Any]]:
    return {Search(**line["search"]): line for line in read_lines(RESULTS)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--agents", nargs="+", choices=list(AGENTS), default=list(AGENTS)[:3])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--trials", type=int, default=11_392)
    parser.add_argument("--max-params", type=int, help="limit of the network's weights")
    parser.add_argument("--report", action="store_true")
    arguments = parser.parse_args()
    if arguments.report:
        report()
        return
    table = load_table("digits")
    surrogate = Surrogate(table)
    for seed in range(arguments.seeds):
        for agent in arguments.agents:
            search = Search(agent, seed, arguments.trials, arguments.max_params)
            if search in read():
                continue
            played = summary(play(search, surrogate, table.spec))
            append(RESULTS, {"search": search._asdict()} | played)
            print(f"{agent}, seed {seed}: best {played['top1'][-1]:.2f} %", flush=True)


if __name__ == "__main__":
    main()
