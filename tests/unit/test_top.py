"""What `blockqnn top` shows of an experiment's results, and what it refuses."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from cifar10_search import SEARCHED, search
from made_experiments import (
    ONE_CONV,
    RESIDUAL,
    TWO_BRANCHES,
    final,
    make_experiment,
    write_list,
)

from nni_blockqnn.cli import main
from nni_blockqnn.results.experiment import find_experiment, read_results


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path / "nni-experiments"


def finished_finals(home: Path, tuner: dict[str, str]) -> None:
    """Two trials without episodes, and a third that failed, as NNI's GridSearch leaves them."""
    metrics = [final(block=ONE_CONV, network_folder="/a/b"), final(block=RESIDUAL, default=61.0)]
    for metric in metrics:
        del metric["episode"]
    failed = {"default": float("nan"), "failure": "no room", "block": RESIDUAL}
    finals = [("t0", metrics[0]), ("t2", metrics[1]), ("t1", failed)]
    states = [("t0", "WAITING"), ("t1", "WAITING"), ("t0", "RUNNING"), ("t2", "WAITING")]
    events = [(time, trial, event) for time, (trial, event) in enumerate(states)]
    make_experiment(home, finals=finals, events=events, config=SEARCHED | {"tuner": tuner})
    write_list(home, abcd1234={"startTime": 1})


def test_results_of_another_tuner_are_numbered_by_their_trials(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    finished_finals(home, {"name": "GridSearch"})
    results = read_results(find_experiment("abcd1234"))
    assert [(t.episode, t.block.to_json()) for t in results.trials] == [
        (0, ONE_CONV),
        (2, RESIDUAL),
    ]
    assert [(one.trial_id, one.reason) for one in results.failures] == [("t1", "no room")]
    assert not results.malformed

    assert main(["top", "--format", "csv"]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [(row["episode"], row["network_folder"]) for row in rows] == [("2", ""), ("0", "/a/b")]


def test_codes_can_be_copied_from_a_narrow_terminal(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    search(home, final(block=RESIDUAL, default=51.0), final(block=TWO_BRANCHES, default=52.0))
    assert main(["top"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if "[[" in line] == [
        f"  1  {TWO_BRANCHES}",
        f"  2  {RESIDUAL}  residual",
    ]
    assert max(map(len, [line for line in lines if "[[" not in line])) <= 60


def test_blockqnns_own_trials_must_name_their_episode(home: Path) -> None:
    finished_finals(home, {"className": "nni_blockqnn.tuner.BlockQNNTuner"})
    results = read_results(find_experiment("abcd1234"))
    assert results.trials == ()
    assert len(results.malformed) == 3


def test_stopped_finalists_are_told_of(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    events = [(1, "a", "RUNNING"), (2, "a", "EARLY_STOPPED"), (3, "b", "USER_CANCELED")]
    make_experiment(home, events=events)
    write_list(home, abcd1234={"startTime": 1})
    assert main(["top"]) == 0
    said = capsys.readouterr().out
    assert "no result: 2 trials ended" in said
    assert "1 x stopped: maxTrialDuration or a user ended it (trial a;" in said
    assert "1 x killed: its process ended by a signal, of the system or a user (trial b;" in said


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--max-flops", "9"], "2 results, none within the limits"),
        (["--repeats", "7"], "2 results, none with N = 7, but with [2, 4]"),
    ],
)
@pytest.mark.parametrize("form", ["table", "json"])
def test_why_there_is_nothing_to_show(
    home: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str, form: str
) -> None:
    search(home, final(), final(block=ONE_CONV, repeats=2))
    assert main(["top", "--format", form, *arguments]) == 0
    shown = capsys.readouterr()
    assert said in (shown.out if form == "table" else shown.err)
    assert form == "table" or json.loads(shown.out) == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--k", "0"], "--k is how many to show, 1 or more, got 0"),
        (["--k", "-3"], "got -3"),
        (["--references"], "--output FILE"),
        (["--network", "cifar10"], "--output FILE"),
    ],
)
def test_arguments_that_mean_nothing_are_refused(
    home: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    search(home, final())
    assert main(["top", *arguments]) == 1
    shown = capsys.readouterr()
    assert (said in shown.err, shown.out) == (True, "")


def test_references_are_named(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    search(home, final(), final(block=ONE_CONV, default=50.0))
    for form in ("json", "csv"):
        assert main(["top", "--format", form]) == 0
        text = capsys.readouterr().out
        rows = json.loads(text) if form == "json" else list(csv.DictReader(io.StringIO(text)))
        assert [row["name"] or "" for row in rows] == ["residual", ""]


def test_small_networks_have_three_digits(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    search(home, final(flops=4_321), final(block=ONE_CONV, default=50.0, flops=12_345_678))
    assert main(["top"]) == 0
    table = capsys.readouterr().out
    assert " 0.00432 " in table
    assert " 12.35 " in table


@pytest.mark.slow
@pytest.mark.parametrize("form", ["table", "json", "csv"])
def test_a_reader_that_has_gone_is_no_error(home: Path, form: str) -> None:
    """As in `blockqnn top | head -1`."""
    search(home, final())
    reader, writer = os.pipe()
    os.close(reader)
    output = home / "finalists.json"
    command = ["top", "--format", form, "--output", str(output)]
    run = subprocess.run(
        [sys.executable, "-m", "nni_blockqnn", *command],
        stdout=writer,
        stderr=subprocess.PIPE,
        text=True,
    )
    os.close(writer)
    assert run.returncode == 0
    assert run.stderr.startswith("wrote 1 block to")
    assert output.exists()
