"""The report of an experiment that trains finalists, on the database that NNI leaves."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from test_experiments import ONE_CONV, TWO_BRANCHES, final, make_experiment, write_list

from nni_blockqnn.cli import main
from nni_blockqnn.commands.finalists import finalists_space
from nni_blockqnn.experiments import find_experiment, read_results
from nni_blockqnn.final_results import is_final_training, learning_curves, untrained
from nni_blockqnn.named_blocks import NAMED_BLOCKS
from nni_blockqnn.nsc import Block

INCEPTION = NAMED_BLOCKS["inception"]
BLOCKS = [Block.parse(ONE_CONV), Block.parse(TWO_BRANCHES), INCEPTION]
CONFIG = {
    "searchSpace": finalists_space(BLOCKS, 4, "cifar10"),
    "trialCommand": "python -m nni_blockqnn.trial --dataset cifar10 --recipe final",
    "maxTrialNumber": 3,
    "tuner": {"className": "nni_blockqnn.finalists_tuner.FinalistsTuner"},
}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Inception is trained, one convolution was killed, and two branches never had a turn."""
    monkeypatch.setenv("HOME", str(tmp_path))
    home = tmp_path / "nni-experiments"
    metric = final(block=INCEPTION.to_json(), default=91.0, accuracy=91.0, best_accuracy=91.5)
    del metric["episode"]
    metric["network_folder"] = "/kept/network"
    database = make_experiment(home, finals=[("done", metric)], config=CONFIG)
    with closing(sqlite3.connect(database)) as connection, connection:
        for time, trial, event, block in (
            (1, "done", "RUNNING", INCEPTION.to_json()),
            (2, "done", "SUCCEEDED", None),
            (3, "gone", "RUNNING", ONE_CONV),
            (4, "gone", "USER_CANCELED", None),
        ):
            parameters = {"block": block, "repeats": 4, "network": "cifar10"}
            data = json.dumps({"parameters": parameters}) if block else None
            row = (time, trial, event, data, None, 0, None, None)
            connection.execute("insert into TrialJobEvent values (?,?,?,?,?,?,?,?)", row)
        for sequence, value in enumerate(
            [{"default": 50.0}, {"default": 70.0}, {"default": 60.0, "epoch": 2}, "no number"]
        ):
            row = (sequence, "done", "0", "PERIODICAL", sequence, json.dumps(json.dumps(value)))
            connection.execute("insert into MetricData values (?,?,?,?,?,?)", row)
    write_list(home, abcd1234={"startTime": 1, "status": "STOPPED"})
    return home


def test_what_has_no_result_is_named_with_its_fate(home: Path) -> None:
    results = read_results(find_experiment("abcd1234"))
    found = [(one.block.to_json(), one.trial_id, one.fate) for one in untrained(results)]
    assert found == [(ONE_CONV, "gone", "killed"), (TWO_BRANCHES, None, "not started")]


def test_of_an_epoch_that_came_twice_the_later_one_counts(home: Path) -> None:
    curves = learning_curves(find_experiment("abcd1234"))
    assert curves == {"done": ((1, 50.0), (2, 60.0))}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, True),
        ({"trialCommand": "python -m nni_blockqnn.trial --recipe=imagenet-final"}, True),
        ({"trialCommand": "python -m nni_blockqnn.trial --dataset digits"}, False),
        ({"trialCommand": "python own.py"}, True),
        ({"searchSpace": {"block": {"_type": "nsc", "_value": {}}}}, False),
    ],
)
def test_what_is_a_final_training(changes: dict[str, Any], expected: bool) -> None:
    assert is_final_training(CONFIG | changes) is expected


def test_the_report_tells_of_a_final_training(home: Path, tmp_path: Path) -> None:
    output = tmp_path / "report.html"
    assert main(["report", "abcd1234", "-o", str(output)]) == 0
    text = output.read_text(encoding="utf-8")
    for expected in ("91.00", "91.50", "inception", "/kept/network", "blockqnn retry"):
        assert expected in text, expected
    assert "early-stop accuracy" not in text
    assert "http://" not in text.replace("http://www.w3.org", "")
