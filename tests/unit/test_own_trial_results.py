"""A trial of the user's own reports reward, episode and block: enough for all that reads it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from made_experiments import ONE_CONV, RESIDUAL, TWO_BRANCHES, make_experiment, write_list

from nni_blockqnn.cli import main

SPACE = {
    "block": {"_type": "nsc", "_value": {"max_layers": 9}},
    "repeats": {"_type": "choice", "_value": [1]},
    "network": {"_type": "choice", "_value": ["digits"]},
}


@pytest.fixture
def search(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    metrics = [
        (f"t{number}", {"default": 50.0 + number, "episode": number, "block": block})
        for number, block in enumerate((ONE_CONV, RESIDUAL, TWO_BRANCHES))
    ]
    config = {
        "searchSpace": SPACE,
        "trialCommand": "python trial.py",
        "tuner": {"name": "BlockQNN"},
    }
    folder = tmp_path / "nni-experiments"
    make_experiment(folder, "search01", metrics, config=config)
    write_list(folder, search01={"id": "search01", "startTime": 1})
    return tmp_path


def test_top_shows_them(search: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["top", "search01", "--format", "json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [(row["episode"], row["reward"]) for row in rows] == [(2, 52.0), (1, 51.0), (0, 50.0)]
    assert {(row["accuracy"], row["flops"], row["params"], row["repeats"]) for row in rows} == {
        (None, None, None, 1)
    }
    assert main(["top", "search01"]) == 0
    printed, errors = capsys.readouterr()
    assert TWO_BRANCHES in printed
    assert "unreadable" not in printed + errors
    assert "None" not in printed


def test_the_report_shows_them(search: Path) -> None:
    assert main(["report", "search01", "-o", "report.html"]) == 0
    text = (search / "report.html").read_text(encoding="utf-8")
    assert "52.00" in text
    assert ">None" not in text


def test_they_become_finalists(search: Path) -> None:
    assert main(["top", "search01", "--k", "2", "--output", "finalists.json"]) == 0
    space = json.loads((search / "finalists.json").read_text())
    assert space["block"]["_value"] == [TWO_BRANCHES, RESIDUAL]
    assert (space["repeats"]["_value"], space["network"]["_value"]) == ([1], ["digits"])
