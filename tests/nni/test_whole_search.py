"""``blockqnn search`` from images to a network in use, cut off on the way."""

from __future__ import annotations

import csv
import io
import json
import re
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from nni_shell import SCRIPTS, WAITING_SECONDS, Nni, Running
from PIL import Image

from nni_blockqnn.data import Split, load_dataset

ARGUMENTS = (
    *("digits", "--hours", "0.5", "--trials", "5", "--budget", "small"),
    *("--finalists", "1", "--final-epochs", "2"),
)
TRIALS, FINALISTS = 5, 3


@pytest.mark.slow
def test_it_goes_on_wherever_it_was_cut_off(nni: Nni, tmp_path: Path) -> None:
    output = tmp_path / "found"
    written = nni.run("blockqnn", "init", *ARGUMENTS, "-o", output)
    assert written.returncode == 0, written.stderr
    shorten(output / "search.yml")
    command = ["search", *ARGUMENTS, "-o", str(output)]

    cut_off(nni, command, lambda: has_result(nni))  # the experiment goes on without it
    (search,) = nni.listed()
    nni.processes(search)[0].kill()  # NNI's manager
    cut_off(nni, command, lambda: (output / "winner.json").exists())
    assert not (output / "result.json").exists()
    assert not any(nni.processes(name) for name in nni.listed())

    finished = nni.run("blockqnn", *command)
    assert finished.returncode == 0, finished.stdout + finished.stderr
    result = json.loads((output / "result.json").read_text(encoding="utf-8"))
    assert (result["trials"], result["epochs"], result["tested"]) == (TRIALS, 2, 359)
    assert result["rows"][0]["name"] == "winner"
    assert {"residual", "inception"} & {row["name"] for row in result["rows"]}
    assert all(row["low"] <= row["accuracy"] <= row["high"] for row in result["rows"])
    assert set(result["experiments"].values()) == set(nni.listed())
    for name in (
        *("report.html", "finalists.html", "block.svg", "block.png", "results.csv", "trials.csv"),
        *("network/model.py", "network/README.md", "search.yml", "finalists.yml", "reproduce.sh"),
    ):
        assert (output / name).stat().st_size > 0, name

    again = nni.run("blockqnn", *command)
    assert again.returncode == 0
    assert again.stdout.splitlines()[1:] == finished.stdout.splitlines()[-len(lines_of(again)) :]
    other = nni.run("blockqnn", *command[:-2], "--seed", "1", "-o", output)
    assert (other.returncode, other.stdout) == (1, "")
    assert "seed was 0, now it is 1" in other.stderr

    predicts_digits(nni, output, tmp_path / "images", result["rows"][0]["accuracy"])


def shorten(config: Path) -> None:
    """As a user may change what `init` has written."""
    text = config.read_text(encoding="utf-8")
    changed = re.sub(r"--epochs \d+", "--epochs 1", text).replace("--mu 0", "--limit 200 --mu 0")
    assert changed.count("--limit") >= 1
    config.write_text(changed, encoding="utf-8")


def lines_of(shown: subprocess.CompletedProcess) -> list[str]:
    """The answer, without the line before it."""
    return shown.stdout.splitlines()[1:]


def cut_off(nni: Nni, command: list[str], reached: Callable[[], bool]) -> None:
    """Start the command, and kill it once something is reached."""
    running = subprocess.Popen(
        [str(SCRIPTS / "blockqnn"), *command],
        env=nni.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    deadline = time.monotonic() + WAITING_SECONDS
    while not reached():
        assert running.poll() is None, running.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.2)
    running.send_signal(signal.SIGKILL)
    running.communicate()


def has_result(nni: Nni) -> bool:
    for name, entry in nni.listed().items():
        directory = nni.home / "nni-experiments" / name
        return bool(Running(name, entry["port"], directory).journal("result"))
    return False


def predicts_digits(nni: Nni, found: Path, folder: Path, accuracy: float) -> None:
    """What it says of the test images as files is as right as it was in the test."""
    test = load_dataset("digits", None).test
    assert isinstance(test, Split)
    folder.mkdir()
    for number, (image, label) in enumerate(zip(test.images, test.labels, strict=True)):
        Image.fromarray(image[0].numpy()).save(folder / f"{number:03}-{label}.png")
    shown = nni.run("blockqnn", "predict", found, folder)
    assert (shown.returncode, shown.stderr) == (0, "")
    rows = list(csv.DictReader(io.StringIO(shown.stdout)))
    right = sum(row["class"] == Path(row["file"]).stem[-1] for row in rows)
    assert 100 * right / len(rows) == pytest.approx(accuracy, abs=0.01)
