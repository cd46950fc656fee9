"""The tuner against many simulated slots: their use, and what is found in which time.

    python benchmarks/cluster_simulation.py [--trials 1024] [--seeds 3] [--slots 1 8 64 256 1024]

The tuner is the real one, called as NNI calls it; time is simulated. Blocks of the full space at
equal cost are scored by the surrogate of ``docs/search_quality.md``. A trial's time is that of a
training of the table, drawn at random and scaled to the paper's mean, and NNI's turnover on remote
machines. Some trials are slow, some fail, and hosts of eight slots go and come back, with all that
ran there lost. Without a barrier a free slot gets the next block at once; the paper hands out 64
blocks, and the next 64 when all of them are done.
"""

from __future__ import annotations

import argparse
import heapq
import itertools
import logging
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple

import numpy as np
from arena.full_space import load_full
from arena.objectives import Objective
from json_lines import append, read_lines
from nsc_bench.table import load_table

from nni_blockqnn import Block, BlockQNNTuner

ARENA = "CIFAR-10, 22 layers at equal cost"
TABLE = "cifar10"
BARRIER = 64
"""The paper's batch."""
SLOTS = (1, 8, 64, 256, 1024)

MEAN_SECONDS = 3 * 24 * 3600 * 32 / 11_392
"""Of the paper's trials: 11,392 in three days on 32 GPUs."""
TURNOVER_SECONDS = 5.5
"""From one trial's end to the next one's start on a remote machine (docs/turnover.md)."""
STRAGGLERS, SLOWNESS = 0.03, 5.0
"""The share of slow trials, and how slow they are."""
FAILURES = 0.02
"""The share of trials that end without a word, at any time of their training."""
HOST_SLOTS = 8
HOST_HOURS, HOST_AWAY_HOURS = 24.0, 0.5
"""How long a host stays on average, and how long it is away."""


class Running(NamedTuple):
    """A trial in a slot; the heap takes the one that ends first."""

    ends: float
    number: int
    began: float
    slot: int
    parameters: dict[str, Any]
    is_lost: bool


@dataclass
class Outcome:
    """What a simulated search came to.

    Attributes:
        seconds: from its start to its last result.
        busy: of all slots together, in trials whose results counted or not.
        found: the final accuracy of the block that looks best, after each result: time and percent.
    """

    slots: int
    seconds: float = 0.0
    busy: float = 0.0
    lost: int = 0
    found: list[tuple[float, float]] = field(default_factory=list)

    @property
    def use(self) -> float:
        """The share of the slots' time that trials took."""
        return self.busy / (self.slots * self.seconds)


class Cluster:
    """Slots that run trials of drawn lengths, on hosts that go and come back."""

    def __init__(self, slots: int, rng: np.random.Generator, lengths: np.ndarray) -> None:
        self._rng, self._lengths = rng, lengths
        self.free = list(range(slots))
        self.back: list[tuple[float, int]] = []
        """When slots of lost hosts are there again."""
        self.running: list[Running] = []
        self._gone: dict[int, list[tuple[float, float]]] = {}
        self._numbers = itertools.count()

    def start(self, now: float, parameters: dict[str, Any]) -> None:
        slot = self.free.pop()
        length = float(self._rng.choice(self._lengths))
        if self._rng.random() < STRAGGLERS:
            length *= SLOWNESS
        began = now + TURNOVER_SECONDS
        ends, is_lost = began + length, self._rng.random() < FAILURES
        if is_lost:
            ends = began + length * self._rng.random()
        gone = self._next_absence(slot // HOST_SLOTS, now)
        if gone < ends:
            ends, is_lost = max(gone, now), True
        number = next(self._numbers)
        heapq.heappush(self.running, Running(ends, number, now, slot, parameters, is_lost))

    def end_next(self) -> Running:
        """The trial that ends first; its slot is free, or away with its host."""
        ended = heapq.heappop(self.running)
        back = self._back(ended.slot // HOST_SLOTS, ended.ends)
        if back > ended.ends:
            heapq.heappush(self.back, (back, ended.slot))
        else:
            self.free.append(ended.slot)
        return ended

    def return_slots(self, now: float) -> None:
        while self.back and self.back[0][0] <= now:
            self.free.append(heapq.heappop(self.back)[1])

    def _absences(self, host: int, until: float) -> list[tuple[float, float]]:
        known = self._gone.setdefault(host, [])
        while not known or known[-1][0] < until:
            before = known[-1][1] if known else 0.0
            begins = before + self._rng.exponential(HOST_HOURS * 3600)
            known.append((begins, begins + HOST_AWAY_HOURS * 3600))
        return known

    def _next_absence(self, host: int, now: float) -> float:
        absences = self._absences(host, now)
        return next(begins for begins, ends in absences if ends > now)

    def _back(self, host: int, now: float) -> float:
        for begins, ends in self._absences(host, now):
            if begins <= now < ends:
                return ends
        return now


def simulate(
    objective: Objective, slots: int, trials: int, seed: int, *, barrier: bool, preset: str
) -> Outcome:
    """One search of so many trials."""
    rng = np.random.default_rng([seed, slots, int(barrier)])
    measured = np.array([entry.seconds for entry in load_table(TABLE).entries if entry.seconds])
    lengths = measured * MEAN_SECONDS / measured.mean()
    tuner = BlockQNNTuner(preset=preset, budget=trials, seed=seed, match=objective.match)
    tuner.update_search_space(_space(objective))
    cluster = Cluster(slots, rng, lengths)
    outcome = Outcome(slots)
    now, sent, looks = 0.0, 0, -math.inf
    while True:
        cluster.return_slots(now)
        room = len(cluster.free)
        if barrier:
            done = sent % BARRIER == 0
            room = 0 if done and cluster.running else min(room, BARRIER - sent % BARRIER)
        for parameters in _proposals(tuner, sent, min(room, trials - sent)):
            cluster.start(now, parameters)
            sent += 1
        if not cluster.running:
            if sent >= trials:
                return outcome
            now = cluster.back[0][0]
            continue
        ended = cluster.end_next()
        now = max(now, ended.ends)
        outcome.busy += ended.ends - ended.began
        outcome.seconds = now
        parameters = ended.parameters
        value = None if ended.is_lost else objective(Block.parse(parameters["block"]))
        if value is not None:
            tuner.receive_trial_result(ended.number, parameters, _metric(parameters, value.seen))
            if value.seen > looks:
                looks = value.seen
                outcome.found.append((now, value.judged))
        else:
            outcome.lost += 1
        tuner.trial_end(ended.number, value is not None)


def _proposals(tuner: BlockQNNTuner, first: int, count: int) -> Iterator[dict[str, Any]]:
    if count > 0:
        yield from tuner.generate_multiple_parameters(list(range(first, first + count)))


def _space(objective: Objective) -> dict[str, Any]:
    space = objective.space
    return {
        "block": {"_type": "nsc", "_value": {"max_layers": space.max_layers}},
        "repeats": {"_type": "choice", "_value": list(space.repeats)},
        "network": {"_type": "choice", "_value": [space.network]},
    }


def _metric(parameters: dict[str, Any], reward: float) -> dict[str, Any]:
    known = {name: parameters[name] for name in ("block", "episode", "repeats", "width")}
    return {"default": reward, "accuracy": reward, "flops": 1, "params": 1, **known}


def line_of(outcome: Outcome, key: dict[str, Any]) -> dict[str, Any]:
    """A search as a line of the output."""
    found = [[round(seconds), round(accuracy, 3)] for seconds, accuracy in outcome.found]
    numbers = {"seconds": round(outcome.seconds), "use": round(outcome.use, 4)}
    return key | numbers | {"lost": outcome.lost, "found": found}


def table(lines: Sequence[dict[str, Any]]) -> Iterator[str]:
    """The lines of a Markdown table, of the means over seeds."""
    yield (
        "| slots | | seeds | hours | slots' use, % | trials lost | accuracy found, % "
        "| at half the time of the barrier's, % |"
    )
    yield "| ---: | --- | ---: | ---: | ---: | ---: | ---: | ---: |"
    for slots in sorted({line["slots"] for line in lines}):
        found = {
            barrier: [one for one in lines if (one["slots"], one["barrier"]) == (slots, barrier)]
            for barrier in (False, True)
        }
        if not all(found.values()):
            continue
        half = fmean(one["seconds"] for one in found[True]) / 2
        for barrier, searches in found.items():
            yield (
                f"| {slots:,} | {'barrier of 64' if barrier else 'asynchronous'} "
                f"| {len(searches)} "
                f"| {fmean(one['seconds'] for one in searches) / 3600:.1f} "
                f"| {100 * fmean(one['use'] for one in searches):.0f} "
                f"| {fmean(one['lost'] for one in searches):.0f} "
                f"| {_spread([one['found'][-1][1] for one in searches])} "
                f"| {_spread([found_by(one['found'], half) for one in searches])} |"
            )


def found_by(found: Sequence[Sequence[float]], seconds: float) -> float:
    """The accuracy that was found by that time; NaN before the first result."""
    values = [accuracy for time, accuracy in found if time <= seconds]
    return values[-1] if values else math.nan


def _spread(values: Sequence[float]) -> str:
    """Mean and range."""
    if len(values) == 1:
        return f"{values[0]:.2f}"
    return f"{fmean(values):.2f} ({min(values):.2f} to {max(values):.2f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=1024)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--slots", type=int, nargs="+", default=SLOTS)
    parser.add_argument("--preset", choices=("paper", "tuned"), default="tuned")
    results = Path(__file__).parent / "results" / "cluster_simulation.jsonl"
    parser.add_argument("--output", type=Path, default=results)
    arguments = parser.parse_args()
    logging.disable(logging.WARNING)
    output: Path = arguments.output
    lines = read_lines(output)
    objective = load_full(ARENA).objective
    wanted = {"trials": arguments.trials, "preset": arguments.preset}
    ways = itertools.product(range(arguments.seeds), arguments.slots, (False, True))
    for seed, slots, barrier in ways:
        key = wanted | {"slots": slots, "barrier": barrier, "seed": seed}
        if not any(key.items() <= line.items() for line in lines):
            outcome = simulate(
                objective, slots, arguments.trials, seed, barrier=barrier, preset=arguments.preset
            )
            lines.append(line_of(outcome, key))
            append(output, lines[-1])
    print("\n".join(table([line for line in lines if wanted.items() <= line.items()])))


if __name__ == "__main__":
    main()
