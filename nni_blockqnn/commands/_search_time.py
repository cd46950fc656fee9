"""How long a search would take on this machine, before it is started."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from nni_blockqnn.commands._config_file import Finding, trial_service
from nni_blockqnn.commands._load import available_cores
from nni_blockqnn.exchange.finalists import grid_of, is_finalists
from nni_blockqnn.exchange.parameters import TrialTask, read_task, trial_parameters
from nni_blockqnn.exchange.trial_check import Answer
from nni_blockqnn.network.cost import estimate_cost
from nni_blockqnn.q_learning.search import BlockSearch
from nni_blockqnn.space.search_space import SearchSpace

_SAMPLE = 41
_BOUNDS = ("limits", "match", "repeats_rule")
"""The tuner's arguments on which the size of its networks depends."""
_SECONDS_BETWEEN = 5.0
"""NNI starts the next trial after 3 s, and it imports PyTorch."""
_DAY = 86_400.0
_LONG = 3 * _DAY
"""A search that takes longer here is warned of: it seems meant for another machine."""


@dataclass(frozen=True)
class Sample:
    """What trials of a search may train, from the fewest FLOPs to the most."""

    tasks: tuple[Mapping[str, Any], ...]
    flops: tuple[int, ...]

    @property
    def median(self) -> Mapping[str, Any]:
        return self.tasks[(len(self.tasks) - 1) // 2]


def sample_of(config: Any) -> Sample:
    """Parameters of random blocks of the space within the tuner's limits, or of all finalists.

    Args:
        config: NNI's ExperimentConfig.

    Raises:
        ValueError: if the search space is not one of this package's.
    """
    drawn: list[dict[str, Any]]
    if is_finalists(config.search_space):
        drawn = list(grid_of(config.search_space))
    else:
        drawn = _random_parameters(config)
    costs = [_flops(read_task(parameters)) for parameters in drawn]
    order = sorted(range(len(drawn)), key=costs.__getitem__)
    return Sample(tuple(drawn[n] for n in order), tuple(costs[n] for n in order))


def check_search_time(config: Any, answer: Answer, sample: Sample) -> Iterator[Finding]:
    """What a trial and the whole search would take here, with a warning if that is days.

    Args:
        config: NNI's ExperimentConfig, of a local search.
        answer: of its trial, which has timed the sample's median.
    """
    if answer.trial_seconds is None:
        return
    one, most = answer.trial_seconds, config.max_trial_number
    at_a_time = _at_a_time(config, answer)
    said = f"a trial of a block of median size takes about {duration(one)} here{_beside()}"
    limit = seconds_of(config.max_trial_duration)
    if limit is not None and limit < one:
        yield Finding(
            "warning",
            "time",
            f"{said}, and maxTrialDuration ends it after {duration(limit)}: delete that line, or "
            f"write maxTrialDuration: {round(3 * one) + 1}s",
        )
    if most is None:
        yield Finding("ok", "time", said)
        return
    each = (one + _SECONDS_BETWEEN) / at_a_time
    total = each * most
    said += f", all {most:,} about {duration(total)} with {at_a_time:.3g} at a time"
    end = seconds_of(config.max_experiment_duration)
    if end is not None and end < total:
        yield Finding(
            "warning",
            "time",
            f"{said}; maxExperimentDuration ends the search after {duration(end)}, that is after "
            f"some {max(1, int(end / each)):,} trials: set maxTrialNumber and budget to that, so "
            "that epsilon falls in time",
        )
    elif total > _LONG:
        yield Finding("warning", "time", f"{said}. {_advice(total, most, sample)}")
    else:
        yield Finding("ok", "time", said)


def _beside() -> str:
    """What the measurement may have met."""
    cores, load = available_cores(), machine_load()
    return f" (measured beside other work, load {load:.0f})" if load >= 2 * cores else ""


def machine_load() -> float:
    """Processes that ran or waited in the last minute, of all users."""
    try:
        return os.getloadavg()[0]
    except (AttributeError, OSError):  # not on this system
        return 0.0


def duration(seconds: float) -> str:
    """'40 s', '12 min', '3.5 h' or '14 days'"""
    for unit, size in (("days", _DAY), ("h", 3600.0), ("min", 60.0)):
        if seconds >= 2 * size:
            count = seconds / size
            return f"{count:,.0f} {unit}" if count >= 10 else f"{count:.2g} {unit}"
    return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.2g} s"


def seconds_of(value: Any) -> int | None:
    """NNI's durations, "10h" or seconds."""
    from nni.experiment.config.utils import parse_time

    return None if value is None else int(parse_time(value))


def _random_parameters(config: Any) -> list[dict[str, Any]]:
    """Of trials that a random search with the tuner's limits, match and repeats would send."""
    space = SearchSpace.from_json(config.search_space)
    given = (config.tuner.class_args or {}) if config.tuner else {}
    bounds = {name: given[name] for name in _BOUNDS if name in given}
    search = BlockSearch(space, seed=0, agent="random", **bounds)
    asked = (search.ask() for _ in range(_SAMPLE))
    return [trial_parameters(space, one) for one in asked if one is not None]


def _flops(task: TrialTask) -> int:
    return estimate_cost(task.block, task.spec).flops


def _at_a_time(config: Any, answer: Answer) -> float:
    """How many trials' worth of work this machine does at a time."""
    if answer.device == "cpu":
        at_most = available_cores() / max(answer.threads, 1)
    elif gpus := trial_service(config).trial_gpu_number:
        import torch

        at_most = torch.cuda.device_count() / gpus
    else:  # all share one GPU
        at_most = 1
    return max(1.0, min(config.trial_concurrency, at_most))


def _advice(total: float, trials: int, sample: Sample) -> str:
    """Lines that would let the search end within a day."""
    share = _DAY / total
    ways = []
    if (fewer := int(trials * share)) >= 10:
        ways.append(f"maxTrialNumber: {fewer} and budget: {fewer}")
    flops = sample.flops[(len(sample.flops) - 1) // 2] * share
    if flops >= sample.flops[len(sample.flops) // 10]:
        ways.append(f"under classArgs, limits: {{max_flops: {_rounded(flops)}}}")
    ways.append("in trialCommand, --limit 5000 or fewer --epochs")
    return f"For a search of one day write {'; or '.join(ways)}; or use a GPU"


def _rounded(number: float) -> int:
    """Down to two digits."""
    unit = 10 ** max(0, len(str(int(number))) - 2)
    return int(number) // unit * unit
