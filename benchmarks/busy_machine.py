"""How long a training takes beside other busy processes, by how its threads wait and how many.

    python benchmarks/busy_machine.py [--busy 1] [--rounds 5] [--epochs 2]

Trains one block of the quick start (`residual` on digits), a process a training. Each round takes
every variant once; ratios are to this package's default within the same round, and medians over
the rounds are printed.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

PASSIVE, SPINNING = {"OMP_WAIT_POLICY": "PASSIVE"}, {"GOMP_SPINCOUNT": "300000"}
"""The latter is what GNU's OpenMP does if nothing is said."""
VARIANTS: dict[str, tuple[dict[str, str], list[str]]] = {
    "this package's default": ({}, []),
    "as PyTorch comes": (SPINNING, []),
    "as PyTorch comes, 1 thread": (SPINNING, ["--threads", "1"]),
    "asleep, 1 thread": (PASSIVE, ["--threads", "1"]),
}


@contextmanager
def busy_processes(count: int) -> Iterator[None]:
    processes = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for process in processes:
            process.kill()


def training_seconds(variables: dict[str, str], arguments: list[str], epochs: int) -> float:
    said = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "OMP_NUM_THREADS")
    environment = {name: value for name, value in os.environ.items() if name not in said}
    command = [
        *(sys.executable, "-m", "nni_blockqnn.trial", "--dataset", "digits", "--block", "residual"),
        *("--batch-size", "64", "--epochs", str(epochs), "--mu", "0", "--rho", "0", *arguments),
    ]
    trained = subprocess.run(
        command, env=environment | variables, check=True, capture_output=True, text=True
    )
    return float(json.loads(trained.stdout.splitlines()[-1])["training_seconds"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--busy", type=int, default=1, help="processes that only compute")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=2)
    arguments = parser.parse_args()
    seconds: dict[str, list[float]] = {name: [] for name in VARIANTS}
    with busy_processes(arguments.busy):
        for _ in range(arguments.rounds):
            for name, (variables, options) in VARIANTS.items():
                seconds[name].append(training_seconds(variables, options, arguments.epochs))
    first, *_ = seconds.values()
    print(f"{arguments.busy} busy processes, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    print("| | seconds | of the default | range |\n| --- | ---: | ---: | --- |")
    for name, times in seconds.items():
        ratios = [time / own for time, own in zip(times, first, strict=True)]
        print(
            f"| {name} | {statistics.median(times):.2f} | {statistics.median(ratios):.2f} | "
            f"{min(ratios):.2f} to {max(ratios):.2f} |"
        )


if __name__ == "__main__":
    main()
