"""NNI's names for the states of trials and experiments (``nniDataStore.js``)."""

from __future__ import annotations

INITIALIZED = "INITIALIZED"
RUNNING = "RUNNING"
SUCCEEDED = "SUCCEEDED"
FAILED = "FAILED"
WAITING = "WAITING"
USER_CANCELED = "USER_CANCELED"
EARLY_STOPPED = "EARLY_STOPPED"
ADD_RESUMED = "ADD_RESUMED"
"""A resume has queued the trial. Only the manager that queued it will run it."""

UNDER_WAY = frozenset({WAITING, RUNNING, "UNKNOWN"})
"""Trials that wait or run."""
CANCELLED = frozenset({USER_CANCELED, "SYS_CANCELED"})
"""Trials whose process ended by a signal: of a user, an assessor or the system."""
STOPPED = CANCELLED | {EARLY_STOPPED}
TRIAL_ENDED = STOPPED | {SUCCEEDED, FAILED}

DONE = "DONE"
TUNER_NO_MORE_TRIAL = "TUNER_NO_MORE_TRIAL"
"""The tuner has no more parameters; NNI does not end such an experiment by itself."""
ERROR = "ERROR"
EXPERIMENT_RUNS = frozenset({INITIALIZED, RUNNING, "NO_MORE_TRIAL", TUNER_NO_MORE_TRIAL})
EXPERIMENT_ENDED = frozenset({"STOPPED", DONE, ERROR})
