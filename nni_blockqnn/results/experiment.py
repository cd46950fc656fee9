"""The results of an NNI experiment, running or stopped, as its trials reported them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from nni_blockqnn.blocks.block import Block
from nni_blockqnn.bridge.database import Metric, Trial, read_metrics, read_profile, read_trials
from nni_blockqnn.bridge.experiments import Experiment
from nni_blockqnn.common.checks import is_integer, is_number
from nni_blockqnn.common.messages import shown
from nni_blockqnn.exchange.kept_results import kept_metric
from nni_blockqnn.exchange.metrics import MetricError, parse_failure, parse_final_metric
from nni_blockqnn.record.journal import JOURNAL_NAME, read_events
from nni_blockqnn.space.search_space import SearchSpace


@dataclass(frozen=True)
class TrialResult:
    """The result of one trial.

    Attributes:
        episode: the tuner's number of the block. Tuners other than BlockQNN give none; for them it
            is the number of the trial.
        block: as the metric names it, whatever parameters NNI has recorded.
        accuracy: in percent.
        flops: multiply-accumulates of the network for one image.
        params: weights of the network, None if the trial did not report them.
        repeats: N of the network, None if the trial did not report it.
        seconds: from the trial's start to its end, None if NNI does not know its start.
        finished: its place in the order in which the results came, from 0.
        metric: the whole final metric.
    """

    episode: int
    block: Block
    reward: float
    accuracy: float
    flops: int
    params: int | None
    density: float
    repeats: int | None
    seconds: float | None
    trial_id: str
    finished: int
    metric: Mapping[str, Any]


@dataclass(frozen=True)
class TrialProblem:
    """Why a trial has no result."""

    trial_id: str
    reason: str

    def __str__(self) -> str:
        return f"trial {self.trial_id}: {self.reason}"


@dataclass(frozen=True)
class Results:
    """What the trials of an experiment brought.

    Attributes:
        trials: the results that can be read, oldest first.
        statuses: how many trials stand at SUCCEEDED, FAILED, USER_CANCELED, RUNNING and so on.
        failures: trials that reported why they failed, oldest first.
        malformed: trials whose final metric cannot be read, and why.
        started: when the experiment was created, in seconds since 1970.
        seconds: how long it has run, over all its resumptions.
    """

    experiment: Experiment
    trials: tuple[TrialResult, ...]
    statuses: Mapping[str, int]
    failures: tuple[TrialProblem, ...]
    malformed: tuple[TrialProblem, ...]
    started: float | None
    seconds: float | None

    @property
    def minimize(self) -> bool:
        """Whether the tuner was told that a smaller reward is better."""
        class_args = (self.experiment.config.get("tuner") or {}).get("classArgs") or {}
        return class_args.get("optimize_mode") == "minimize"


def read_results(experiment: Experiment) -> Results:
    """The results in the experiment's database and in its trials' folders.

    The block of a result is the one that its metric names: beside many results NNI records the
    parameters of another trial. Of several final metrics of a trial the first readable one counts.
    Local trials that a kill kept from reporting have their result in their folder.

    Raises:
        ExperimentDatabaseError: if the database cannot be read.
    """
    directory = experiment.directory
    profile = read_profile(directory)
    sent = read_trials(directory)
    reported = read_metrics(directory, "FINAL")
    reader = _MetricReader(experiment, sent)
    for metric in [*reported, *_kept(directory, sent, reported)]:
        reader.read(metric)
    return Results(
        experiment=experiment,
        trials=tuple(reader.results.values()),
        statuses=Counter(trial.status for trial in sent if trial.status is not None),
        failures=tuple(reader.failures),
        malformed=tuple(reader.malformed),
        started=profile.started,
        seconds=profile.seconds,
    )


class _MetricReader:
    """Sorts final metrics into results, failures and what cannot be read."""

    def __init__(self, experiment: Experiment, sent: Sequence[Trial]) -> None:
        self.results: dict[str, TrialResult] = {}
        self.failures: list[TrialProblem] = []
        self.malformed: list[TrialProblem] = []
        self._encoding = _encoding(experiment)
        self._sent = {trial.id: trial for trial in sent}
        # other tuners do not number their blocks, so the trials' own order does
        self._numbers = (
            {}
            if is_block_search(experiment)
            else {trial.id: number for number, trial in enumerate(sent)}
        )

    def read(self, metric: Metric) -> None:
        trial_id, value = metric.trial_id, metric.value
        if trial_id in self.results:
            return
        if metric.error is not None:
            self.malformed.append(TrialProblem(trial_id, metric.error))
            return
        if isinstance(value, Mapping) and trial_id in self._numbers:
            value = {"episode": self._numbers[trial_id], **value}
        try:
            failure = parse_failure(value, self._encoding)
            if failure is None:
                self.results[trial_id] = self._result(metric, value)
            else:
                self.failures.append(TrialProblem(trial_id, failure.reason))
        except MetricError as error:
            self.malformed.append(TrialProblem(trial_id, str(error)))

    def _result(self, metric: Metric, value: Any) -> TrialResult:
        final = parse_final_metric(value, self._encoding)
        values = final.values
        params = values.get("params")
        return TrialResult(
            episode=final.episode,
            block=final.block,
            reward=final.reward,
            accuracy=_number("accuracy", values.get("accuracy")),
            flops=_integer("flops", values.get("flops"), 1),
            params=None if params is None else _integer("params", params, 0),
            density=_number("density", values.get("density", final.block.density)),
            repeats=final.repeats,
            seconds=self._seconds(metric),
            trial_id=metric.trial_id,
            finished=len(self.results),
            metric=values,
        )

    def _seconds(self, metric: Metric) -> float | None:
        trial = self._sent.get(metric.trial_id)
        if trial is None or trial.started is None:
            return None
        return max(0.0, (trial.ended or metric.reported) - trial.started)


def epsilons(experiment_directory: Path) -> dict[int, float]:
    """The epsilon with which each episode's block was drawn, from the tuner's journal.

    Empty if the experiment's tuner was another one.
    """
    journal = experiment_directory / "checkpoint" / JOURNAL_NAME
    if not journal.exists():
        return {}
    return {
        int(event["episode"]): float(event["epsilon"])
        for event in read_events(journal)
        if event.get("event") == "suggestion"
    }


def distinct_best(
    results: Results,
    k: int,
    by: Literal["reward", "accuracy"] = "reward",
    max_params: int | None = None,
    max_flops: int | None = None,
) -> list[TrialResult]:
    """The best ``k`` results of different networks, best first, ties by fewer FLOPs.

    Two results are of the same network if their blocks have equal keys and equal repeats. A result
    that does not say its parameters does not pass ``max_params``.

    Raises:
        ValueError: if ``by`` is neither "reward" nor "accuracy".
    """
    if by not in ("reward", "accuracy"):
        raise ValueError(f"by must be 'reward' or 'accuracy', got {shown(by)}")
    sign = 1 if by == "reward" and results.minimize else -1
    best: dict[tuple[str, int | None], TrialResult] = {}
    for result in sorted(
        results.trials, key=lambda result: (sign * getattr(result, by), result.flops)
    ):
        if len(best) >= k:
            break
        if _within(result.flops, max_flops) and _within(result.params, max_params):
            best.setdefault((result.block.key, result.repeats), result)
    return list(best.values())


def _within(value: int | None, highest: int | None) -> bool:
    return highest is None or (value is not None and value <= highest)


def _kept(directory: Path, sent: Sequence[Trial], reported: Sequence[Metric]) -> Iterator[Metric]:
    """The final metrics of local trials that could not report them, as if they had."""
    have = {metric.trial_id for metric in reported}
    for trial in sent:
        if trial.id not in have and (kept := kept_metric(directory, trial.id)):
            yield Metric(trial.id, kept.time, 0, kept.metric)


def is_block_search(experiment: Experiment) -> bool:
    """Whether the tuner is BlockQNN, which counts no result that does not name its episode."""
    tuner = experiment.config.get("tuner") or {}
    return "BlockQNN" in str(tuner.get("className") or tuner.get("name") or "BlockQNN")


def _encoding(experiment: Experiment) -> str:
    """The encoding of blocks whose metric does not name it."""
    try:
        return SearchSpace.from_json(experiment.config.get("searchSpace", {})).encoding
    except ValueError:  # of another tuner's search space
        return "pcc"


def _number(name: str, value: Any) -> float:
    if not is_number(value):
        raise MetricError(f'the metric\'s "{name}" must be a finite number, got {shown(value)}')
    return float(value)


def _integer(name: str, value: Any, lowest: int) -> int:
    if not is_integer(value) or not is_number(value) or value < lowest:
        raise MetricError(
            f'the metric\'s "{name}" must be an integer from {lowest}, got {shown(value)}'
        )
    return int(value)
