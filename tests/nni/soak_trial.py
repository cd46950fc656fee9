"""A trial that trains nothing and takes no PyTorch: its reward follows from its block.

    python soak_trial.py TRUTH SECONDS [deaf]

It does what a real trial does for its result's sake (``trials.run.run``) and notes in the file
TRUTH what it has done, so that a test knows it whatever NNI and the tuner believe. A deaf one goes
on when NNI asks it to end, if its episode is even.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
import zlib
from pathlib import Path
from typing import Any

from nni_blockqnn.bridge import channel
from nni_blockqnn.exchange.kept_results import ResultFile

STEPS = 4
KILLABLE_SECONDS = 0.3
"""Between the keeping and the reporting, so that kills hit there, too."""


def reward_of(block: str) -> float:
    """Different blocks have different ones, as good as always; between 0 and 100."""
    return zlib.crc32(block.encode()) % 100_000 / 1000


def metric_of(parameters: dict[str, Any]) -> dict[str, Any]:
    reward = reward_of(parameters["block"])
    measured = {"default": reward, "accuracy": reward, "flops": 1, "params": 1}
    return measured | {name: parameters[name] for name in ("block", "repeats", "episode")}


def note(truth: Path, phase: str, metric: dict[str, Any]) -> None:
    """Append a line; nothing but a power failure can lose or tear it."""
    line = {"phase": phase, "trial": os.environ["NNI_TRIAL_JOB_ID"], "pid": os.getpid()}
    line |= {"episode": metric["episode"], "block": metric["block"], "reward": metric["default"]}
    file = os.open(truth, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    os.write(file, json.dumps(line).encode() + b"\n")
    os.fsync(file)
    os.close(file)


def train(seconds: float, metric: dict[str, Any]) -> dict[str, Any]:
    """Take a while, by the block, and report an intermediate result after each step."""
    step = seconds * (0.2 + 0.8 * metric["default"] / 100) / STEPS
    for _ in range(STEPS):
        time.sleep(step)
        channel.report_intermediate({"default": metric["default"]})
    return metric


def main() -> None:
    truth, seconds = Path(sys.argv[1]), float(sys.argv[2])
    parameters = channel.take_parameters()
    if "deaf" in sys.argv and parameters["episode"] % 2 == 0:
        signal.signal(signal.SIGINT, lambda *_: note(truth, "asked to end", metric_of(parameters)))
    file = ResultFile(Path(os.environ["NNI_OUTPUT_DIR"]), parameters, sys.argv[1:])
    note(truth, "begun", metric_of(parameters))
    metric = file.read() or train(seconds, metric_of(parameters))
    file.write(metric)
    note(truth, "kept", metric)
    time.sleep(KILLABLE_SECONDS)
    channel.report_final(metric)
    note(truth, "reported", metric)


if __name__ == "__main__":
    main()
