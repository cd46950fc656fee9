"""What one trial of an experiment reported: a result, a failure, or what cannot be read."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from nni_blockqnn.blocks.block import Block
from nni_blockqnn.bridge.database import Metric, Trial
from nni_blockqnn.bridge.experiments import Experiment
from nni_blockqnn.common.checks import is_integer, is_number
from nni_blockqnn.common.messages import shown
from nni_blockqnn.exchange.metrics import (
    FinalMetric,
    MetricError,
    parse_failure,
    parse_final_metric,
)
from nni_blockqnn.results.search_journal import start_episodes
from nni_blockqnn.space.search_space import SearchSpace

Value = TypeVar("Value")
_MISSING = object()


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
        expected: the reward that a predictor expects of the network
            (:mod:`nni_blockqnn.results.expected`); ``None`` if none was asked.
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
    expected: float | None = None


@dataclass(frozen=True)
class Problem:
    """Why a trial has no result.

    Attributes:
        reason: what the trial reported, or what is wrong with its metric; one line.
        block: the one that failed; None if the metric cannot be read.
    """

    trial_id: str
    reason: str
    block: Block | None = None


class MetricReader:
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
                self.failures.append(Problem(metric.trial_id, failure.reason, failure.block))
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
            density=self._density(final),
            repeats=final.repeats or self._only_repeats,
            seconds=self._seconds(metric),
            trial_id=metric.trial_id,
            finished=len(self.results),
            metric=reported,
            width=_if_any(reported.get("width"), partial(_integer, "width", lowest=1)),
            is_start=final.episode in self._starts,
        )

    @staticmethod
    def _density(final: FinalMetric) -> float:
        reported = final.values.get("density", _MISSING)
        return final.block.density if reported is _MISSING else _number("density", reported)

    def _seconds(self, metric: Metric) -> float | None:
        """How long the trial has run, to the millisecond."""
        trial = self._trials.get(metric.trial_id)
        if trial is None or trial.started is None:
            return None
        ended = metric.reported if trial.ended is None else trial.ended
        return round(max(0.0, ended - trial.started), 3)


def is_blockqnn_search(experiment: Experiment) -> bool:
    """Whether the tuner is BlockQNN, which counts no result that does not name its episode."""
    tuner = experiment.config.get("tuner") or {}
    return "BlockQNN" in str(tuner.get("className") or tuner.get("name") or "BlockQNN")


def _start_episodes(experiment: Experiment) -> set[int]:
    """The episodes of the search's start blocks."""
    class_args = (experiment.config.get("tuner") or {}).get("classArgs") or {}
    return start_episodes(experiment.directory) if class_args.get("start_blocks") else set()


def _space(experiment: Experiment) -> SearchSpace | None:
    """The search space of blocks; other tuners' experiments have none."""
    try:
        return SearchSpace.from_json(experiment.config.get("searchSpace", {}))
    except ValueError:
        return None


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
