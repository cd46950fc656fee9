"""The results of an NNI experiment, running or stopped, as its trials reported them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from nni_blockqnn.bridge.database import (
    ExperimentDatabaseError,
    Metric,
    Trial,
    read_metrics,
    read_profile,
    read_trials,
)
from nni_blockqnn.bridge.experiments import Experiment, ExperimentNotFoundError, find_experiment
from nni_blockqnn.common.garbage import collection_paused
from nni_blockqnn.common.messages import alternatives, shown
from nni_blockqnn.exchange.kept_results import kept_metric
from nni_blockqnn.results._trial_results import (
    MetricReader,
    Problem,
    TrialResult,
    is_blockqnn_search,
)

__all__ = [
    "Experiment",
    "ExperimentDatabaseError",
    "ExperimentNotFoundError",
    "Problem",
    "Results",
    "TrialResult",
    "distinct_best",
    "find_experiment",
    "is_blockqnn_search",
    "is_of_blockqnn",
    "read_results",
]


Ranking = Literal["reward", "accuracy", "expected"]
RANKINGS: tuple[Ranking, ...] = get_args(Ranking)
"""What the best results may be best by."""


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
    with collection_paused():
        return _read(experiment)


def _read(experiment: Experiment) -> Results:
    profile = read_profile(experiment.directory)
    metrics = read_metrics(experiment.directory, "FINAL")
    # after the metrics, so that it has theirs
    trials = read_trials(experiment.directory, with_parameters=False)
    reader = MetricReader(experiment, trials)
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
    by: Ranking = "reward",
    max_params: int | None = None,
    max_flops: int | None = None,
) -> list[TrialResult]:
    """The best ``k`` results of different networks, best first.

    Ties go by fewer FLOPs, then by reward. Two results are of the same network if their blocks have
    equal keys and equal repeats. What was not reported ranks last, and does not pass a limit.

    Raises:
        ValueError: if ``by`` is none of ``RANKINGS``.
    """
    if by not in RANKINGS:
        raise ValueError(f"by must be {alternatives(RANKINGS)}, got {shown(by)}")
    better = 1 if results.minimize else -1
    sign = -1 if by == "accuracy" else better
    best: dict[tuple[str, int | None], TrialResult] = {}
    for result in sorted(
        results.trials,
        key=lambda result: (
            *_last_if_none(getattr(result, by), sign),
            *_last_if_none(result.flops),
            better * result.reward,
        ),
    ):
        if len(best) >= k:
            break
        if _within(result.flops, max_flops) and _within(result.params, max_params):
            best.setdefault((result.block.key, result.repeats), result)
    return list(best.values())


def is_of_blockqnn(experiment: Experiment) -> bool:
    """Whether the tuner, the trial or the search space is this package's."""
    config = experiment.config
    tuner = config.get("tuner") or {}
    space = config.get("searchSpace")
    named = (tuner.get("className"), tuner.get("name"), config.get("trialCommand"))
    has_package = any(re.search("blockqnn", str(text), re.IGNORECASE) for text in named)
    return has_package or (isinstance(space, Mapping) and "block" in space)


def _kept_metrics(
    experiment: Experiment, trials: Sequence[Trial], metrics: Sequence[Metric]
) -> Iterator[Metric]:
    """The final metrics of local trials that could not report them, as if they had."""
    reported = {metric.trial_id for metric in metrics}
    for trial in trials:
        if trial.id not in reported and (kept := kept_metric(experiment.directory, trial.id)):
            yield Metric(trial.id, kept.time, 0, kept.metric)


def _last_if_none(value: float | None, sign: int = 1) -> tuple[bool, float]:
    """A key that sorts what was not reported behind the rest."""
    return value is None, 0 if value is None else sign * value


def _within(value: int | None, highest: int | None) -> bool:
    return highest is None or (value is not None and value <= highest)
