"""How long a tuner thinks: BlockQNN's against NNI's TPE, Evolution and Random, in one run.

    python benchmarks/tuner_speed.py [--trials 11392] [--output benchmarks/results/tuner_speed.md]

Ours plays all trials, 32 in flight, over the paper's space with its journal on disk. The others
import as many results of random parameters and then play a hundred trials, since all of them would
take TPE half an hour. Their space is 22 layers of four choices each.
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import tempfile
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from nni.algorithms.hpo.evolution_tuner import EvolutionTuner
from nni.algorithms.hpo.random_tuner import RandomTuner
from nni.algorithms.hpo.tpe_tuner import TpeTuner
from nni.tuner import Tuner

from nni_blockqnn import BlockQNNTuner
from nni_blockqnn.record.snapshot import SNAPSHOT_INTERVAL, SNAPSHOT_NAME

PAPER_SPACE = {
    "block": {"_type": "nsc", "_value": {"max_layers": 23}},
    "repeats": {"_type": "choice", "_value": [4]},
    "network": {"_type": "choice", "_value": ["cifar100"]},
}
IN_FLIGHT = 32


def choices_space(layers: int = 22) -> dict[str, Any]:
    """The paper's space as ordinary choices."""
    space: dict[str, Any] = {}
    for index in range(1, layers + 1):
        space[f"type{index}"] = {"_type": "choice", "_value": list(range(1, 8))}
        space[f"kernel{index}"] = {"_type": "choice", "_value": [1, 3, 5]}
        for pred in ("pred1", "pred2"):
            space[f"{pred}_{index}"] = {"_type": "choice", "_value": list(range(index))}
    return space


def alone(function: Callable[[int, str], Any], trials: int, preset: str) -> Any:
    """The function's result, in a process of its own for its memory."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(function, trials, preset).result()


def peak_megabytes() -> float:
    """Of this process alone: getrusage's would be the parent's, if that had more."""
    (kilobytes,) = re.findall(r"VmHWM:\s*(\d+) kB", Path("/proc/self/status").read_text())
    return int(kilobytes) / 1024


def milliseconds(seconds: list[float]) -> str:
    return f"{1e3 * np.median(seconds):.2f} | {1e3 * np.percentile(seconds, 99):.2f}"


def play_ours(trials: int, preset: str) -> list[str]:
    with tempfile.TemporaryDirectory() as folder:
        os.environ["NNI_CHECKPOINT_DIRECTORY"] = folder
        tuner = BlockQNNTuner(seed=0, budget=trials, preset=preset)
        tuner.update_search_space(PAPER_SPACE)
        rng = np.random.default_rng(0)
        suggesting: list[float] = []
        learning: list[float] = []
        running: deque[tuple[int, dict[str, Any]]] = deque()
        for number in range(trials + IN_FLIGHT):
            if number < trials:
                began = time.perf_counter()
                (parameters,) = tuner.generate_multiple_parameters([number])
                suggesting.append(time.perf_counter() - began)
                running.append((number, parameters))
            if number >= IN_FLIGHT:
                trial, parameters = running.popleft()
                metric = metric_of(parameters, rng)
                began = time.perf_counter()
                tuner.receive_trial_result(trial, parameters, metric)
                tuner.trial_end(trial, True)
                learning.append(time.perf_counter() - began)
        memory = peak_megabytes()
        resume = [seconds_to_resume(trials, preset) for _ in range(3)]
        guided = alone(play_guided, trials, preset)
        (Path(folder) / SNAPSHOT_NAME).unlink(missing_ok=True)
        resume_without = seconds_to_resume(trials, preset)
    with_snapshot = learning[SNAPSHOT_INTERVAL - 1 :: SNAPSHOT_INTERVAL]
    print(
        f"{preset}: peak memory {memory:.0f} MB; a result with a snapshot "
        f"{1e3 * np.median(with_snapshot or [np.nan]):.0f} ms; resume "
        f"{np.median(resume):.2f} s, without the snapshot {resume_without:.2f} s",
        flush=True,
    )
    return [
        f"| BlockQNN, {preset}, {which} 1,000 of {trials:,} | {milliseconds(suggesting[part])} "
        f"| {milliseconds(learning[part])} |"
        for which, part in (("first", slice(1000)), ("last", slice(-1000, None)))
    ] + [guided]


def play_guided(trials: int, preset: str) -> str:
    """A hundred trials with the predictor, after it was given the results on the disk."""
    began = time.perf_counter()
    tuner = BlockQNNTuner(budget=trials + 100, preset=preset, predictor="wl")
    tuner.update_search_space(PAPER_SPACE)
    rng = np.random.default_rng(1)
    suggesting: list[float] = []
    learning: list[float] = []
    running: deque[tuple[int, dict[str, Any]]] = deque()
    for number in range(100 + IN_FLIGHT):
        began_trial = time.perf_counter()
        (parameters,) = tuner.generate_multiple_parameters([number])
        suggesting.append(time.perf_counter() - began_trial)
        if number == 0:
            resume = time.perf_counter() - began
        running.append((number, parameters))
        if len(running) > IN_FLIGHT:
            trial, parameters = running.popleft()
            metric = metric_of(parameters, rng)
            began_trial = time.perf_counter()
            tuner.receive_trial_result(trial, parameters, metric)
            learning.append(time.perf_counter() - began_trial)
    memory = peak_megabytes()
    print(
        f"{preset} with predictor: peak memory {memory:.0f} MB, resume with the first suggestion "
        f"{resume:.2f} s",
        flush=True,
    )
    # the first suggestion fits the predictor, which otherwise is done when a result arrives
    return (
        f"| BlockQNN, {preset} with predictor, after {trials:,} | {milliseconds(suggesting[1:])} "
        f"| {milliseconds(learning)} |"
    )


def seconds_to_resume(trials: int, preset: str) -> float:
    began = time.perf_counter()
    resumed = BlockQNNTuner(seed=0, budget=trials, preset=preset)
    resumed.update_search_space(PAPER_SPACE)
    seconds = time.perf_counter() - began
    assert len(resumed.history) >= trials
    return seconds


def metric_of(parameters: dict[str, Any], rng: np.random.Generator) -> dict[str, Any]:
    """A made-up result that grows with the block."""
    reward = 40 + parameters["block"].count("[") + rng.normal()
    return {
        "default": reward,
        "accuracy": reward,
        "flops": 1,
        "episode": parameters["episode"],
        "block": parameters["block"],
    }


def play_theirs(name: str, tuner: Tuner, trials: int) -> str:
    """A hundred trials, 32 in flight, with the results of ``trials`` random ones behind them."""
    space = choices_space()
    tuner.update_search_space(space)
    source = RandomTuner(seed=0)
    source.update_search_space(space)
    rng = np.random.default_rng(0)
    tuner.import_data(
        [
            {"parameter": source.generate_parameters(number), "value": float(rng.normal())}
            for number in range(trials)
        ]
    )
    suggesting: list[float] = []
    learning: list[float] = []
    running: deque[tuple[int, Any]] = deque()
    for number in range(trials, trials + 100):
        began = time.perf_counter()
        parameters = tuner.generate_parameters(number)
        suggesting.append(time.perf_counter() - began)
        running.append((number, parameters))
        if len(running) == IN_FLIGHT:
            oldest, parameters = running.popleft()
            began = time.perf_counter()
            tuner.receive_trial_result(oldest, parameters, float(rng.normal()))
            learning.append(time.perf_counter() - began)
    return f"| {name}, after {trials:,} | {milliseconds(suggesting)} | {milliseconds(learning)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=11_392)
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()
    rows = [
        "| tuner | suggestion, median ms | p99 | result, median ms | p99 |",
        "| --- | --- | --- | --- | --- |",
    ]
    for preset in ("paper", "tuned"):
        rows += alone(play_ours, arguments.trials, preset)
    for name, tuner in (
        ("NNI TPE", TpeTuner(seed=0)),
        ("NNI Evolution", EvolutionTuner()),
        ("NNI Random", RandomTuner(seed=0)),
    ):
        rows.append(play_theirs(name, tuner, arguments.trials))
    text = "\n".join([*rows, "", f"{platform.machine()}, {os.cpu_count()} CPUs"])
    print(text)
    if arguments.output:
        arguments.output.parent.mkdir(parents=True, exist_ok=True)
        arguments.output.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
