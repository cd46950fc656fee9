"""The report of an experiment that trains finalists, from a database with NNI's own tables."""

from __future__ import annotations

import html
import json
import re
import sqlite3
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from made_experiments import ONE_CONV, RESIDUAL, TWO_BRANCHES, final, make_experiment, write_list

from nni_blockqnn.blocks.block import Block
from nni_blockqnn.blocks.named import NAMED_BLOCKS, name_of
from nni_blockqnn.bridge.experiments import Experiment, find_experiment
from nni_blockqnn.cli import main
from nni_blockqnn.reports.final_report import write_final_report
from nni_blockqnn.results.experiment import read_results
from nni_blockqnn.results.finalists import is_final_training, learning_curves, untrained

INCEPTION = NAMED_BLOCKS["inception"].to_json()
BLOCKS = [TWO_BRANCHES, ONE_CONV, RESIDUAL, INCEPTION]
NETWORK = '{"preset": "digits", "filters": [4, 8]}'
COMMAND = (
    "python -m nni_blockqnn.trial --dataset digits --data-dir ~/data --recipe=final --mu 0 "
    "--rho 0 --limit 400"
)
CONFIG: dict[str, Any] = {
    "experimentName": "my finalists",
    "searchSpace": {
        "block": {"_type": "choice", "_value": BLOCKS},
        "repeats": {"_type": "choice", "_value": [1]},
        "network": {"_type": "choice", "_value": [NETWORK]},
    },
    "tuner": {"className": "nni_blockqnn.finalists_tuner.FinalistsTuner"},
    "trialCommand": COMMAND,
    "maxTrialNumber": 4,
}

Metric = tuple[str, int, Any]
"""Trial, NNI's number of its intermediate metric, and that metric."""


def final_training(
    home: Path,
    results: dict[str, dict[str, Any]],
    others: dict[str, tuple[str, str]] | None = None,
    curves: Iterable[Metric] = (),
    **config: Any,
) -> Experiment:
    """An experiment that has ended.

    Args:
        results: the final metric of each trial.
        others: block and last status of each trial that has none.
    """
    blocks = {name: metric["block"] for name, metric in results.items()}
    blocks |= {name: block for name, (block, _) in (others or {}).items()}
    last = dict.fromkeys(results, "SUCCEEDED") | {
        name: status for name, (_, status) in (others or {}).items()
    }
    finals = [
        (name, {"repeats": 1, **{k: v for k, v in metric.items() if k != "episode"}})
        for name, metric in results.items()
    ]
    database = make_experiment(home, finals=finals, config=CONFIG | config)
    with closing(sqlite3.connect(database)) as connection, connection:
        for number, name in enumerate(last):
            parameters = {"block": blocks[name], "repeats": 1, "network": NETWORK}
            sent = json.dumps({"parameter_id": number, "parameters": parameters})
            for event, data in (("RUNNING", sent), (last[name], None)):
                job = (10_000 + number, name, event, data, None, number, None, None)
                connection.execute("insert into TrialJobEvent values (?,?,?,?,?,?,?,?)", job)
        for name, sequence, metric in curves:
            row = (15_000, name, "0", "PERIODICAL", sequence, json.dumps(json.dumps(metric)))
            connection.execute("insert into MetricData values (?,?,?,?,?,?)", row)
    write_list(home, abcd1234={"status": "STOPPED", "experimentName": "my finalists"})
    return find_experiment("abcd1234", home)


def trained(block: str, accuracy: float, **changes: Any) -> dict[str, Any]:
    return final(block=block, accuracy=accuracy, default=accuracy, repeats=1, **changes)


def page_of(experiment: Experiment, tmp_path: Path) -> str:
    path = tmp_path / "report.html"
    write_final_report(read_results(experiment), path)
    return html.unescape(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    ("changes", "is_final"),
    [
        ({}, True),
        ({"trialCommand": "python -m nni_blockqnn.trial --dataset digits"}, False),
        ({"trialCommand": "python -m nni_blockqnn.trial --recipe early-stop"}, False),
        ({"trialCommand": "python -m nni_blockqnn.trial --recipe imagenet-final"}, True),
        ({"trialCommand": "python my_trial.py"}, True),
        ({"searchSpace": {"block": {"_type": "nsc", "_value": {}}}}, False),
    ],
)
def test_which_experiments_train_finalists(changes: dict[str, Any], is_final: bool) -> None:
    assert is_final_training(CONFIG | changes) is is_final


def test_a_block_is_named_whatever_the_order_of_its_layers() -> None:
    assert name_of(Block.parse(RESIDUAL)) == "residual"
    # the pool's branch of the inception block first
    renumbered = (
        "[[1,4,0,0,0],[2,2,3,1,0],[3,1,1,2,0],[4,1,1,1,0],[5,1,3,4,0],[6,1,1,1,0],[7,1,5,6,0],"
        "[8,6,0,5,7],[9,6,0,3,8]]"
    )
    assert name_of(Block.parse(renumbered)) == "inception"
    assert name_of(Block.parse(ONE_CONV)) is None


def test_an_epoch_that_came_twice_counts_as_it_came_last(tmp_path: Path) -> None:
    said = [(1, 10.0), (2, 20.0), (3, 25.0), (2, 30.0), (3, 40.0)]
    curves = [
        ("a", number, {"default": accuracy, "epoch": epoch})
        for number, (epoch, accuracy) in enumerate(said)
    ]
    curves += [("b", 0, {"default": 5.0}), ("b", 1, 6.0), ("b", 2, {"default": "broken"})]
    curves += [("c", 0, {"default": 5.0}), ("c", 1, {"default": 6.0}), ("c", 0, {"default": 7.0})]
    experiment = final_training(tmp_path, {}, curves=curves)
    assert learning_curves(experiment) == {
        "a": ((1, 10.0), (2, 30.0), (3, 40.0)),
        "b": ((1, 5.0), (2, 6.0)),  # counted; nobody knows where c went on
    }


@pytest.mark.parametrize("status", ["RUNNING", "USER_CANCELED"])  # when NNI ended; before that
def test_what_became_of_the_finalists_without_a_result(tmp_path: Path, status: str) -> None:
    experiment = final_training(
        tmp_path,
        {"a": trained(ONE_CONV, 50.0)},
        {
            "b": (TWO_BRANCHES, status),
            "c": (RESIDUAL, "EARLY_STOPPED"),
            "again": (ONE_CONV, "RUNNING"),  # it has its result
        },
        assessor={"name": "Medianstop"},
    )
    found = untrained(read_results(experiment))
    assert [(one.block.to_json(), one.trial_id, one.fate) for one in found] == [
        (TWO_BRANCHES, "b", "killed"),
        (RESIDUAL, "c", "stopped"),
        (INCEPTION, None, "not started"),
    ]
    assert "Medianstop" in found[1].why
    assert found[2].why == "the experiment ended before"


def test_a_failed_finalist_says_why(tmp_path: Path) -> None:
    failed = {"default": None, "failure": "too large for the GPU", "block": ONE_CONV}
    experiment = final_training(tmp_path, {"a": failed})
    found = {one.trial_id: one for one in untrained(read_results(experiment))}
    assert (found["a"].fate, found["a"].why) == ("failed", "too large for the GPU")
    assert "blockqnn retry abcd1234" in page_of(experiment, tmp_path)


@pytest.mark.slow
def test_the_page_ranks_by_the_last_epoch_and_says_how_to_go_on(tmp_path: Path) -> None:
    folder = str(tmp_path / "a network")
    experiment = final_training(
        tmp_path,
        {
            "a": trained(ONE_CONV, 50.0, best_accuracy=71.0),
            "b": trained(RESIDUAL, 60.0, best_accuracy=61.0),
            "c": trained(TWO_BRANCHES, 70.0, best_accuracy=70.5, network_folder=folder),
        },
        curves=[("c", 0, {"default": 70.0, "epoch": 1})],
        maxTrialNumber=3,
    )
    page = page_of(experiment, tmp_path)
    assert "The finalists of a search, trained to the end" in page
    assert re.findall(r"<td>([abc])</td>", page) == ["c", "b", "a"]
    assert "3 of 4" in page
    assert "residual, the best hand-made block" in page
    assert "maxTrialNumber is 3, and there are 4 finalists" in page
    assert f"blockqnn export '{folder}' -o classifier" in page
    assert "(not on this machine now)" in page  # there is no network.json in it
    assert (
        "blockqnn top abcd1234 --by accuracy --output winners.json\n"
        "blockqnn train winners.json --rank 1 --dataset digits --data-dir ~/data --limit 400 "
        "--recipe final --validation test --output best"
    ) in page
    assert page.count("</figure>") == 2
    for wrong in ("early-stop", "Q-learning", "of searching", "Test accuracy"):
        assert wrong not in page
    assert "4 given blocks" in page


def test_test_accuracies_are_shown_where_they_were_read(tmp_path: Path) -> None:
    results = {"a": trained(ONE_CONV, 50.0, test_accuracy=48.25)}
    page = page_of(final_training(tmp_path, results), tmp_path)
    assert "<dt>Test accuracy</dt><dd>48.25 %</dd>" in page
    assert page.count("</figure>") == 1  # no learning curve was reported


def test_trainings_that_were_validated_on_the_test_set_are_told(tmp_path: Path) -> None:
    results = {"a": trained(ONE_CONV, 50.0)}
    command = COMMAND + " --validation test"
    page = page_of(final_training(tmp_path, results, trialCommand=command), tmp_path)
    assert "These are accuracies on test images" in page
    assert "blockqnn train" not in page


def test_names_from_outside_are_escaped_and_nothing_is_loaded(tmp_path: Path) -> None:
    attack = "<script>alert(1)</script>"
    results = {"a": trained(ONE_CONV, 50.0, network_folder=f"/x/{attack}")}
    experiment = final_training(tmp_path, results, trialCommand=f"python t.py {attack}")
    path = tmp_path / "report.html"
    write_final_report(read_results(experiment), path, title=attack)
    text = path.read_text(encoding="utf-8")
    assert "<script>alert" not in text
    without_namespaces = re.sub(r'xmlns(:\w+)?="[^"]*"', "", text)
    assert not re.search(r"https?:|//\w+\.\w|@import|<link|<img|src=", without_namespaces)


def test_the_command_chooses_the_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    final_training(tmp_path / "nni-experiments", {"a": trained(ONE_CONV, 50.0)})
    assert main(["report", "abcd1234", "-o", str(tmp_path / "page.html")]) == 0
    assert "trained to the end" in (tmp_path / "page.html").read_text(encoding="utf-8")


def test_finalists_at_equal_cost_are_shown_with_widths_and_times(tmp_path: Path) -> None:
    times = {"epoch_seconds": 1.25, "image_milliseconds": 0.0625}
    results = {
        "a": trained(RESIDUAL, 70.0, width=19, **times),
        "b": trained(ONE_CONV, 60.0, width=31, **times),
    }
    page = page_of(final_training(tmp_path, results), tmp_path)
    for fact in (
        "<th>Width</th>",
        "<td>31</td>",
        "1.250",
        "0.062",
        "19 filters in the first stage",
    ):
        assert fact in page


def test_finalists_of_their_networks_own_widths_have_no_such_columns(tmp_path: Path) -> None:
    page = page_of(final_training(tmp_path, {"a": trained(RESIDUAL, 70.0)}), tmp_path)
    assert "<th>Width</th>" not in page
    assert "first stage" not in page
