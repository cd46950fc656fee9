"""Fuzzed inputs for whatever reads blocks, networks, search spaces and the tuner's arguments.

    python benchmarks/fuzz.py [--inputs 100000] [--seed 0] [--target block]

Each input is either read rightly, which includes a round trip, or refused with a ValueError of ours
that names the fault. Anything else is printed, and so is what takes longer than a second. The
memory of the process may not grow by more than a gigabyte.
"""

from __future__ import annotations

import argparse
import itertools
import logging
import resource
import sys
import time
import warnings
from collections import Counter
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from fuzzing import READ, REFUSED, TARGETS, fuzzed, outcome

from nni_blockqnn.common.messages import shown

GIBIBYTE = 2**30
_EXAMPLES = 2


def fuzz(name: str, inputs: int, seed: int) -> int:
    """How many inputs were treated wrongly; prints the first ones of each kind."""
    target = TARGETS[name]
    rng = np.random.default_rng(seed)
    kinds: Counter[str] = Counter()
    began = time.perf_counter()
    slowest = 0.0
    for value in itertools.islice(fuzzed(target.valid, rng, texts=target.texts), inputs):
        before = time.process_time()
        what = outcome(target, value)
        slowest = max(slowest, time.process_time() - before)
        kind = what[:60]
        kinds[kind] += 1
        if kind not in (READ, REFUSED) and kinds[kind] <= _EXAMPLES:
            print(f"  {shown(value, 300)}\n    {what}")
    wrong = inputs - kinds[READ] - kinds[REFUSED]
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"{name}: {inputs:,} inputs, {kinds[READ]:,} read, {kinds[REFUSED]:,} refused, {wrong:,} "
        f"treated wrongly; slowest {slowest:.2f} s, peak memory of the process {memory:.0f} MB, "
        f"{time.perf_counter() - began:.0f} s in all",
        flush=True,
    )
    return wrong


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--inputs", type=int, default=100_000, help="for each target")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--target", choices=TARGETS, help="this one alone")
    arguments = parser.parse_args()
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
    used = int(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
    resource.setrlimit(resource.RLIMIT_DATA, (used + GIBIBYTE, used + GIBIBYTE))
    names = [arguments.target] if arguments.target else list(TARGETS)
    return min(1, sum(fuzz(name, arguments.inputs, arguments.seed) for name in names))


if __name__ == "__main__":
    sys.exit(main())
