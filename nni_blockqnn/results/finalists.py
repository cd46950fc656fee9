"""What became of the finalists of a search, each of which an experiment trains to the end."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from nni_blockqnn.blocks.block import Block
from nni_blockqnn.bridge.database import Trial, read_metrics, recorded_trials
from nni_blockqnn.bridge.experiments import Experiment
from nni_blockqnn.bridge.statuses import (
    ADD_RESUMED,
    CANCELLED,
    EARLY_STOPPED,
    EXPERIMENT_ENDED,
    RUNNING,
    SUCCEEDED,
    UNDER_WAY,
)
from nni_blockqnn.common.checks import is_integer, is_number
from nni_blockqnn.exchange.finalists import finalist_tasks, is_finalists
from nni_blockqnn.exchange.parameters import read_task
from nni_blockqnn.results.experiment import Results

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
    words = trial_words(config)
    ours = "nni_blockqnn.trial" in words
    return not ours or trial_option(words, "--recipe", "early-stop") != "early-stop"


def trial_words(config: Mapping[str, Any]) -> list[str]:
    """The words of the trial's command, ``--name=value`` as two; none if it is none of a shell."""
    try:
        words = shlex.split(str(config.get("trialCommand") or ""))
    except ValueError:
        return []
    parts: list[str] = []
    for word in words:
        parts += word.split("=", 1) if word.startswith("--") else [word]
    return parts


def trial_option(words: Sequence[str], name: str, default: str) -> str:
    """The value of an option of the trial's command, the last one's if it is given twice."""
    values = [value for option, value in pairwise(words) if option == name]
    return values[-1] if values else default


def learning_curves(experiment: Experiment) -> dict[str, Curve]:
    """The intermediate metrics of each trial. Of an epoch that came twice the later one counts.

    Metrics without ``epoch`` are counted. A trial that was resumed and does not say its epochs is
    left out: where it went on is unknown.

    Raises:
        ExperimentDatabaseError: if the database cannot be read.
    """
    curves: dict[str, list[tuple[int, float]]] = {}
    unplaced = set()
    for metric in read_metrics(experiment.directory, "PERIODICAL"):
        epoch, accuracy = _epoch_and_accuracy(metric.value)
        if accuracy is None:
            continue
        curve = curves.setdefault(metric.trial_id, [])
        if epoch is None:
            epoch = metric.sequence + 1
            if curve and curve[-1][0] >= epoch:
                unplaced.add(metric.trial_id)
        while curve and curve[-1][0] >= epoch:  # the training went back to a checkpoint
            curve.pop()
        curve.append((epoch, accuracy))
    return {
        trial_id: tuple(curve) for trial_id, curve in curves.items() if trial_id not in unplaced
    }


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
    sent = recorded_trials(experiment.directory, with_log=True)
    last = {_key(trial.parameters): trial for trial in sent}
    missing = []
    for task in tasks:
        key = (task.block.key, task.spec.repeats)
        if key in trained or (task.block.key, None) in trained:
            continue
        trial = last.get(key)
        fate, why = _not_started(results, len(tasks)) if trial is None else _fate(results, trial)
        trial_id = None if trial is None else trial.id
        missing.append(Untrained(task.block, task.spec.repeats, trial_id, fate, why))
    return missing


def _fate(results: Results, trial: Trial) -> tuple[str, str]:
    experiment = results.experiment
    for fate, problems in (("failed", results.failures), ("unreadable", results.malformed)):
        for problem in problems:
            if problem.trial_id == trial.id:
                return fate, problem.reason
    if trial.status in UNDER_WAY | {ADD_RESUMED}:
        if experiment.status in EXPERIMENT_ENDED:
            return "killed", "it was under way when the experiment ended"
        is_running = trial.status == RUNNING
        return ("under way", "it is being trained") if is_running else ("waiting", "it waits")
    if trial.cancelled or trial.status == EARLY_STOPPED:
        assessor = experiment.config.get("assessor")
        name = assessor.get("name") or assessor.get("className") if assessor else None
        by = f"the assessor {name}, " if name else ""
        return "stopped", f"{by}maxTrialDuration or a user ended it"
    if trial.status in CANCELLED:
        return "killed", "its process ended by a signal, of the system or a user"
    if trial.status == SUCCEEDED:
        return "unreadable", "it ended without a result"
    return "failed", "it did not say why; its own log may"


def _not_started(results: Results, count: int) -> tuple[str, str]:
    limit = results.experiment.config.get("maxTrialNumber")
    if isinstance(limit, int) and limit < count:
        return "not started", f"maxTrialNumber is {limit}, and there are {count} finalists"
    ended = results.experiment.status in EXPERIMENT_ENDED
    return "not started", "the experiment ended before" if ended else "its turn has not come"


def _key(parameters: Any) -> tuple[str, int] | None:
    """Of the network that a trial was to train."""
    try:
        task = read_task(parameters)
    except ValueError:
        return None
    return task.block.key, task.spec.repeats


def _epoch_and_accuracy(value: Any) -> tuple[int | None, float | None]:
    """What an intermediate metric says; a number alone is the accuracy."""
    metric = value if isinstance(value, Mapping) else {"default": value}
    epoch, accuracy = metric.get("epoch"), metric.get("default")
    return (
        int(epoch) if is_integer(epoch) else None,
        float(accuracy) if is_number(accuracy) else None,
    )
