"""``blockqnn retry``: run the trials of a final training that ended without a result again."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from time import localtime, strftime
from typing import Any

from nni_blockqnn.bridge import resuming
from nni_blockqnn.bridge.customized_trials import add_trials
from nni_blockqnn.bridge.database import Trial, TrialRequest, read_requests, read_trials
from nni_blockqnn.bridge.statuses import ADD_RESUMED, EARLY_STOPPED, SUCCEEDED, UNDER_WAY
from nni_blockqnn.commands.search import resume_experiment
from nni_blockqnn.exchange.kept_results import checkpoint_time
from nni_blockqnn.exchange.parameters import read_task
from nni_blockqnn.results.experiment import (
    Experiment,
    TrialResult,
    find_experiment,
    is_blockqnn_search,
    read_results,
)


def retry(arguments: argparse.Namespace) -> int:
    experiment = find_experiment(arguments.experiment)
    if is_blockqnn_search(experiment):
        raise ValueError(
            f"experiment {experiment.id} is a search by BlockQNN, whose tuner itself sends the "
            "blocks of killed trials again; there is nothing to retry"
        )
    manager = resuming.running_manager(experiment)
    since = resuming.manager_started(experiment) if manager else None
    lost = find_lost(experiment, since)
    if not lost:
        print(
            f"nothing to retry in experiment {experiment.id}: each trial has its result, is under "
            "way, or was stopped by an assessor or in the web UI"
            + ("" if manager else f"; to go on with it: blockqnn resume {experiment.id}")
        )
        return 0
    if manager is None:
        manager = resume_experiment(experiment, arguments.port)
        since = resuming.manager_started(experiment)
    parameters = [trial.parameters for trial in lost]
    limit = add_trials(experiment, manager, parameters, since or 0.0)
    trials = read_trials(experiment.directory)
    for trial in lost:
        print(_sent_again(experiment, trial, trials))
    raised = "" if limit is None else f"; maxTrialNumber is {limit} now"
    print(f"NNI runs them as new trials, each as soon as there is room for it{raised}")
    return 0


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
    waits = trial.status == ADD_RESUMED and since is not None and trial.taken_up >= since
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


def _sent_again(experiment: Experiment, trial: Trial, trials: Sequence[Trial]) -> str:
    same = (one.id for one in trials if one.parameters == trial.parameters)
    times = [checkpoint_time(experiment.directory, trial_id) for trial_id in same]
    written = max((time for time in times if time is not None), default=None)
    how = "starts from the beginning: this machine has no checkpoint of it"
    if written is not None:
        how = f"goes on from its checkpoint of {strftime('%X', localtime(written))}"
    return f"trial {trial.id} ({trial.status}) is sent again and {how}"
