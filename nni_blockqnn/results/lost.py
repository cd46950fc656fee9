"""Trials of a final training that ended without a result, and that nothing will bring one."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from nni_blockqnn.bridge.database import Trial, TrialRequest, read_requests, read_trials
from nni_blockqnn.bridge.statuses import EARLY_STOPPED, SUCCEEDED, UNDER_WAY
from nni_blockqnn.exchange.parameters import read_task
from nni_blockqnn.results.experiment import Experiment, TrialResult, read_results


def find_lost(experiment: Experiment, since: float | None) -> list[Trial]:
    """The trials that ended without a result, where no other trial has one or will bring it.

    Of several trials with the same parameters it is the last one.

    Args:
        since: when NNI's manager was started, in seconds since 1970; None if none runs.

    Raises:
        ExperimentDatabaseError: if the database cannot be read.
    """
    trials = read_trials(experiment.directory, with_log=True)
    trials = [trial for trial in trials if trial.parameters is not None]
    results = {result.trial_id: result for result in read_results(experiment).trials}
    settled = [*_with_result(trials, results)]
    settled += [trial.parameters for trial in trials if _is_settled(trial, since)]
    if since is not None:
        settled += _queued(trials, read_requests(experiment.directory, since))
    last = {json.dumps(trial.parameters, sort_keys=True): trial for trial in trials}
    return [trial for trial in last.values() if trial.parameters not in settled]


def _is_settled(trial: Trial, since: float | None) -> bool:
    """Whether it runs, will run, or was stopped on purpose."""
    waits = since is not None and trial.is_queued(since)
    stopped = trial.cancelled or trial.status == EARLY_STOPPED
    return waits or stopped or trial.status in UNDER_WAY


def _with_result(trials: Sequence[Trial], results: Mapping[str, TrialResult]) -> Iterator[Any]:
    """The parameters that have a result.

    They are those of the result's trial, unless these name another block: on a remote machine a
    trial may train what NNI recorded for another trial (docs/nni.md).
    """
    for trial in trials:
        result = results.get(trial.id)
        if result is None:
            if trial.status == SUCCEEDED:  # with a metric of its own kind
                yield trial.parameters
        elif _may_be_of(result, trial.parameters):
            yield trial.parameters
        else:
            yield from (one.parameters for one in trials if _may_be_of(result, one.parameters))


def _may_be_of(result: TrialResult, parameters: Any) -> bool:
    try:
        task = read_task(parameters)
    except ValueError:  # another tuner's, which name no block
        return True
    return task.block == result.block and result.repeats in (None, task.spec.repeats)


def _queued(trials: Sequence[Trial], requests: Iterable[TrialRequest]) -> Iterator[Any]:
    """The parameters of requests for which NNI has not made a trial yet."""
    for request in requests:
        made = (trial for trial in trials if trial.taken_up >= request.asked)
        if not any(trial.parameters == request.parameters for trial in made):
            yield request.parameters
