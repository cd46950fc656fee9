"""Kills the processes of real NNI searches at random moments and counts what became of results.

    python benchmarks/fault_soak.py [--kills 40] [--seed 0] [--output FILE.jsonl]

Each experiment suffers one kind of fault, four times, and has a line in the output; lines that are
there already are not run again. At the end it prints a table of them all (docs/faults.md).
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from itertools import cycle, islice
from pathlib import Path
from typing import Any

from json_lines import append, read_lines

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests" / "nni"))

from nni_shell import shell  # noqa: E402
from soak import FAULTS, MOMENTS, Fault, Soak, notes, start  # noqa: E402
from soak_outcome import examine  # noqa: E402

KILLS_EACH = 4
"""Of an experiment."""
TRIALS = 22
COUNTED = ("finished", "lost", "twice", "invented", "mistaken", "reused", "unlisted")


def experiments(kills: int) -> Iterator[tuple[int, Fault]]:
    """The number and the fault of each."""
    return enumerate(islice(cycle(FAULTS), -(-kills // KILLS_EACH)))


def run(number: int, fault: Fault, seed: int) -> dict[str, Any]:
    """One experiment, as a line of the output."""
    with (
        tempfile.TemporaryDirectory(prefix="fault-soak-") as folder,
        shell(Path(folder) / "home") as nni,
    ):
        soak = start(nni, Path(folder), trials=TRIALS, seed=1000 * seed + number)
        soak.patient = number % (2 * len(FAULTS)) < len(FAULTS)
        while len(soak.injected) < KILLS_EACH and inject_somewhen(soak, fault):
            print(f"experiment {number}: {soak.injected[-1]}", flush=True)
        soak.finish()
        outcome = asdict(examine(soak.running, notes(soak.truth)))
    injected = [kill._asdict() | {"seconds": round(kill.seconds, 1)} for kill in soak.injected]
    return {"number": number, "seed": seed, "fault": fault, "injected": injected} | outcome


def inject_somewhen(soak: Soak, fault: Fault) -> bool:
    return soak.inject(fault, soak.random.choice(MOMENTS))


def table(lines: Iterable[dict[str, Any]]) -> str:
    """Markdown: a row for each fault."""
    lines = list(lines)
    rows = [
        f"| killed | times | {' | '.join(COUNTED)} | s until it went on |",
        "| --- |" + " ---: |" * (len(COUNTED) + 2),
    ]
    for fault in FAULTS:
        own = [line for line in lines if line["fault"] == fault]
        counts = [sum(len(line[name]) for line in own) for name in COUNTED]
        seconds = sorted(kill["seconds"] for line in own for kill in line["injected"])
        span = f"{seconds[0]:.0f} to {seconds[-1]:.0f}" if seconds else ""
        rows.append(f"| {fault} | {len(seconds)} | {' | '.join(map(str, counts))} | {span} |")
    damaged = sum(line["damaged"] for line in lines)
    return "\n".join([*rows, "", f"{damaged} damaged lines in the journals"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, default=ROOT / "benchmarks/results/fault_soak.jsonl")
    arguments = parser.parse_args()
    output: Path = arguments.output
    done = read_lines(output)
    known = {(line["seed"], line["number"]) for line in done}
    for number, fault in experiments(arguments.kills):
        if (arguments.seed, number) not in known:
            done.append(run(number, fault, arguments.seed))
            append(output, done[-1])
    print(table(line for line in done if line["seed"] == arguments.seed))
    print(f"{platform.machine()}, {os.cpu_count()} CPUs")


if __name__ == "__main__":
    main()
