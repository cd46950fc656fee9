"""The results of an NNI experiment, running or stopped, as its trials reported them."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from nni_blockqnn.blocks.block import Block
from nni_blockqnn.bridge.files import (
    Experiment,
    ExperimentDatabaseError,
    ExperimentNotFoundError,
    find_experiment,
    query,
    read_profile,
)
from nni_blockqnn.bridge.sent import NO_STATUS, STATUS_OF_EVENT
from nni_blockqnn.common.messages import shown
from nni_blockqnn.exchange.kept_results import kept_metric
from nni_blockqnn.exchange.metrics import MetricError, parse_failure, parse_final_metric
from nni_blockqnn.space.search_space import SearchSpace

__all__ = [
    "Experiment",
    "ExperimentDatabaseError",
    "ExperimentNotFoundError",
    "Results",
    "TrialResult",
    "distinct_best",
    "find_experiment",
    "is_ours",
    "read_results",
]

_ENDED = ("SUCCEEDED", "FAILED", "USER_CANCELED", "SYS_CANCELED", "EARLY_STOPPED")


@dataclass(frozen=True)
class TrialResult:
    """The result of one trial.

    Attributes:
        episode: the tuner's number of the block. Tuners of others give none; there it is the number
            of the trial.
        block: as the metric names it, whatever parameters NNI has recorded.
        accuracy: in percent.
        flops: multiply-accumulates of the network for one image.
        params: of the network, None if the trial did not say it.
        repeats: the N of the network, None if the trial did not say it.
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
class Results:
    """What the trials of an experiment brought.

    Attributes:
        trials: the results that can be read, oldest first.
        statuses: how many trials stand at SUCCEEDED, FAILED, USER_CANCELED, RUNNING and so on.
        failures: of each trial that said why it failed, its ID and the reason.
        malformed: of each final metric that was skipped, the trial and what is wrong.
        started: when the experiment was created, in seconds since 1970.
        seconds: how long it has run, over all its resumptions.
    """

    experiment: Experiment
    trials: tuple[TrialResult, ...]
    statuses: Mapping[str, int]
    failures: tuple[str, ...]
    malformed: tuple[str, ...]
    started: float | None
    seconds: float | None

    @property
    def minimize(self) -> bool:
        """Whether the tuner was told that a smaller reward is better."""
        class_args = (self.experiment.config.get("tuner") or {}).get("classArgs") or {}
        return class_args.get("optimize_mode") == "minimize"


def read_results(experiment: Experiment) -> Results:
    """The results in the experiment's database, which is opened read-only.

    The block of a result is the one that its metric names: beside many results NNI records the
    parameters of another trial. Of several final metrics of a trial the first readable one counts.
    Local trials that a kill kept from reporting have their result in their folder.

    Raises:
        ExperimentDatabaseError: if the database cannot be read.
    """
    encoding = _encoding(experiment)
    profile = read_profile(experiment.database)
    events, metrics = query(
        experiment.database,
        "select trialJobId, event, timestamp from TrialJobEvent order by rowid",
        "select trialJobId, timestamp, data from MetricData where type = 'FINAL' order by rowid",
    )
    statuses, spans = _replay(events)
    trials: dict[str, TrialResult] = {}
    failures = []
    malformed = []
    numbers = {} if is_ours(experiment) else _numbers(events)
    for trial_id, reported, data in [*metrics, *_kept(experiment, events, metrics)]:
        if trial_id in trials:
            continue
        start, end = spans.get(trial_id, (None, None))
        seconds = None if start is None else max(0, (end or reported) - start) / 1000
        try:
            value = _decoded(data)
            if isinstance(value, Mapping) and trial_id in numbers:
                value = {"episode": numbers[trial_id], **value}
            if (failed := parse_failure(value, encoding)) is not None:
                failures.append(f"trial {trial_id}: {failed.reason}")
                continue
            trials[trial_id] = _result(value, encoding, trial_id, len(trials), seconds)
        except (MetricError, OverflowError) as error:  # an integer may be too large for a float
            malformed.append(f"trial {trial_id}: {error}")
    return Results(
        experiment=experiment,
        trials=tuple(trials.values()),
        statuses=statuses,
        failures=tuple(failures),
        malformed=tuple(malformed),
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


def _replay(
    events: list[tuple[Any, ...]],
) -> tuple[Counter[str], dict[str, tuple[int | None, int | None]]]:
    """How many trials stand at each status, and each trial's last start and end in milliseconds.

    Events give the status as they do in NNI's own data store (``nniDataStore.js``).
    """
    statuses: dict[str, str] = {}
    spans: dict[str, tuple[int | None, int | None]] = {}
    for trial_id, event, timestamp in events:
        if not trial_id or event in NO_STATUS:
            continue
        statuses[trial_id] = STATUS_OF_EVENT.get(event, event)
        start, _ = spans.get(trial_id, (None, None))
        if event == "RUNNING":
            spans[trial_id] = (timestamp, None)
        elif event in _ENDED:
            spans[trial_id] = (start, timestamp)
    return Counter(statuses.values()), spans


def _kept(
    experiment: Experiment, events: list[tuple[Any, ...]], metrics: list[tuple[Any, ...]]
) -> Iterator[tuple[str, float, Any]]:
    """The final metrics of local trials that could not report them, as if they had."""
    reported = {trial_id for trial_id, *_ in metrics}
    for trial_id in dict.fromkeys(trial_id for trial_id, *_ in events if trial_id):
        if trial_id not in reported and (kept := kept_metric(experiment.directory, trial_id)):
            yield trial_id, 1000 * kept.time, kept.metric


def is_ours(experiment: Experiment) -> bool:
    """Whether the tuner is BlockQNN, who counts no result that does not say its episode."""
    tuner = experiment.config.get("tuner") or {}
    return "BlockQNN" in str(tuner.get("className") or tuner.get("name") or "BlockQNN")


def _numbers(events: list[tuple[Any, ...]]) -> dict[str, int]:
    """Of the trials, in the order in which NNI made them."""
    made = dict.fromkeys(trial_id for trial_id, *_ in events if trial_id)
    return {trial_id: number for number, trial_id in enumerate(made)}


def _encoding(experiment: Experiment) -> str:
    """Of blocks whose metric does not name it; other tuners' search spaces have none."""
    try:
        return SearchSpace.from_json(experiment.config.get("searchSpace", {})).encoding
    except ValueError:
        return "pcc"


def _result(
    value: Any, encoding: str, trial_id: str, finished: int, seconds: float | None
) -> TrialResult:
    final = parse_final_metric(value, encoding)
    density = final.values.get("density", final.block.density)
    params = final.values.get("params")
    return TrialResult(
        episode=final.episode,
        block=final.block,
        reward=final.reward,
        accuracy=_number("accuracy", final.values.get("accuracy")),
        flops=_integer("flops", final.values.get("flops"), 1),
        params=None if params is None else _integer("params", params, 0),
        density=_number("density", density),
        repeats=final.repeats,
        seconds=seconds,
        trial_id=trial_id,
        finished=finished,
        metric=final.values,
    )


def _decoded(data: Any) -> Any:
    """NNI stores the JSON text of the JSON text that the trial sent."""
    value = data
    for _ in range(2):
        if isinstance(value, str):
            try:
                value = json.loads(value)
            except (ValueError, RecursionError) as error:
                raise MetricError(f"the metric is no JSON, got {shown(data)}: {error}") from None
    return value


def _number(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise MetricError(f'the metric\'s "{name}" must be a finite number, got {shown(value)}')
    return float(value)


def _integer(name: str, value: Any, lowest: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not float(value) >= lowest:
        raise MetricError(
            f'the metric\'s "{name}" must be an integer from {lowest}, got {shown(value)}'
        )
    return value
