"""What became of the finalists of a search in the experiment that trains them to the end."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nni_blockqnn.blocks.block import Block
from nni_blockqnn.bridge.database import Metric, read_metrics, read_trials
from nni_blockqnn.common.checks import is_integer, is_number
from nni_blockqnn.exchange.finalists import finalist_tasks, is_finalists
from nni_blockqnn.exchange.parameters import read_task
from nni_blockqnn.results._fates import fate_of
from nni_blockqnn.results.experiment import Experiment, Results
from nni_blockqnn.results.trial_command import trial_arguments, trial_option

Curve = tuple[tuple[int, float], ...]
"""Epochs, from 1 and ascending, and the accuracy after each in percent."""


@dataclass(frozen=True)
class Untrained:
    """A finalist without a result.

    Attributes:
        trial_id: of the last trial that was to train it; None if there was none.
        fate: "stopped", "killed", "failed", "unreadable", "under way", "waiting" or "not started".
        why: the same in a sentence, as far as it is known.
    """

    block: Block
    repeats: int
    trial_id: str | None
    fate: str
    why: str


def is_final_training(config: Mapping[str, Any]) -> bool:
    """Whether an experiment trains given blocks, and not by this package's early-stop recipe.

    Args:
        config: NNI's, in its camelCase keys.
    """
    if not is_finalists(config.get("searchSpace")):
        return False
    arguments = trial_arguments(config)
    if arguments is None:  # a trial of the user's own
        return True
    return trial_option(arguments, "--recipe", "early-stop") != "early-stop"


def learning_curves(experiment: Experiment) -> dict[str, Curve]:
    """The accuracy after each epoch, by trial. An epoch that came twice has its later accuracy.

    A metric without ``epoch`` is of the epoch after the last one. A trial that was resumed and does
    not report its epochs is left out, since nothing says where it went on.

    Raises:
        ExperimentDatabaseError: if the database cannot be read.
    """
    by_trial: dict[str, list[Metric]] = defaultdict(list)
    for metric in read_metrics(experiment.directory, "PERIODICAL"):
        by_trial[metric.trial_id].append(metric)
    curves = {trial_id: _curve(metrics) for trial_id, metrics in by_trial.items()}
    return {trial_id: curve for trial_id, curve in curves.items() if curve}


def _curve(metrics: Sequence[Metric]) -> Curve:
    """The learning curve of one trial; empty if it has none or its epochs are not known."""
    curve: list[tuple[int, float]] = []
    for metric in metrics:
        value = metric.value if isinstance(metric.value, Mapping) else {"default": metric.value}
        epoch, accuracy = value.get("epoch"), value.get("default")
        if not is_number(accuracy):
            continue
        if not is_integer(epoch):
            epoch = metric.sequence + 1
            if curve and curve[-1][0] >= epoch:  # it was resumed, and its count began anew
                return ()
        while curve and curve[-1][0] >= epoch:  # the training went back to a checkpoint
            curve.pop()
        curve.append((epoch, float(accuracy)))
    return tuple(curve)


def untrained(results: Results) -> list[Untrained]:
    """The finalists that have no result, in the order of the search space.

    Raises:
        ExperimentDatabaseError: if the database cannot be read.
    """
    experiment = results.experiment
    try:
        tasks = finalist_tasks(experiment.config["searchSpace"])
    except ValueError:  # a trial of the user's own, with parameters of its own
        return []
    trained = {(trial.block.key, trial.repeats) for trial in results.trials}
    trials = read_trials(experiment.directory, with_log=True)
    last = {_network_of(trial.parameters): trial for trial in trials}
    missing = []
    for task in tasks:
        network = (task.block.key, task.spec.repeats)
        if network in trained or (task.block.key, None) in trained:
            continue
        trial = last.get(network)
        if trial is None:
            fate, why = "not started", _why_not_started(results, len(tasks))
        else:
            fate, why = fate_of(results, trial)
        trial_id = None if trial is None else trial.id
        missing.append(Untrained(task.block, task.spec.repeats, trial_id, fate, why))
    return missing


def _why_not_started(results: Results, finalists: int) -> str:
    limit = results.experiment.config.get("maxTrialNumber")
    if isinstance(limit, int) and limit < finalists:
        return f"maxTrialNumber is {limit}, and there are {finalists} finalists"
    ended = results.experiment.has_ended
    return "the experiment ended before" if ended else "its turn has not come"


def _network_of(parameters: Any) -> tuple[str, int] | None:
    """Block and repeats of the network that a trial was to train; None if they are unreadable."""
    try:
        task = read_task(parameters)
    except ValueError:
        return None
    return task.block.key, task.spec.repeats
