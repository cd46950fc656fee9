"""What a search loses to blocks whose training dies, and what it still finds.

A toy on NSC-Bench's digits: every block with two or more 5x5 convolutions is killed without a word
("lost"), says that it failed ("failed"), or, to see what is learnt of accidents, 15 % of the trials
are killed whatever their block ("accidents").

    python benchmarks/lost_trials.py [--seeds 6] [--trials 400] [--predictor wl]
"""

from __future__ import annotations

import argparse
from collections import Counter
from typing import NamedTuple

import numpy as np
from nsc_bench.surrogate import Surrogate
from nsc_bench.table import load_table

from nni_blockqnn import Block, BlockSearch, SearchSpace

WAYS = ("lost", "failed", "accidents")


class Outcome(NamedTuple):
    """Of one search.

    Attributes:
        trials: how many were handed out; fewer than asked for if the search gave up.
        lost: trials without a result.
        most: trials of the network that was lost most often.
        late: mean accuracy of the last 100 results, in percent.
        best: mean accuracy of the five best.
    """

    trials: int
    lost: int
    most: int
    late: float
    best: float


def searched(
    way: str, seed: int, trials: int, surrogate: Surrogate, predictor: str | None
) -> Outcome:
    search = BlockSearch(
        SearchSpace(repeats=(1,), network="digits"), seed=seed, budget=trials, predictor=predictor
    )
    accidents = np.random.default_rng(seed).random(trials) < 0.15
    lost: Counter[str] = Counter()
    accuracies: list[float] = []
    for accident in accidents:
        if (suggestion := search.ask()) is None:
            break
        dies = accident if way == "accidents" else dies_of_itself(suggestion.block)
        if not dies:
            accuracies.append(surrogate.accuracy(suggestion.block, seed))
            search.tell(suggestion.episode, accuracies[-1])
            continue
        lost[suggestion.block.key] += 1
        if way == "failed":
            search.tell_failure(suggestion.episode, "the loss is nan", of_block=True)
        else:
            search.release(suggestion.episode)
    return Outcome(
        trials=len(accuracies) + lost.total(),
        lost=lost.total(),
        most=max(lost.values(), default=0),
        late=float(np.mean(accuracies[-100:])),
        best=float(np.mean(sorted(accuracies)[-5:])),
    )


def dies_of_itself(block: Block) -> bool:
    return sum((layer.type, layer.kernel) == (1, 5) for layer in block.layers) > 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seeds", type=int, default=6)
    parser.add_argument("--trials", type=int, default=400)
    parser.add_argument("--predictor")
    arguments = parser.parse_args()
    surrogate = Surrogate(load_table("digits"))
    print("| way | trials | lost | most of one | last 100, % | best five, % |")
    print("| --- | --- | --- | --- | --- | --- |")
    for way in WAYS:
        outcomes = [
            searched(way, seed, arguments.trials, surrogate, arguments.predictor)
            for seed in range(arguments.seeds)
        ]
        trials, lost, most, late, best = np.mean(outcomes, axis=0)
        error = np.std([outcome.best for outcome in outcomes], ddof=1) / len(outcomes) ** 0.5
        print(
            f"| {way} | {trials:.0f} | {lost:.0f} | {most:.1f} | {late:.1f} "
            f"| {best:.2f} +- {error:.2f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
