"""Trials that NNI is asked for from outside, as by "Customize trial" in its web UI."""

from __future__ import annotations

import json
import urllib.error
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from nni_blockqnn.bridge import launch
from nni_blockqnn.bridge.database import Trial, recorded_trials
from nni_blockqnn.bridge.experiments import Experiment


def add_trials(
    experiment: Experiment,
    manager: launch.Launched,
    parameters: Sequence[Mapping[str, Any]],
    since: float,
) -> int | None:
    """Have NNI make a trial of each of these, one at least, beyond the maxTrialNumber.

    NNI makes them one after another, each as soon as the trialConcurrency has room for it.

    Args:
        since: when NNI's manager was started, in seconds since 1970.

    Returns the new maxTrialNumber, None if the experiment has none.

    Raises:
        LaunchError: with what NNI answered.
        ExperimentDatabaseError: if its database cannot be read.
    """
    limit = _call(manager, "GET", "experiment")["params"].get("maxTrialNumber")
    if limit is None:
        _add(manager, parameters)
        return None
    # NNI refuses a trial that is beyond the limit when it is asked for
    _set_limit(manager, max(limit, len(recorded_trials(experiment.directory))) + len(parameters))
    first = _add(manager, parameters)
    # NNI's queue is in order: what the tuner sent, and the old limit kept in the queue, goes first
    limit = max(limit, made_before(first, recorded_trials(experiment.directory), since)) + len(
        parameters
    )
    _set_limit(manager, limit)
    return limit


def made_before(number: int, trials: Sequence[Trial], since: float) -> int:
    """How many trials there are when the one of that number is made; the others may wait yet."""
    earlier = [trial for trial in trials if trial.taken_up < since or trial.number < number]
    # numbers begin anew when a manager resumes; those of what it runs again it leaves out
    last = max((trial.number for trial in earlier if trial.taken_up >= since), default=0)
    return len(earlier) + max(0, number - last - 1)


def _add(manager: launch.Launched, parameters: Sequence[Mapping[str, Any]]) -> int:
    """Returns the number of the first one's trial."""
    return min(_call(manager, "POST", "trial-jobs", one)["sequenceId"] for one in parameters)


def _set_limit(manager: launch.Launched, trials: int) -> None:
    profile = {"params": {"maxTrialNumber": trials}}
    _call(manager, "PUT", "experiment?update_type=MAX_TRIAL_NUM", profile)


def _call(manager: launch.Launched, method: str, path: str, body: Any = None) -> Any:
    try:
        return launch.call(manager, method, path, body)
    except urllib.error.HTTPError as error:
        reason: Any = error
        with error, suppress(OSError, ValueError, KeyError, TypeError):
            reason = json.load(error)["error"]
        raise launch.LaunchError(f"NNI refuses: {reason}") from None
