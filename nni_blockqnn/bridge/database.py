"""NNI's database of one experiment, ``db/nni.sqlite``, as typed rows.

The only reader of it, and the only decoder of its JSON. NNI writes while we read, so the file is
opened read-only and a lock is waited for.
"""

from __future__ import annotations

import json
import re
import shutil
import sqlite3
from collections.abc import Container, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

from nni_blockqnn.bridge.statuses import (
    ADD_RESUMED,
    RUNNING,
    TRIAL_ENDED,
    USER_CANCELED,
    WAITING,
)
from nni_blockqnn.common.messages import UserError, shown

_LOCK_SECONDS = 10.0
_ADD_CUSTOMIZED, _USER_TO_CANCEL = "ADD_CUSTOMIZED", "USER_TO_CANCEL"
_STATUS_OF_EVENT = {_USER_TO_CANCEL: USER_CANCELED, _ADD_CUSTOMIZED: WAITING}
"""Events that set another status than their own name."""
_NO_STATUS = ("ADD_HYPERPARAMETER", "IMPORT_DATA")
_TOLD_TO_STOP = re.compile(
    r'cancelTrialJob: "(\w+)"|Trial job (\w+) has been canceled because it is over max'
)


class ExperimentDatabaseError(UserError, RuntimeError):
    """An experiment whose database cannot be read; the message names the file and the cause."""


@dataclass(frozen=True)
class Profile:
    """What NNI records of an experiment as a whole.

    Attributes:
        config: the experiment's configuration, in NNI's camelCase keys.
        started: when it was created, in seconds since 1970; None if NNI has not recorded it yet.
        seconds: how long it has run, over all its resumptions.
        id: the experiment's.
    """

    config: Mapping[str, Any]
    started: float | None
    seconds: float | None
    id: str | None = None


@dataclass
class Trial:
    """One trial. All times are in seconds since 1970.

    Attributes:
        number: NNI's sequence number, which starts again at each resume.
        taken_up: when the manager that runs it, or ran it last, took it up.
        parameters: as NNI recorded them, None if it did not. The trial may have been given those of
            another one (docs/nni.md).
        status: a name of :mod:`~nni_blockqnn.bridge.statuses`; None if no event has set it.
        cancelled: whether it was told to end by a user or, as far as :func:`read_trials` reads
            NNI's log, by an assessor or maxTrialDuration.
        started: when it last began to run.
        ended: when it ended, None while it runs.
    """

    id: str
    number: int
    taken_up: float
    parameters: Any = None
    status: str | None = None
    cancelled: bool = False
    started: float | None = None
    ended: float | None = None

    def is_queued(self, since: float) -> bool:
        """Whether a resume has queued it for a manager that was started then, which will run it.

        An earlier manager has forgotten its queue.
        """
        return self.status == ADD_RESUMED and self.taken_up >= since


@dataclass(frozen=True)
class Metric:
    """One metric that a trial reported.

    Attributes:
        reported: when, in seconds since 1970.
        sequence: its number among the trial's intermediate metrics, from 0.
        value: what the trial gave ``nni.report_..._result``; None if that cannot be decoded.
        error: why it cannot be decoded.
    """

    trial_id: str
    reported: float
    sequence: int
    value: Any
    error: str | None = None


@dataclass(frozen=True)
class TrialRequest:
    """A customized trial that was asked for.

    Attributes:
        asked: when, in seconds since 1970.
    """

    asked: float
    parameters: Any


def database_in(directory: Path) -> Path:
    """The path of the database, whether or not it is there."""
    return directory / "db" / "nni.sqlite"


def read_profile(directory: Path) -> Profile:
    """The last revision of the experiment's profile.

    Args:
        directory: the experiment's own, as for all functions here.

    Raises:
        ExperimentDatabaseError: if the database cannot be read.
    """
    rows = _query(
        directory,
        "select params, startTime, execDuration, id from ExperimentProfile "
        "order by revision desc limit 1",
    )
    if not rows:  # NNI writes it a moment after it has made the tables
        return Profile({}, None, None)
    config, started, seconds, own_id = rows[0]
    parsed = _json_or_none(config)
    if not isinstance(parsed, Mapping):
        raise ExperimentDatabaseError(
            f"cannot read NNI's database {database_in(directory)}: the configuration in it must be "
            f"a JSON object, got {shown(config)}"
        )
    return Profile(parsed, None if started is None else started / 1000, seconds, own_id)


def read_trials(
    directory: Path,
    *,
    with_log: bool = False,
    with_parameters: bool = True,
    leave_out: Container[str] = (),
) -> list[Trial]:
    """All trials of the experiment, in the order in which NNI made them.

    Args:
        with_log: also search NNI's log, which may be long, for trials that an assessor or
            maxTrialDuration ended. Most of these have the status USER_CANCELED, as killed ones do.
        with_parameters: also read their parameters, which takes most of the time.
        leave_out: IDs of trials that are not wanted.

    Raises:
        ExperimentDatabaseError: if the database cannot be read.
    """
    rows = _query(
        directory,
        # events without a trial are about imported parameters and requests for customized trials
        f"select trialJobId, event, timestamp, {'data' if with_parameters else 'null'}, sequenceId "
        "from TrialJobEvent "
        "where trialJobId != '' order by rowid",
    )
    trials: dict[str, Trial] = {}
    for trial_id, event, timestamp, data, number in rows:
        if trial_id in leave_out:
            continue
        time = timestamp / 1000
        if trial_id not in trials:
            trials[trial_id] = Trial(trial_id, number or 0, time)
        trial = trials[trial_id]
        if data is not None and trial.parameters is None:
            trial.parameters = _recorded_parameters(data)
        _follow(trial, event, time)
    for trial_id in _told_to_stop(directory) & trials.keys() if with_log else ():
        trials[trial_id].cancelled = True
    return list(trials.values())


def read_metrics(directory: Path, kind: Literal["FINAL", "PERIODICAL"]) -> list[Metric]:
    """The final or the intermediate ("PERIODICAL") metrics, in the order in which they came.

    Raises:
        ExperimentDatabaseError: if the database cannot be read.
    """
    rows = _query(
        directory,
        "select trialJobId, timestamp, sequence, data from MetricData "
        f"where type = '{kind}' order by rowid",
    )
    metrics = []
    for trial_id, timestamp, sequence, data in rows:
        value, error = _decoded(data)
        metrics.append(Metric(trial_id, timestamp / 1000, sequence or 0, value, error))
    return metrics


def read_requests(directory: Path, since: float) -> list[TrialRequest]:
    """The customized trials that were asked for since a time, in seconds since 1970.

    NNI keeps requests in memory until it makes their trials, and forgets them when its manager
    ends.

    Raises:
        ExperimentDatabaseError: if the database cannot be read.
    """
    rows = _query(
        directory,
        f"select timestamp, data from TrialJobEvent where event = '{_ADD_CUSTOMIZED}' "
        "order by rowid",
    )
    return [
        TrialRequest(timestamp / 1000, _json_or_none(data))
        for timestamp, data in rows
        if timestamp / 1000 >= since
    ]


def _follow(trial: Trial, event: str, time: float) -> None:
    """Bring a trial up to date with its next event, as NNI's own data store does."""
    if event in _NO_STATUS:
        return
    trial.status = _STATUS_OF_EVENT.get(event, event)
    if event == ADD_RESUMED:
        trial.taken_up = time
    elif event == _USER_TO_CANCEL:
        trial.cancelled = True
    elif event == RUNNING:
        trial.started, trial.ended = time, None
    elif event in TRIAL_ENDED:
        trial.ended = time


def _recorded_parameters(data: Any) -> Any:
    record = _json_or_none(data)
    return record.get("parameters") if isinstance(record, Mapping) else None


def _decoded(data: Any) -> tuple[Any, str | None]:
    """The value that a trial reported, or why it cannot be decoded.

    A trial sends its metric as JSON text, and NNI stores the JSON text of that text.
    """
    value = _unquoted(data) if isinstance(data, str) else data
    for _ in range(2):
        if isinstance(value, str):
            try:
                value = json.loads(value)
            except (ValueError, RecursionError) as error:
                return None, f"the metric is not JSON, got {shown(data)}: {error}"
    return value, None


def _unquoted(text: str) -> str:
    """JSON text out of JSON text: as it is, unless only quotes are escaped in it.

    So it mostly is, and this takes half the time of a decoder.
    """
    is_quoted = len(text) > 1 and text[0] == text[-1] == '"'
    if not is_quoted or text.count("\\") != text.count('"') - 2:
        return text
    inner = text[1:-1].replace('\\"', '"')
    return text if "\\" in inner else inner


def _json_or_none(data: Any) -> Any:
    with suppress(TypeError, ValueError, RecursionError):
        return json.loads(data)
    return None


def _told_to_stop(directory: Path) -> set[str]:
    """The trials that an assessor or maxTrialDuration ended, as NNI's log says."""
    try:
        log = (directory / "log" / "nnimanager.log").read_text(errors="replace")
    except OSError:
        return set()
    return {found[1] or found[2] for found in _TOLD_TO_STOP.finditer(log)}


def _query(directory: Path, statement: str) -> list[tuple[Any, ...]]:
    database = database_in(directory)
    try:
        try:
            return _rows(database, "ro", statement)
        except sqlite3.OperationalError as error:
            if "readonly" not in str(error):
                raise
        # NNI was killed while it wrote. SQLite wants to undo that first: in a copy, it may.
        with TemporaryDirectory() as scratch:
            for file in database.parent.glob(f"{database.name}*"):
                shutil.copy(file, scratch)
            return _rows(Path(scratch) / database.name, "rw", statement)
    except sqlite3.Error as error:
        raise ExperimentDatabaseError(f"cannot read NNI's database {database}: {error}") from error


def _rows(database: Path, mode: str, statement: str) -> list[tuple[Any, ...]]:
    uri = f"{database.resolve().as_uri()}?mode={mode}"
    with closing(sqlite3.connect(uri, uri=True, timeout=_LOCK_SECONDS)) as connection:
        return connection.execute(statement).fetchall()
