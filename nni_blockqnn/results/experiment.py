"""The results of an NNI experiment, running or stopped, as its trials reported them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypeVar

from nni_blockqnn.blocks.block import Block
from nni_blockqnn.bridge.database import (
    ExperimentDatabaseError,
    Metric,
    Trial,
    read_metrics,
    read_profile,
    read_trials,
)
from nni_blockqnn.bridge.experiments import Experiment, ExperimentNotFoundError, find_experiment
from nni_blockqnn.common.checks import is_integer, is_number
from nni_blockqnn.common.messages import shown
from nni_blockqnn.exchange.kept_results import kept_metric
from nni_blockqnn.exchange.metrics import MetricError, parse_failure, parse_final_metric
from nni_blockqnn.record.journal import JOURNAL_NAME, read_events
from nni_blockqnn.space.search_space import SearchSpace

__all__ = [
    "Experiment",
    "ExperimentDatabaseError",
    "ExperimentNotFoundError",
    "Problem",
    "Results",
    "TrialResult",
    "distinct_best",
    "epsilons",
    "find_experiment",
    "is_blockqnn_search",
    "is_of_blockqnn",
    "read_results",
]

Value = TypeVar("Value")


@dataclass(frozen=True)
class TrialResult:
    """The result of one trial.

    Attributes:
        episode: the tuner's number of the block. Other tuners give none; there it is the number of
            the trial.
        block: as the metric names it, whatever parameters NNI has recorded.
        reward: the metric's "default".
        accuracy: on the validation set, in percent; this, ``flops`` and ``params`` are None if the
            trial did not report them, as one of the user's own need not.
        flops: multiply-accumulates of the network for one image.
        params: weights of the network.
        density: edges over dots of the block's graph.
        repeats: the N of the network, None if neither the trial nor the search space says it.
        seconds: from the trial's start to its end, None if NNI does not know its start.
        finished: its position in the order in which the results came, from 0.
        metric: the whole final metric.
        width: filters of the network's first stage, if the search scaled them (`match`).
        is_start: whether it is of one of the search's start blocks.
    """

    episode: int
    block: Block
    reward: float
    accuracy: float | None
    flops: int | None
    params: int | None
    density: float
    repeats: int | None
    seconds: float | None
    trial_id: str
    finished: int
    metric: Mapping[str, Any]
    width: int | None = None
    is_start: bool = False


@dataclass(frozen=True)
class Problem:
    """Why a trial has no result.

    Attributes:
        reason: what the trial reported, or what is wrong with its metric; one line.
    """

    trial_id: str
    reason: str


@dataclass(frozen=True)
class Results:
    """What the trials of an experiment reported.

    Attributes:
        trials: the results that can be read, oldest first.
        statuses: how many trials stand at SUCCEEDED, FAILED, USER_CANCELED, RUNNING and so on.
        failures: the trials that reported why they failed, oldest first.
        malformed: the trials whose final metric cannot be read, oldest first.
        started: when the experiment was created, in seconds since 1970.
        seconds: how long it has run, over all its resumptions.
    """

    experiment: Experiment
    trials: tuple[TrialResult, ...]
    statuses: Mapping[str, int]
    failures: tuple[Problem, ...]
    malformed: tuple[Problem, ...]
    started: float | None
    seconds: float | None

    @property
    def minimize(self) -> bool:
        """Whether the tuner was told that a smaller reward is better."""
        class_args = (self.experiment.config.get("tuner") or {}).get("classArgs") or {}
        return class_args.get("optimize_mode") == "minimize"


def read_results(experiment: Experiment) -> Results:
    """The results in the experiment's database and in the folders of its local trials.

    A result is of the block that its metric names: beside many results NNI records the parameters
    of another trial. Of several final metrics of a trial the first readable one counts. A local
    trial that a kill kept from reporting has its result in its folder.

    Raises:
        ExperimentDatabaseError: if the database cannot be read.
    """
    profile = read_profile(experiment.directory)
    metrics = read_metrics(experiment.directory, "FINAL")
    trials = read_trials(experiment.directory)  # after the metrics, so that it has theirs
    reader = _MetricReader(experiment, trials)
    for metric in [*metrics, *_kept_metrics(experiment, trials, metrics)]:
        reader.read(metric)
    return Results(
        experiment=experiment,
        trials=tuple(reader.results.values()),
        statuses=Counter(trial.status for trial in trials if trial.status is not None),
        failures=tuple(reader.failures),
        malformed=tuple(reader.malformed),
        started=profile.started,
        seconds=profile.seconds,
    )


def distinct_best(
    results: Results,
    k: int,
    by: Literal["reward", "accuracy"] = "reward",
    max_params: int | None = None,
    max_flops: int | None = None,
) -> list[TrialResult]:
    """The best ``k`` results of different networks, best first, ties by fewer FLOPs.

    Two results are of the same network if their blocks have equal keys and equal repeats. What was
    not reported ranks last, and does not pass a limit.

    Raises:
        ValueError: if ``by`` is neither "reward" nor "accuracy".
    """
    if by not in ("reward", "accuracy"):
        raise ValueError(f"by must be 'reward' or 'accuracy', got {shown(by)}")
    sign = 1 if by == "reward" and results.minimize else -1
    best: dict[tuple[str, int | None], TrialResult] = {}
    for result in sorted(
        results.trials,
        key=lambda result: (
            *_last_if_none(getattr(result, by), sign),
            *_last_if_none(result.flops),
        ),
    ):
        if len(best) >= k:
            break
        if _within(result.flops, max_flops) and _within(result.params, max_params):
            best.setdefault((result.block.key, result.repeats), result)
    return list(best.values())


def is_blockqnn_search(experiment: Experiment) -> bool:
    """Whether the tuner is BlockQNN, which counts no result that does not name its episode."""
    tuner = experiment.config.get("tuner") or {}
    return "BlockQNN" in str(tuner.get("className") or tuner.get("name") or "BlockQNN")


def is_of_blockqnn(experiment: Experiment) -> bool:
    """Whether the tuner, the trial or the search space is this package's."""
    config = experiment.config
    tuner = config.get("tuner") or {}
    space = config.get("searchSpace")
    named = (tuner.get("className"), tuner.get("name"), config.get("trialCommand"))
    has_package = any(re.search("blockqnn", str(text), re.IGNORECASE) for text in named)
    return has_package or (isinstance(space, Mapping) and "block" in space)


def epsilons(experiment_directory: Path) -> dict[int, float]:
    """The epsilon with which each episode's block was drawn; empty for other tuners."""
    journal = experiment_directory / "checkpoint" / JOURNAL_NAME
    if not journal.is_file():
        return {}
    return {
        event["episode"]: float(event["epsilon"])
        for event in read_events(journal)
        if event.get("event") == "suggestion"
        and is_integer(event.get("episode"))
        and is_number(event.get("epsilon"))
    }


def _start_episodes(experiment: Experiment) -> set[int]:
    """The episodes of the search's start blocks."""
    class_args = (experiment.config.get("tuner") or {}).get("classArgs") or {}
    journal = experiment.directory / "checkpoint" / JOURNAL_NAME
    if not class_args.get("start_blocks") or not journal.is_file():
        return set()
    return {
        event["episode"]
        for event in read_events(journal)
        if event.get("start") is True and is_integer(event.get("episode"))
    }


class _MetricReader:
    """Sorts final metrics into results, failures and malformed ones."""

    def __init__(self, experiment: Experiment, trials: Sequence[Trial]) -> None:
        self.results: dict[str, TrialResult] = {}
        self.failures: list[Problem] = []
        self.malformed: list[Problem] = []
        self._trials = {trial.id: trial for trial in trials}
        space = _space(experiment)
        self._encoding = "pcc" if space is None else space.encoding
        repeats = () if space is None else space.repeats
        self._only_repeats = repeats[0] if len(repeats) == 1 else None
        self._starts = _start_episodes(experiment)
        # other tuners give no episodes: their trials are numbered as NNI made them
        self._episodes: dict[str, int] = {}
        if not is_blockqnn_search(experiment):
            self._episodes = {trial.id: number for number, trial in enumerate(trials)}

    def read(self, metric: Metric) -> None:
        """Sort one metric in, unless its trial has a result already."""
        if metric.trial_id in self.results:
            return
        try:
            value = self._value(metric)
            failure = parse_failure(value, self._encoding)
            if failure is not None:
                self.failures.append(Problem(metric.trial_id, failure.reason))
            else:
                self.results[metric.trial_id] = self._result(metric, value)
        except MetricError as error:
            self.malformed.append(Problem(metric.trial_id, str(error)))

    def _value(self, metric: Metric) -> Any:
        if metric.error is not None:
            raise MetricError(metric.error)
        if isinstance(metric.value, Mapping) and metric.trial_id in self._episodes:
            return {"episode": self._episodes[metric.trial_id], **metric.value}
        return metric.value

    def _result(self, metric: Metric, value: Any) -> TrialResult:
        final = parse_final_metric(value, self._encoding)
        reported = final.values
        return TrialResult(
            episode=final.episode,
            block=final.block,
            reward=final.reward,
            accuracy=_if_any(reported.get("accuracy"), partial(_number, "accuracy")),
            flops=_if_any(reported.get("flops"), partial(_integer, "flops", lowest=1)),
            params=_if_any(reported.get("params"), partial(_integer, "params", lowest=0)),
            density=_number("density", reported.get("density", final.block.density)),
            repeats=final.repeats or self._only_repeats,
            seconds=self._seconds(metric),
            trial_id=metric.trial_id,
            finished=len(self.results),
            metric=reported,
            width=_if_any(reported.get("width"), partial(_integer, "width", lowest=1)),
            is_start=final.episode in self._starts,
        )

    def _seconds(self, metric: Metric) -> float | None:
        """How long the trial has run, to the millisecond."""
        trial = self._trials.get(metric.trial_id)
        if trial is None or trial.started is None:
            return None
        ended = metric.reported if trial.ended is None else trial.ended
        return round(max(0.0, ended - trial.started), 3)


def _kept_metrics(
    experiment: Experiment, trials: Sequence[Trial], metrics: Sequence[Metric]
) -> Iterator[Metric]:
    """The final metrics of local trials that could not report them, as if they had."""
    reported = {metric.trial_id for metric in metrics}
    for trial in trials:
        if trial.id not in reported and (kept := kept_metric(experiment.directory, trial.id)):
            yield Metric(trial.id, kept.time, 0, kept.metric)


def _space(experiment: Experiment) -> SearchSpace | None:
    """The search space of blocks; other tuners' experiments have none."""
    try:
        return SearchSpace.from_json(experiment.config.get("searchSpace", {}))
    except ValueError:
        return None


def _last_if_none(value: float | None, sign: int = 1) -> tuple[bool, float]:
    """A key that sorts what was not reported behind the rest."""
    return value is None, 0 if value is None else sign * value


def _within(value: int | None, highest: int | None) -> bool:
    return highest is None or (value is not None and value <= highest)


def _if_any(value: Any, read: Callable[[Any], Value]) -> Value | None:
    return None if value is None else read(value)


def _number(name: str, value: Any) -> float:
    if not is_number(value):
        raise MetricError(f'the metric\'s "{name}" must be a finite number, got {shown(value)}')
    return float(value)


def _integer(name: str, value: Any, lowest: int) -> int:
    # is_number as well: costs are drawn and compared as floats
    if not is_integer(value) or not is_number(value) or value < lowest:
        raise MetricError(
            f'the metric\'s "{name}" must be an integer from {lowest}, got {shown(value)}'
        )
    return int(value)
