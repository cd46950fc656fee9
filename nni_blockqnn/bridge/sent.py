"""What NNI's database says of each trial that was made: its parameters and what became of it.

Events give the status as they do in NNI's own data store (``nniDataStore.js``). An event without a
trial is about parameters that were imported, or that wait to become a customised trial.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nni_blockqnn.bridge.files import database_in, query

ADDED, IMPORTED = "ADD_CUSTOMIZED", "IMPORT_DATA"
NO_STATUS = ("ADD_HYPERPARAMETER", IMPORTED)
STATUS_OF_EVENT = {"USER_TO_CANCEL": "USER_CANCELED", ADDED: "WAITING"}
_TOLD_TO_STOP = re.compile(
    r'cancelTrialJob: "(\w+)"|Trial job (\w+) has been canceled because it is over max'
)


@dataclass
class SentTrial:
    """One trial.

    Attributes:
        parameters: as NNI recorded them; another trial may have been given them (docs/nni.md).
        number: NNI's, which begins anew at a resume.
        began: when the manager that runs it, or ran it last, took it up, in seconds since 1970.
        cancelled: on purpose, by a user, an assessor or maxTrialDuration.
    """

    id: str
    parameters: Any
    number: int
    began: float
    status: str
    cancelled: bool


def sent_trials(directory: Path) -> list[SentTrial]:
    """Those of the experiment in this directory whose parameters are recorded, oldest first.

    Raises:
        ExperimentDatabaseError: if the database cannot be read.
    """
    (rows,) = query(
        database_in(directory),
        "select trialJobId, event, timestamp, data, sequenceId from TrialJobEvent "
        "where trialJobId != '' order by rowid",
    )
    told_to_stop = _told_to_stop(directory)
    trials: dict[str, SentTrial] = {}
    for trial_id, event, timestamp, data, number in rows:
        if trial_id not in trials:
            record = _parsed(data)
            if not isinstance(record, Mapping) or "parameters" not in record:
                continue
            began = timestamp / 1000
            cancelled = trial_id in told_to_stop
            trials[trial_id] = SentTrial(
                trial_id, record["parameters"], number or 0, began, event, cancelled
            )
        trial = trials[trial_id]
        if event == "ADD_RESUMED":
            trial.began = timestamp / 1000
        if event == "USER_TO_CANCEL":
            trial.cancelled = True
        if event not in NO_STATUS:
            trial.status = STATUS_OF_EVENT.get(event, event)
    return list(trials.values())


def _told_to_stop(directory: Path) -> set[str]:
    """The trials that an assessor or maxTrialDuration ended; most show as USER_CANCELED."""
    try:
        log = (directory / "log" / "nnimanager.log").read_text(errors="replace")
    except OSError:
        return set()
    return {found[1] or found[2] for found in _TOLD_TO_STOP.finditer(log)}


def added_parameters(directory: Path, since: float) -> Iterator[tuple[float, Any]]:
    """What customised trials were asked for, and when, in seconds since 1970.

    NNI keeps them in memory until it makes their trials, and forgets them when its manager ends.

    Raises:
        ExperimentDatabaseError: if the database cannot be read.
    """
    (rows,) = query(
        database_in(directory),
        f"select timestamp, data from TrialJobEvent where event = '{ADDED}' order by rowid",
    )
    for timestamp, data in rows:
        if timestamp / 1000 >= since:
            yield timestamp / 1000, _parsed(data)


def _parsed(data: Any) -> Any:
    with suppress(TypeError, ValueError, RecursionError):
        return json.loads(data)
    return None
