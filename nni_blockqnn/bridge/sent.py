"""What NNI's database says of each trial that was made: its parameters and what became of it.

Events give the status as they do in NNI's own data store (``nniDataStore.js``). An event without a
trial is about parameters that were imported, or that wait to become a customised trial.
"""

from __future__ import annotations

import json
import re
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from typing import Any

from nni_blockqnn.bridge.files import Experiment, ExperimentDatabaseError, query

ADDED, IMPORTED = "ADD_CUSTOMIZED", "IMPORT_DATA"
NO_STATUS = ("ADD_HYPERPARAMETER", IMPORTED)
STATUS_OF_EVENT = {"USER_TO_CANCEL": "USER_CANCELED", ADDED: "WAITING"}
_LOCK_SECONDS = 10.0
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


def sent_trials(experiment: Experiment) -> list[SentTrial]:
    """Those whose parameters are recorded, oldest first.

    Raises:
        ExperimentDatabaseError: if the database cannot be read.
    """
    (rows,) = query(
        experiment.database,
        "select trialJobId, event, timestamp, data, sequenceId from TrialJobEvent "
        "where trialJobId != '' order by rowid",
    )
    told_to_stop = _told_to_stop(experiment)
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


def _told_to_stop(experiment: Experiment) -> set[str]:
    """The trials that an assessor or maxTrialDuration ended; most show as USER_CANCELED."""
    try:
        log = (experiment.directory / "log" / "nnimanager.log").read_text(errors="replace")
    except OSError:
        return set()
    return {found[1] or found[2] for found in _TOLD_TO_STOP.finditer(log)}


def added_parameters(experiment: Experiment, since: float) -> Iterator[tuple[float, Any]]:
    """What customised trials were asked for, and when, in seconds since 1970.

    NNI keeps them in memory until it makes their trials, and forgets them when its manager ends.

    Raises:
        ExperimentDatabaseError: if the database cannot be read.
    """
    (rows,) = query(
        experiment.database,
        f"select timestamp, data from TrialJobEvent where event = '{ADDED}' order by rowid",
    )
    for timestamp, data in rows:
        if timestamp / 1000 >= since:
            yield timestamp / 1000, _parsed(data)


def keep_grid_from_repeating(experiment: Experiment) -> None:
    """Let NNI's GridSearch send, after the next resume, only what it has not sent before.

    By itself it would begin with all that has no result: what runs again anyway, and what was
    killed or stopped early. These take the places of as many blocks, which are never trained then.
    What is imported counts as sent, and NNI imports at a resume what was imported before it.

    Raises:
        ExperimentDatabaseError: if the database cannot be written to.
    """
    if str((experiment.config.get("tuner") or {}).get("name")).lower() != "gridsearch":
        return
    sent = [trial.parameters for trial in sent_trials(experiment)]
    entries = [{"parameter": parameters, "value": 0} for parameters in sent]
    known = _imported(experiment)
    if new := [entry for entry in entries if entry["parameter"] not in known]:
        _write(experiment, json.dumps(new))


def _imported(experiment: Experiment) -> Sequence[Any]:
    (rows,) = query(
        experiment.database, f"select data from TrialJobEvent where event = '{IMPORTED}'"
    )
    return [entry["parameter"] for (data,) in rows for entry in _parsed(data) or ()]


def _write(experiment: Experiment, imported: str) -> None:
    uri = f"{experiment.database.resolve().as_uri()}?mode=rw"
    columns = "timestamp, trialJobId, event, data"
    row = (int(1000 * time.time()), "", IMPORTED, imported)
    try:
        opened = closing(sqlite3.connect(uri, uri=True, timeout=_LOCK_SECONDS))
        with opened as connection, connection:
            connection.execute(f"insert into TrialJobEvent ({columns}) values (?, ?, ?, ?)", row)
    except sqlite3.Error as error:
        raise ExperimentDatabaseError(
            f"cannot write to NNI's database {experiment.database}: {error}"
        ) from error


def _parsed(data: Any) -> Any:
    with suppress(TypeError, ValueError, RecursionError):
        return json.loads(data)
    return None
