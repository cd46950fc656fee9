"""What a trial's time goes to, from NNI's decision to start it until its process is gone.

    python benchmarks/turnover.py [--rounds 5] [--block CODES] [-- TRIAL ARGUMENTS]
    python benchmarks/turnover.py --nni --trials 6 --concurrency 1 [-- TRIAL ARGUMENTS]

The first form starts trials of the quick start outside NNI, in turn with processes that only import
what a trial has to import, and prints medians. The second runs a real search on this machine, with
a home and a port of its own, and prints the shares of the slots' time. Network and trial arguments
are by default those of the quick start; with `--network '{"preset": "digits", "filters": [112,
224]}'` a trial trains for half a minute on one core.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import marked_trial
import quick_start
from marked_trial import Marks, marks_of_trial

QUICK_START = ["--dataset", "digits", "--batch-size", "64", "--mu", "0", "--rho", "0"]
QUICK_START += ["--threads", "1"]
BLOCK = "[[1,1,3,0,0],[2,1,3,1,0],[3,5,0,1,2]]"
BASELINES = {
    "python": "pass",
    "import torch": "import torch",
    "import nni, torch": "import nni, torch",
}
TRAINING = ("first step", "further steps")
BETWEEN = "NNI, between trials"


def parts(marks: Marks) -> dict[str, float]:
    """Seconds from each mark's predecessor to it."""
    names, times = list(marks), list(marks.values())
    return {name: times[i + 1] - times[i] for i, name in enumerate(names[1:])}


def seconds_of(code: str) -> float:
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", f"{code}\nimport os\nos._exit(0)"], check=True)
    return time.perf_counter() - start


def outside_nni(block: str, network: str, rounds: int, argv: list[str]) -> str:
    """Medians of interleaved rounds, as a table."""
    parameters = {"block": block, "network": network, "repeats": 1, "episode": 0}
    marks_of_trial(parameters, argv)  # the first trial on a machine decodes the data
    baselines: dict[str, list[float]] = {name: [] for name in BASELINES}
    trials: list[dict[str, float]] = []
    for _ in range(rounds):
        for name, code in BASELINES.items():
            baselines[name].append(seconds_of(code))
        trials.append(parts(marks_of_trial(parameters, argv)))
    medians = {name: statistics.median(part[name] for part in trials) for name in trials[0]}
    names = list(medians)
    until_step = sum(medians[name] for name in names[: names.index("first step") + 1])
    rows = [(f"`{name}`, alone", statistics.median(times)) for name, times in baselines.items()]
    rows += [*medians.items(), ("start to first step", until_step)]
    rows.append(("start to exit", sum(medians.values())))
    lines = [f"| {name} | {1000 * seconds:.0f} |" for name, seconds in rows]
    return "\n".join(["| part of a trial | ms |", "| --- | --- |", *lines])


def under_nni(network: str, trials: int, concurrency: int, argv: list[str]) -> str:
    """The shares of the slots' time in a real search, as a table."""
    with tempfile.TemporaryDirectory(prefix="turnover-") as home:
        records = Path(home) / "trials"
        records.mkdir()
        os.environ |= {"HOME": home, "NNI_BLOCKQNN_CACHE": str(Path(home) / "cache")}
        parameters = {"block": BLOCK, "network": "digits", "repeats": 1}
        marks_of_trial(parameters, [*argv, "--epochs", "1"])  # decodes the data
        config = quick_start.configuration(trials, concurrency)
        command = [sys.executable, marked_trial.__file__, "--record", str(records), "--", *argv]
        config["trialCommand"] = shlex.join(command)
        config["searchSpace"]["network"]["_value"] = [network]
        with quick_start.finished(config, Path(home)):
            pass
        marks = [json.loads(path.read_text(encoding="utf-8")) for path in records.iterdir()]
    return shares(marks, concurrency)


def shares(trials: list[Marks], concurrency: int) -> str:
    """A table of what the slots' time went to, with a mean gap for each trial.

    Args:
        trials: more of them than the concurrency.
    """
    seconds: dict[str, float] = {BETWEEN: 0.0}
    gaps: list[float] = []
    slots: list[float] = []
    """When each one's last trial ended."""
    for marks in sorted(trials, key=lambda marks: marks["start"]):
        if len(slots) == concurrency:
            freed = min(slots)
            slots.remove(freed)
            gaps.append(marks["start"] - freed)
        slots.append(marks["exit"])
        for name, part in parts(marks).items():
            seconds[name] = seconds.get(name, 0.0) + part
    seconds[BETWEEN] = len(trials) * statistics.mean(gaps)
    total = sum(seconds.values())
    rows = [*seconds.items(), ("**training**", sum(seconds[name] for name in TRAINING))]
    lines = [
        f"| {name} | {part / len(trials):.2f} | {100 * part / total:.1f} |" for name, part in rows
    ]
    head = "| part | s a trial | % of the slots' time |"
    return "\n".join([head, "| --- | --- | --- |", *lines])


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--nni", action="store_true", help="run a real search")
    parser.add_argument("--trials", type=int, default=8)
    parser.add_argument("--concurrency", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--block", default=BLOCK)
    parser.add_argument("--network", default="digits")
    parser.add_argument("trial", nargs="*", help="arguments of the trial")
    arguments = parser.parse_args()
    argv = arguments.trial or QUICK_START
    if arguments.trials <= arguments.concurrency:
        parser.error("--trials must be more than --concurrency, or no slot is used twice")
    if arguments.nni:
        print(under_nni(arguments.network, arguments.trials, arguments.concurrency, argv))
    else:
        print(outside_nni(arguments.block, arguments.network, arguments.rounds, argv))
    return 0


if __name__ == "__main__":
    sys.exit(main())
