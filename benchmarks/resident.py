"""A quick start through NNI with ``--resident`` and without, in turn: docs/turnover.md.

    python benchmarks/resident.py [--rounds 3] [--trials 16] [--concurrency 2]

Each search has a home of its own and the seed of its round. Its processor time is that of all its
processes: manager, tuner, trials and worker. On a busy machine the processor time says more than
the clock.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import resource
import statistics
import sys
import tempfile
import time
import urllib.request
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import quick_start

from nni_blockqnn.bridge import launch

OPTION = "--resident"
_PR_SET_CHILD_SUBREAPER = 36
_WORKER_SECONDS = 60.0
"""Longer than a worker waits for more."""


class Measured(NamedTuple):
    """One search.

    Attributes:
        seconds: from the first trial's start to the last one's end.
        processor: seconds, of all its processes.
        startup: the median of the trials' `startup_seconds`.
        accuracies: by episode.
    """

    seconds: float
    processor: float
    startup: float
    accuracies: dict[int, float]


def searched(trials: int, concurrency: int, seed: int, *, resident: bool) -> Measured:
    """A quick start.

    Raises:
        RuntimeError: if it does not get to its end, or a trial fails.
    """
    before = _processor_seconds()
    with tempfile.TemporaryDirectory(prefix="res-", ignore_cleanup_errors=True) as home:
        os.environ |= {"HOME": home, "XDG_RUNTIME_DIR": home}
        config = _configuration(trials, concurrency, seed, resident)
        with quick_start.finished(config, Path(home)) as launched:
            jobs = _jobs(launched)
        _await_children()
    metrics = [json.loads(json.loads(job["finalMetricData"][0]["data"])) for job in jobs]
    return Measured(
        (max(job["endTime"] for job in jobs) - min(job["startTime"] for job in jobs)) / 1000,
        _processor_seconds() - before,
        statistics.median(metric["startup_seconds"] for metric in metrics),
        {metric["episode"]: metric["accuracy"] for metric in metrics},
    )


def _configuration(trials: int, concurrency: int, seed: int, resident: bool) -> dict[str, Any]:
    config = quick_start.configuration(trials, concurrency, seed)
    words = [word for word in config["trialCommand"].split() if word != OPTION]
    config["trialCommand"] = " ".join([*words, *([OPTION] if resident else [])])
    return config


def _jobs(launched: launch.Launched) -> list[dict[str, Any]]:
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with direct.open(f"{launched.url}/api/v1/nni/trial-jobs", timeout=60) as answer:
        jobs = json.load(answer)
    if any(job["status"] != "SUCCEEDED" for job in jobs):
        raise RuntimeError(f"not all trials succeeded: {[job['status'] for job in jobs]}")
    return jobs


def _await_children() -> None:
    """Manager and worker are children of nobody, and so of this process."""
    deadline = time.monotonic() + _WORKER_SECONDS
    with suppress(ChildProcessError):
        while time.monotonic() < deadline:
            if os.waitpid(-1, os.WNOHANG)[0] == 0:
                time.sleep(0.2)


def _processor_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def table(plain: list[Measured], resident: list[Measured], trials: int) -> str:
    """Medians over the rounds."""
    lines = ["| | without | with | |", "| --- | --- | --- | --- |"]
    facts = {
        "trials an hour": lambda one: 3600 * trials / one.seconds,
        "processor seconds a trial": lambda one: one.processor / trials,
        "seconds to a trial's training": lambda one: one.startup,
    }
    for name, of in facts.items():
        without, with_it = (statistics.median(map(of, each)) for each in (plain, resident))
        change = 100 * (with_it / without - 1)
        lines.append(f"| {name} | {without:.2f} | {with_it:.2f} | {change:+.0f} % |")
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--trials", type=int, default=16)
    parser.add_argument("--concurrency", type=int, default=2)
    arguments = parser.parse_args()
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    os.environ.setdefault("NNI_BLOCKQNN_CACHE", str(Path.home() / ".cache" / "nni-blockqnn"))
    found: dict[bool, list[Measured]] = {False: [], True: []}
    for seed in range(arguments.rounds):
        for resident in (False, True):
            one = searched(arguments.trials, arguments.concurrency, seed, resident=resident)
            found[resident].append(one)
            print(f"round {seed}, resident {resident}: {one}", file=sys.stderr, flush=True)
    print(table(found[False], found[True], arguments.trials))
    return 0


if __name__ == "__main__":
    sys.exit(main())
