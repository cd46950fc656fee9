"""NNI's database as typed rows."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from made_experiments import make_experiment

from nni_blockqnn.bridge.database import (
    Metric,
    Trial,
    TrialRequest,
    read_metrics,
    read_requests,
    read_trials,
)


def store_events(database: Path, *events: tuple[int, str | None, str, Any, int | None]) -> Path:
    """Timestamp, trial, event, parameters (or the raw text) and sequence number of each."""
    with closing(sqlite3.connect(database)) as connection, connection:
        for timestamp, trial, event, parameters, number in events:
            data = parameters
            if isinstance(parameters, dict):
                data = json.dumps({"parameter_id": 0, "parameters": parameters})
            row = (timestamp, trial, event, data, None, number, None, None)
            connection.execute("insert into TrialJobEvent values (?,?,?,?,?,?,?,?)", row)
    return database.parents[1]


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return make_experiment(tmp_path)


def test_a_trial_follows_its_events(database: Path) -> None:
    directory = store_events(
        database,
        (1_000, "a", "WAITING", {"x": 1}, 0),
        (2_000, "a", "RUNNING", None, None),
        (3_000, "b", "WAITING", {"x": 2}, 1),
        (4_000, "a", "ADD_RESUMED", None, None),
        (5_000, "a", "RUNNING", {"x": 3}, None),  # the first parameters count
        (6_500, "a", "SUCCEEDED", None, None),
        (7_000, "b", "RUNNING", None, None),
        (8_000, "b", "USER_TO_CANCEL", None, None),
        (9_000, "", "IMPORT_DATA", "[]", None),
        (9_500, None, "ADD_CUSTOMIZED", '{"x": 4}', None),
    )
    assert read_trials(directory) == [
        Trial("a", 0, 4.0, {"x": 1}, "SUCCEEDED", False, 5.0, 6.5),
        Trial("b", 1, 3.0, {"x": 2}, "USER_CANCELED", True, 7.0, None),
    ]


@pytest.mark.parametrize("data", [None, "no JSON", "[1]", "[" * 100_000, '{"other": 1}'])
def test_parameters_that_are_not_recorded_are_none(database: Path, data: str | None) -> None:
    directory = store_events(database, (1_000, "a", "WAITING", data, None))
    assert read_trials(directory) == [Trial("a", 0, 1.0, None, "WAITING")]


def test_the_log_says_which_trials_an_assessor_or_the_clock_ended(database: Path) -> None:
    events: list[tuple[Any, ...]] = [
        (number, name, "USER_CANCELED", {}, number) for number, name in enumerate("abc")
    ]
    directory = store_events(database, *events)
    assert not any(trial.cancelled for trial in read_trials(directory, with_log=True))  # no log
    (directory / "log").mkdir()
    (directory / "log" / "nnimanager.log").write_text(
        'INFO cancelTrialJob: "a"\nTrial job c has been canceled because it is over max duration\n'
        'cancelTrialJob: "unknown"\n'
    )
    cancelled = [trial.id for trial in read_trials(directory, with_log=True) if trial.cancelled]
    assert cancelled == ["a", "c"]
    assert not any(trial.cancelled for trial in read_trials(directory))


@pytest.mark.parametrize(
    ("data", "value"),
    [
        (json.dumps(json.dumps({"default": 1.5})), {"default": 1.5}),  # as NNI writes it
        (json.dumps({"default": 1.5}), {"default": 1.5}),
        (json.dumps(json.dumps({"block": '{"codes":[]}'})), {"block": '{"codes":[]}'}),
        (json.dumps(json.dumps({"name": "é\n\\"})), {"name": "é\n\\"}),
        (json.dumps(json.dumps({})), {}),
        ('"0.5"', 0.5),
        ("null", None),
    ],
)
def test_metrics_are_decoded_once(tmp_path: Path, data: str, value: Any) -> None:
    database = make_experiment(tmp_path, finals=[("t", data)])
    (metric,) = read_metrics(database.parents[1], "FINAL")
    assert metric == Metric("t", 20.0, 0, value)
    assert read_metrics(database.parents[1], "PERIODICAL") == []


@pytest.mark.parametrize(
    "data", ["{", '"{"', '"{}', '"{}"x', '"{"a":1}"', '"{\\"a\\":1}', '"' + "[" * 100_000 + '"']
)
def test_a_metric_that_is_not_json_says_so(tmp_path: Path, data: str) -> None:
    database = make_experiment(tmp_path, finals=[("t", data)])
    (metric,) = read_metrics(database.parents[1], "FINAL")
    assert metric.value is None
    assert (metric.error or "").startswith("the metric is not JSON, got ")


def test_requests_of_an_earlier_manager_are_forgotten(database: Path) -> None:
    directory = store_events(
        database,
        (1_000, "", "ADD_CUSTOMIZED", '{"x": 1}', None),
        (3_000, "", "ADD_CUSTOMIZED", '{"x": 2}', None),
        (4_000, "a", "WAITING", {"x": 2}, 0),
    )
    assert read_requests(directory, 2.0) == [TrialRequest(3.0, {"x": 2})]
