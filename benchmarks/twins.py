"""How many trials it saves to train no block twice, and no function twice, in the full space.

    python benchmarks/twins.py [--trials 3000] [--seeds 3]

Searches that train whatever they draw (``known_blocks: train``), blocks of up to 22 layers, scored
by NSC-Bench's surrogate of digits. Of their trials, the share whose block was known under another
numbering of its layers, or whose function (``Block.function_key``) was known though its block was
not.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterable

from full_space import Search, Trial, play
from nsc_bench.surrogate import Surrogate
from nsc_bench.table import load_table

KINDS = ("same codes", "renumbered", "twin", "new")


def kinds(trials: Iterable[Trial]) -> Counter[tuple[float, str]]:
    """Trials by epsilon and by what was known of their block."""
    codes: set[str] = set()
    keys: set[str] = set()
    functions: set[str] = set()
    found: Counter[tuple[float, str]] = Counter()
    for trial in trials:
        block = trial.block
        known = (block.to_json() in codes, block.key in keys, block.function_key in functions)
        found[trial.epsilon, KINDS[(*known, True).index(True)]] += 1
        codes.add(block.to_json())
        keys.add(block.key)
        functions.add(block.function_key)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=3_000)
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    table = load_table("digits")
    surrogate = Surrogate(table)
    print(f"| agent | epsilon | trials | {', % | '.join(KINDS)}, % |")
    print(f"| {' | '.join(['---'] * (len(KINDS) + 3))} |")
    for agent in ("paper", "tuned"):
        found: Counter[tuple[float, str]] = Counter()
        for seed in range(arguments.seeds):
            search = Search(agent, seed, arguments.trials, None)
            found += kinds(play(search, surrogate, table.spec, known_blocks="train"))
        for epsilon in sorted({epsilon for epsilon, _ in found}, reverse=True):
            trials = sum(found[epsilon, kind] for kind in KINDS)
            shares = [f"{100 * found[epsilon, kind] / trials:.1f}" for kind in KINDS]
            print(f"| {agent} | {epsilon} | {trials:,} | {' | '.join(shares)} |", flush=True)


if __name__ == "__main__":
    main()
