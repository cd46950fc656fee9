"""Customized trials: those that NNI is asked for from outside, as its web UI does."""

from __future__ import annotations

import json
import urllib.error
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from nni_blockqnn.bridge import launch
from nni_blockqnn.bridge.database import Trial, read_trials
from nni_blockqnn.bridge.experiments import Experiment


def add_trials(
    experiment: Experiment,
    manager: launch.Launched,
    parameters: Sequence[Mapping[str, Any]],
    since: float,
) -> int | None:
    """Ask NNI for one more trial of each of these parameters, beyond the maxTrialNumber.

    NNI makes them one after another, each as soon as the trialConcurrency has room for it.

    Args:
        parameters: at least one trial's.
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
    # NNI refuses a request for a trial beyond the limit, so the limit is raised first ...
    _set_limit(manager, max(limit, len(_made(experiment))) + len(parameters))
    first = _add(manager, parameters)
    # ... and again, since NNI's queue is in order: what the tuner sent before, and what the old
    # limit held back, is made before these.
    limit = max(limit, made_before(first, _made(experiment), since)) + len(parameters)
    _set_limit(manager, limit)
    return limit


def made_before(number: int, trials: Sequence[Trial], since: float) -> int:
    """How many trials NNI will have made when it makes the trial of that number.

    Args:
        trials: those that are made; trials with smaller numbers may still wait.
        since: when NNI's manager was started, in seconds since 1970.
    """
    earlier = [trial for trial in trials if trial.taken_up < since or trial.number < number]
    # Numbers start again when a manager resumes, and those of trials that it runs again are free.
    last = max((trial.number for trial in earlier if trial.taken_up >= since), default=0)
    return len(earlier) + max(0, number - last - 1)


def _made(experiment: Experiment) -> list[Trial]:
    return [t for t in read_trials(experiment.directory) if t.parameters is not None]


def _add(manager: launch.Launched, parameters: Sequence[Mapping[str, Any]]) -> int:
    """Ask for the trials; returns the smallest of their numbers."""
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
