"""Experiments as NNI leaves them on disk: its list, and databases with its own tables."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from nni_blockqnn.results.experiment import (
    Results,
    find_experiment,
    read_results,
)

NNI_TABLES = """
create table TrialJobEvent (
    timestamp integer,
    trialJobId text,
    event text,
    data text,
    logPath text,
    sequenceId integer,
    message text,
    environmentId text);
create index TrialJobEvent_trialJobId on TrialJobEvent(trialJobId);
create index TrialJobEvent_event on TrialJobEvent(event);
create table MetricData (timestamp integer, trialJobId text, parameterId text, type text,
    sequence integer, data text);
create index MetricData_trialJobId on MetricData(trialJobId);
create index MetricData_type on MetricData(type);
create table ExperimentProfile (
    params text,
    id text,
    execDuration integer,
    startTime integer,
    endTime integer,
    logDir text,
    nextSequenceId integer,
    revision integer);
create index ExperimentProfile_id on ExperimentProfile(id);
"""
"""From NNI 3.0's sqlDatabase.js."""

RESIDUAL = "[[1,4,0,0,0],[2,1,3,1,0],[3,1,3,2,0],[4,5,0,1,3],[5,7,0,0,0]]"
TWO_BRANCHES = "[[1,1,1,0,0],[2,1,3,1,0],[3,2,3,1,0],[4,5,0,2,3],[5,7,0,0,0]]"
THE_SAME_RENUMBERED = "[[1,1,1,0,0],[2,2,3,1,0],[3,1,3,1,0],[4,5,0,2,3],[5,7,0,0,0]]"
ONE_CONV = "[[1,1,1,0,0],[2,7,0,0,0]]"


def final(**changes: Any) -> dict[str, Any]:
    """A final metric as a trial of ours reports it."""
    metric = {
        "default": 60.5,
        "accuracy": 62.0,
        "flops": 4_000_000,
        "params": 1_000,
        "density": 1.0,
        "episode": 1,
        "block": RESIDUAL,
        "repeats": 4,
    }
    return metric | changes


def make_experiment(
    home: Path,
    experiment_id: str = "abcd1234",
    finals: Iterable[tuple[str, Any]] = (),
    events: Iterable[tuple[int, str, str]] = (),
    config: dict[str, Any] | None = None,
    parameters: Mapping[str, Any] | None = None,
) -> Path:
    """A database as NNI writes it; metrics are JSON text of the JSON text that the trial sent.

    Args:
        parameters: of trials, which have started with them.
    """
    database = home / experiment_id / "db" / "nni.sqlite"
    database.parent.mkdir(parents=True)
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.executescript(NNI_TABLES)
        for revision, seconds in ((1, 0), (2, 90)):
            text = json.dumps(config or {})
            profile = (text, experiment_id, seconds, 5000, None, "", 0, revision)
            connection.execute("insert into ExperimentProfile values (?,?,?,?,?,?,?,?)", profile)
        for timestamp, trial, event in events:
            job = (timestamp, trial, event, None, None, 0, None, None)
            connection.execute("insert into TrialJobEvent values (?,?,?,?,?,?,?,?)", job)
        for trial, given in (parameters or {}).items():
            data = json.dumps({"parameter_id": 0, "parameters": given})
            start = (10_000, trial, "RUNNING", data, None, 0, None, None)
            connection.execute("insert into TrialJobEvent values (?,?,?,?,?,?,?,?)", start)
        for trial, metric in finals:
            text = metric if isinstance(metric, str) else json.dumps(json.dumps(metric))
            row = (20_000, trial, "0", "FINAL", 0, text)
            connection.execute("insert into MetricData values (?,?,?,?,?,?)", row)
    return database


def write_list(home: Path, **entries: dict[str, Any]) -> None:
    home.mkdir(exist_ok=True)
    (home / ".experiment").write_text(json.dumps(entries))


def results_of(home: Path, *metrics: Any, config: dict[str, Any] | None = None) -> Results:
    finals = [(f"trial{number}", metric) for number, metric in enumerate(metrics)]
    make_experiment(home, finals=finals, config=config)
    return read_results(find_experiment("abcd1234", home))
