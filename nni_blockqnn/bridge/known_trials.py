"""The trials that NNI's database knows, and which of them NNI has forgotten to run again.

At a resume NNI marks the trials that were under way ``ADD_RESUMED`` and runs them again. If its
manager dies before such a trial has started, the mark stays, and no later resume runs the trial.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from nni_blockqnn.bridge.files import query

_CLOCK_SECONDS = 1.0
"""The system rounds the times at which processes started."""


@dataclass(frozen=True)
class KnownTrial:
    """A trial in NNI's database.

    Attributes:
        parameters: those that NNI recorded for it, ``None`` if they cannot be read.
        is_forgotten: it was to run again after an earlier resume, and never will.
    """

    id: str
    parameters: Any
    is_forgotten: bool


def known_trials(experiment: Path, session_start: float) -> list[KnownTrial]:
    """All that were ever started, in that order; queued parameters are not among them.

    Args:
        experiment: the experiment's directory.
        session_start: in seconds since 1970; what NNI marked before it will not run any more.

    Raises:
        ExperimentDatabaseError: if the database cannot be read.
    """
    (events,) = query(
        experiment / "db" / "nni.sqlite",
        "select trialJobId, event, timestamp, data from TrialJobEvent order by rowid",
    )
    parameters: dict[str, Any] = {}
    last: dict[str, tuple[str, float]] = {}
    for trial_id, event, milliseconds, data in events:
        if not trial_id:
            continue
        last[trial_id] = (event, milliseconds / 1000)
        if data and parameters.get(trial_id) is None:
            parameters[trial_id] = _parameters(data)
    return [
        KnownTrial(
            trial_id,
            parameters.get(trial_id),
            event == "ADD_RESUMED" and time < session_start - _CLOCK_SECONDS,
        )
        for trial_id, (event, time) in last.items()
    ]


def session_start() -> float:
    """When this run of the experiment began, for a tuner: seconds since 1970.

    The tuner's parent is NNI's manager, or the shell in which the manager started the tuner before
    it marked the trials that it runs again.
    """
    return psutil.Process(os.getppid()).create_time()


def _parameters(data: str) -> Any:
    try:
        packed = json.loads(data)
    except (ValueError, RecursionError):
        return None
    return packed.get("parameters") if isinstance(packed, Mapping) else None
