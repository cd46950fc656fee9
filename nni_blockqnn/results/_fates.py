"""What became of a trial that has no result."""

from __future__ import annotations

from nni_blockqnn.bridge.database import Trial
from nni_blockqnn.bridge.statuses import (
    ADD_RESUMED,
    CANCELLED,
    EARLY_STOPPED,
    RUNNING,
    SUCCEEDED,
    UNDER_WAY,
)
from nni_blockqnn.results.experiment import Experiment, Results


def fate_of(results: Results, trial: Trial) -> tuple[str, str]:
    """What happened, in a word or two, and the same in a sentence, as far as it is known.

    The words are "failed", "unreadable", "killed", "stopped", "under way" and "waiting".
    """
    experiment = results.experiment
    for fate, problems in (("failed", results.failures), ("unreadable", results.malformed)):
        for problem in problems:
            if problem.trial_id == trial.id:
                return fate, problem.reason
    if trial.status in UNDER_WAY | {ADD_RESUMED}:
        if experiment.has_ended:
            return "killed", "it was under way when the experiment ended"
        is_running = trial.status == RUNNING
        return ("under way", "it is being trained") if is_running else ("waiting", "it waits")
    return ended_silently(experiment, trial)


def ended_silently(experiment: Experiment, trial: Trial) -> tuple[str, str]:
    """The same of a trial that has ended and reported neither a result nor a failure."""
    if trial.cancelled or trial.status == EARLY_STOPPED:
        return "stopped", f"{_assessor(experiment)}maxTrialDuration or a user ended it"
    if trial.status in CANCELLED:
        return "killed", "its process ended by a signal, of the system or a user"
    if trial.status == SUCCEEDED:
        return "unreadable", "it ended without a result"
    return "failed", "it did not say why; its own log may"


def _assessor(experiment: Experiment) -> str:
    """'the assessor Medianstop, ', or nothing where there is none."""
    assessor = experiment.config.get("assessor") or {}
    name = assessor.get("name") or assessor.get("className")
    return f"the assessor {name}, " if name else ""
