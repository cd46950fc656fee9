"""The whole way for a task of the user's own, whose measure is an error."""

from __future__ import annotations

import csv
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from nni_shell import ROOT, Nni, free_port
from PIL import Image

TASK, DATA = "angles:Angles", "angles:turned_digits"
ARGUMENTS = (
    *(DATA, "--task", TASK, "--hours", "20", "--gpus", "0", "--budget", "300k"),
    *("--trials", "3", "--concurrency", "2", "--finalists", "1", "--final-epochs", "4"),
    *("-o", "found"),
)
"""A busy machine needs hours by what it foretells; the trials are made shorter below."""
TESTED = 360


@pytest.mark.slow
def test_a_search_names_the_tasks_error_and_its_direction(nni: Nni, tmp_path: Path) -> None:
    shutil.copy(ROOT / "examples" / "own_task" / "angles.py", tmp_path)
    written = nni.run("blockqnn", "init", *ARGUMENTS, cwd=tmp_path)
    assert written.returncode == 0, written.stderr
    said = f"task: {TASK}, judged by angle error (degrees), of which less is better\n"
    assert said in written.stdout
    config = tmp_path / "found" / "search.yml"
    text = config.read_text(encoding="utf-8")
    config.write_text(re.sub(r"--epochs \d+", "--epochs 2", text), encoding="utf-8")
    searched = nni.run("blockqnn", "search", *ARGUMENTS, "--port", str(free_port()), cwd=tmp_path)
    assert searched.returncode == 0, searched.stdout + searched.stderr
    said = searched.stdout
    assert "accuracy" not in said
    assert re.search(rf"^Angle error [\d.]+ degrees on {TESTED} test images, by ", said, re.M)

    result = json.loads((tmp_path / "found" / "result.json").read_text(encoding="utf-8"))
    assert result["task"] == TASK
    assert result["measure"]["direction"] == "minimize"
    rows = result["rows"]
    assert rows[0]["name"] == "winner"
    assert {"residual", "inception"} & {row["name"] for row in rows}
    for row in rows:
        assert row["accuracy"] == -row["measured"]["angle_error"]
        assert row["low"] < row["accuracy"] < row["high"] < 0
        assert row["balanced_accuracy"] is None
    with (tmp_path / "found" / "trials.csv").open(newline="") as file:
        assert all(-180 < float(trial["reward"]) < 0 for trial in csv.DictReader(file))
    assert f"--task {TASK}" in (tmp_path / "found" / "finalists.yml").read_text()
    assert f"--task {TASK}" in (tmp_path / "found" / "reproduce.sh").read_text()
    assert "Test angle error, winner" in (tmp_path / "found" / "report.html").read_text()

    again = nni.run("blockqnn", "search", *ARGUMENTS, cwd=tmp_path)
    assert "this search is finished" in again.stdout
    assert len(nni.listed()) == 2
    predicts(nni, tmp_path)


def predicts(nni: Nni, folder: Path) -> None:
    Image.fromarray(np.full((8, 8), 90, np.uint8)).save(folder / "grey.png")
    refused = nni.run("blockqnn", "predict", "found", "grey.png", cwd=folder)
    assert refused.returncode != 0
    assert f"name it: --task {TASK}" in refused.stderr
    shown = nni.run("blockqnn", "predict", "found", "grey.png", "--task", TASK, cwd=folder)
    assert (shown.returncode, shown.stderr) == (0, "")
    assert json.loads(shown.stdout)["file"] == "grey.png"
