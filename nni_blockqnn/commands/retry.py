"""``blockqnn retry``: run the trials of a final training that ended without a result again."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from time import localtime, strftime

from nni_blockqnn.bridge import resuming
from nni_blockqnn.bridge.customized_trials import add_trials
from nni_blockqnn.bridge.database import Trial, read_trials
from nni_blockqnn.commands.search import bring_checkpoints, resume_experiment
from nni_blockqnn.exchange.kept_results import checkpoint_time
from nni_blockqnn.hosts.machine import machines_of_record
from nni_blockqnn.results.experiment import (
    Experiment,
    find_experiment,
    is_blockqnn_search,
)
from nni_blockqnn.results.lost import find_lost


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
    parameters = [trial.parameters for trial in lost]
    alike = [one.id for one in read_trials(experiment.directory) if one.parameters in parameters]
    bring_checkpoints(experiment, alike)
    if manager is None:
        manager = resume_experiment(experiment, arguments.port)
        since = resuming.manager_started(experiment)
    limit = add_trials(experiment, manager, parameters, since or 0.0)
    trials = read_trials(experiment.directory)
    for trial in lost:
        print(_sent_again(experiment, trial, trials))
    raised = "" if limit is None else f"; maxTrialNumber is {limit} now"
    print(f"NNI runs them as new trials, each as soon as there is room for it{raised}")
    return 0


def _sent_again(experiment: Experiment, trial: Trial, trials: Sequence[Trial]) -> str:
    same = (one.id for one in trials if one.parameters == trial.parameters)
    times = [checkpoint_time(experiment.directory, trial_id) for trial_id in same]
    written = max((time for time in times if time is not None), default=None)
    where = (
        "no host that answers"
        if machines_of_record(experiment.config)
        else "no folder of this machine"
    )
    how = f"starts from the beginning: {where} has a checkpoint of it"
    if written is not None:
        how = f"goes on from its checkpoint of {strftime('%X', localtime(written))}"
    return f"trial {trial.id} ({trial.status}) is sent again and {how}"
